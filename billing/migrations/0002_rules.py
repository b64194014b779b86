"""The ledger's functions, and what the money's tables refuse by themselves."""

from pathlib import Path

from django.db import migrations

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


def run(name: str) -> migrations.RunSQL:
    # psycopg reads the text as it stands: there are no parameters in it.
    return migrations.RunSQL((SQL / f"{name}.sql").read_text(encoding="utf-8"))


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("inventory", "0002_rules")]

    operations = [
        run("ledger_rules"),
        run("ledger_periods"),
        run("ledger_records"),
        run("ledger_functions"),
        run("ledger_holds"),
        run("ledger_checkpoints"),
        run("ledger_exchanges"),
        # Rows lie nearly in the order of their instants: a summary of each range of pages says
        # which of them a month needs, and costs a posting nothing.
        migrations.RunSQL(
            "CREATE INDEX ledger_transaction_by_instant ON billing_ledgertransaction"
            " USING brin (effective_at) WITH (pages_per_range = 32, autosummarize = on)"
        ),
        run("invoice_rules"),
        migrations.RunSQL("INSERT INTO billing_billedcursor (id, charge_id) VALUES (1, 0)"),
        migrations.RunSQL("INSERT INTO billing_slacursor (id, charge_id) VALUES (1, 0)"),
        run("reconciliation"),
        grants.rules_always_hold(),
    ]
