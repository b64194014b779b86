"""What exporters report: feeds, their keys, whose their series are, and hours of nodes."""

from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import inventory.identifiers
from inventory import grants

SQL = Path(__file__).resolve().parent.parent / 'sql'


def run(name):
    return migrations.RunSQL((SQL / f'{name}.sql').read_text(encoding='utf-8'), migrations.RunSQL.noop, elidable=False)


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0012_suspension'),
    ]

    operations = [
        migrations.CreateModel(
            name='TelemetryHour',
            fields=[
                ('pk', models.CompositePrimaryKey('node_id', 'hour', blank=True, editable=False, primary_key=True, serialize=False)),
                ('node_id', models.BigIntegerField()),
                ('hour', models.DateTimeField()),
                ('card_count', models.PositiveSmallIntegerField()),
                ('seen_slots', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None)),
                ('unhealthy_slots', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None)),
                ('busy_slots', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None)),
                ('busy_permille_sum', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('memory_slots', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None)),
                ('memory_permille_sum', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('power_slots', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None)),
                ('power_watt_sum', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('temperature_max', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None)),
                ('last_error', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('error_slots', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None)),
                ('link_down_slots', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), size=None)),
                ('slots', models.BinaryField()),
                ('fact_slots', models.BinaryField()),
                ('replica', models.TextField()),
                ('recorded_at', models.DateTimeField()),
                ('sealed_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'inventory_telemetryhour',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='TelemetrySource',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='tms', unique=True)),
                ('name', models.CharField(max_length=80)),
                ('kind', models.CharField(choices=[('push', 'remote write'), ('pull', 'query')], default='push', max_length=4)),
                ('replica_label', models.CharField(default='prometheus_replica', max_length=80)),
                ('replica', models.CharField(blank=True, max_length=200)),
                ('replica_until', models.DateTimeField(blank=True, null=True)),
                ('samples_per_second', models.PositiveIntegerField(default=50000)),
                ('query_url', models.CharField(blank=True, max_length=300)),
                ('query_secret', models.BinaryField(blank=True, null=True)),
                ('pulled_until', models.DateTimeField(blank=True, null=True)),
                ('next_pull_at', models.DateTimeField(blank=True, null=True)),
                ('claim_token', models.UUIDField(blank=True, null=True)),
                ('claimed_until', models.DateTimeField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=300)),
                ('stored_count', models.BigIntegerField(default=0)),
                ('repeated_count', models.BigIntegerField(default=0)),
                ('unused_count', models.BigIntegerField(default=0)),
                ('unknown_count', models.BigIntegerField(default=0)),
                ('late_count', models.BigIntegerField(default=0)),
                ('early_count', models.BigIntegerField(default=0)),
                ('void_count', models.BigIntegerField(default=0)),
                ('last_seen_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('centre', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='telemetry_sources', to='inventory.centre')),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='telemetry_sources', to='inventory.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='TelemetryKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='tmk', unique=True)),
                ('lookup', models.CharField(max_length=8, unique=True)),
                ('secret_sha256', models.BinaryField(max_length=32)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='inventory.telemetrysource')),
            ],
        ),
        migrations.CreateModel(
            name='SeriesBinding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='tsb', unique=True)),
                ('identity', models.CharField(choices=[('serial', 'serial number'), ('card_uuid', 'card UUID'), ('hostname', 'hostname')], max_length=10)),
                ('value', models.CharField(max_length=200)),
                ('card_index', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('bound_by', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField()),
                ('removed_at', models.DateTimeField(blank=True, null=True)),
                ('node', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='series_bindings', to='inventory.node')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bindings', to='inventory.telemetrysource')),
            ],
        ),
        migrations.CreateModel(
            name='UnknownSeries',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('identity', models.CharField(choices=[('serial', 'serial number'), ('card_uuid', 'card UUID'), ('hostname', 'hostname')], max_length=10)),
                ('value', models.CharField(max_length=200)),
                ('card', models.CharField(blank=True, max_length=80)),
                ('labels', models.JSONField(default=dict)),
                ('sample_count', models.BigIntegerField(default=0)),
                ('first_seen_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='unknown', to='inventory.telemetrysource')),
            ],
        ),
        migrations.AddIndex(
            model_name='telemetrysource',
            index=models.Index(condition=models.Q(('closed_at__isnull', True), ('kind', 'pull')), fields=['next_pull_at'], name='telemetry_pull_due'),
        ),
        migrations.AddConstraint(
            model_name='telemetrysource',
            constraint=models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('centre', 'name'), name='telemetry_source_name_once'),
        ),
        migrations.AddConstraint(
            model_name='telemetrysource',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'push'), ('query_url', '')), models.Q(('kind', 'pull'), models.Q(('query_url', ''), _negated=True)), _connector='OR'), name='telemetry_pull_has_an_address'),
        ),
        migrations.AddConstraint(
            model_name='telemetrysource',
            constraint=models.CheckConstraint(condition=models.Q(('samples_per_second__gte', 1)), name='telemetry_rate_positive'),
        ),
        migrations.AddIndex(
            model_name='telemetrykey',
            index=models.Index(condition=models.Q(('revoked_at__isnull', True)), fields=['source'], name='telemetry_key_live'),
        ),
        migrations.AddConstraint(
            model_name='seriesbinding',
            constraint=models.UniqueConstraint(condition=models.Q(('removed_at__isnull', True)), fields=('source', 'identity', 'value'), name='series_bound_once'),
        ),
        migrations.AddConstraint(
            model_name='seriesbinding',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('identity', 'card_uuid'), _negated=True), ('card_index__isnull', False), _connector='OR'), name='card_uuid_names_a_card'),
        ),
        migrations.AddConstraint(
            model_name='unknownseries',
            constraint=models.UniqueConstraint(fields=('source', 'identity', 'value', 'card'), name='unknown_series_once'),
        ),
        run('telemetry'),
        # The function as it is now; a new database has it already, but had no such table then.
        run('partitions'),
        migrations.RunSQL(
            "SELECT ensure_partitions(now() - interval '24 months', now() + interval '24 months')",
            migrations.RunSQL.noop,
        ),
        grants.give(
            {
                'inventory_telemetryhour': 'UPDATE (recorded_at, sealed_at, seen_slots,'
                ' unhealthy_slots, busy_slots, busy_permille_sum, memory_slots,'
                ' memory_permille_sum, power_slots, power_watt_sum, temperature_max, last_error,'
                ' error_slots, link_down_slots, slots, fact_slots, replica)',
                'inventory_telemetrysource': 'UPDATE (replica_label, replica, replica_until,'
                ' samples_per_second, query_url, query_secret, pulled_until, next_pull_at,'
                ' claim_token, claimed_until, last_error, stored_count, repeated_count,'
                ' unused_count, unknown_count, late_count, early_count, void_count, last_seen_at,'
                ' closed_at)',
                'inventory_telemetrykey': 'UPDATE (expires_at, revoked_at)',
                'inventory_seriesbinding': 'UPDATE (removed_at)',
                'inventory_unknownseries': 'UPDATE (labels, sample_count, last_seen_at), DELETE',
            }
        ),
        grants.rules_always_hold(),
    ]
