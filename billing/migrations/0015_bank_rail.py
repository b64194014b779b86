"""Bank accounts, statements and their lines, deals paid by bank, refunds and their files."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import inventory.identifiers


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0012_checkpoints_wait_for_postings'),
        ('inventory', '0008_refusals_let_go'),
        ('marketplace', '0014_price_amendments'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='bankreceipt',
            name='receipt_as_recorded',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='bankreceipt',
            name='bankreceipt_lifecycle',
        ),
        migrations.RemoveConstraint(
            model_name='bankreceipt',
            name='receipt_needs_two_persons',
        ),
        migrations.RemoveConstraint(
            model_name='bankreceipt',
            name='receipt_reference_once',
        ),
        migrations.CreateModel(
            name='BankAccount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='bnk', unique=True)),
                ('currency', models.CharField(max_length=3)),
                ('holder_name', models.CharField(max_length=200)),
                ('bank_name', models.CharField(max_length=200)),
                ('bank_code', models.CharField(blank=True, max_length=14)),
                ('number', models.CharField(max_length=40)),
                ('state', models.CharField(choices=[('proposed', 'to be checked'), ('checked', 'checked by one'), ('verified', 'verified'), ('rejected', 'rejected'), ('closed', 'closed')], default='proposed', max_length=10)),
                ('statement_layout', models.CharField(blank=True, max_length=40)),
                ('file_layout', models.CharField(blank=True, max_length=40)),
                ('virtual_prefix', models.CharField(blank=True, max_length=30)),
                ('virtual_digits', models.PositiveSmallIntegerField(default=0)),
                ('usable_from', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('verified_at', models.DateTimeField(blank=True, null=True)),
                ('rejected_at', models.DateTimeField(blank=True, null=True)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='BankDeal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='bdl', unique=True)),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('confirmed', 'confirmed'), ('missed', 'missed'), ('withdrawn', 'withdrawn')], default='waiting', max_length=10)),
                ('waits_for', models.CharField(blank=True, max_length=40)),
                ('next_try_at', models.DateTimeField()),
                ('created_at', models.DateTimeField()),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('missed_at', models.DateTimeField(blank=True, null=True)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='BankLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='bln', unique=True)),
                ('number', models.IntegerField()),
                ('fact_key', models.CharField(max_length=64)),
                ('booked_date', models.DateField()),
                ('amount_minor', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('balance_minor', models.BigIntegerField(blank=True, null=True)),
                ('bank_reference', models.CharField(blank=True, max_length=80)),
                ('counterparty_name', models.CharField(blank=True, max_length=200)),
                ('counterparty_account', models.CharField(blank=True, max_length=64)),
                ('virtual_number', models.CharField(blank=True, max_length=64)),
                ('text', models.CharField(blank=True, max_length=500)),
                ('own_reference', models.CharField(blank=True, max_length=20)),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='BankStatement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='bst', unique=True)),
                ('file_name', models.CharField(max_length=200)),
                ('sha256', models.CharField(max_length=64)),
                ('line_count', models.IntegerField()),
                ('new_count', models.IntegerField()),
                ('in_minor', models.BigIntegerField()),
                ('out_minor', models.BigIntegerField()),
                ('opening_minor', models.BigIntegerField(blank=True, null=True)),
                ('closing_minor', models.BigIntegerField(blank=True, null=True)),
                ('first_date', models.DateField()),
                ('last_date', models.DateField()),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='PaymentFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='pfl', unique=True)),
                ('layout', models.CharField(max_length=40)),
                ('encoding', models.CharField(max_length=20)),
                ('file_name', models.CharField(max_length=80)),
                ('content', models.BinaryField()),
                ('sha256', models.CharField(max_length=64)),
                ('line_count', models.IntegerField()),
                ('total_minor', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Refund',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='rfd', unique=True)),
                ('reference', models.CharField(max_length=20, unique=True)),
                ('payee_name', models.CharField(max_length=200)),
                ('payee_account', models.CharField(max_length=64)),
                ('payee_bank', models.CharField(blank=True, max_length=200)),
                ('payee_bank_code', models.CharField(blank=True, max_length=14)),
                ('amount_minor', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('reason', models.CharField(max_length=200)),
                ('state', models.CharField(choices=[('asked', 'asked for'), ('checked', 'checked'), ('approved', 'approved'), ('sent', 'sent to the bank'), ('done', 'paid'), ('failed', 'failed'), ('came_back', 'came back'), ('refused', 'refused'), ('withdrawn', 'withdrawn')], default='asked', max_length=10)),
                ('bank_reference', models.CharField(blank=True, max_length=80)),
                ('asked_by', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField()),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('failed_at', models.DateTimeField(blank=True, null=True)),
                ('came_back_at', models.DateTimeField(blank=True, null=True)),
                ('refused_at', models.DateTimeField(blank=True, null=True)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='VirtualAccount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.CharField(max_length=40)),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='attributed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='attributed_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='basket',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.basket'),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='candidate',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='doubt',
            field=models.CharField(blank=True, choices=[('unknown_payer', "nobody's reference, and an unknown payer"), ('third_party', 'paid by somebody else than the tenant it names'), ('reference_typo', 'the reference has a slip of the pen'), ('ambiguous', 'it names more than one tenant'), ('maybe_recorded', 'perhaps recorded by hand before')], max_length=16),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='late_reason',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='matched_by',
            field=models.CharField(blank=True, choices=[('hand', 'by a person'), ('reference', 'by its reference'), ('virtual_account', 'by the virtual account'), ('payer', "by the payer's account"), ('refund', 'a refund that came back')], max_length=16),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='reservation',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.reservation'),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='returned_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='text',
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AlterField(
            model_name='bankreceipt',
            name='state',
            field=models.CharField(choices=[('recorded', 'recorded'), ('approved', 'approved'), ('rejected', 'rejected'), ('returning', 'being sent back'), ('returned', 'sent back')], default='recorded', max_length=10),
        ),
        migrations.AlterField(
            model_name='bankreceipt',
            name='tenant',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AlterField(
            model_name='ledgertransaction',
            name='kind',
            field=models.CharField(choices=[('bank_receipt_recorded', 'Bank Receipt Recorded'), ('bank_receipt_approved', 'Bank Receipt Approved'), ('bank_receipt_rejected', 'Bank Receipt Rejected'), ('bank_receipt_returned', 'Bank Receipt Returned'), ('deal_funded', 'Deal Funded'), ('usage_charged', 'Usage Charged'), ('deal_cancelled', 'Deal Cancelled'), ('deal_extended', 'Deal Extended'), ('deal_shortened', 'Deal Shortened'), ('deal_repriced', 'Deal Repriced'), ('deal_closed', 'Deal Closed'), ('receivable_cleared', 'Receivable Cleared'), ('settled', 'Settled'), ('reserve_released', 'Reserve Released'), ('net_made_receivable', 'Net Made Receivable'), ('provider_paid_back', 'Provider Paid Back'), ('paid_out', 'Paid Out'), ('payout_returned', 'Payout Returned'), ('instalment_collected', 'Instalment Collected'), ('security_taken', 'Security Taken'), ('security_returned', 'Security Returned'), ('arrears_collected', 'Arrears Collected'), ('arrears_overdue', 'Arrears Overdue'), ('bad_debt_written_off', 'Bad Debt Written Off'), ('topped_up', 'Topped Up'), ('wallet_refunded', 'Wallet Refunded'), ('refund_failed', 'Refund Failed'), ('dispute_withdrawn', 'Dispute Withdrawn'), ('dispute_reinstated', 'Dispute Reinstated'), ('dispute_lost', 'Dispute Lost'), ('transfer_reversed', 'Transfer Reversed'), ('stripe_paid_out', 'Stripe Paid Out'), ('stripe_fee_charged', 'Stripe Fee Charged'), ('credit_note_issued', 'Credit Note Issued'), ('sla_credited', 'Sla Credited'), ('exchanged', 'Exchanged'), ('exchange_difference', 'Exchange Difference'), ('adjusted', 'Adjusted'), ('reversed', 'Reversed')], max_length=40),
        ),
        migrations.AddField(
            model_name='bankaccount',
            name='checked_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='bankaccount',
            name='decided_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='bankaccount',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bank_accounts', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='bankaccount',
            name='proposed_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='account',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.bankaccount'),
        ),
        migrations.AddField(
            model_name='bankdeal',
            name='again_basket',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.basket'),
        ),
        migrations.AddField(
            model_name='bankdeal',
            name='again_reservation',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.reservation'),
        ),
        migrations.AddField(
            model_name='bankdeal',
            name='basket',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='bank_deal', to='marketplace.basket'),
        ),
        migrations.AddField(
            model_name='bankdeal',
            name='reservation',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='bank_deal', to='marketplace.reservation'),
        ),
        migrations.AddField(
            model_name='bankdeal',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='bankline',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='billing.bankaccount'),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='line',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='receipt', to='billing.bankline'),
        ),
        migrations.AddField(
            model_name='bankstatement',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='statements', to='billing.bankaccount'),
        ),
        migrations.AddField(
            model_name='bankstatement',
            name='imported_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='bankline',
            name='statement',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='billing.bankstatement'),
        ),
        migrations.AddField(
            model_name='paymentfile',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.bankaccount'),
        ),
        migrations.AddField(
            model_name='paymentfile',
            name='made_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='refund',
            name='account',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='billing.bankaccount'),
        ),
        migrations.AddField(
            model_name='refund',
            name='approved_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='refund',
            name='checked_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='refund',
            name='file',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='billing.paymentfile'),
        ),
        migrations.AddField(
            model_name='refund',
            name='line',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='refund', to='billing.bankline'),
        ),
        migrations.AddField(
            model_name='refund',
            name='receipt',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='billing.bankreceipt'),
        ),
        migrations.AddField(
            model_name='refund',
            name='tenant',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='bankreceipt',
            name='refund',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='came_back_as', to='billing.refund'),
        ),
        migrations.AddField(
            model_name='virtualaccount',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='virtual_accounts', to='billing.bankaccount'),
        ),
        migrations.AddField(
            model_name='virtualaccount',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddIndex(
            model_name='bankreceipt',
            index=models.Index(condition=models.Q(('state', 'recorded'), ('tenant__isnull', True)), fields=['created_at'], name='receipt_exceptions'),
        ),
        migrations.AddIndex(
            model_name='bankreceipt',
            index=models.Index(fields=['tenant', '-id'], name='receipt_by_tenant'),
        ),
        migrations.AddConstraint(
            model_name='bankreceipt',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), models.Q(models.Q(('decided_by', models.F('recorded_by')), _negated=True), models.Q(('attributed_by__isnull', True), models.Q(('decided_by', models.F('attributed_by')), _negated=True), _connector='OR')), _connector='OR'), name='receipt_needs_two_persons'),
        ),
        migrations.AddConstraint(
            model_name='bankreceipt',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'approved'), _negated=True), ('tenant__isnull', False), _connector='OR'), name='receipt_approved_for_somebody'),
        ),
        migrations.AddConstraint(
            model_name='bankreceipt',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'rejected'), _negated=True), ('line__isnull', True), _connector='OR'), name='receipt_on_a_statement_is_real'),
        ),
        migrations.AddConstraint(
            model_name='bankreceipt',
            constraint=models.CheckConstraint(condition=models.Q(('reservation__isnull', True), ('basket__isnull', True), _connector='OR'), name='receipt_is_for_one_deal'),
        ),
        migrations.AddConstraint(
            model_name='bankreceipt',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'rejected'), _negated=True), fields=('account', 'bank_reference'), name='receipt_reference_once', nulls_distinct=False),
        ),
        migrations.AddIndex(
            model_name='bankaccount',
            index=models.Index(fields=['owner', '-id'], name='bank_account_by_owner'),
        ),
        migrations.AddConstraint(
            model_name='bankaccount',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['verified', 'closed']), _negated=True), models.Q(('checked_by__isnull', False), ('decided_by__isnull', False), ('usable_from__isnull', False), models.Q(('decided_by', models.F('checked_by')), _negated=True)), _connector='OR'), name='bank_account_seen_by_two'),
        ),
        migrations.AddConstraint(
            model_name='bankaccount',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), models.Q(('decided_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='bank_account_needs_two_persons'),
        ),
        migrations.AddConstraint(
            model_name='bankaccount',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'verified')), fields=('number', 'currency'), name='bank_account_has_one_owner'),
        ),
        migrations.AddConstraint(
            model_name='bankaccount',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('virtual_digits', 0), ('virtual_prefix', '')), models.Q(models.Q(('virtual_prefix', ''), _negated=True), ('virtual_digits__gte', 2), ('virtual_digits__lte', 10)), _connector='OR'), name='bank_account_range_is_whole'),
        ),
        migrations.AddIndex(
            model_name='bankdeal',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['next_try_at'], name='bank_deal_due'),
        ),
        migrations.AddConstraint(
            model_name='bankdeal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('basket__isnull', True), ('reservation__isnull', False)), models.Q(('basket__isnull', False), ('reservation__isnull', True)), _connector='OR'), name='bank_deal_is_one_deal'),
        ),
        migrations.AddConstraint(
            model_name='bankstatement',
            constraint=models.UniqueConstraint(fields=('account', 'sha256'), name='statement_file_once'),
        ),
        migrations.AddIndex(
            model_name='bankline',
            index=models.Index(condition=models.Q(('own_reference', ''), _negated=True), fields=['own_reference'], name='bank_line_by_own_reference'),
        ),
        migrations.AddConstraint(
            model_name='bankline',
            constraint=models.UniqueConstraint(fields=('account', 'fact_key'), name='bank_line_once'),
        ),
        migrations.AddConstraint(
            model_name='bankline',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor', 0), _negated=True), name='bank_line_moves_money'),
        ),
        migrations.AddIndex(
            model_name='refund',
            index=models.Index(fields=['tenant', '-id'], name='refund_by_tenant'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0), ('amount_minor__lte', 1000000000000000)), name='refund_amount_sane'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(('approved_by__isnull', True), models.Q(('checked_by__isnull', False), models.Q(('approved_by', models.F('checked_by')), _negated=True)), _connector='OR'), name='refund_needs_two_persons'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['approved', 'sent', 'done', 'failed', 'came_back']), _negated=True), ('approved_by__isnull', False), _connector='OR'), name='refund_leaves_approved'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(('receipt__isnull', False), models.Q(('account__isnull', False), ('tenant__isnull', False)), _connector='OR'), name='refund_goes_to_a_known_account'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['asked', 'checked', 'approved', 'sent', 'done'])), fields=('receipt',), name='receipt_sent_back_once'),
        ),
        migrations.AddConstraint(
            model_name='virtualaccount',
            constraint=models.UniqueConstraint(fields=('account', 'tenant'), name='virtual_account_once'),
        ),
        migrations.AddConstraint(
            model_name='virtualaccount',
            constraint=models.UniqueConstraint(fields=('account', 'number'), name='virtual_number_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bankreceipt',
            trigger=pgtrigger.compiler.Trigger(name='receipt_as_recorded', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."account_id" IS DISTINCT FROM (NEW."account_id") OR OLD."amount_minor" IS DISTINCT FROM (NEW."amount_minor") OR OLD."bank_reference" IS DISTINCT FROM (NEW."bank_reference") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."payer_account" IS DISTINCT FROM (NEW."payer_account") OR OLD."payer_name" IS DISTINCT FROM (NEW."payer_name") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."received_date" IS DISTINCT FROM (NEW."received_date") OR OLD."recorded_by_id" IS DISTINCT FROM (NEW."recorded_by_id") OR OLD."text" IS DISTINCT FROM (NEW."text"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='54cfa676576d42221af49cd78395469c3f3f0d82', operation='UPDATE', pgid='pgtrigger_receipt_as_recorded_4ab6f', table='billing_bankreceipt', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bankreceipt',
            trigger=pgtrigger.compiler.Trigger(name='receipt_whose_once_decided', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NOT (OLD."state" = \'recorded\') AND (OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."reservation_id" IS DISTINCT FROM (NEW."reservation_id") OR OLD."basket_id" IS DISTINCT FROM (NEW."basket_id")))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='8b513920ff634c2bd36a33dbcf76ec4548ea90be', operation='UPDATE', pgid='pgtrigger_receipt_whose_once_decided_c9c15', table='billing_bankreceipt', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bankreceipt',
            trigger=pgtrigger.compiler.Trigger(name='bankreceipt_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{recorded:approved,recorded:rejected,recorded:returning,returning:recorded,returning:returned}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='32ed68b78de33f588938e138bb1a89bc33bbae7b', operation='UPDATE', pgid='pgtrigger_bankreceipt_lifecycle_e6234', table='billing_bankreceipt', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bankaccount',
            trigger=pgtrigger.compiler.Trigger(name='bank_account_as_entered', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."bank_code" IS DISTINCT FROM (NEW."bank_code") OR OLD."bank_name" IS DISTINCT FROM (NEW."bank_name") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."file_layout" IS DISTINCT FROM (NEW."file_layout") OR OLD."holder_name" IS DISTINCT FROM (NEW."holder_name") OR OLD."number" IS DISTINCT FROM (NEW."number") OR OLD."owner_id" IS DISTINCT FROM (NEW."owner_id") OR OLD."proposed_by_id" IS DISTINCT FROM (NEW."proposed_by_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."statement_layout" IS DISTINCT FROM (NEW."statement_layout") OR OLD."virtual_digits" IS DISTINCT FROM (NEW."virtual_digits") OR OLD."virtual_prefix" IS DISTINCT FROM (NEW."virtual_prefix"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='af7d7379c872f56d979cf771c9417c9c67887314', operation='UPDATE', pgid='pgtrigger_bank_account_as_entered_d3832', table='billing_bankaccount', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bankaccount',
            trigger=pgtrigger.compiler.Trigger(name='bankaccount_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{proposed:checked,proposed:rejected,checked:verified,checked:rejected,verified:closed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='1548f7fb95dbb8991523700004697154692ca79b', operation='UPDATE', pgid='pgtrigger_bankaccount_lifecycle_a0d71', table='billing_bankaccount', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bankdeal',
            trigger=pgtrigger.compiler.Trigger(name='bankdeal_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{waiting:confirmed,waiting:missed,waiting:withdrawn}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='4144c18c62afad646eefe2ff5a2f6e98e80adac2', operation='UPDATE', pgid='pgtrigger_bankdeal_lifecycle_601d8', table='billing_bankdeal', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bankstatement',
            trigger=pgtrigger.compiler.Trigger(name='statement_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='3efe8e9b1fae69bbf2449b1d2c275eb1f5d57d6d', operation='UPDATE OR DELETE', pgid='pgtrigger_statement_append_only_51855', table='billing_bankstatement', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bankline',
            trigger=pgtrigger.compiler.Trigger(name='bank_line_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='24b6dea7caa4521fced494932f64fdf39ec1863b', operation='UPDATE OR DELETE', pgid='pgtrigger_bank_line_append_only_56125', table='billing_bankline', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='paymentfile',
            trigger=pgtrigger.compiler.Trigger(name='payment_file_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='0a9af816a965c9ffc5a7244f822877e037342a87', operation='UPDATE OR DELETE', pgid='pgtrigger_payment_file_append_only_afbaa', table='billing_paymentfile', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='refund',
            trigger=pgtrigger.compiler.Trigger(name='refund_as_asked', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."account_id" IS DISTINCT FROM (NEW."account_id") OR OLD."amount_minor" IS DISTINCT FROM (NEW."amount_minor") OR OLD."asked_by" IS DISTINCT FROM (NEW."asked_by") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."payee_account" IS DISTINCT FROM (NEW."payee_account") OR OLD."payee_bank" IS DISTINCT FROM (NEW."payee_bank") OR OLD."payee_bank_code" IS DISTINCT FROM (NEW."payee_bank_code") OR OLD."payee_name" IS DISTINCT FROM (NEW."payee_name") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."receipt_id" IS DISTINCT FROM (NEW."receipt_id") OR OLD."reference" IS DISTINCT FROM (NEW."reference") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='2b1d9587dbd2ba003ed4e8be6acb7be9df623c60', operation='UPDATE', pgid='pgtrigger_refund_as_asked_66731', table='billing_refund', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='refund',
            trigger=pgtrigger.compiler.Trigger(name='refund_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{asked:checked,asked:refused,asked:withdrawn,checked:approved,checked:refused,checked:withdrawn,approved:sent,approved:refused,sent:done,sent:failed,done:came_back}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='4e2d0ff61002d1855e0d34b35b80a92e053baa93', operation='UPDATE', pgid='pgtrigger_refund_lifecycle_688d0', table='billing_refund', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='virtualaccount',
            trigger=pgtrigger.compiler.Trigger(name='virtual_account_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='957ecdc7c3905be48ec9532c759691c1b3276c17', operation='UPDATE OR DELETE', pgid='pgtrigger_virtual_account_append_only_20a29', table='billing_virtualaccount', when='BEFORE')),
        ),
    ]
