"""Months ahead and in arrears, the days of dunning, and what a part of a month costs."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('marketplace', '0014_price_amendments'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='lease',
            name='lease_as_agreed',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='reservation',
            name='reservation_as_agreed',
        ),
        migrations.AddField(
            model_name='lease',
            name='security_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='advance_months',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='grace_days',
            field=models.PositiveSmallIntegerField(default=5),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='net_days',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='notice_days',
            field=models.PositiveSmallIntegerField(default=5),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='pro_rata',
            field=models.CharField(choices=[('time', 'by actual time'), ('day', 'by calendar day'), ('thirty', 'by days of a 30-day month')], default='time', max_length=8),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='security_months',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='suspension_days',
            field=models.PositiveSmallIntegerField(default=15),
        ),
        migrations.AddField(
            model_name='reservation',
            name='security_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='priceversion',
            name='schedule',
            field=models.CharField(choices=[('prepaid', 'prepaid'), ('deposit_hourly', 'deposit and hourly'), ('advance', 'security and months ahead'), ('arrears', 'monthly in arrears')], default='prepaid', max_length=16),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lease',
            trigger=pgtrigger.compiler.Trigger(name='lease_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."parent_id" IS DISTINCT FROM (NEW."parent_id") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."reservation_id" IS DISTINCT FROM (NEW."reservation_id") OR OLD."security_minor" IS DISTINCT FROM (NEW."security_minor") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='a9d88bacc13cf932d043d9ca1e181bcea55b95d6', operation='UPDATE', pgid='pgtrigger_lease_as_agreed_36fbd', table='marketplace_lease', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reservation',
            trigger=pgtrigger.compiler.Trigger(name='reservation_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."approvals_needed" IS DISTINCT FROM (NEW."approvals_needed") OR OLD."basket_id" IS DISTINCT FROM (NEW."basket_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."decide_by" IS DISTINCT FROM (NEW."decide_by") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."fee_minor" IS DISTINCT FROM (NEW."fee_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."hold_deposit_minor" IS DISTINCT FROM (NEW."hold_deposit_minor") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."pay_by" IS DISTINCT FROM (NEW."pay_by") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."security_minor" IS DISTINCT FROM (NEW."security_minor") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."trial_pool_id" IS DISTINCT FROM (NEW."trial_pool_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count") OR OLD."vat_minor" IS DISTINCT FROM (NEW."vat_minor"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='878553347739ce535531ba1f0e68d67cabb389c4', operation='UPDATE', pgid='pgtrigger_reservation_as_agreed_26469', table='marketplace_reservation', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='priceversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('advance_months__gte', 1), ('net_days', 0), ('schedule', 'advance')), models.Q(('advance_months', 0), ('schedule', 'arrears')), models.Q(('advance_months', 0), ('net_days', 0), ('schedule__in', ['prepaid', 'deposit_hourly']), ('security_months', 0)), _connector='OR'), name='price_schedule_has_its_parameters'),
        ),
        grants.rules_always_hold(),
    ]
