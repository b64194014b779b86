"""How each lease is sold: who invoices, who is paid, and what of it is booked."""

import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import inventory.identifiers


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0036_stripe_rights'),
        ('inventory', '0008_refusals_let_go'),
        ('marketplace', '0018_selling_modes'),
    ]

    operations = [
        migrations.CreateModel(
            name='DirectReceipt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='drc', unique=True)),
                ('reference', models.CharField(max_length=80)),
                ('amount_minor', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('received_date', models.DateField()),
                ('actor', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField()),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='settlement',
            name='settlement_as_booked',
        ),
        migrations.RemoveConstraint(
            model_name='charge',
            name='charge_is_paid_to_the_minor_unit',
        ),
        migrations.RemoveConstraint(
            model_name='charge',
            name='charge_is_booked',
        ),
        migrations.RemoveConstraint(
            model_name='settlement',
            name='settlement_splits_to_the_minor_unit',
        ),
        migrations.AddField(
            model_name='charge',
            name='fee_vat_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='charge',
            name='selling',
            field=models.CharField(choices=[('agency', 'agency'), ('resale', 'resale'), ('direct', 'direct')], default='agency', max_length=10),
        ),
        migrations.AddField(
            model_name='charge',
            name='direct_minor',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='settlement',
            name='direct_minor',
            field=models.BigIntegerField(default=0),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='settlement',
            trigger=pgtrigger.compiler.Trigger(name='settlement_as_booked', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."card_seconds" IS DISTINCT FROM (NEW."card_seconds") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."direct_minor" IS DISTINCT FROM (NEW."direct_minor") OR OLD."due_date" IS DISTINCT FROM (NEW."due_date") OR OLD."fee_minor" IS DISTINCT FROM (NEW."fee_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."ledger_transaction_id" IS DISTINCT FROM (NEW."ledger_transaction_id") OR OLD."line_count" IS DISTINCT FROM (NEW."line_count") OR OLD."net_minor" IS DISTINCT FROM (NEW."net_minor") OR OLD."paid_back_minor" IS DISTINCT FROM (NEW."paid_back_minor") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."reserve_minor" IS DISTINCT FROM (NEW."reserve_minor") OR OLD."reserve_until" IS DISTINCT FROM (NEW."reserve_until") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."vat_minor" IS DISTINCT FROM (NEW."vat_minor"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='2f635fbe416cfce2063671208cfcadd5ef38931a', operation='UPDATE', pgid='pgtrigger_settlement_as_booked_caddf', table='billing_settlement', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.CheckConstraint(condition=models.Q(('gross_minor', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('deposit_minor'), '+', models.F('wallet_minor')), '+', models.F('receivable_minor')), '+', models.F('arrears_minor')), '+', models.F('direct_minor')))), name='charge_is_paid_to_the_minor_unit'),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(models.Q(('selling', 'direct'), _negated=True), ('direct_minor', 0), ('fee_vat_minor', 0)), models.Q(('direct_minor', models.F('gross_minor')), ('selling', 'direct')), _connector='OR'), name='charge_is_paid_by_its_way_of_selling'),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.CheckConstraint(condition=models.Q(('ledger_transaction__isnull', False), models.Q(('fee_minor', 0), ('gross_minor', 0), ('provider_minor', 0), ('vat_minor', 0)), models.Q(('fee_minor', 0), ('fee_vat_minor', 0), ('selling', 'direct')), _connector='OR'), name='charge_is_booked'),
        ),
        migrations.AddConstraint(
            model_name='settlement',
            constraint=models.CheckConstraint(condition=models.Q(('gross_minor', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('net_minor'), '+', models.F('fee_minor')), '+', models.F('vat_minor')), '+', models.F('direct_minor')))), name='settlement_splits_to_the_minor_unit'),
        ),
        migrations.AddField(
            model_name='directreceipt',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='directreceipt',
            name='reservation',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='direct_receipt', to='marketplace.reservation'),
        ),
        migrations.AddField(
            model_name='directreceipt',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation'),
        ),
        migrations.AddField(
            model_name='charge',
            name='accrued_minor',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(selling='direct', then=django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('provider_minor'), '+', models.F('vat_minor')), '-', models.F('gross_minor')), '-', models.F('fee_vat_minor'))), default=models.F('provider_minor'), output_field=models.BigIntegerField()), output_field=models.BigIntegerField()),
        ),
        migrations.AddConstraint(
            model_name='directreceipt',
            constraint=models.UniqueConstraint(fields=('provider', 'reference'), name='direct_receipt_reference_once'),
        ),
        migrations.AddConstraint(
            model_name='directreceipt',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gte', 0)), name='direct_receipt_not_negative'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='directreceipt',
            trigger=pgtrigger.compiler.Trigger(name='direct_receipt_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='773438f65b6464212dd6a16816bb232aa17e5cfc', operation='UPDATE OR DELETE', pgid='pgtrigger_direct_receipt_append_only_9dfe4', table='billing_directreceipt', when='BEFORE')),
        ),
    ]
