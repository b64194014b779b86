"""The ledger's rules in the database, and who may do what there."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import migrations

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"

TABLES = (
    "billing_ledgeraccount",
    "billing_ledgerbalance",
    "billing_ledgertransaction",
    "billing_ledgerentry",
    "billing_ledgerhold",
)
# Not ledger_open, since accounts come into being through a posting, a hold or a lock only; nor
# ledger_write, which would take any transaction for the opposite of any other.
INNER = (
    "ledger_open(text)",
    "ledger_write(text, text, timestamptz, timestamptz, text, text, text, text[], bigint[], bigint)",
)
FUNCTIONS = (
    "ledger_lock(text[])",
    "ledger_post(text, text, timestamptz, timestamptz, text, text, text, text[], bigint[])",
    "ledger_post_many(text[], text[], timestamptz[], text[], text[], text[], integer[], integer[],"
    " bigint[], text, timestamptz)",
    "ledger_reverse(bigint, text, timestamptz, timestamptz, text, text)",
    "ledger_place_hold(text, text, bigint, timestamptz, timestamptz)",
    "ledger_release_hold(text, timestamptz)",
    "ledger_capture_hold(text, text, text, timestamptz, timestamptz, text, text, text,"
    " text[], bigint[])",
    "ledger_set_floor(text, bigint, timestamptz)",
)


def grant(apps: Any, schema_editor: Any) -> None:
    """The runtime role executes and reads, and has no other right."""
    role = settings.DATABASES["default"]["USER"]
    execute = schema_editor.execute
    quoted = schema_editor.quote_name(role)
    for function in (*INNER, *FUNCTIONS):
        execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        owner = cursor.fetchone()[0]
    if role == owner:  # one role for everything: the triggers alone keep the rules
        return
    for function in FUNCTIONS:
        execute(f"GRANT EXECUTE ON FUNCTION {function} TO {quoted}")


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL((SQL / "ledger_rules.sql").read_text(encoding="utf-8")),
        migrations.RunSQL((SQL / "ledger_functions.sql").read_text(encoding="utf-8")),
        migrations.RunSQL((SQL / "ledger_holds.sql").read_text(encoding="utf-8")),
        migrations.RunPython(grant),
        grants.read_only(*TABLES),
        grants.give(
            {
                "billing_bankreceipt": "UPDATE (state, decided_by_id, approved_at, rejected_at)",
                "billing_settlement": "UPDATE (state, paid_at)",
                "billing_leasetally": "UPDATE (rated_until, card_seconds, exact_numerator,"
                " exact_denominator, gross_minor, vat_minor, fee_minor, deposit_left_minor)",
            }
        ),
        grants.rules_always_hold(),
    ]
