"""What is counted of every pool by hour and day; kept by a sweep, that alone changes it."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0006_usage_by_recording'),
        ('marketplace', '0004_delivery'),
    ]

    operations = [
        migrations.CreateModel(
            name='PoolHours',
            fields=[
                ('pk', models.CompositePrimaryKey('day', 'pool', blank=True, editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('installed', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('serviceable', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('listed', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('sold', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('delivered', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('listed_down', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('sold_down', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('measured', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('busy', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('sold_end_user', models.BigIntegerField()),
                ('sold_provider', models.BigIntegerField()),
                ('sold_reseller', models.BigIntegerField()),
                ('delivered_end_user', models.BigIntegerField()),
                ('delivered_provider', models.BigIntegerField()),
                ('delivered_reseller', models.BigIntegerField()),
                ('counted_at', models.DateTimeField()),
                ('pool', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.pool')),
            ],
        ),
        migrations.CreateModel(
            name='RollupCursor',
            fields=[
                ('pool', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='rollup_cursor', serialize=False, to='inventory.pool')),
                ('counted_through', models.DateField(blank=True, null=True)),
                ('dirty_since', models.DateField(blank=True, null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('dirty_since__isnull', False)), fields=['dirty_since'], name='rollup_dirty')],
            },
        ),
        migrations.CreateModel(
            name='RollupMark',
            fields=[
                ('id', models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ('event_xid', models.CharField(max_length=20)),
                ('event_id', models.BigIntegerField()),
                ('usage_xid', models.CharField(max_length=20)),
                ('usage_at', models.DateTimeField(blank=True, null=True)),
                ('counted_until', models.DateTimeField(blank=True, null=True)),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('checked_count', models.IntegerField(default=0)),
                ('fault_count', models.IntegerField(default=0)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='rollup_mark_once')],
            },
        ),
        migrations.CreateModel(
            name='PoolReading',
            fields=[
                ('pk', models.CompositePrimaryKey('day', 'pool', blank=True, editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('installed', models.BigIntegerField()),
                ('serviceable', models.BigIntegerField()),
                ('listed', models.BigIntegerField()),
                ('sold', models.BigIntegerField()),
                ('delivered', models.BigIntegerField()),
                ('listed_down', models.BigIntegerField()),
                ('sold_down', models.BigIntegerField()),
                ('measured', models.BigIntegerField()),
                ('busy', models.BigIntegerField()),
                ('sold_end_user', models.BigIntegerField()),
                ('sold_provider', models.BigIntegerField()),
                ('sold_reseller', models.BigIntegerField()),
                ('delivered_end_user', models.BigIntegerField()),
                ('delivered_provider', models.BigIntegerField()),
                ('delivered_reseller', models.BigIntegerField()),
                ('weekday_serviceable', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('weekday_sold', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('pool', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.pool')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('busy__gte', 0), ('busy__lte', models.F('measured')), ('delivered__lte', models.F('sold')), ('listed__lte', models.F('serviceable')), ('measured__lte', models.F('delivered')), ('serviceable__lte', models.F('installed')), ('sold__lte', models.F('listed'))), name='reading_is_a_funnel')],
            },
        ),
        migrations.RunSQL(
            "INSERT INTO marketplace_rollupmark (id, event_xid, event_id, usage_xid, checked_count,"
            " fault_count) VALUES (1, '0', 0, '0', 0, 0);"
            # The present days are written again and again, in place where their page has room.
            " ALTER TABLE marketplace_poolhours SET (fillfactor = 80);"
            " ALTER TABLE marketplace_poolreading SET (fillfactor = 80)",
            migrations.RunSQL.noop,
        ),
        grants.give(
            {
                "marketplace_poolhours": "UPDATE",
                "marketplace_poolreading": "UPDATE",
                "marketplace_rollupcursor": "UPDATE (counted_through, dirty_since)",
                "marketplace_rollupmark": "UPDATE (event_xid, event_id, usage_xid, usage_at,"
                " counted_until, checked_at, checked_count, fault_count)",
            }
        ),
    ]
