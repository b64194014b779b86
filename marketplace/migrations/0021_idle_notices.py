"""A tenant is told of leased cards that hardly work."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import inventory.identifiers
from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0013_telemetry'),
        ('marketplace', '0020_incidents_cases_notifications'),
    ]

    operations = [
        migrations.CreateModel(
            name='IdleNotice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='idl', unique=True)),
                ('state', models.CharField(choices=[('raised', 'raised'), ('kept', 'kept'), ('over', 'over')], default='raised', max_length=8)),
                ('since', models.DateTimeField()),
                ('hour_count', models.PositiveSmallIntegerField()),
                ('card_count', models.PositiveIntegerField()),
                ('measured_count', models.PositiveIntegerField()),
                ('busy_permille', models.PositiveSmallIntegerField()),
                ('created_at', models.DateTimeField()),
                ('kept_at', models.DateTimeField(blank=True, null=True)),
                ('over_at', models.DateTimeField(blank=True, null=True)),
                ('lease', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='idle_notices', to='marketplace.lease')),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'over'), _negated=True), fields=('lease',), name='one_idle_notice_of_a_lease'), models.CheckConstraint(condition=models.Q(('card_count__gte', 1), ('measured_count__gte', models.F('card_count'))), name='idle_cards_are_measured_ones')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='idlenotice',
            trigger=pgtrigger.compiler.Trigger(name='idlenotice_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{raised:kept,raised:over,kept:over}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='dddd5857d6419da24687c723b188308fdead00e2', operation='UPDATE', pgid='pgtrigger_idlenotice_lifecycle_414b6', table='marketplace_idlenotice', when='BEFORE')),
        ),
        grants.give({'marketplace_idlenotice': 'UPDATE (state, kept_at, over_at)'}),
        grants.rules_always_hold(),
    ]
