"""How each lease is sold: who invoices, who is paid, and what of it is booked."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0008_refusals_let_go'),
        ('marketplace', '0015_payment_schedules'),
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
            name='fee_vat_bps',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='lease',
            name='selling',
            field=models.CharField(choices=[('agency', 'agency'), ('resale', 'resale'), ('direct', 'direct')], default='agency', max_length=10),
        ),
        migrations.AddField(
            model_name='reservation',
            name='selling',
            field=models.CharField(choices=[('agency', 'agency'), ('resale', 'resale'), ('direct', 'direct')], default='agency', max_length=10),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lease',
            trigger=pgtrigger.compiler.Trigger(name='lease_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."fee_vat_bps" IS DISTINCT FROM (NEW."fee_vat_bps") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."parent_id" IS DISTINCT FROM (NEW."parent_id") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."reservation_id" IS DISTINCT FROM (NEW."reservation_id") OR OLD."security_minor" IS DISTINCT FROM (NEW."security_minor") OR OLD."selling" IS DISTINCT FROM (NEW."selling") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='2eb940087ec0ab5ab9d7b31e4aab03c517f1f1bd', operation='UPDATE', pgid='pgtrigger_lease_as_agreed_36fbd', table='marketplace_lease', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reservation',
            trigger=pgtrigger.compiler.Trigger(name='reservation_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."approvals_needed" IS DISTINCT FROM (NEW."approvals_needed") OR OLD."basket_id" IS DISTINCT FROM (NEW."basket_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."decide_by" IS DISTINCT FROM (NEW."decide_by") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."fee_minor" IS DISTINCT FROM (NEW."fee_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."hold_deposit_minor" IS DISTINCT FROM (NEW."hold_deposit_minor") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."pay_by" IS DISTINCT FROM (NEW."pay_by") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."security_minor" IS DISTINCT FROM (NEW."security_minor") OR OLD."selling" IS DISTINCT FROM (NEW."selling") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."trial_pool_id" IS DISTINCT FROM (NEW."trial_pool_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count") OR OLD."vat_minor" IS DISTINCT FROM (NEW."vat_minor"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='529d0fe4f8104659b33f6d81ba7343dd4e749221', operation='UPDATE', pgid='pgtrigger_reservation_as_agreed_26469', table='marketplace_reservation', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='lease',
            constraint=models.CheckConstraint(condition=models.Q(('selling', 'direct'), ('fee_vat_bps', 0), _connector='OR'), name='lease_fee_bears_vat_only_where_direct'),
        ),
    ]
