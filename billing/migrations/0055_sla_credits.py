"""Months held against their service level, and the credits they gave."""

import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import inventory.identifiers
from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0049_own_money_is_no_receipt'),
        ('inventory', '0012_suspension'),
        ('marketplace', '0019_service_levels'),
    ]

    operations = [
        migrations.AlterField(
            model_name='charge',
            name='kind',
            field=models.CharField(choices=[('usage', 'usage'), ('cancellation', 'cancellation'), ('leaving', 'leaving early'), ('compensation', 'compensation'), ('credit', 'credit'), ('sla_credit', 'service level credit')], max_length=12),
        ),
        migrations.AlterField(
            model_name='invoiceline',
            name='kind',
            field=models.CharField(choices=[('usage', 'usage'), ('cancellation', 'cancellation'), ('leaving', 'leaving early'), ('compensation', 'compensation'), ('credit', 'credit'), ('sla_credit', 'service level credit')], max_length=12),
        ),
        migrations.CreateModel(
            name='SlaCursor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('charge_id', models.BigIntegerField(default=0)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_sla_cursor')],
            },
        ),
        migrations.CreateModel(
            name='SlaMonth',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='slm', unique=True)),
                ('month', models.DateField()),
                ('period', django.contrib.postgres.fields.ranges.DateTimeRangeField()),
                ('revision', models.PositiveSmallIntegerField()),
                ('delivered_card_seconds', models.BigIntegerField()),
                ('missing_card_seconds', models.BigIntegerField()),
                ('excluded_card_seconds', models.BigIntegerField()),
                ('availability_bps', models.PositiveIntegerField()),
                ('credit_bps', models.PositiveIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('charged_minor', models.BigIntegerField()),
                ('credit_minor', models.BigIntegerField()),
                ('vat_minor', models.BigIntegerField()),
                ('fee_minor', models.BigIntegerField()),
                ('fee_vat_minor', models.BigIntegerField(default=0)),
                ('created_at', models.DateTimeField()),
                ('charge', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='sla_month', to='billing.charge')),
                ('lease', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='sla_months', to='marketplace.lease')),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('terms', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.termsversion')),
            ],
            options={
                'indexes': [models.Index(fields=['tenant', '-id'], name='sla_month_by_tenant'), models.Index(fields=['provider', '-id'], name='sla_month_by_provider')],
                'constraints': [models.UniqueConstraint(fields=('lease', 'month', 'revision'), name='one_sla_month_per_revision'), models.CheckConstraint(condition=models.Q(('credit_minor', 0), models.Q(('credit_minor__gt', 0), ('credit_minor__lte', models.F('charged_minor'))), _connector='OR'), name='sla_credit_within_the_charges'), models.CheckConstraint(condition=models.Q(('availability_bps__lte', 10000), ('credit_bps__lte', 10000), ('delivered_card_seconds__gte', 0), ('excluded_card_seconds__gte', 0), ('missing_card_seconds__gte', 0)), name='sla_month_counts_sane'), models.CheckConstraint(condition=models.Q(('credit_minor__gte', django.db.models.expressions.CombinedExpression(models.F('vat_minor'), '+', models.F('fee_minor'))), ('fee_minor__gte', 0), ('vat_minor__gte', 0)), name='sla_credit_parts_within_it')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='slamonth',
            trigger=pgtrigger.compiler.Trigger(name='sla_month_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='56f9090126ed992d43bcc153f251333fbbe76c0e', operation='UPDATE OR DELETE', pgid='pgtrigger_sla_month_append_only_10535', table='billing_slamonth', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='slamonth',
            trigger=pgtrigger.compiler.Trigger(name='sla_month_as_charged', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE earlier billing_slamonth; moved billing_charge; charged bigint;', func="\n    SELECT * INTO earlier FROM billing_slamonth\n    WHERE lease_id = NEW.lease_id AND month = NEW.month ORDER BY revision DESC LIMIT 1;\n    IF NEW.revision <> coalesce(earlier.revision + 1, 0) THEN\n        RAISE EXCEPTION 'a revision of an SLA month follows the one before it';\n    END IF;\n    SELECT coalesce(sum(gross_minor), 0) INTO charged FROM billing_charge\n    WHERE lease_id = NEW.lease_id AND kind = 'usage'\n      AND hour >= lower(NEW.period) AND hour < upper(NEW.period);\n    IF charged <> NEW.charged_minor THEN\n        RAISE EXCEPTION 'an SLA month is held against what was charged for it';\n    END IF;\n    SELECT * INTO moved FROM billing_charge WHERE id = NEW.charge_id;\n    IF NEW.credit_minor - coalesce(earlier.credit_minor, 0) <> -coalesce(moved.gross_minor, 0)\n       OR (moved.id IS NOT NULL AND (moved.kind, moved.lease_id)\n           IS DISTINCT FROM ('sla_credit'::varchar, NEW.lease_id)) THEN\n        RAISE EXCEPTION 'an SLA credit is what its charge moves';\n    END IF;\n    RETURN NEW;\n", hash='bc905c58f9d2a48c5dfcb5d6e2c63987ce7b6556', operation='INSERT', pgid='pgtrigger_sla_month_as_charged_a3ef9', table='billing_slamonth', when='BEFORE')),
        ),
        migrations.RunSQL(
            "INSERT INTO billing_slacursor (id, charge_id) VALUES (1, 0)", migrations.RunSQL.noop
        ),
        grants.give({"billing_slacursor": "UPDATE (charge_id)"}),
        grants.rules_always_hold(),
    ]
