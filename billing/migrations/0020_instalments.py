"""Payments of leases by their schedules, and what follows where one is not made."""

import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import inventory.identifiers
from inventory import grants


def _instalments_of_leases(apps, schema_editor):
    """Leases made before had paid all that their schedules ask: one instalment each says so."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE billing_leasetally t SET paid_minor = l.due_minor - k.minor
            FROM marketplace_lease l CROSS JOIN LATERAL (
                SELECT coalesce(sum(c.gross_minor), 0) AS minor FROM billing_charge c
                WHERE c.lease_id = l.id AND c.kind IN ('leaving', 'cancellation')) k
            WHERE l.id = t.lease_id
            """
        )
        cursor.execute(
            """
            INSERT INTO billing_instalment (
                public_id, lease_id, provider_id, tenant_id, kind, state, period, due_at,
                grace_until, currency, amount_minor, deposit_minor, security_minor, used_minor,
                receivable_minor, cleared_minor, created_at, collected_at)
            SELECT gen_random_uuid(), l.id, l.provider_id, l.tenant_id,
                   CASE p.schedule WHEN 'prepaid' THEN 'whole' ELSE 'deposit' END, 'collected',
                   l.period, l.created_at, l.created_at, l.currency, l.due_minor + a.minor,
                   l.due_minor + a.minor, 0, 0, 0, 0, l.created_at, l.created_at
            FROM marketplace_lease l
            JOIN marketplace_priceversion p ON p.id = l.price_id
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(refund_minor), 0) AS minor FROM marketplace_amendment
                WHERE lease_id = l.id AND state = 'signed') a
            """
        )


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0016_bank_rules'),
        ('inventory', '0012_suspension'),
        ('marketplace', '0015_payment_schedules'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Dunning',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='dun', unique=True)),
                ('state', models.CharField(choices=[('noticed', 'warned'), ('suspended', 'suspended'), ('settled', 'settled'), ('ended', 'ended')], default='noticed', max_length=10)),
                ('suspends_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('suspended_at', models.DateTimeField(blank=True, null=True)),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Instalment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='ist', unique=True)),
                ('kind', models.CharField(choices=[('whole', 'whole price'), ('deposit', 'deposit'), ('security', 'security'), ('advance', 'months ahead'), ('arrears', 'month in arrears')], max_length=8)),
                ('state', models.CharField(choices=[('planned', 'planned'), ('unpaid', 'due'), ('overdue', 'overdue'), ('collected', 'collected'), ('waived', 'no longer asked'), ('written_off', 'written off')], default='planned', max_length=12)),
                ('period', django.contrib.postgres.fields.ranges.DateTimeRangeField()),
                ('due_at', models.DateTimeField()),
                ('grace_until', models.DateTimeField()),
                ('currency', models.CharField(max_length=3)),
                ('amount_minor', models.BigIntegerField()),
                ('deposit_minor', models.BigIntegerField(default=0)),
                ('security_minor', models.BigIntegerField(default=0)),
                ('used_minor', models.BigIntegerField(default=0)),
                ('receivable_minor', models.BigIntegerField(default=0)),
                ('cleared_minor', models.BigIntegerField(default=0)),
                ('created_at', models.DateTimeField()),
                ('unpaid_at', models.DateTimeField(blank=True, null=True)),
                ('overdue_at', models.DateTimeField(blank=True, null=True)),
                ('collected_at', models.DateTimeField(blank=True, null=True)),
                ('waived_at', models.DateTimeField(blank=True, null=True)),
                ('written_off_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='RunwayWarning',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(max_length=3)),
                ('hours', models.PositiveSmallIntegerField()),
                ('warned_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='WriteOff',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(max_length=200)),
                ('amount_minor', models.BigIntegerField(null=True)),
                ('created_at', models.DateTimeField()),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='charge',
            name='charge_is_paid_to_the_minor_unit',
        ),
        migrations.AddField(
            model_name='charge',
            name='arrears_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='leasetally',
            name='arrears_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='leasetally',
            name='paid_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='leasetally',
            name='security_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.CheckConstraint(condition=models.Q(('gross_minor', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('deposit_minor'), '+', models.F('wallet_minor')), '+', models.F('receivable_minor')), '+', models.F('arrears_minor')))), name='charge_is_paid_to_the_minor_unit'),
        ),
        migrations.AddConstraint(
            model_name='leasetally',
            constraint=models.CheckConstraint(condition=models.Q(('arrears_minor__gte', 0), ('security_minor__gte', 0)), name='tally_kept_and_used_not_negative'),
        ),
        migrations.AddField(
            model_name='dunning',
            name='lease',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='dunnings', to='marketplace.lease'),
        ),
        migrations.AddField(
            model_name='dunning',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='dunning',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='instalment',
            name='amendment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.amendment'),
        ),
        migrations.AddField(
            model_name='instalment',
            name='lease',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='instalments', to='marketplace.lease'),
        ),
        migrations.AddField(
            model_name='instalment',
            name='ledger_transaction',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgertransaction'),
        ),
        migrations.AddField(
            model_name='instalment',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='instalment',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='runwaywarning',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='writeoff',
            name='asked_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='writeoff',
            name='decided_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='writeoff',
            name='instalment',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='write_off', to='billing.instalment'),
        ),
        migrations.AddConstraint(
            model_name='dunning',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['noticed', 'suspended'])), fields=('lease',), name='one_open_dunning_per_lease'),
        ),
        migrations.AddConstraint(
            model_name='dunning',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'suspended'), _negated=True), ('ends_at__isnull', False), _connector='OR'), name='suspension_has_an_end'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='dunning',
            trigger=pgtrigger.compiler.Trigger(name='dunning_as_noticed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."lease_id" IS DISTINCT FROM (NEW."lease_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."suspends_at" IS DISTINCT FROM (NEW."suspends_at") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='ec0a1adc27e8dd7d2720be8eb6d9f95c9362d982', operation='UPDATE', pgid='pgtrigger_dunning_as_noticed_e1eaa', table='billing_dunning', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='dunning',
            trigger=pgtrigger.compiler.Trigger(name='dunning_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{noticed:suspended,noticed:settled,noticed:ended,suspended:settled,suspended:ended}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='bcf9247aef67d14125fead74d8bc32cd8b3e0198', operation='UPDATE', pgid='pgtrigger_dunning_lifecycle_c6cbc', table='billing_dunning', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='instalment',
            index=models.Index(condition=models.Q(('state__in', ['planned', 'unpaid', 'overdue'])), fields=['due_at'], name='instalment_to_collect'),
        ),
        migrations.AddIndex(
            model_name='instalment',
            index=models.Index(fields=['lease', 'due_at'], name='instalment_by_lease'),
        ),
        migrations.AddIndex(
            model_name='instalment',
            index=models.Index(fields=['tenant', '-id'], name='instalment_by_tenant'),
        ),
        migrations.AddConstraint(
            model_name='instalment',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gte', 0), ('cleared_minor__gte', 0), ('cleared_minor__lte', models.F('receivable_minor')), ('deposit_minor__gte', 0), ('receivable_minor__gte', 0), ('security_minor__gte', 0), ('used_minor__gte', 0)), name='instalment_amounts_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='instalment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'collected'), _negated=True), models.Q(('amount_minor', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('deposit_minor'), '+', models.F('security_minor')), '+', models.F('used_minor')), '+', models.F('cleared_minor'))), ('receivable_minor', models.F('cleared_minor'))), _connector='OR'), name='instalment_collected_to_the_minor_unit'),
        ),
        migrations.AddConstraint(
            model_name='instalment',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['collected', 'overdue', 'written_off']), models.Q(('deposit_minor', 0), ('receivable_minor', 0), ('security_minor', 0), ('used_minor', 0)), _connector='OR'), name='instalment_takes_nothing_before_it_says_so'),
        ),
        migrations.AddConstraint(
            model_name='instalment',
            constraint=models.CheckConstraint(condition=models.Q(('grace_until__gte', models.F('due_at'))), name='instalment_grace_after_due'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='instalment',
            trigger=pgtrigger.compiler.Trigger(name='instalment_as_planned', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."amendment_id" IS DISTINCT FROM (NEW."amendment_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."due_at" IS DISTINCT FROM (NEW."due_at") OR OLD."grace_until" IS DISTINCT FROM (NEW."grace_until") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."lease_id" IS DISTINCT FROM (NEW."lease_id") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='a5a62cde3ad823305e677b1e174a67b4257fe9e0', operation='UPDATE', pgid='pgtrigger_instalment_as_planned_f1a8d', table='billing_instalment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='instalment',
            trigger=pgtrigger.compiler.Trigger(name='instalment_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{planned:collected,planned:unpaid,planned:waived,unpaid:collected,unpaid:overdue,unpaid:waived,overdue:collected,overdue:waived,overdue:written_off}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='fb254022ca441d86ace76ab3868c7c47fe74a6aa', operation='UPDATE', pgid='pgtrigger_instalment_lifecycle_5cb32', table='billing_instalment', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='runwaywarning',
            constraint=models.UniqueConstraint(fields=('tenant', 'currency', 'hours'), name='one_runway_warning_per_level'),
        ),
        migrations.AddConstraint(
            model_name='writeoff',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), models.Q(('decided_by', models.F('asked_by')), _negated=True), _connector='OR'), name='write_off_needs_two_persons'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='writeoff',
            trigger=pgtrigger.compiler.Trigger(name='write_off_as_asked', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."asked_by_id" IS DISTINCT FROM (NEW."asked_by_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."instalment_id" IS DISTINCT FROM (NEW."instalment_id") OR OLD."reason" IS DISTINCT FROM (NEW."reason"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='5068ead571ab3d57acc1701509292efe654552a4', operation='UPDATE', pgid='pgtrigger_write_off_as_asked_0542b', table='billing_writeoff', when='BEFORE')),
        ),
        grants.give(
            {
                "billing_instalment": "UPDATE (state, amount_minor, deposit_minor, security_minor,"
                " used_minor, receivable_minor, cleared_minor, ledger_transaction_id, unpaid_at,"
                " overdue_at, collected_at, waived_at, written_off_at)",
                "billing_dunning": "UPDATE (state, ends_at, suspended_at, settled_at, ended_at)",
                "billing_writeoff": "UPDATE (decided_by_id, amount_minor, decided_at)",
                "billing_runwaywarning": "DELETE",
                "billing_leasetally": "UPDATE (paid_minor, security_minor, arrears_minor)",
            }
        ),
        grants.rules_always_hold(),
        migrations.RunPython(_instalments_of_leases, migrations.RunPython.noop),
    ]
