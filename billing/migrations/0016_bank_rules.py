"""Who may change what of the bank rail; accounts that organisations had; how references find."""

from django.db import migrations

from inventory import grants

# The operator had one account for everything, and organisations one field each, which two
# persons look at before money goes there.
MOVE = """
    INSERT INTO billing_bankaccount (public_id, owner_id, currency, holder_name, bank_name,
        bank_code, number, state, statement_layout, file_layout, virtual_prefix, virtual_digits,
        created_at)
    SELECT DISTINCT ON (regexp_replace(bank_account, '\\s', '', 'g'))
           gen_random_uuid(), id, 'CNY', name, bank_name, '',
           left(regexp_replace(bank_account, '\\s', '', 'g'), 40), 'proposed', '', '', '', 0,
           created_at
      FROM inventory_organisation WHERE bank_account <> '' AND bank_name <> ''
     ORDER BY regexp_replace(bank_account, '\\s', '', 'g'), id
"""
# A reference names the end of a deal's id; see billing/references.py.
INDEXES = [
    (
        f"CREATE INDEX {table}_by_tail ON marketplace_{table} (right(public_id::text, 12))",
        f"DROP INDEX {table}_by_tail",
    )
    for table in ("reservation", "basket")
]


class Migration(migrations.Migration):

    dependencies = [("billing", "0015_bank_rail")]
    run_before = [("inventory", "0009_accounts_have_their_own_table")]

    operations = [
        migrations.RunSQL(MOVE, migrations.RunSQL.noop),
        *(migrations.RunSQL(make, drop) for make, drop in INDEXES),
        grants.give(
            {
                "billing_bankaccount": "UPDATE (state, checked_by_id, decided_by_id, usable_from,"
                " checked_at, verified_at, rejected_at, closed_at)",
                "billing_bankreceipt": "UPDATE (tenant_id, line_id, matched_by, doubt,"
                " candidate_id, reservation_id, basket_id, attributed_by_id, attributed_at,"
                " returned_at)",
                "billing_bankdeal": "UPDATE (state, waits_for, next_try_at, confirmed_at,"
                " missed_at, withdrawn_at, again_reservation_id, again_basket_id)",
                "billing_refund": "UPDATE (state, file_id, line_id, bank_reference,"
                " checked_by_id, approved_by_id, checked_at, approved_at, sent_at, done_at,"
                " failed_at, came_back_at, refused_at, withdrawn_at)",
            }
        ),
        grants.rules_always_hold(),
    ]
