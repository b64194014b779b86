"""What the machines' tables refuse by themselves, and capacity's functions."""

from pathlib import Path

from django.db import migrations

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


def run(name: str) -> migrations.RunSQL:
    # psycopg reads the text as it stands: there are no parameters in it.
    return migrations.RunSQL((SQL / f"{name}.sql").read_text(encoding="utf-8"))


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [
        run("tables"),
        run("telemetry"),
        run("meters"),
        run("partitions"),
        migrations.RunSQL(
            "SELECT ensure_partitions(now() - interval '24 months', now() + interval '24 months')"
        ),
        run("sweeps"),
        run("claims"),
        run("blocks"),
        run("changes"),
        run("bindings"),
        run("externals"),
        run("outages"),
        run("conversions"),
        # A sweep looks up the rows of pages that no vacuum has been through.
        migrations.RunSQL(
            "ALTER TABLE inventory_claim SET (autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_vacuum_insert_scale_factor = 0.02)"
        ),
        # Cursors move every hour, in place where their page has room.
        migrations.RunSQL(
            "ALTER TABLE inventory_meteringcursor"
            " SET (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02)"
        ),
        grants.rules_always_hold(),
    ]
