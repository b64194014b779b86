"""What the runtime role may change of the money; every other table is written once."""

from django.db import migrations

from inventory import grants


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_rules")]

    operations = [
        # Written by the ledger's functions alone.
        grants.read_only(
            "billing_ledgeraccount",
            "billing_ledgerbalance",
            "billing_ledgertransaction",
            "billing_ledgerentry",
            "billing_ledgerhold",
            "billing_ledgercapture",
            "billing_ledgercheckpoint",
            "billing_ledgerexchange",
        ),
        grants.execute_only(
            "ledger_lock(text[])",
            "ledger_post(text, text, timestamptz, timestamptz, text, text, text, text[],"
            " bigint[])",
            "ledger_post_many(text[], text[], timestamptz[], text[], text[], text[], integer[],"
            " integer[], bigint[], text, timestamptz)",
            "ledger_reverse(bigint, text, timestamptz, timestamptz, text, text)",
            "ledger_place_hold(text, text, bigint, timestamptz, timestamptz)",
            "ledger_release_hold(text, timestamptz)",
            "ledger_capture_hold(text, text, text, timestamptz, timestamptz, text, text, text,"
            " text[], bigint[])",
            "ledger_set_floor(text, bigint, timestamptz)",
            "ledger_post_by_hand(text, text, timestamptz, timestamptz, text, text, text, text[],"
            " bigint[])",
            "ledger_extend_hold(text, bigint, timestamptz, timestamptz)",
            "ledger_expire_hold(text, timestamptz)",
            "ledger_capture_part(text, text, text, timestamptz, timestamptz, text, text, text,"
            " text[], bigint[])",
            "ledger_lapse_floor(text, timestamptz)",
            "ledger_take_checkpoints(integer, timestamptz, interval)",
            "ledger_exchange(text, text, timestamptz, timestamptz, text, text, text, text[],"
            " bigint[], numeric)",
            inner=(
                "ledger_open(text)",
                "ledger_write(text, text, timestamptz, timestamptz, text, text, text, text[],"
                " bigint[], bigint)",
                "ledger_first_open()",
                "ledger_content(text, timestamptz, text, text[], bigint[], bigint)",
                "ledger_period_closes()",
                "ledger_require_funds(bigint[], bigint[], integer[], integer[], bigint[])",
                "ledger_lock_hold(text, text[])",
                "ledger_require_open(billing_ledgerhold, timestamptz)",
                "ledger_keep(bigint, text, bigint)",
                "ledger_end_hold(billing_ledgerhold, text, timestamptz)",
                "ledger_capture(text, text, text, timestamptz, timestamptz, text, text, text,"
                " text[], bigint[], boolean)",
            ),
        ),
        grants.give(
            {
                "billing_bankreceipt": "UPDATE (state, decided_by_id, approved_at, rejected_at,"
                " tenant_id, line_id, matched_by, doubt, candidate_id, reservation_id, basket_id,"
                " attributed_by_id, attributed_at, returned_at)",
                "billing_settlement": "UPDATE (state, paid_at, reserve_released_at, paid_back_at)",
                "billing_leasetally": "UPDATE (rated_until, gross_minor, deposit_left_minor,"
                " paid_minor, security_minor, arrears_minor)",
                "billing_quote": "UPDATE (accepted_at, amendment_id)",
                "billing_pricetally": "UPDATE (card_seconds, exact_numerator, exact_denominator,"
                " gross_minor, vat_minor, fee_minor)",
                "billing_accountingperiod": "UPDATE (state, closing_by_id, closing_at,"
                " closed_by_id, closed_at)",
                "billing_bankaccount": "UPDATE (state, checked_by_id, decided_by_id, usable_from,"
                " checked_at, verified_at, rejected_at, closed_at)",
                "billing_bankdeal": "UPDATE (state, waits_for, next_try_at, confirmed_at,"
                " missed_at, withdrawn_at, again_reservation_id, again_basket_id)",
                "billing_refund": "UPDATE (state, file_id, line_id, bank_reference,"
                " checked_by_id, approved_by_id, checked_at, approved_at, sent_at, done_at,"
                " failed_at, came_back_at, refused_at, withdrawn_at)",
                "billing_instalment": "UPDATE (state, amount_minor, deposit_minor,"
                " security_minor, used_minor, receivable_minor, cleared_minor,"
                " ledger_transaction_id, unpaid_at, overdue_at, collected_at, waived_at,"
                " written_off_at)",
                "billing_dunning": "UPDATE (state, ends_at, suspended_at, settled_at, ended_at)",
                "billing_writeoff": "UPDATE (decided_by_id, amount_minor, decided_at)",
                "billing_runwaywarning": "DELETE",
                "billing_invoice": "UPDATE (state, number, label, card_seconds, net_minor,"
                " vat_minor, total_minor, unpaid_minor, payment_status, due_at, paid_at, seller,"
                " buyer, decided_by_id, finalised_at, discarded_at)",
                "billing_invoiceline": "UPDATE (invoice_id, corrects_id, from_at, until_at,"
                " card_seconds, net_minor, vat_minor, gross_minor)",
                "billing_invoiceseries": "UPDATE (last_number)",
                "billing_billedcursor": "UPDATE (charge_id)",
                "billing_statement": "UPDATE (state, accepted_by_id, accepted_at, deemed_at)",
                "billing_contest": "UPDATE (state, provider_note, operator_note, credit_note_id,"
                " decided_by_id, upheld_at, dismissed_at)",
                "billing_billingdetails": "UPDATE (title, tax_number, address, phone, bank_name,"
                " bank_account, updated_at)",
                "billing_fapiao": "UPDATE (state, number, issued_date, red_number, red_date,"
                " reason, adapter_reference, issued_at, withdrawn_at, reversed_at)",
                "billing_carriednet": "UPDATE (net_minor, until, settlement_id)",
                "billing_repayment": "UPDATE (state, decided_by_id, ledger_transaction_id,"
                " approved_at, rejected_at)",
                "billing_inputfapiao": "UPDATE (state, decided_by_id, accepted_at, rejected_at)",
                "billing_payout": "UPDATE (state, approved_by_id, file_id, rail_reference,"
                " attempt_count, next_step_at, last_error, ledger_transaction_id, approved_at,"
                " sending_at, sent_at, paid_at, failed_at, returned_at, cancelled_at)",
                "billing_payoutline": "UPDATE (is_live)",
                "billing_psprequest": "UPDATE (state, object_id, attempt_count, next_attempt_at,"
                " claim_token, claimed_until, first_sent_at, error_code, error_text, succeeded_at,"
                " failed_at)",
                "billing_pspcustomer": "UPDATE (customer_id)",
                "billing_gatewayevent": "UPDATE (state, attempt_count, next_attempt_at,"
                " error_text, decided_at)",
                "billing_pspbalancetransaction": "UPDATE (payout, available_on)",
                "billing_topup": "UPDATE (state, intent_id, client_secret, charge_id, method,"
                " card_fingerprint, decline_code, settled_minor, settled_currency, fee_minor,"
                " exchange_rate, succeeded_at, cancelled_at, failed_at)",
                "billing_walletrefund": "UPDATE (state, refund_id, failure_reason, succeeded_at,"
                " failed_at)",
                "billing_dispute": "UPDATE (state, amount_minor, currency, reason, answer_by,"
                " held_minor, withdrawn_at, reinstated_at, borne_at, won_at, lost_at)",
                "billing_payoutaccount": "UPDATE (state, account_id, wanted, disabled_reason,"
                " payout_failure, enabled_at, closed_at)",
                "billing_transfer": "UPDATE (state, transfer_id, reversed_minor, failure_reason,"
                " sent_at, failed_at)",
                "billing_transferreversal": "UPDATE (state, reversal_id, failure_reason,"
                " succeeded_at, failed_at)",
                "billing_bankwithdrawal": "UPDATE (state, arrival_at, failure_reason, paid_at,"
                " failed_at)",
                "billing_fakestripeobject": "UPDATE (data)",
                "billing_settledmark": "UPDATE (hour)",
                "billing_voucher": "UPDATE (state, decided_by_id, ledger_transaction_id,"
                " posted_at, rejected_at)",
                "billing_slacursor": "UPDATE (charge_id)",
            }
        ),
    ]
