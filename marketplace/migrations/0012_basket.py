"""Several reservations held and confirmed together."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import inventory.identifiers
from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ("marketplace", "0011_first_lease_prices"),
        ("inventory", "0002_capacity_sql"),
    ]

    operations = [
        migrations.CreateModel(
            name='Basket',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='bsk', unique=True)),
                ('state', models.CharField(choices=[('held', 'held'), ('confirmed', 'confirmed'), ('expired', 'expired'), ('cancelled', 'cancelled')], default='held', max_length=10)),
                ('expires_at', models.DateTimeField()),
                ('currency', models.CharField(max_length=3)),
                ('gross_minor', models.BigIntegerField()),
                ('due_minor', models.BigIntegerField()),
                ('hold_deposit_minor', models.BigIntegerField()),
                ('actor', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField()),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('expired_at', models.DateTimeField(blank=True, null=True)),
                ('cancelled_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='reservation',
            name='reservation_as_agreed',
        ),
        migrations.AddField(
            model_name='basket',
            name='project',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='inventory.project'),
        ),
        migrations.AddField(
            model_name='basket',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='reservation',
            name='basket',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reservations', to='marketplace.basket'),
        ),
        migrations.AddIndex(
            model_name='basket',
            index=models.Index(condition=models.Q(('state', 'held')), fields=['expires_at'], name='basket_due'),
        ),
        migrations.AddIndex(
            model_name='basket',
            index=models.Index(fields=['tenant', '-id'], name='basket_by_tenant'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='basket',
            trigger=pgtrigger.compiler.Trigger(name='basket_as_held', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."hold_deposit_minor" IS DISTINCT FROM (NEW."hold_deposit_minor") OR OLD."project_id" IS DISTINCT FROM (NEW."project_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='bf8a5d429f5ba5272f53ae5374abcc0609821ea5', operation='UPDATE', pgid='pgtrigger_basket_as_held_841c9', table='marketplace_basket', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='basket',
            trigger=pgtrigger.compiler.Trigger(name='basket_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{held:confirmed,held:expired,held:cancelled}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='1f5a6fef18ff81fcaf10235533edf87a2c66c89e', operation='UPDATE', pgid='pgtrigger_basket_lifecycle_1e7bd', table='marketplace_basket', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reservation',
            trigger=pgtrigger.compiler.Trigger(name='reservation_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."approvals_needed" IS DISTINCT FROM (NEW."approvals_needed") OR OLD."basket_id" IS DISTINCT FROM (NEW."basket_id") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."decide_by" IS DISTINCT FROM (NEW."decide_by") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."fee_minor" IS DISTINCT FROM (NEW."fee_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."hold_deposit_minor" IS DISTINCT FROM (NEW."hold_deposit_minor") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count") OR OLD."vat_minor" IS DISTINCT FROM (NEW."vat_minor"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='d102382b721b3bfa2dca06a02138f092326c67b6', operation='UPDATE', pgid='pgtrigger_reservation_as_agreed_26469', table='marketplace_reservation', when='BEFORE')),
        ),
        grants.give(
            {"marketplace_basket": "UPDATE (state, confirmed_at, expired_at, cancelled_at)"}
        ),
        grants.rules_always_hold(),
    ]
