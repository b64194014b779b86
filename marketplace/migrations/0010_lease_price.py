"""A lease's prices over time."""

import django.db.models.deletion
import django.db.models.lookups
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ("marketplace", "0009_amendments"),
    ]

    operations = [
        migrations.CreateModel(
            name='LeasePrice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_at', models.DateTimeField()),
                ('discount_bps', models.PositiveIntegerField(default=0)),
                ('created_at', models.DateTimeField()),
                ('lease', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='marketplace.lease')),
                ('price', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.priceversion')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('lease', 'from_at'), name='one_price_from_an_hour'), models.CheckConstraint(condition=django.db.models.lookups.Exact(models.Func(models.F('from_at'), output_field=models.DecimalField(), template='mod(extract(epoch FROM %(expressions)s), 3600)'), 0), name='price_begins_on_an_hour')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='leaseprice',
            trigger=pgtrigger.compiler.Trigger(name='lease_price_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='0854c0115367dae581d0eb08c56cb18dcbad66a9', operation='UPDATE OR DELETE', pgid='pgtrigger_lease_price_append_only_6a474', table='marketplace_leaseprice', when='BEFORE')),
        ),
        grants.rules_always_hold(),
    ]
