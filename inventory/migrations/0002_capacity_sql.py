"""Partitioned tables, capacity functions, and what the runtime role may not do."""

from pathlib import Path

from django.db import migrations

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


def run(name: str) -> migrations.RunSQL:
    # psycopg reads the text as it stands: there are no parameters in it.
    return migrations.RunSQL((SQL / f"{name}.sql").read_text(encoding="utf-8"), elidable=False)


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [
        run("tables"),
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
        grants.append_only(
            "inventory_journalentry",
            "inventory_usagehour",
            "inventory_poolevent",
            "inventory_instancehistory",
            "inventory_seal",
        ),
    ]
