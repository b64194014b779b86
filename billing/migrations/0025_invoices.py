"""Invoices and credit notes, statements and contests, fapiaos."""
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import inventory.identifiers


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0020_instalments'),
        ('inventory', '0008_refusals_let_go'),
        ('marketplace', '0014_price_amendments'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BillingDetails',
            fields=[
                ('organisation', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='billing_details', serialize=False, to='inventory.organisation')),
                ('title', models.CharField(max_length=200)),
                ('tax_number', models.CharField(blank=True, max_length=20)),
                ('address', models.CharField(blank=True, max_length=300)),
                ('phone', models.CharField(blank=True, max_length=40)),
                ('bank_name', models.CharField(blank=True, max_length=200)),
                ('bank_account', models.CharField(blank=True, max_length=64)),
                ('updated_at', models.DateTimeField()),
            ],
        ),
        migrations.AlterField(
            model_name='charge',
            name='kind',
            field=models.CharField(choices=[('usage', 'usage'), ('cancellation', 'cancellation'), ('leaving', 'leaving early'), ('compensation', 'compensation'), ('credit', 'credit')], max_length=12),
        ),
        migrations.CreateModel(
            name='BilledCursor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('charge_id', models.BigIntegerField(default=0)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_billed_cursor')],
            },
        ),
        migrations.CreateModel(
            name='Fapiao',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='fpo', unique=True)),
                ('kind', models.CharField(choices=[('general', 'general VAT fapiao'), ('special', 'special VAT fapiao')], max_length=8)),
                ('state', models.CharField(choices=[('requested', 'requested'), ('withdrawn', 'withdrawn'), ('issued', 'issued'), ('reversed', 'taken back by a red note')], default='requested', max_length=10)),
                ('currency', models.CharField(max_length=3)),
                ('amount_minor', models.BigIntegerField()),
                ('title', models.CharField(max_length=200)),
                ('tax_number', models.CharField(blank=True, max_length=20)),
                ('address', models.CharField(blank=True, max_length=300)),
                ('phone', models.CharField(blank=True, max_length=40)),
                ('bank_name', models.CharField(blank=True, max_length=200)),
                ('bank_account', models.CharField(blank=True, max_length=64)),
                ('number', models.CharField(blank=True, max_length=40)),
                ('issued_date', models.DateField(blank=True, null=True)),
                ('red_number', models.CharField(blank=True, max_length=40)),
                ('red_date', models.DateField(blank=True, null=True)),
                ('reason', models.CharField(blank=True, max_length=200)),
                ('adapter_reference', models.CharField(blank=True, max_length=120)),
                ('created_at', models.DateTimeField()),
                ('issued_at', models.DateTimeField(blank=True, null=True)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('reversed_at', models.DateTimeField(blank=True, null=True)),
                ('buyer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('issuer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('replaces', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaced_by', to='billing.fapiao')),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='FapiaoFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('issued', 'fapiao'), ('red', 'red note')], max_length=8)),
                ('media_type', models.CharField(max_length=40)),
                ('content', models.BinaryField()),
                ('sha256', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField()),
                ('fapiao', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='files', to='billing.fapiao')),
            ],
        ),
        migrations.CreateModel(
            name='Invoice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='inv', unique=True)),
                ('kind', models.CharField(choices=[('invoice', 'invoice'), ('credit_note', 'credit note')], default='invoice', max_length=12)),
                ('subject', models.CharField(choices=[('compute', 'compute'), ('fee', 'fee')], default='compute', max_length=8)),
                ('state', models.CharField(choices=[('draft', 'draft'), ('finalised', 'final'), ('discarded', 'discarded')], default='draft', max_length=10)),
                ('currency', models.CharField(max_length=3)),
                ('month', models.DateField()),
                ('period', django.contrib.postgres.fields.ranges.DateTimeRangeField()),
                ('number', models.BigIntegerField(blank=True, null=True)),
                ('label', models.CharField(blank=True, max_length=40)),
                ('card_seconds', models.BigIntegerField(default=0)),
                ('net_minor', models.BigIntegerField(default=0)),
                ('vat_minor', models.BigIntegerField(default=0)),
                ('total_minor', models.BigIntegerField(default=0)),
                ('unpaid_minor', models.BigIntegerField(default=0)),
                ('payment_status', models.CharField(blank=True, choices=[('prepaid', 'prepaid'), ('open', 'to be paid'), ('paid', 'paid'), ('overdue', 'overdue')], max_length=8)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('paid_at', models.DateTimeField(blank=True, null=True)),
                ('seller', models.JSONField(blank=True, default=dict)),
                ('buyer', models.JSONField(blank=True, default=dict)),
                ('reason', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField()),
                ('finalised_at', models.DateTimeField(blank=True, null=True)),
                ('discarded_at', models.DateTimeField(blank=True, null=True)),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('issuer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('party', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='FapiaoPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount_minor', models.BigIntegerField()),
                ('fapiao', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='parts', to='billing.fapiao')),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='fapiao_parts', to='billing.invoice')),
            ],
        ),
        migrations.CreateModel(
            name='InvoiceLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='ivl', unique=True)),
                ('kind', models.CharField(choices=[('usage', 'usage'), ('cancellation', 'cancellation'), ('leaving', 'leaving early'), ('compensation', 'compensation'), ('credit', 'credit')], max_length=12)),
                ('month', models.DateField()),
                ('from_at', models.DateTimeField()),
                ('until_at', models.DateTimeField()),
                ('card_seconds', models.BigIntegerField()),
                ('vat_code', models.CharField(max_length=20)),
                ('vat_bps', models.PositiveIntegerField()),
                ('net_minor', models.BigIntegerField()),
                ('vat_minor', models.BigIntegerField()),
                ('gross_minor', models.BigIntegerField()),
                ('corrects', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='corrections', to='billing.invoiceline')),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='billing.invoice')),
                ('lease', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='invoice_lines', to='marketplace.lease')),
                ('price', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.priceversion')),
            ],
        ),
        migrations.CreateModel(
            name='Contest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='cst', unique=True)),
                ('state', models.CharField(choices=[('open', 'undecided'), ('upheld', 'upheld'), ('dismissed', 'dismissed')], default='open', max_length=10)),
                ('reason', models.CharField(max_length=500)),
                ('provider_note', models.CharField(blank=True, max_length=500)),
                ('operator_note', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField()),
                ('upheld_at', models.DateTimeField(blank=True, null=True)),
                ('dismissed_at', models.DateTimeField(blank=True, null=True)),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('opened_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('credit_note', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='contests', to='billing.invoice')),
                ('line', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='contests', to='billing.invoiceline')),
            ],
        ),
        migrations.CreateModel(
            name='BilledCharge',
            fields=[
                ('charge', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='billed', serialize=False, to='billing.charge')),
                ('line', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='billed', to='billing.invoiceline')),
            ],
        ),
        migrations.CreateModel(
            name='InvoicePaper',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('language', models.CharField(max_length=2)),
                ('content', models.BinaryField()),
                ('sha256', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField()),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='papers', to='billing.invoice')),
            ],
        ),
        migrations.CreateModel(
            name='InvoiceSeries',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('invoice', 'invoice'), ('credit_note', 'credit note')], max_length=12)),
                ('last_number', models.BigIntegerField(default=0)),
                ('issuer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='Statement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='stm', unique=True)),
                ('state', models.CharField(choices=[('issued', 'waits for the tenant'), ('accepted', 'accepted'), ('deemed', 'deemed accepted')], default='issued', max_length=10)),
                ('created_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('accepted_at', models.DateTimeField(blank=True, null=True)),
                ('deemed_at', models.DateTimeField(blank=True, null=True)),
                ('accepted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('invoice', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='statement', to='billing.invoice')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
        ),
        migrations.AddIndex(
            model_name='fapiao',
            index=models.Index(fields=['state', 'id'], name='fapiao_by_state'),
        ),
        migrations.AddConstraint(
            model_name='fapiao',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0)), name='fapiao_is_positive'),
        ),
        migrations.AddConstraint(
            model_name='fapiao',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ('issued', 'reversed')), _negated=True), models.Q(models.Q(('number', ''), _negated=True), ('issued_date__isnull', False)), _connector='OR'), name='fapiao_issued_has_a_number'),
        ),
        migrations.AddConstraint(
            model_name='fapiao',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'reversed'), _negated=True), models.Q(models.Q(('red_number', ''), _negated=True), ('red_date__isnull', False)), _connector='OR'), name='fapiao_reversed_by_a_red_note'),
        ),
        migrations.AddConstraint(
            model_name='fapiao',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'special'), _negated=True), models.Q(('tax_number', ''), _negated=True), _connector='OR'), name='special_fapiao_needs_a_tax_number'),
        ),
        migrations.AddConstraint(
            model_name='fapiao',
            constraint=models.UniqueConstraint(condition=models.Q(('number', ''), _negated=True), fields=('number',), name='fapiao_number_once'),
        ),
        migrations.AddConstraint(
            model_name='fapiao',
            constraint=models.UniqueConstraint(condition=models.Q(('red_number', ''), _negated=True), fields=('red_number',), name='red_number_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='fapiao',
            trigger=pgtrigger.compiler.Trigger(name='fapiao_as_requested', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."address" IS DISTINCT FROM (NEW."address") OR OLD."amount_minor" IS DISTINCT FROM (NEW."amount_minor") OR OLD."bank_account" IS DISTINCT FROM (NEW."bank_account") OR OLD."bank_name" IS DISTINCT FROM (NEW."bank_name") OR OLD."buyer_id" IS DISTINCT FROM (NEW."buyer_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."issuer_id" IS DISTINCT FROM (NEW."issuer_id") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."phone" IS DISTINCT FROM (NEW."phone") OR OLD."replaces_id" IS DISTINCT FROM (NEW."replaces_id") OR OLD."requested_by_id" IS DISTINCT FROM (NEW."requested_by_id") OR OLD."tax_number" IS DISTINCT FROM (NEW."tax_number") OR OLD."title" IS DISTINCT FROM (NEW."title"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='23e94182b0d1a8fd7aeefca3aa5d4e02b956af28', operation='UPDATE', pgid='pgtrigger_fapiao_as_requested_71899', table='billing_fapiao', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='fapiao',
            trigger=pgtrigger.compiler.Trigger(name='fapiao_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{requested:withdrawn,requested:issued,issued:reversed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='3061ec202e9792f5d3f7510816939c66f27691ac', operation='UPDATE', pgid='pgtrigger_fapiao_lifecycle_5c294', table='billing_fapiao', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='fapiaofile',
            constraint=models.UniqueConstraint(fields=('fapiao', 'role'), name='one_file_a_role'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='fapiaofile',
            trigger=pgtrigger.compiler.Trigger(name='fapiao_file_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='a4a1b3bef1c740be3b9f1abed96f3f3ceba213bf', operation='UPDATE OR DELETE', pgid='pgtrigger_fapiao_file_append_only_808c3', table='billing_fapiaofile', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='invoice',
            index=models.Index(fields=['party', '-id'], name='invoice_by_party'),
        ),
        migrations.AddIndex(
            model_name='invoice',
            index=models.Index(fields=['state', 'month'], name='invoice_by_state'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'invoice')), fields=('issuer', 'party', 'currency', 'month', 'subject'), name='one_invoice_a_month'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'credit_note'), ('requested_by__isnull', True), ('state', 'draft')), fields=('issuer', 'party', 'currency', 'subject'), name='one_open_credit_note'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.UniqueConstraint(fields=('issuer', 'kind', 'number'), name='invoice_number_once'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('total_minor', django.db.models.expressions.CombinedExpression(models.F('net_minor'), '+', models.F('vat_minor')))), name='invoice_adds_up'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'finalised'), _negated=True), models.Q(('kind', 'invoice'), ('total_minor__gte', 0)), models.Q(('kind', 'credit_note'), ('total_minor__lte', 0)), _connector='OR'), name='invoice_sign'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finalised_at__isnull', False), ('number__gt', 0), ('state', 'finalised'), models.Q(('payment_status', ''), _negated=True), models.Q(('label', ''), _negated=True)), models.Q(models.Q(('state', 'finalised'), _negated=True), ('number__isnull', True), ('payment_status', '')), _connector='OR'), name='invoice_numbered_when_final'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), models.Q(('decided_by', models.F('requested_by')), _negated=True), _connector='OR'), name='credit_note_needs_two_persons'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'finalised'), _negated=True), ('requested_by__isnull', True), models.Q(('decided_by__isnull', False), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='credit_note_is_approved'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='invoice',
            trigger=pgtrigger.compiler.Trigger(name='invoice_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{draft:finalised,draft:discarded}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='8cfebe911b2dcd14cedce63f20923749ebc40f70', operation='UPDATE', pgid='pgtrigger_invoice_lifecycle_96812', table='billing_invoice', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='fapiaopart',
            constraint=models.UniqueConstraint(fields=('fapiao', 'invoice'), name='one_part_per_fapiao'),
        ),
        migrations.AddConstraint(
            model_name='fapiaopart',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0)), name='fapiao_part_positive'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='fapiaopart',
            trigger=pgtrigger.compiler.Trigger(name='fapiao_part_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='3a099f2991c85e3d0cbd7a1775636a45e65cda91', operation='UPDATE OR DELETE', pgid='pgtrigger_fapiao_part_append_only_201a1', table='billing_fapiaopart', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='invoiceline',
            index=models.Index(fields=['lease', 'month'], name='invoice_line_by_lease'),
        ),
        migrations.AddConstraint(
            model_name='invoiceline',
            constraint=models.UniqueConstraint(fields=('invoice', 'lease', 'price', 'kind', 'month', 'corrects'), name='one_line_per_price', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='invoiceline',
            constraint=models.CheckConstraint(condition=models.Q(('gross_minor', django.db.models.expressions.CombinedExpression(models.F('net_minor'), '+', models.F('vat_minor')))), name='invoice_line_adds_up'),
        ),
        migrations.AddConstraint(
            model_name='contest',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('line',), name='one_open_contest_a_line'),
        ),
        migrations.AddConstraint(
            model_name='contest',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='contest_has_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='contest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'upheld'), _negated=True), ('credit_note__isnull', False), _connector='OR'), name='upheld_contest_is_credited'),
        ),
        migrations.AddConstraint(
            model_name='contest',
            constraint=models.CheckConstraint(condition=models.Q(('state', 'open'), models.Q(('decided_by__isnull', False), models.Q(('operator_note', ''), _negated=True)), _connector='OR'), name='contest_is_decided_by_a_person'),
        ),
        migrations.AddConstraint(
            model_name='contest',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), models.Q(('decided_by', models.F('opened_by')), _negated=True), _connector='OR'), name='contest_is_decided_by_another'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contest',
            trigger=pgtrigger.compiler.Trigger(name='contest_as_raised', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."line_id" IS DISTINCT FROM (NEW."line_id") OR OLD."opened_by_id" IS DISTINCT FROM (NEW."opened_by_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='1fc6313bd6f8b539ef911ac1bb4f5863945db4d2', operation='UPDATE', pgid='pgtrigger_contest_as_raised_3ba6a', table='billing_contest', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contest',
            trigger=pgtrigger.compiler.Trigger(name='contest_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{open:upheld,open:dismissed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='5439a0c401f0a698c1a83a836ce50ee6ae35bb40', operation='UPDATE', pgid='pgtrigger_contest_lifecycle_1bc6d', table='billing_contest', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='billedcharge',
            trigger=pgtrigger.compiler.Trigger(name='billed_charge_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='054466a72321bd8b6f2e577c7a93bc9f6b23a234', operation='UPDATE OR DELETE', pgid='pgtrigger_billed_charge_append_only_90d8a', table='billing_billedcharge', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='invoicepaper',
            constraint=models.UniqueConstraint(fields=('invoice', 'language'), name='one_paper_a_language'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='invoicepaper',
            trigger=pgtrigger.compiler.Trigger(name='invoice_paper_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='baad9ab3e1fcb05278b8ed301cb317bc8d64624f', operation='UPDATE OR DELETE', pgid='pgtrigger_invoice_paper_append_only_0bf61', table='billing_invoicepaper', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='invoiceseries',
            constraint=models.UniqueConstraint(fields=('issuer', 'kind'), name='one_series_a_kind'),
        ),
        migrations.AddIndex(
            model_name='statement',
            index=models.Index(fields=['state', 'due_at'], name='statement_by_deadline'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='statement',
            trigger=pgtrigger.compiler.Trigger(name='statement_as_issued', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."due_at" IS DISTINCT FROM (NEW."due_at") OR OLD."invoice_id" IS DISTINCT FROM (NEW."invoice_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='f67169e0d6f329913dd3d2a920be160a4979e5c0', operation='UPDATE', pgid='pgtrigger_statement_as_issued_9f7e1', table='billing_statement', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='statement',
            trigger=pgtrigger.compiler.Trigger(name='statement_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{issued:accepted,issued:deemed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='7ede2d05ea6d3e670ff20db76a4ec6cc1f7a0580', operation='UPDATE', pgid='pgtrigger_statement_lifecycle_c201c', table='billing_statement', when='BEFORE')),
        ),
    ]
