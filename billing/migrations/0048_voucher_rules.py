"""Who may change what of a voucher; months of the books are found by their instants."""

from django.db import migrations

from inventory import grants


class Migration(migrations.Migration):
    dependencies = [("billing", "0047_vouchers")]

    operations = [
        grants.give(
            {
                "billing_voucher": "UPDATE (state, decided_by_id, ledger_transaction_id,"
                " posted_at, rejected_at)",
            }
        ),
        # Rows lie nearly in the order of their instants: a summary of each range of pages says
        # which of them a month needs, and costs a posting nothing.
        migrations.RunSQL(
            "CREATE INDEX ledger_transaction_by_instant ON billing_ledgertransaction"
            " USING brin (effective_at) WITH (pages_per_range = 32, autosummarize = on)",
            "DROP INDEX ledger_transaction_by_instant",
        ),
        grants.rules_always_hold(),
    ]
