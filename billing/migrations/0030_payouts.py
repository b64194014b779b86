"""Payouts: their terms, payees, fapiaos and files; reserves, carried nets and what is paid back."""

import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import inventory.identifiers
from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0026_invoice_rules'),
        ('inventory', '0008_refusals_let_go'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CarriedNet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(max_length=3)),
                ('carried_at', models.DateTimeField()),
                ('net_minor', models.BigIntegerField()),
                ('until', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='InputFapiao',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='ifp', unique=True)),
                ('number', models.CharField(max_length=20)),
                ('issued_date', models.DateField()),
                ('currency', models.CharField(max_length=3)),
                ('amount_minor', models.BigIntegerField()),
                ('vat_minor', models.BigIntegerField()),
                ('file_name', models.CharField(max_length=200)),
                ('content_type', models.CharField(max_length=40)),
                ('content', models.BinaryField()),
                ('content_sha256', models.BinaryField(max_length=32)),
                ('state', models.CharField(choices=[('handed_in', 'handed in'), ('accepted', 'accepted'), ('rejected', 'rejected')], default='handed_in', max_length=10)),
                ('created_at', models.DateTimeField()),
                ('accepted_at', models.DateTimeField(blank=True, null=True)),
                ('rejected_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Payout',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='pay', unique=True)),
                ('currency', models.CharField(max_length=3)),
                ('amount_minor', models.BigIntegerField()),
                ('method', models.CharField(choices=[('bank', 'bank transfer'), ('stripe', 'Stripe transfer')], max_length=10)),
                ('payee_name', models.CharField(max_length=200)),
                ('payee_bank', models.CharField(blank=True, max_length=200)),
                ('payee_bank_code', models.CharField(blank=True, max_length=14)),
                ('payee_account', models.CharField(max_length=120)),
                ('state', models.CharField(choices=[('planned', 'planned'), ('approved', 'approved'), ('sending', 'being sent'), ('sent', 'sent'), ('paid', 'paid'), ('failed', 'failed'), ('returned', 'returned'), ('cancelled', 'cancelled')], default='planned', max_length=10)),
                ('rail_reference', models.CharField(blank=True, max_length=120)),
                ('attempt_count', models.PositiveIntegerField(default=0)),
                ('next_step_at', models.DateTimeField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=300)),
                ('created_at', models.DateTimeField()),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('sending_at', models.DateTimeField(blank=True, null=True)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('paid_at', models.DateTimeField(blank=True, null=True)),
                ('failed_at', models.DateTimeField(blank=True, null=True)),
                ('returned_at', models.DateTimeField(blank=True, null=True)),
                ('cancelled_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='PayoutFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='pof', unique=True)),
                ('currency', models.CharField(max_length=3)),
                ('payout_count', models.IntegerField()),
                ('amount_minor', models.BigIntegerField()),
                ('file_name', models.CharField(max_length=120)),
                ('content_type', models.CharField(max_length=80)),
                ('content', models.BinaryField()),
                ('content_sha256', models.BinaryField(max_length=32)),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='PayoutLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('part', models.CharField(choices=[('net', 'net'), ('reserve', 'reserve')], max_length=10)),
                ('amount_minor', models.BigIntegerField()),
                ('is_live', models.BooleanField(default=True)),
            ],
        ),
        migrations.CreateModel(
            name='PayoutTerms',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='ptm', unique=True)),
                ('currency', models.CharField(max_length=3)),
                ('version', models.PositiveIntegerField()),
                ('settle_after_days', models.PositiveSmallIntegerField()),
                ('minimum_minor', models.BigIntegerField()),
                ('reserve_bps', models.PositiveIntegerField()),
                ('reserve_days', models.PositiveSmallIntegerField()),
                ('needs_fapiao', models.BooleanField()),
                ('method', models.CharField(choices=[('bank', 'bank transfer'), ('stripe', 'Stripe transfer')], max_length=10)),
                ('reason', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Repayment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='rpm', unique=True)),
                ('currency', models.CharField(max_length=3)),
                ('amount_minor', models.BigIntegerField()),
                ('state', models.CharField(choices=[('recorded', 'recorded'), ('approved', 'approved'), ('rejected', 'rejected')], default='recorded', max_length=10)),
                ('bank_reference', models.CharField(blank=True, max_length=80)),
                ('created_at', models.DateTimeField()),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('rejected_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='settlement',
            name='settlement_as_booked',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='settlement',
            name='settlement_lifecycle',
        ),
        migrations.RemoveConstraint(
            model_name='settlement',
            name='settlement_is_positive',
        ),
        migrations.AddField(
            model_name='settlement',
            name='due_date',
            field=models.DateField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='settlement',
            name='paid_back_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='settlement',
            name='paid_back_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='settlement',
            name='reserve_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='settlement',
            name='reserve_released_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='settlement',
            name='reserve_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='settlement',
            name='state',
            field=models.CharField(choices=[('settled', 'settled'), ('paid', 'paid'), ('demanded', 'demanded back'), ('paid_back', 'paid back')], default='settled', max_length=10),
        ),
        migrations.AddField(
            model_name='carriednet',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='carriednet',
            name='settlement',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='carried', to='billing.settlement'),
        ),
        migrations.AddField(
            model_name='inputfapiao',
            name='decided_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='inputfapiao',
            name='handed_in_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='inputfapiao',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='payout',
            name='approved_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='payout',
            name='ledger_transaction',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='payout', to='billing.ledgertransaction'),
        ),
        migrations.AddField(
            model_name='payout',
            name='payee',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='payouts', to='billing.bankaccount'),
        ),
        migrations.AddField(
            model_name='payout',
            name='planned_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='payout',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='payoutfile',
            name='made_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='payout',
            name='file',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='payouts', to='billing.payoutfile'),
        ),
        migrations.AddField(
            model_name='payoutline',
            name='payout',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='billing.payout'),
        ),
        migrations.AddField(
            model_name='payoutline',
            name='settlement',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payout_lines', to='billing.settlement'),
        ),
        migrations.AddField(
            model_name='payoutterms',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='payout',
            name='terms',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.payoutterms'),
        ),
        migrations.AddField(
            model_name='settlement',
            name='terms',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='settlements', to='billing.payoutterms'),
        ),
        migrations.AddIndex(
            model_name='settlement',
            index=models.Index(condition=models.Q(('reserve_minor__gt', 0), ('reserve_released_at__isnull', True)), fields=['reserve_until'], name='settlement_reserve_due'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('due_date__isnull', True), ('net_minor__gt', 0), ('state__in', ['settled', 'paid'])), models.Q(('due_date__isnull', False), ('net_minor__lt', 0), ('paid_back_minor', 0), ('reserve_minor', 0), ('state__in', ['demanded', 'paid_back'])), _connector='OR'), name='settlement_owed_or_demanded'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(('net_minor__lt', 0), models.Q(('net_minor__gte', django.db.models.expressions.CombinedExpression(models.F('reserve_minor'), '+', models.F('paid_back_minor'))), ('paid_back_minor__gte', 0), ('reserve_minor__gte', 0)), _connector='OR'), name='settlement_keeps_no_more_than_its_net'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reserve_minor', 0), ('reserve_until__isnull', True)), models.Q(('reserve_minor__gt', 0), ('reserve_until__isnull', False)), _connector='OR'), name='settlement_reserve_has_an_end'),
        ),
        migrations.AddField(
            model_name='repayment',
            name='decided_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='repayment',
            name='ledger_transaction',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='repayment', to='billing.ledgertransaction'),
        ),
        migrations.AddField(
            model_name='repayment',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='repayment',
            name='recorded_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='repayment',
            name='settlement',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='repayment', to='billing.settlement'),
        ),
        migrations.AddConstraint(
            model_name='carriednet',
            constraint=models.UniqueConstraint(condition=models.Q(('settlement__isnull', True)), fields=('provider', 'currency'), name='one_open_carried_net'),
        ),
        migrations.AddIndex(
            model_name='inputfapiao',
            index=models.Index(fields=['provider', 'currency'], name='input_fapiao_by_provider'),
        ),
        migrations.AddConstraint(
            model_name='inputfapiao',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0), ('amount_minor__lte', 1000000000000000), ('vat_minor__gte', 0), ('vat_minor__lt', models.F('amount_minor'))), name='input_fapiao_amounts_sane'),
        ),
        migrations.AddConstraint(
            model_name='inputfapiao',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'rejected'), _negated=True), fields=('number',), name='input_fapiao_number_once'),
        ),
        migrations.AddConstraint(
            model_name='payoutline',
            constraint=models.UniqueConstraint(condition=models.Q(('is_live', True)), fields=('settlement', 'part'), name='each_part_in_one_live_payout'),
        ),
        migrations.AddConstraint(
            model_name='payoutline',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0)), name='payout_line_positive'),
        ),
        migrations.AddConstraint(
            model_name='payoutterms',
            constraint=models.UniqueConstraint(fields=('provider', 'currency', 'version'), name='payout_terms_version_once'),
        ),
        migrations.AddConstraint(
            model_name='payoutterms',
            constraint=models.CheckConstraint(condition=models.Q(('minimum_minor__gte', 0), ('minimum_minor__lte', 1000000000000000), ('reserve_bps__lte', 5000), ('reserve_days__lte', 730), ('settle_after_days__lte', 90), models.Q(('reserve_bps', 0), ('reserve_days__gt', 0), _connector='OR')), name='payout_terms_sane'),
        ),
        migrations.AddIndex(
            model_name='payout',
            index=models.Index(condition=models.Q(('state__in', ['approved', 'sending', 'sent'])), fields=['next_step_at'], name='payout_next_step'),
        ),
        migrations.AddIndex(
            model_name='payout',
            index=models.Index(fields=['provider', 'id'], name='payout_by_provider'),
        ),
        migrations.AddConstraint(
            model_name='payout',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0), ('amount_minor__lte', 100000000000000000)), name='payout_amount_sane'),
        ),
        migrations.AddConstraint(
            model_name='payout',
            constraint=models.CheckConstraint(condition=models.Q(('approved_by__isnull', True), models.Q(('approved_by', models.F('planned_by')), _negated=True), _connector='OR'), name='payout_needs_two_persons'),
        ),
        migrations.AddConstraint(
            model_name='payout',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['planned', 'cancelled']), ('approved_by__isnull', False), _connector='OR'), name='payout_leaves_approved_only'),
        ),
        migrations.AddConstraint(
            model_name='payout',
            constraint=models.CheckConstraint(condition=models.Q(('method', 'stripe'), ('payee__isnull', False), _connector='OR'), name='payout_has_a_payee'),
        ),
        migrations.AddConstraint(
            model_name='payout',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ledger_transaction__isnull', False), ('state__in', ['paid', 'returned'])), models.Q(('ledger_transaction__isnull', True), models.Q(('state__in', ['paid', 'returned']), _negated=True)), _connector='OR'), name='payout_booked_once_paid'),
        ),
        migrations.AddConstraint(
            model_name='payout',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['planned', 'approved', 'sending', 'sent'])), fields=('provider', 'currency'), name='one_payout_under_way'),
        ),
        migrations.AddConstraint(
            model_name='payout',
            constraint=models.UniqueConstraint(condition=models.Q(('rail_reference', ''), _negated=True), fields=('method', 'rail_reference'), name='payout_rail_reference_once'),
        ),
        migrations.AddConstraint(
            model_name='repayment',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0), ('amount_minor__lte', 1000000000000000)), name='repayment_amount_sane'),
        ),
        migrations.AddConstraint(
            model_name='repayment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('bank_reference', ''), ('recorded_by__isnull', True), ('settlement__isnull', False)), models.Q(('recorded_by__isnull', False), ('settlement__isnull', True), models.Q(('bank_reference', ''), _negated=True)), _connector='OR'), name='repayment_from_one_source'),
        ),
        migrations.AddConstraint(
            model_name='repayment',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), models.Q(('decided_by', models.F('recorded_by')), _negated=True), _connector='OR'), name='repayment_needs_two_persons'),
        ),
        migrations.AddConstraint(
            model_name='repayment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ledger_transaction__isnull', False), ('state', 'approved')), models.Q(('ledger_transaction__isnull', True), models.Q(('state', 'approved'), _negated=True)), _connector='OR'), name='repayment_booked_once_approved'),
        ),
        migrations.AddConstraint(
            model_name='repayment',
            constraint=models.CheckConstraint(condition=models.Q(('state', 'recorded'), ('settlement__isnull', False), ('decided_by__isnull', False), _connector='OR'), name='repayment_decided_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='repayment',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('state', 'rejected'), _negated=True), models.Q(('bank_reference', ''), _negated=True)), fields=('bank_reference',), name='repayment_reference_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='settlement',
            trigger=pgtrigger.compiler.Trigger(name='settlement_as_booked', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."card_seconds" IS DISTINCT FROM (NEW."card_seconds") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."due_date" IS DISTINCT FROM (NEW."due_date") OR OLD."fee_minor" IS DISTINCT FROM (NEW."fee_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."ledger_transaction_id" IS DISTINCT FROM (NEW."ledger_transaction_id") OR OLD."line_count" IS DISTINCT FROM (NEW."line_count") OR OLD."net_minor" IS DISTINCT FROM (NEW."net_minor") OR OLD."paid_back_minor" IS DISTINCT FROM (NEW."paid_back_minor") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."reserve_minor" IS DISTINCT FROM (NEW."reserve_minor") OR OLD."reserve_until" IS DISTINCT FROM (NEW."reserve_until") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."vat_minor" IS DISTINCT FROM (NEW."vat_minor"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='3ca4e79a117859f69352da4ab3d3517fedad2358', operation='UPDATE', pgid='pgtrigger_settlement_as_booked_caddf', table='billing_settlement', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='settlement',
            trigger=pgtrigger.compiler.Trigger(name='settlement_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{settled:paid,paid:settled,demanded:paid_back}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='71a0d775ae3eb775b7e876588ce161581d8d1eae', operation='UPDATE', pgid='pgtrigger_settlement_lifecycle_71379', table='billing_settlement', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='inputfapiao',
            trigger=pgtrigger.compiler.Trigger(name='input_fapiao_as_handed_in', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."amount_minor" IS DISTINCT FROM (NEW."amount_minor") OR OLD."content" IS DISTINCT FROM (NEW."content") OR OLD."content_sha256" IS DISTINCT FROM (NEW."content_sha256") OR OLD."content_type" IS DISTINCT FROM (NEW."content_type") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."file_name" IS DISTINCT FROM (NEW."file_name") OR OLD."handed_in_by_id" IS DISTINCT FROM (NEW."handed_in_by_id") OR OLD."issued_date" IS DISTINCT FROM (NEW."issued_date") OR OLD."number" IS DISTINCT FROM (NEW."number") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."vat_minor" IS DISTINCT FROM (NEW."vat_minor"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='53ab8c1334d2d68802a6728de149b1164408e0cd', operation='UPDATE', pgid='pgtrigger_input_fapiao_as_handed_in_c273c', table='billing_inputfapiao', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='inputfapiao',
            trigger=pgtrigger.compiler.Trigger(name='inputfapiao_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{handed_in:accepted,handed_in:rejected}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='1f7a81292da58d8f10d572410109851408a0aaff', operation='UPDATE', pgid='pgtrigger_inputfapiao_lifecycle_fc13c', table='billing_inputfapiao', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='payoutfile',
            trigger=pgtrigger.compiler.Trigger(name='payout_file_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='b492fca237f89ba813038c99faf30cf2cd5c11ae', operation='UPDATE OR DELETE', pgid='pgtrigger_payout_file_append_only_8f082', table='billing_payoutfile', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='payoutline',
            trigger=pgtrigger.compiler.Trigger(name='payout_line_as_planned', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."amount_minor" IS DISTINCT FROM (NEW."amount_minor") OR OLD."part" IS DISTINCT FROM (NEW."part") OR OLD."payout_id" IS DISTINCT FROM (NEW."payout_id") OR OLD."settlement_id" IS DISTINCT FROM (NEW."settlement_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='6068e18704dfa3fd6d85dfcd8f91e3207ab32163', operation='UPDATE', pgid='pgtrigger_payout_line_as_planned_1269f', table='billing_payoutline', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='payoutterms',
            trigger=pgtrigger.compiler.Trigger(name='payout_terms_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='7260d9fbf25ac2c0a9243ebbdd9055d9f304a457', operation='UPDATE OR DELETE', pgid='pgtrigger_payout_terms_append_only_f9a24', table='billing_payoutterms', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='payout',
            trigger=pgtrigger.compiler.Trigger(name='payout_as_planned', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."amount_minor" IS DISTINCT FROM (NEW."amount_minor") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."method" IS DISTINCT FROM (NEW."method") OR OLD."payee_id" IS DISTINCT FROM (NEW."payee_id") OR OLD."payee_account" IS DISTINCT FROM (NEW."payee_account") OR OLD."payee_bank" IS DISTINCT FROM (NEW."payee_bank") OR OLD."payee_bank_code" IS DISTINCT FROM (NEW."payee_bank_code") OR OLD."payee_name" IS DISTINCT FROM (NEW."payee_name") OR OLD."planned_by_id" IS DISTINCT FROM (NEW."planned_by_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='c4b63084531feeb62067321528fab5533097caff', operation='UPDATE', pgid='pgtrigger_payout_as_planned_c5a77', table='billing_payout', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='payout',
            trigger=pgtrigger.compiler.Trigger(name='payout_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{planned:approved,planned:cancelled,approved:sending,approved:sent,approved:cancelled,sending:sent,sending:paid,sending:failed,sent:paid,sent:failed,paid:returned}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='a5c6aab8c4d14aba54a7f97ecbb015bb394943c2', operation='UPDATE', pgid='pgtrigger_payout_lifecycle_87dae', table='billing_payout', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='repayment',
            trigger=pgtrigger.compiler.Trigger(name='repayment_as_recorded', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."amount_minor" IS DISTINCT FROM (NEW."amount_minor") OR OLD."bank_reference" IS DISTINCT FROM (NEW."bank_reference") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."recorded_by_id" IS DISTINCT FROM (NEW."recorded_by_id") OR OLD."settlement_id" IS DISTINCT FROM (NEW."settlement_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='755e343e74c6b5c912ce8b6c6f71a663de318a7e', operation='UPDATE', pgid='pgtrigger_repayment_as_recorded_9ea96', table='billing_repayment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='repayment',
            trigger=pgtrigger.compiler.Trigger(name='repayment_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{recorded:approved,recorded:rejected}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='c692746449788547b28607e8e1e07385de8debb4', operation='UPDATE', pgid='pgtrigger_repayment_lifecycle_5676a', table='billing_repayment', when='BEFORE')),
        ),
        grants.give(
            {
                "billing_settlement": "UPDATE (reserve_released_at, paid_back_at)",
                "billing_carriednet": "UPDATE (net_minor, until, settlement_id)",
                "billing_repayment": "UPDATE (state, decided_by_id, ledger_transaction_id,"
                " approved_at, rejected_at)",
                "billing_inputfapiao": "UPDATE (state, decided_by_id, accepted_at, rejected_at)",
                "billing_payout": "UPDATE (state, approved_by_id, file_id, rail_reference,"
                " attempt_count, next_step_at, last_error, ledger_transaction_id, approved_at,"
                " sending_at, sent_at, paid_at, failed_at, returned_at, cancelled_at)",
                "billing_payoutline": "UPDATE (is_live)",
            }
        ),
        grants.rules_always_hold(),
    ]
