"""The second meter and its disputes; how well nodes and cards are, and since when."""

from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import inventory.identifiers
from inventory import grants

SQL = Path(__file__).resolve().parent.parent / 'sql'


def run(name):
    return migrations.RunSQL((SQL / f'{name}.sql').read_text(encoding='utf-8'), migrations.RunSQL.noop, elidable=False)


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0020_metering_writes_less'),
    ]

    operations = [
        migrations.CreateModel(
            name='MeterReading',
            fields=[
                ('pk', models.CompositePrimaryKey('allocation_id', 'hour', blank=True, editable=False, primary_key=True, serialize=False)),
                ('allocation_id', models.BigIntegerField()),
                ('hour', models.DateTimeField()),
                ('owed_card_seconds', models.BigIntegerField()),
                ('history_card_seconds', models.BigIntegerField()),
                ('telemetry_card_seconds', models.BigIntegerField()),
                ('unwatched_card_seconds', models.BigIntegerField()),
                ('recorded_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'inventory_meterreading',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='ReadingCursor',
            fields=[
                ('centre', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='reading_cursor', serialize=False, to='inventory.centre')),
                ('read_until', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='pool',
            name='maintenance_notice_seconds',
            field=models.PositiveIntegerField(db_default=259200, default=259200),
        ),
        migrations.CreateModel(
            name='HealthReport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='hrp', unique=True)),
                ('card_index', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('state', models.CharField(choices=[('healthy', 'healthy'), ('jittering', 'jittering'), ('degraded', 'degraded'), ('down', 'down'), ('maintenance', 'in maintenance')], max_length=12)),
                ('reason', models.CharField(max_length=200)),
                ('reported_by', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField()),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('node', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='health_reports', to='inventory.node')),
            ],
        ),
        migrations.CreateModel(
            name='MeterDispute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='mdp', unique=True)),
                ('hour', models.DateTimeField()),
                ('state', models.CharField(choices=[('open', 'undecided'), ('for_tenant', 'upheld for the tenant'), ('for_provider', 'upheld for the provider')], default='open', max_length=12)),
                ('owed_card_seconds', models.BigIntegerField()),
                ('history_card_seconds', models.BigIntegerField()),
                ('telemetry_card_seconds', models.BigIntegerField()),
                ('tolerance_card_seconds', models.BigIntegerField()),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('evidence', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField()),
                ('for_tenant_at', models.DateTimeField(blank=True, null=True)),
                ('for_provider_at', models.DateTimeField(blank=True, null=True)),
                ('allocation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='meter_disputes', to='inventory.allocation')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='NodeHealth',
            fields=[
                ('node', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='health', serialize=False, to='inventory.node')),
                ('state', models.CharField(choices=[('healthy', 'healthy'), ('jittering', 'jittering'), ('degraded', 'degraded'), ('down', 'down'), ('maintenance', 'in maintenance')], default='healthy', max_length=12)),
                ('source', models.CharField(choices=[('telemetry', 'telemetry'), ('driver', 'the engine'), ('report', "a person's report"), ('plan', 'planned maintenance')], default='driver', max_length=10)),
                ('evidence', models.CharField(blank=True, max_length=300)),
                ('since', models.DateTimeField()),
                ('checked_at', models.DateTimeField()),
                ('cards', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('healthy', 'healthy'), ('jittering', 'jittering'), ('degraded', 'degraded'), ('down', 'down'), ('maintenance', 'in maintenance')], max_length=12), default=list, size=None)),
                ('memory', models.JSONField(default=dict)),
                ('outage', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='opened_by_health', to='inventory.outage')),
            ],
        ),
        migrations.CreateModel(
            name='HealthEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('card_index', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('from_state', models.CharField(blank=True, choices=[('healthy', 'healthy'), ('jittering', 'jittering'), ('degraded', 'degraded'), ('down', 'down'), ('maintenance', 'in maintenance')], max_length=12)),
                ('state', models.CharField(choices=[('healthy', 'healthy'), ('jittering', 'jittering'), ('degraded', 'degraded'), ('down', 'down'), ('maintenance', 'in maintenance')], max_length=12)),
                ('source', models.CharField(choices=[('telemetry', 'telemetry'), ('driver', 'the engine'), ('report', "a person's report"), ('plan', 'planned maintenance')], max_length=10)),
                ('evidence', models.CharField(blank=True, max_length=300)),
                ('at', models.DateTimeField()),
                ('recorded_at', models.DateTimeField()),
                ('node', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='health_entries', to='inventory.node')),
            ],
            options={
                'indexes': [models.Index(fields=['node', '-at'], name='health_by_node'), models.Index(condition=models.Q(('state__in', ['degraded', 'down'])), fields=['at'], name='health_faults')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='healthentry',
            trigger=pgtrigger.compiler.Trigger(name='health_entry_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='676efb40a33e0459ea30987736ae8d8ffb3ae7a2', operation='UPDATE OR DELETE', pgid='pgtrigger_health_entry_append_only_23d38', table='inventory_healthentry', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='healthreport',
            index=models.Index(condition=models.Q(('withdrawn_at__isnull', True)), fields=['node'], name='health_report_standing'),
        ),
        migrations.AddConstraint(
            model_name='healthreport',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['jittering', 'degraded', 'down'])), name='health_report_says_what_is_wrong'),
        ),
        migrations.AddConstraint(
            model_name='healthreport',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='health_report_has_a_reason'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='healthreport',
            trigger=pgtrigger.compiler.Trigger(name='health_report_as_made', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."card_index" IS DISTINCT FROM (NEW."card_index") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."node_id" IS DISTINCT FROM (NEW."node_id") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."reported_by" IS DISTINCT FROM (NEW."reported_by") OR OLD."state" IS DISTINCT FROM (NEW."state"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='44476f7149dd579a361b54a9152aca6faa71353c', operation='UPDATE', pgid='pgtrigger_health_report_as_made_fc9cc', table='inventory_healthreport', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='meterdispute',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['allocation', 'hour'], name='meter_dispute_open'),
        ),
        migrations.AddIndex(
            model_name='meterdispute',
            index=models.Index(fields=['provider', '-id'], name='meter_dispute_by_provider'),
        ),
        migrations.AddIndex(
            model_name='meterdispute',
            index=models.Index(fields=['tenant', '-id'], name='meter_dispute_by_tenant'),
        ),
        migrations.AddConstraint(
            model_name='meterdispute',
            constraint=models.UniqueConstraint(fields=('allocation', 'hour'), name='one_dispute_an_hour'),
        ),
        migrations.AddConstraint(
            model_name='meterdispute',
            constraint=models.CheckConstraint(condition=models.Q(('history_card_seconds__gte', 0), ('owed_card_seconds__gte', models.F('telemetry_card_seconds')), ('telemetry_card_seconds__gte', 0), ('tolerance_card_seconds__gte', 0)), name='meter_dispute_counts_sane'),
        ),
        migrations.AddConstraint(
            model_name='meterdispute',
            constraint=models.CheckConstraint(condition=models.Q(('telemetry_card_seconds__gt', django.db.models.expressions.CombinedExpression(models.F('history_card_seconds'), '+', models.F('tolerance_card_seconds'))), ('history_card_seconds__gt', django.db.models.expressions.CombinedExpression(models.F('telemetry_card_seconds'), '+', models.F('tolerance_card_seconds'))), _connector='OR'), name='meter_dispute_differs'),
        ),
        migrations.AddConstraint(
            model_name='meterdispute',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_by__isnull', True), ('evidence', ''), ('reason', ''), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), models.Q(('reason', ''), _negated=True), models.Q(('evidence', ''), _negated=True), ('decided_by__isnull', False)), _connector='OR'), name='meter_dispute_decided_by_a_person'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='meterdispute',
            trigger=pgtrigger.compiler.Trigger(name='meter_dispute_as_read', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."history_card_seconds" IS DISTINCT FROM (NEW."history_card_seconds") OR OLD."hour" IS DISTINCT FROM (NEW."hour") OR OLD."owed_card_seconds" IS DISTINCT FROM (NEW."owed_card_seconds") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."telemetry_card_seconds" IS DISTINCT FROM (NEW."telemetry_card_seconds") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."tolerance_card_seconds" IS DISTINCT FROM (NEW."tolerance_card_seconds"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='290c500c32c5456d1c5c4e0d710f2cbbfe8c7b62', operation='UPDATE', pgid='pgtrigger_meter_dispute_as_read_78358', table='inventory_meterdispute', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='meterdispute',
            trigger=pgtrigger.compiler.Trigger(name='meterdispute_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{open:for_tenant,open:for_provider}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='6a5520ba169caabbd4fa5ece6d6480002117f644', operation='UPDATE', pgid='pgtrigger_meterdispute_lifecycle_887fd', table='inventory_meterdispute', when='BEFORE')),
        ),
        migrations.CreateModel(
            name='FaultRate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('generation', models.CharField(max_length=40)),
                ('fault_count', models.IntegerField()),
                ('card_seconds', models.BigIntegerField()),
                ('per_million', models.FloatField()),
                ('low_per_million', models.FloatField()),
                ('high_per_million', models.FloatField()),
                ('counted_at', models.DateTimeField()),
                ('centre', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='fault_rates', to='inventory.centre')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('centre', 'generation'), name='one_fault_rate'),
                    models.CheckConstraint(condition=models.Q(('card_seconds__gt', 0), ('fault_count__gte', 0), ('high_per_million__gte', models.F('per_million')), ('low_per_million__lte', models.F('per_million'))), name='fault_rate_within_its_limits'),
                ],
            },
        ),
        run('meters'),
        run('partitions'),
        migrations.RunSQL(
            "SELECT ensure_partitions(now() - interval '24 months', now() + interval '24 months')",
            migrations.RunSQL.noop,
        ),
        grants.give(
            {
                'inventory_readingcursor': 'UPDATE (read_until)',
                'inventory_meterdispute': 'UPDATE (state, reason, evidence, decided_by_id,'
                ' for_tenant_at, for_provider_at)',
                'inventory_nodehealth': 'UPDATE (state, source, evidence, since, checked_at, cards,'
                ' memory, outage_id)',
                'inventory_faultrate': 'UPDATE (fault_count, card_seconds, per_million,'
                ' low_per_million, high_per_million, counted_at)',
                'inventory_healthreport': 'UPDATE (withdrawn_at)',
                'inventory_pool': 'UPDATE (maintenance_notice_seconds)',
            }
        ),
        grants.rules_always_hold(),
    ]
