"""What an accountant posts by hand, by two persons."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import inventory.identifiers


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0046_reconciliation_rules'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Voucher',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='vch', unique=True)),
                ('effective_date', models.DateField()),
                ('reason', models.CharField(max_length=500)),
                ('evidence', models.CharField(max_length=200)),
                ('external_reference', models.CharField(blank=True, max_length=120)),
                ('file_name', models.CharField(blank=True, max_length=200)),
                ('content_type', models.CharField(blank=True, max_length=40)),
                ('content', models.BinaryField(blank=True, null=True)),
                ('content_sha256', models.BinaryField(blank=True, max_length=32, null=True)),
                ('state', models.CharField(choices=[('proposed', 'proposed'), ('posted', 'posted'), ('rejected', 'rejected')], default='proposed', max_length=10)),
                ('created_at', models.DateTimeField()),
                ('posted_at', models.DateTimeField(blank=True, null=True)),
                ('rejected_at', models.DateTimeField(blank=True, null=True)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('ledger_transaction', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='voucher', to='billing.ledgertransaction')),
                ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='VoucherEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('account_code', models.CharField(max_length=120)),
                ('amount_minor', models.BigIntegerField()),
                ('voucher', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.voucher')),
            ],
        ),
        migrations.AddIndex(
            model_name='voucher',
            index=models.Index(condition=models.Q(('state', 'proposed')), fields=['-id'], name='voucher_waiting'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), models.Q(('decided_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='voucher_needs_two_persons'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_by__isnull', True), ('state', 'proposed')), models.Q(models.Q(('state', 'proposed'), _negated=True), ('decided_by__isnull', False)), _connector='OR'), name='voucher_is_decided_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ledger_transaction__isnull', False), ('state', 'posted')), models.Q(models.Q(('state', 'posted'), _negated=True), ('ledger_transaction__isnull', True)), _connector='OR'), name='voucher_posted_is_in_the_ledger'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reason', ''), _negated=True), models.Q(('evidence', ''), _negated=True)), name='voucher_says_why'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='voucher',
            trigger=pgtrigger.compiler.Trigger(name='voucher_as_proposed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."content" IS DISTINCT FROM (NEW."content") OR OLD."content_sha256" IS DISTINCT FROM (NEW."content_sha256") OR OLD."content_type" IS DISTINCT FROM (NEW."content_type") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."effective_date" IS DISTINCT FROM (NEW."effective_date") OR OLD."evidence" IS DISTINCT FROM (NEW."evidence") OR OLD."external_reference" IS DISTINCT FROM (NEW."external_reference") OR OLD."file_name" IS DISTINCT FROM (NEW."file_name") OR OLD."proposed_by_id" IS DISTINCT FROM (NEW."proposed_by_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."reason" IS DISTINCT FROM (NEW."reason"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='2d5d95717c65c2559d2a4c7c7481a742daf30255', operation='UPDATE', pgid='pgtrigger_voucher_as_proposed_823f2', table='billing_voucher', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='voucher',
            trigger=pgtrigger.compiler.Trigger(name='voucher_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{proposed:posted,proposed:rejected}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='e0d762d749bfe4d2b028e8dddfcf4b5ed46f0d26', operation='UPDATE', pgid='pgtrigger_voucher_lifecycle_660b3', table='billing_voucher', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='voucherentry',
            constraint=models.UniqueConstraint(fields=('voucher', 'number'), name='voucher_entry_once'),
        ),
        migrations.AddConstraint(
            model_name='voucherentry',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor', 0), _negated=True), name='voucher_entry_not_zero'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='voucherentry',
            trigger=pgtrigger.compiler.Trigger(name='voucher_entry_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='19ab46bb1535eae4890a33decba11bba60feb21b', operation='UPDATE OR DELETE', pgid='pgtrigger_voucher_entry_append_only_3b872', table='billing_voucherentry', when='BEFORE')),
        ),
    ]
