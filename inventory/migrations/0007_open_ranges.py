"""Over a range without an end, promises that follow each other are no longer added up."""

from pathlib import Path

from django.db import migrations

SWEEPS = Path(__file__).resolve().parent.parent / "sql" / "sweeps.sql"


class Migration(migrations.Migration):
    dependencies = [("inventory", "0006_sweep_reads_the_index")]

    operations = [
        # All functions of the file as they are now; a new database has them already.
        migrations.RunSQL(
            SWEEPS.read_text(encoding="utf-8"), migrations.RunSQL.noop, elidable=False
        ),
    ]
