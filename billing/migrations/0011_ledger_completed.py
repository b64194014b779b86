"""Holds grow, are captured in parts and expire; checkpoints; exchanges; limits that lapse."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"
CAPTURE = "text, text, text, timestamptz, timestamptz, text, text, text, text[], bigint[]"
POSTING = "text, text, timestamptz, timestamptz, text, text, text, text[], bigint[]"


def run(name: str) -> migrations.RunSQL:
    return migrations.RunSQL((SQL / name).read_text(encoding="utf-8"))


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0010_accounting_periods'),
    ]

    operations = [
        migrations.CreateModel(
            name='LedgerCapture',
            fields=[
                ('transaction', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='capture', serialize=False, to='billing.ledgertransaction')),
                ('amount_minor', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='LedgerCheckpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('through_entry', models.BigIntegerField()),
                ('entries', models.BigIntegerField()),
                ('posted', models.DecimalField(decimal_places=0, max_digits=40)),
                ('at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='LedgerExchange',
            fields=[
                ('transaction', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='exchange', serialize=False, to='billing.ledgertransaction')),
                ('sold_currency', models.CharField(max_length=3)),
                ('sold_minor', models.BigIntegerField()),
                ('bought_currency', models.CharField(max_length=3)),
                ('bought_minor', models.BigIntegerField()),
                ('rate', models.DecimalField(decimal_places=20, max_digits=40)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='ledgerhold',
            name='ledger_hold_amounts',
        ),
        migrations.AddField(
            model_name='ledgerbalance',
            name='floor_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='ledgerhold',
            name='placed_minor',
            field=models.BigIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.RunSQL(
            """
            ALTER TABLE billing_ledgerhold DISABLE TRIGGER ledger_hold_settles_once;
            UPDATE billing_ledgerhold SET placed_minor = amount_minor;
            ALTER TABLE billing_ledgerhold ENABLE TRIGGER ledger_hold_settles_once;
            -- ledger_entry_sealed checks it, a statement's entries at once.
            ALTER TABLE billing_ledgerentry
                DROP CONSTRAINT ledger_entry_currency_of_its_account;
            """,
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='account',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.ledgeraccount'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='transaction',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.ledgertransaction'),
        ),
        migrations.AlterField(
            model_name='ledgerhold',
            name='state',
            field=models.CharField(choices=[('open', 'open'), ('captured', 'captured'), ('released', 'released'), ('expired', 'expired')], default='open', max_length=10),
        ),
        migrations.AlterField(
            model_name='ledgertransaction',
            name='kind',
            field=models.CharField(choices=[('bank_receipt_recorded', 'Bank Receipt Recorded'), ('bank_receipt_approved', 'Bank Receipt Approved'), ('bank_receipt_rejected', 'Bank Receipt Rejected'), ('deal_funded', 'Deal Funded'), ('usage_charged', 'Usage Charged'), ('deal_cancelled', 'Deal Cancelled'), ('deal_extended', 'Deal Extended'), ('deal_shortened', 'Deal Shortened'), ('deal_repriced', 'Deal Repriced'), ('deal_closed', 'Deal Closed'), ('receivable_cleared', 'Receivable Cleared'), ('settled', 'Settled'), ('reserve_released', 'Reserve Released'), ('net_made_receivable', 'Net Made Receivable'), ('provider_paid_back', 'Provider Paid Back'), ('paid_out', 'Paid Out'), ('payout_returned', 'Payout Returned'), ('instalment_collected', 'Instalment Collected'), ('security_taken', 'Security Taken'), ('security_returned', 'Security Returned'), ('arrears_collected', 'Arrears Collected'), ('arrears_overdue', 'Arrears Overdue'), ('bad_debt_written_off', 'Bad Debt Written Off'), ('topped_up', 'Topped Up'), ('wallet_refunded', 'Wallet Refunded'), ('refund_failed', 'Refund Failed'), ('dispute_withdrawn', 'Dispute Withdrawn'), ('dispute_reinstated', 'Dispute Reinstated'), ('dispute_lost', 'Dispute Lost'), ('transfer_reversed', 'Transfer Reversed'), ('stripe_paid_out', 'Stripe Paid Out'), ('stripe_fee_charged', 'Stripe Fee Charged'), ('credit_note_issued', 'Credit Note Issued'), ('sla_credited', 'Sla Credited'), ('exchanged', 'Exchanged'), ('exchange_difference', 'Exchange Difference'), ('adjusted', 'Adjusted'), ('reversed', 'Reversed')], max_length=40),
        ),
        migrations.AddIndex(
            model_name='ledgerbalance',
            index=models.Index(condition=models.Q(('floor_until__isnull', False)), fields=['floor_until'], name='ledger_limits_that_lapse'),
        ),
        migrations.AddIndex(
            model_name='ledgerhold',
            index=models.Index(condition=models.Q(('expires_at__isnull', False), ('state', 'open')), fields=['expires_at'], name='ledger_holds_that_lapse'),
        ),
        migrations.AddConstraint(
            model_name='ledgerhold',
            constraint=models.CheckConstraint(condition=models.Q(('placed_minor__gt', 0), ('amount_minor__gte', models.F('placed_minor')), ('captured_minor__gte', 0), ('captured_minor__lte', models.F('amount_minor'))), name='ledger_hold_amounts'),
        ),
        migrations.AddConstraint(
            model_name='ledgerhold',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', True), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), ('closed_at__isnull', False)), _connector='OR'), name='ledger_hold_is_open_or_was_closed'),
        ),
        migrations.AddField(
            model_name='ledgercapture',
            name='hold',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='captures', to='billing.ledgerhold'),
        ),
        migrations.AddField(
            model_name='ledgercheckpoint',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='checkpoints', to='billing.ledgeraccount'),
        ),
        migrations.AddConstraint(
            model_name='ledgerexchange',
            constraint=models.CheckConstraint(condition=models.Q(('bought_minor__gt', 0), ('rate__gt', 0), ('sold_minor__gt', 0), models.Q(('sold_currency', models.F('bought_currency')), _negated=True)), name='ledger_exchange_sane'),
        ),
        migrations.AddConstraint(
            model_name='ledgercapture',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0)), name='ledger_capture_positive'),
        ),
        migrations.AddConstraint(
            model_name='ledgercheckpoint',
            constraint=models.UniqueConstraint(fields=('account', 'through_entry'), name='one_checkpoint_per_entry'),
        ),
        migrations.RunSQL(
            """
            DROP FUNCTION IF EXISTS ledger_post_many(jsonb, timestamptz);
            DROP FUNCTION IF EXISTS ledger_set_floor(text, bigint);
            """
        ),
        run("ledger_records.sql"),
        run("ledger_functions.sql"),
        run("ledger_holds.sql"),
        run("ledger_checkpoints.sql"),
        run("ledger_exchanges.sql"),
        grants.execute_only(
            "ledger_post_many(text[], text[], timestamptz[], text[], text[], text[], integer[],"
            " integer[], bigint[], text, timestamptz)",
            "ledger_extend_hold(text, bigint, timestamptz, timestamptz)",
            "ledger_expire_hold(text, timestamptz)",
            f"ledger_capture_part({CAPTURE})",
            "ledger_set_floor(text, bigint, timestamptz)",
            "ledger_lapse_floor(text, timestamptz)",
            "ledger_take_checkpoints(integer, timestamptz, interval)",
            f"ledger_exchange({POSTING}, numeric)",
            inner=(
                "ledger_require_funds(bigint[], bigint[], integer[], integer[], bigint[])",
                "ledger_lock_hold(text, text[])",
                "ledger_require_open(billing_ledgerhold, timestamptz)",
                "ledger_keep(bigint, text, bigint)",
                "ledger_end_hold(billing_ledgerhold, text, timestamptz)",
                f"ledger_capture({CAPTURE}, boolean)",
            ),
        ),
        grants.read_only(
            "billing_ledgercapture", "billing_ledgercheckpoint", "billing_ledgerexchange"
        ),
        grants.rules_always_hold(),
    ]
