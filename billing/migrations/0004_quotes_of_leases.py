"""What a quote is of, and that it is accepted once."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0003_quotes"),
        ("inventory", "0002_capacity_sql"),
        ("marketplace", "0009_amendments"),
    ]

    operations = [
        migrations.AddField(
            model_name="quote",
            name="amendment",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="quote",
                to="marketplace.amendment",
            ),
        ),
        migrations.AddField(
            model_name="quote",
            name="amendment_before",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="marketplace.amendment",
            ),
        ),
        migrations.AddField(
            model_name="quote",
            name="asked_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="inventory.organisation",
            ),
        ),
        migrations.AddField(
            model_name="quote",
            name="lease",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="quotes",
                to="marketplace.lease",
            ),
        ),
        migrations.AddIndex(
            model_name="quote",
            index=models.Index(fields=["lease", "-id"], name="quote_by_lease"),
        ),
        migrations.AddConstraint(
            model_name="quote",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amendment__isnull", True), ("accepted_at__isnull", False), _connector="OR"
                ),
                name="quote_accepted_before_it_amends",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="quote",
            trigger=pgtrigger.compiler.Trigger(
                name="quote_as_promised",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."amendment_before_id" IS DISTINCT FROM (NEW."amendment_before_id") OR OLD."asked_by_id" IS DISTINCT FROM (NEW."asked_by_id") OR OLD."compensation_minor" IS DISTINCT FROM (NEW."compensation_minor") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."kept_fee_minor" IS DISTINCT FROM (NEW."kept_fee_minor") OR OLD."kept_gross_minor" IS DISTINCT FROM (NEW."kept_gross_minor") OR OLD."kept_provider_minor" IS DISTINCT FROM (NEW."kept_provider_minor") OR OLD."kept_vat_minor" IS DISTINCT FROM (NEW."kept_vat_minor") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."lease_id" IS DISTINCT FROM (NEW."lease_id") OR OLD."pay_minor" IS DISTINCT FROM (NEW."pay_minor") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."refund_minor" IS DISTINCT FROM (NEW."refund_minor") OR OLD."share_bps" IS DISTINCT FROM (NEW."share_bps"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="8eb6b96d8ac7954be654c031e37aeeb88e773cfa",
                    operation="UPDATE",
                    pgid="pgtrigger_quote_as_promised_74235",
                    table="billing_quote",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="quote",
            trigger=pgtrigger.compiler.Trigger(
                name="quote_accepted_once",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."accepted_at" IS NOT NULL)',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="cdd6d7e5904126db939f7031dd136f62afa7c3ab",
                    operation="UPDATE",
                    pgid="pgtrigger_quote_accepted_once_76dfc",
                    table="billing_quote",
                    when="BEFORE",
                ),
            ),
        ),
        grants.give({"billing_quote": "UPDATE (accepted_at, amendment_id)"}),
        grants.rules_always_hold(),
    ]
