"""A checkpoint waits for postings under way, and for nobody else of the cluster."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0011_ledger_completed")]

    operations = [
        migrations.RunSQL((SQL / "ledger_checkpoints.sql").read_text(encoding="utf-8")),
    ]
