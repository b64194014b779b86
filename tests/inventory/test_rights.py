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
    *("marketplace_commitment", "billing_runwaywarning"),
    "inventory_unknownseries",
}
# … these are no records of anything, so that every column changes …
ALL_COLUMNS = {
    *("django_session", "marketplace_cache", "inventory_fakemachine", "inventory_chip"),
    *("marketplace_poolhours", "marketplace_poolreading"),  # counted again from their sources
}
# … and of the others these columns alone.
CHANGED = {
    "billing_accountingperiod": "closed_at closed_by_id closing_at closing_by_id state",
    "billing_dunning": "ended_at ends_at settled_at state suspended_at",
    "billing_instalment": "amount_minor cleared_minor collected_at deposit_minor"
    " ledger_transaction_id overdue_at receivable_minor security_minor state unpaid_at used_minor"
    " waived_at written_off_at",
    "billing_leasetally": "arrears_minor deposit_left_minor gross_minor paid_minor rated_until"
    " security_minor",
    "billing_bankaccount": "checked_at checked_by_id closed_at decided_by_id rejected_at state"
    " usable_from verified_at",
    "billing_bankdeal": "again_basket_id again_reservation_id confirmed_at missed_at next_try_at"
    " state waits_for withdrawn_at",
    "billing_bankreceipt": "approved_at attributed_at attributed_by_id basket_id candidate_id"
    " decided_by_id doubt line_id matched_by rejected_at reservation_id returned_at state"
    " tenant_id",
    "billing_refund": "approved_at approved_by_id bank_reference came_back_at checked_at"
    " checked_by_id done_at failed_at file_id line_id refused_at sent_at state withdrawn_at",
    "billing_psprequest": "attempt_count claim_token claimed_until error_code error_text failed_at"
    " first_sent_at next_attempt_at object_id state succeeded_at",
    "billing_pspcustomer": "customer_id",
    "billing_gatewayevent": "attempt_count decided_at error_text next_attempt_at state",
    "billing_pspbalancetransaction": "available_on payout",
    "billing_topup": "cancelled_at card_fingerprint charge_id client_secret decline_code"
    " exchange_rate failed_at fee_minor intent_id method settled_currency"
    " settled_minor state succeeded_at",
    "billing_walletrefund": "failed_at failure_reason refund_id state succeeded_at",
    "billing_dispute": "amount_minor answer_by borne_at currency held_minor lost_at reason"
    " reinstated_at state withdrawn_at won_at",
    "billing_payoutaccount": "account_id closed_at disabled_reason enabled_at payout_failure state"
    " wanted",
    "billing_transfer": "failed_at failure_reason reversed_minor sent_at state transfer_id",
    "billing_transferreversal": "failed_at failure_reason reversal_id state succeeded_at",
    "billing_bankwithdrawal": "arrival_at failed_at failure_reason paid_at state",
    "billing_fakestripeobject": "data",
    "billing_pricetally": "card_seconds exact_denominator exact_numerator fee_minor gross_minor"
    " vat_minor",
    "billing_quote": "accepted_at amendment_id",
    "billing_voucher": "decided_by_id ledger_transaction_id posted_at rejected_at state",
    "billing_writeoff": "amount_minor decided_at decided_by_id",
    "billing_carriednet": "net_minor settlement_id until",
    "billing_inputfapiao": "accepted_at decided_by_id rejected_at state",
    "billing_billedcursor": "charge_id",
    "billing_billingdetails": "address bank_account bank_name phone tax_number title updated_at",
    "billing_contest": "credit_note_id decided_by_id dismissed_at operator_note provider_note"
    " state upheld_at",
    "billing_fapiao": "adapter_reference issued_at issued_date number reason red_date red_number"
    " reversed_at state withdrawn_at",
    "billing_invoice": "buyer card_seconds decided_by_id discarded_at due_at finalised_at label"
    " net_minor number paid_at payment_status seller state total_minor"
    " unpaid_minor vat_minor",
    "billing_invoiceline": "card_seconds corrects_id from_at gross_minor invoice_id net_minor"
    " until_at vat_minor",
    "billing_invoiceseries": "last_number",
    "billing_statement": "accepted_at accepted_by_id deemed_at state",
    "billing_payout": "approved_at approved_by_id attempt_count cancelled_at failed_at file_id"
    " last_error ledger_transaction_id next_step_at paid_at rail_reference returned_at sending_at"
    " sent_at state",
    "billing_payoutline": "is_live",
    "billing_repayment": "approved_at decided_by_id ledger_transaction_id rejected_at state",
    "billing_settledmark": "hour",
    "billing_slacursor": "charge_id",
    "billing_settlement": "paid_at paid_back_at reserve_released_at state",
    "inventory_allocation": "active_at claim_token claimed_until ended_at failed_at failure_code"
    " next_step_at state suspended_at",
    "inventory_apikey": "last_used_at revoked_at",
    "inventory_credential": "ciphertext revealed_at revoked_at told_at",
    "inventory_fabric": "proved_node_count proved_on_date",
    "inventory_instance": "active_at attempt_count claim_token claimed_until deadline_at"
    " engine_reference last_error next_step_at released_at releasing_at renewal_asked_at renewed_at"
    " shut_at state",
    "inventory_acceptance": "accepted_at deemed_at due_at lapsed_at passed_at signed_by state"
    " testing_at",
    "inventory_manualtask": "address ciphertext done_at done_by dropped_at given_up_at"
    " host_fingerprints overdue_at port reason state told_at user",
    "inventory_sshkey": "removed_at",
    "inventory_meteringcursor": "corrected_since metered_until",
    "inventory_node": "card_uuids driver_version firmware_version framework_version"
    " hostname leaf rack runtime_version",
    "inventory_organisation": "state",
    "inventory_faultrate": "card_seconds counted_at fault_count high_per_million low_per_million"
    " per_million",
    "inventory_healthreport": "withdrawn_at",
    "inventory_meterdispute": "decided_by_id evidence for_provider_at for_tenant_at reason state",
    "inventory_nodehealth": "cards checked_at evidence memory outage_id since source state",
    "inventory_pool": "driver driver_options engine_secret maintenance_notice_seconds state",
    "inventory_readingcursor": "read_until",
    "inventory_seriesbinding": "removed_at",
    "inventory_telemetryhour": "busy_permille_sum busy_slots error_slots fact_slots last_error"
    " link_down_slots memory_permille_sum memory_slots power_slots power_watt_sum recorded_at"
    " replica sealed_at seen_slots slots temperature_max unhealthy_slots",
    "inventory_telemetrykey": "expires_at revoked_at",
    "inventory_telemetrysource": "claim_token claimed_until closed_at early_count last_error"
    " last_seen_at late_count next_pull_at pulled_until query_secret query_url repeated_count"
    " replica replica_label replica_until samples_per_second stored_count unknown_count"
    " unused_count void_count",
    "inventory_unknownseries": "labels last_seen_at sample_count",
    "inventory_user": "is_active language last_login name password",
    "marketplace_amendment": "child_id declined_at expired_at provider_signed_at"
    " provider_signed_by signed_at state tenant_signed_at tenant_signed_by withdrawn_at",
    "marketplace_basket": "cancelled_at confirmed_at expired_at state",
    "marketplace_idlenotice": "kept_at over_at state",
    "marketplace_case": "assignee closed_at escalated_at respond_by state",
    "marketplace_channel": "removed_at state target topics",
    "marketplace_delivery": "attempt_count claim_token claimed_until last_error next_at sent_at"
    " state",
    "marketplace_incident": "cause mitigated_at resolved_at state",
    "marketplace_notifiedmark": "last_id last_xid",
    "marketplace_lease": "active_at amendment_id cancelled_at closed_at due_minor end_evidence"
    " end_reason ended_at ending_at failed_at gross_minor last_warned_of period state warned_of",
    "marketplace_listing": "state",
    "marketplace_quota": "limit_card_hours limit_minor set_at",
    "marketplace_rollupcursor": "counted_through dirty_since",
    "marketplace_rollupmark": "checked_at checked_count counted_until event_id event_xid"
    " fault_count usage_at usage_xid",
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
