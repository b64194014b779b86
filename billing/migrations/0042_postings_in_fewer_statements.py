"""A posting resolves its accounts once, and locks and reads their balances in one statement."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):

    dependencies = [("billing", "0041_settled_mark")]

    operations = [
        migrations.RunSQL(
            (SQL / "ledger_functions.sql").read_text(encoding="utf-8"), migrations.RunSQL.noop
        ),
    ]
