"""The whole chart of accounts, and a name for every movement of money."""

from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_price_amendments")]

    operations = [
        migrations.RunSQL((SQL / "ledger_functions.sql").read_text(encoding="utf-8")),
        migrations.AlterField(
            model_name="ledgertransaction",
            name="kind",
            field=models.CharField(
                max_length=40,
                choices=[
                    ("bank_receipt_recorded", "Bank Receipt Recorded"),
                    ("bank_receipt_approved", "Bank Receipt Approved"),
                    ("bank_receipt_rejected", "Bank Receipt Rejected"),
                    ("deal_funded", "Deal Funded"),
                    ("usage_charged", "Usage Charged"),
                    ("deal_cancelled", "Deal Cancelled"),
                    ("deal_extended", "Deal Extended"),
                    ("deal_shortened", "Deal Shortened"),
                    ("deal_repriced", "Deal Repriced"),
                    ("deal_closed", "Deal Closed"),
                    ("receivable_cleared", "Receivable Cleared"),
                    ("settled", "Settled"),
                    ("reserve_released", "Reserve Released"),
                    ("net_made_receivable", "Net Made Receivable"),
                    ("provider_paid_back", "Provider Paid Back"),
                    ("paid_out", "Paid Out"),
                    ("payout_returned", "Payout Returned"),
                    ("instalment_collected", "Instalment Collected"),
                    ("security_taken", "Security Taken"),
                    ("security_returned", "Security Returned"),
                    ("arrears_collected", "Arrears Collected"),
                    ("arrears_overdue", "Arrears Overdue"),
                    ("bad_debt_written_off", "Bad Debt Written Off"),
                    ("topped_up", "Topped Up"),
                    ("wallet_refunded", "Wallet Refunded"),
                    ("refund_failed", "Refund Failed"),
                    ("dispute_withdrawn", "Dispute Withdrawn"),
                    ("dispute_reinstated", "Dispute Reinstated"),
                    ("dispute_lost", "Dispute Lost"),
                    ("transfer_reversed", "Transfer Reversed"),
                    ("stripe_paid_out", "Stripe Paid Out"),
                    ("stripe_fee_charged", "Stripe Fee Charged"),
                    ("credit_note_issued", "Credit Note Issued"),
                    ("sla_credited", "Sla Credited"),
                    ("adjusted", "Adjusted"),
                    ("reversed", "Reversed"),
                ],
            ),
        ),
    ]
