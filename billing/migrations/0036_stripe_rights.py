"""What the runtime role may change of what is said to Stripe; an account for money in transit."""

from pathlib import Path

from django.db import migrations

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0035_stripe")]

    operations = [
        migrations.RunSQL((SQL / "ledger_functions.sql").read_text(encoding="utf-8")),
        grants.give(
            {
                "billing_psprequest": "UPDATE (state, object_id, attempt_count, next_attempt_at,"
                " claim_token, claimed_until, first_sent_at, error_code, error_text,"
                " succeeded_at, failed_at)",
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
            }
        ),
        grants.rules_always_hold(),
    ]
