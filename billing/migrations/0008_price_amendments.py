"""Money that moves when a lease's price is changed."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0007_lease_tally_without_rounding'),
    ]

    operations = [
        migrations.AlterField(
            model_name='ledgertransaction',
            name='kind',
            field=models.CharField(choices=[('bank_receipt_recorded', 'Bank Receipt Recorded'), ('bank_receipt_approved', 'Bank Receipt Approved'), ('bank_receipt_rejected', 'Bank Receipt Rejected'), ('deal_funded', 'Deal Funded'), ('usage_charged', 'Usage Charged'), ('deal_cancelled', 'Deal Cancelled'), ('deal_extended', 'Deal Extended'), ('deal_shortened', 'Deal Shortened'), ('deal_repriced', 'Deal Repriced'), ('deal_closed', 'Deal Closed'), ('receivable_cleared', 'Receivable Cleared'), ('settled', 'Settled'), ('reversed', 'Reversed')], max_length=40),
        ),
    ]
