"""Trials: once per tenant and pool, at a price of their own."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ("marketplace", "0012_basket"),
        ("inventory", "0003_conversions"),
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
        migrations.RemoveConstraint(
            model_name='priceversion',
            name='price_is_positive_and_sane',
        ),
        migrations.AddField(
            model_name='lease',
            name='kind',
            field=models.CharField(choices=[('regular', 'regular'), ('trial', 'trial')], default='regular', max_length=8),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='purpose',
            field=models.CharField(choices=[('listed', 'listed'), ('trial', 'trial'), ('agreed', 'agreed')], default='listed', max_length=8),
        ),
        migrations.AddField(
            model_name='reservation',
            name='kind',
            field=models.CharField(choices=[('regular', 'regular'), ('trial', 'trial')], default='regular', max_length=8),
        ),
        migrations.AddField(
            model_name='reservation',
            name='trial_pool',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.pool'),
        ),
        migrations.AlterField(
            model_name='priceversion',
            name='listing',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='marketplace.listing'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lease',
            trigger=pgtrigger.compiler.Trigger(name='lease_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."parent_id" IS DISTINCT FROM (NEW."parent_id") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."reservation_id" IS DISTINCT FROM (NEW."reservation_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='34dc68057868028b471f4977b886d59a821eb610', operation='UPDATE', pgid='pgtrigger_lease_as_agreed_36fbd', table='marketplace_lease', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reservation',
            trigger=pgtrigger.compiler.Trigger(name='reservation_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."approvals_needed" IS DISTINCT FROM (NEW."approvals_needed") OR OLD."basket_id" IS DISTINCT FROM (NEW."basket_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."decide_by" IS DISTINCT FROM (NEW."decide_by") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."fee_minor" IS DISTINCT FROM (NEW."fee_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."hold_deposit_minor" IS DISTINCT FROM (NEW."hold_deposit_minor") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."pay_by" IS DISTINCT FROM (NEW."pay_by") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."trial_pool_id" IS DISTINCT FROM (NEW."trial_pool_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count") OR OLD."vat_minor" IS DISTINCT FROM (NEW."vat_minor"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='26ad7a0cca6dfe7ef19cd7330e442c21fe82034d', operation='UPDATE', pgid='pgtrigger_reservation_as_agreed_26469', table='marketplace_reservation', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='priceversion',
            constraint=models.CheckConstraint(condition=models.Q(('amount_micro__lte', 1000000000000000000), models.Q(('amount_micro__gt', 0), models.Q(('amount_micro', 0), ('purpose', 'trial')), _connector='OR')), name='price_is_positive_and_sane'),
        ),
        migrations.AddConstraint(
            model_name='priceversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('listing__isnull', False), ('purpose', 'listed')), models.Q(models.Q(('purpose', 'listed'), _negated=True), ('listing__isnull', True)), _connector='OR'), name='price_listed_has_its_listing'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'trial'), ('state__in', ['held', 'confirmed'])), fields=('tenant', 'trial_pool'), name='one_trial_per_tenant_and_pool'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'trial'), ('trial_pool__isnull', False)), models.Q(models.Q(('kind', 'trial'), _negated=True), ('trial_pool__isnull', True)), _connector='OR'), name='trial_names_its_pool'),
        ),
        grants.rules_always_hold(),
    ]
