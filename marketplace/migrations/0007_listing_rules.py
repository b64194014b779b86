"""Approvals, discounts, steps and trials of a listing, and what of them a deal freezes."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import inventory.identifiers
from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ("marketplace", "0006_hold_rules"),
        ("inventory", "0002_capacity_sql"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='apv', unique=True)),
                ('actor', models.CharField(max_length=80)),
                ('document_number', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='ApprovalRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField()),
                ('currency', models.CharField(default='CNY', max_length=3)),
                ('thresholds', models.JSONField()),
                ('actor', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField()),
            ],
        ),
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
            name='discount_bps',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='discounts',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='reservation',
            name='approvals_needed',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='reservation',
            name='decide_by',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='reservation',
            name='decided_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='reservation',
            name='decision',
            field=models.CharField(blank=True, choices=[('approved', 'approved'), ('rejected', 'rejected')], max_length=10),
        ),
        migrations.AddField(
            model_name='reservation',
            name='discount_bps',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='decide_hours',
            field=models.PositiveIntegerField(default=24),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='hour_step',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='maximum_units',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='trial_amount_micro',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='trial_convertible',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='trial_hours',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='trial_units',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='unit_step',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('decide_by__isnull', False), ('decision', ''), ('state', 'held')), fields=['decide_by'], name='reservation_undecided'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lease',
            trigger=pgtrigger.compiler.Trigger(name='lease_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."parent_id" IS DISTINCT FROM (NEW."parent_id") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."reservation_id" IS DISTINCT FROM (NEW."reservation_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='9cb6d8c54f217ededbc756fc74b9d32da564de77', operation='UPDATE', pgid='pgtrigger_lease_as_agreed_36fbd', table='marketplace_lease', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reservation',
            trigger=pgtrigger.compiler.Trigger(name='reservation_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."approvals_needed" IS DISTINCT FROM (NEW."approvals_needed") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."decide_by" IS DISTINCT FROM (NEW."decide_by") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."fee_minor" IS DISTINCT FROM (NEW."fee_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."hold_deposit_minor" IS DISTINCT FROM (NEW."hold_deposit_minor") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."pay_by" IS DISTINCT FROM (NEW."pay_by") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count") OR OLD."vat_minor" IS DISTINCT FROM (NEW."vat_minor"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='0e4a06167dcf5116648a8bf52e2a632dfe65e90e', operation='UPDATE', pgid='pgtrigger_reservation_as_agreed_26469', table='marketplace_reservation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reservation',
            trigger=pgtrigger.compiler.Trigger(name='reservation_decided_once', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN ((OLD."decided_at" IS NOT NULL AND OLD."decision" IS DISTINCT FROM (NEW."decision")) OR (OLD."decided_at" IS DISTINCT FROM (NEW."decided_at") AND OLD."decided_at" IS NOT NULL))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='051d20ef00eaf5bd5b85c0a0f1218c52ec340cac', operation='UPDATE', pgid='pgtrigger_reservation_decided_once_e08c3', table='marketplace_reservation', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('approvals_needed', 0), ('decide_by__isnull', True), ('decision', '')), models.Q(('approvals_needed__gte', 1), ('decide_by__isnull', False)), _connector='OR'), name='reservation_decided_only_by_approval'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decision', '')), models.Q(models.Q(('decision', ''), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='reservation_decision_has_its_instant'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'confirmed'), _negated=True), ('decide_by__isnull', True), ('decision', 'approved'), _connector='OR'), name='reservation_confirmed_only_when_approved'),
        ),
        migrations.AddConstraint(
            model_name='termsversion',
            constraint=models.CheckConstraint(condition=models.Q(('decide_hours__gte', 1), ('hour_step__gte', 1), ('unit_step__gte', 1)), name='terms_steps_positive'),
        ),
        migrations.AddConstraint(
            model_name='termsversion',
            constraint=models.CheckConstraint(condition=models.Q(('maximum_units__isnull', True), ('maximum_units__gte', models.F('minimum_units')), _connector='OR'), name='terms_units_in_order'),
        ),
        migrations.AddConstraint(
            model_name='termsversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('trial_amount_micro', 0), ('trial_hours', 0), ('trial_units', 0)), models.Q(('trial_amount_micro__gte', 0), ('trial_hours__gte', 1), ('trial_units__gte', 1)), _connector='OR'), name='terms_trial_whole_or_none'),
        ),
        migrations.AddField(
            model_name='approval',
            name='member',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='approval',
            name='reservation',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='approvals', to='marketplace.reservation'),
        ),
        migrations.AddField(
            model_name='approvalrule',
            name='provider',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='approval_rules', to='inventory.organisation'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.UniqueConstraint(fields=('reservation', 'member'), name='one_approval_per_member'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(('document_number', ''), _negated=True), name='approval_has_a_document'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='approval',
            trigger=pgtrigger.compiler.Trigger(name='approval_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='5c27c77f865f78baca01be43c2b36d14e95422a5', operation='UPDATE OR DELETE', pgid='pgtrigger_approval_append_only_81b83', table='marketplace_approval', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='approvalrule',
            constraint=models.UniqueConstraint(fields=('provider', 'version'), name='one_approval_rule_per_version'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='approvalrule',
            trigger=pgtrigger.compiler.Trigger(name='approval_rule_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='e9fca6036e4dfc9d8e12cd1e8e5c3da568386660', operation='UPDATE OR DELETE', pgid='pgtrigger_approval_rule_append_only_f19c2', table='marketplace_approvalrule', when='BEFORE')),
        ),
        # Beside the columns that 0002 lets it change.
        grants.give({"marketplace_reservation": "UPDATE (decision, decided_at)"}),
        grants.rules_always_hold(),
    ]
