"""Amendments that change a lease's price from an hour on; no lease has another price without one."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0007_open_ranges'),
        ('marketplace', '0013_trials'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='amendment',
            name='amendment_as_proposed',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='lease',
            name='lease_as_amended',
        ),
        migrations.AddField(
            model_name='amendment',
            name='price_amount_micro',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='amendment',
            name='price_basis',
            field=models.CharField(blank=True, choices=[('card_hour', 'card-hour'), ('node_hour', 'node-hour'), ('node_month', 'node and calendar month')], max_length=12),
        ),
        migrations.AddField(
            model_name='amendment',
            name='price_from_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='amendment',
            name='price_tax_inclusive',
            field=models.BooleanField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='amendment',
            name='replaces',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.leaseprice'),
        ),
        migrations.AddField(
            model_name='leaseprice',
            name='amendment',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='segment', to='marketplace.amendment'),
        ),
        migrations.AlterField(
            model_name='amendment',
            name='kind',
            field=models.CharField(choices=[('extend', 'extended by the terms'), ('leave', 'left early by the terms'), ('withdraw', 'withdrawn by the provider, by the terms'), ('end', 'another end'), ('units', 'more units'), ('price', 'another price')], max_length=8),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='amendment',
            trigger=pgtrigger.compiler.Trigger(name='amendment_as_proposed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."added_due_minor" IS DISTINCT FROM (NEW."added_due_minor") OR OLD."added_from_at" IS DISTINCT FROM (NEW."added_from_at") OR OLD."added_gross_minor" IS DISTINCT FROM (NEW."added_gross_minor") OR OLD."added_units" IS DISTINCT FROM (NEW."added_units") OR OLD."before_due_minor" IS DISTINCT FROM (NEW."before_due_minor") OR OLD."before_gross_minor" IS DISTINCT FROM (NEW."before_gross_minor") OR OLD."before_period" IS DISTINCT FROM (NEW."before_period") OR OLD."compensation_minor" IS DISTINCT FROM (NEW."compensation_minor") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."kept_fee_minor" IS DISTINCT FROM (NEW."kept_fee_minor") OR OLD."kept_gross_minor" IS DISTINCT FROM (NEW."kept_gross_minor") OR OLD."kept_provider_minor" IS DISTINCT FROM (NEW."kept_provider_minor") OR OLD."kept_vat_minor" IS DISTINCT FROM (NEW."kept_vat_minor") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."lease_id" IS DISTINCT FROM (NEW."lease_id") OR OLD."pay_minor" IS DISTINCT FROM (NEW."pay_minor") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."previous_id" IS DISTINCT FROM (NEW."previous_id") OR OLD."price_amount_micro" IS DISTINCT FROM (NEW."price_amount_micro") OR OLD."price_basis" IS DISTINCT FROM (NEW."price_basis") OR OLD."price_from_at" IS DISTINCT FROM (NEW."price_from_at") OR OLD."price_tax_inclusive" IS DISTINCT FROM (NEW."price_tax_inclusive") OR OLD."proposed_by" IS DISTINCT FROM (NEW."proposed_by") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."refund_minor" IS DISTINCT FROM (NEW."refund_minor") OR OLD."replaces_id" IS DISTINCT FROM (NEW."replaces_id") OR OLD."share_bps" IS DISTINCT FROM (NEW."share_bps") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='6da39a20bce08cd93a89c97a342f1472c4224cff', operation='UPDATE', pgid='pgtrigger_amendment_as_proposed_123b2', table='marketplace_amendment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lease',
            trigger=pgtrigger.compiler.Trigger(name='lease_as_amended', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."amendment_id" IS DISTINCT FROM (NEW."amendment_id") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."period" IS DISTINCT FROM (NEW."period"))', func="\n    IF NOT EXISTS (\n        SELECT FROM marketplace_amendment a\n        WHERE a.id = NEW.amendment_id AND a.lease_id = NEW.id AND a.state = 'signed'\n          AND NEW.amendment_id IS DISTINCT FROM OLD.amendment_id\n          AND a.previous_id IS NOT DISTINCT FROM OLD.amendment_id\n          AND a.before_period = OLD.period AND a.period = NEW.period\n          AND a.before_gross_minor = OLD.gross_minor AND a.gross_minor = NEW.gross_minor\n          AND a.before_due_minor = OLD.due_minor AND a.due_minor = NEW.due_minor\n          AND (a.kind = 'price') = EXISTS (\n              SELECT FROM marketplace_leaseprice p WHERE p.amendment_id = a.id)\n    ) THEN\n        RAISE EXCEPTION 'a lease changes by a signed amendment only';\n    END IF;\n    RETURN NEW;\n", hash='a86182c35a256b887dcc9f267b55a439f74c45cc', operation='UPDATE', pgid='pgtrigger_lease_as_amended_08c9f', table='marketplace_lease', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='leaseprice',
            trigger=pgtrigger.compiler.Trigger(name='lease_price_as_amended', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    IF NEW.amendment_id IS NULL THEN\n        IF EXISTS (SELECT FROM marketplace_leaseprice p WHERE p.lease_id = NEW.lease_id) THEN\n            RAISE EXCEPTION 'a lease has another price by a signed amendment only';\n        END IF;\n        RETURN NEW;\n    END IF;\n    IF NOT EXISTS (\n        SELECT FROM marketplace_amendment a\n        JOIN marketplace_priceversion v ON v.id = NEW.price_id\n        WHERE a.id = NEW.amendment_id AND a.lease_id = NEW.lease_id\n          AND a.kind = 'price' AND a.state = 'signed' AND a.price_from_at = NEW.from_at\n          AND v.purpose = 'agreed' AND NEW.discount_bps = 0\n          AND (v.basis, v.amount_micro, v.tax_inclusive)\n            = (a.price_basis, a.price_amount_micro, a.price_tax_inclusive)\n    ) THEN\n        RAISE EXCEPTION 'a lease has another price by a signed amendment only';\n    END IF;\n    RETURN NEW;\n", hash='077b4908593bdda327f1b7935a058d151ba52955', operation='INSERT', pgid='pgtrigger_lease_price_as_amended_ed8c1', table='marketplace_leaseprice', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='amendment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'price'), ('period', models.F('before_period')), ('price_amount_micro__gte', 1), ('price_basis__in', ['card_hour', 'node_hour', 'node_month']), ('price_from_at__isnull', False), ('price_tax_inclusive__isnull', False), ('replaces__isnull', False)), models.Q(models.Q(('kind', 'price'), _negated=True), ('price_amount_micro__isnull', True), ('price_basis', ''), ('price_from_at__isnull', True), ('price_tax_inclusive__isnull', True), ('replaces__isnull', True)), _connector='OR'), name='amendment_says_what_it_asks'),
        ),
        grants.rules_always_hold(),
    ]
