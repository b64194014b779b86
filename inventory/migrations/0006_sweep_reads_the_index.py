"""The sweep's index holds what the sweep reads, and rows are marked as seen sooner."""

import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Func, Value


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("inventory", "0005_node_framework")]

    operations = [
        AddIndexConcurrently(
            model_name="claim",
            index=django.contrib.postgres.indexes.GistIndex(
                Func(F("block_id"), F("block_id"), Value("[]"), function="int8range"),
                F("blocking"),
                condition=models.Q(("block__isnull", False), ("state__in", ("held", "confirmed"))),
                include=("block", "unit_count", "state", "held_until", "allocation"),
                name="claim_live_sweep",
            ),
        ),
        RemoveIndexConcurrently(model_name="claim", name="claim_live_by_block"),
        # A sweep looks up the rows of pages that no vacuum has been through.
        migrations.RunSQL(
            "ALTER TABLE inventory_claim SET (autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_vacuum_insert_scale_factor = 0.02)",
            "ALTER TABLE inventory_claim RESET (autovacuum_vacuum_scale_factor,"
            " autovacuum_vacuum_insert_scale_factor)",
        ),
    ]
