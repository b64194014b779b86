"""What the runtime role may do to every table: a new right has to be written down here too."""

from __future__ import annotations

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db

# By default it reads and adds. These are written by functions of the owner alone …
READ_ONLY = {
    *("django_migrations", "inventory_allocation", "inventory_binding", "inventory_block"),
    *("inventory_claim", "inventory_outage", "inventory_poolevent", "inventory_poollock"),
    *("inventory_poolversion", "billing_ledgeraccount", "billing_ledgerbalance"),
    *("billing_ledgerentry", "billing_ledgerhold", "billing_ledgertransaction"),
    *("billing_ledgercapture", "billing_ledgercheckpoint", "billing_ledgerexchange"),
}
# … from these rows go …
DELETED = {
    *("django_session", "marketplace_cache", "marketplace_idempotencyrecord"),
    *("inventory_fakemachine", "inventory_membership", "marketplace_quota"),
    "marketplace_commitment",
}
# … these are no records of anything, so that every column changes …
ALL_COLUMNS = {"django_session", "marketplace_cache", "inventory_fakemachine", "inventory_chip"}
# … and of the others these columns alone.
CHANGED = {
    "billing_accountingperiod": "closed_at closed_by_id closing_at closing_by_id state",
    "billing_bankreceipt": "approved_at decided_by_id rejected_at state",
    "billing_leasetally": "deposit_left_minor gross_minor rated_until",
    "billing_pricetally": "card_seconds exact_denominator exact_numerator fee_minor gross_minor"
    " vat_minor",
    "billing_quote": "accepted_at amendment_id",
    "billing_settlement": "paid_at state",
    "inventory_allocation": "active_at claim_token claimed_until ended_at failed_at failure_code"
    " next_step_at state",
    "inventory_apikey": "last_used_at revoked_at",
    "inventory_credential": "ciphertext revealed_at revoked_at",
    "inventory_fabric": "proved_node_count proved_on_date",
    "inventory_instance": "active_at attempt_count claim_token claimed_until deadline_at"
    " engine_reference last_error next_step_at released_at releasing_at state",
    "inventory_meteringcursor": "corrected_since metered_until",
    "inventory_node": "card_uuids driver_version firmware_version framework_version"
    " hostname leaf rack runtime_version",
    "inventory_organisation": "state",
    "inventory_pool": "driver_options state",
    "inventory_user": "is_active language last_login name password",
    "marketplace_amendment": "child_id declined_at expired_at provider_signed_at"
    " provider_signed_by signed_at state tenant_signed_at tenant_signed_by withdrawn_at",
    "marketplace_basket": "cancelled_at confirmed_at expired_at state",
    "marketplace_lease": "active_at amendment_id cancelled_at closed_at due_minor end_reason"
    " ended_at ending_at failed_at gross_minor period state warned_of",
    "marketplace_listing": "state",
    "marketplace_quota": "limit_card_hours limit_minor set_at",
    "marketplace_reservation": "cancelled_at committed_card_seconds committed_minor confirmed_at"
    " decided_at decision expired_at state",
}

GRANTED = """
    SELECT c.relname, g.right, NULL FROM pg_class c,
         unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS g ("right")
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition AND has_table_privilege(c.oid, g.right)
    UNION ALL
    SELECT c.relname, 'UPDATE', a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
      AND has_column_privilege(c.oid, a.attnum, 'UPDATE')
      AND NOT has_table_privilege(c.oid, 'UPDATE')
"""


def test_the_runtime_role_has_these_rights_and_no_others() -> None:
    tables: dict[str, set[str]] = {}
    columns: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(GRANTED)
        for table, right, column in cursor.fetchall():
            if column is None:
                tables.setdefault(table, set()).add(right)
            else:
                columns.setdefault(table, set()).add(column)

    expected = {
        table: {"SELECT"}
        | ({"INSERT"} if table not in READ_ONLY else set())
        | ({"DELETE"} if table in DELETED else set())
        | ({"UPDATE"} if table in ALL_COLUMNS else set())
        for table in tables
    }
    assert tables == expected
    assert columns == {table: set(names.split()) for table, names in CHANGED.items()}
    assert READ_ONLY | DELETED | ALL_COLUMNS | set(CHANGED) <= set(tables)
