"""Lines of the bank and of Stripe, matched with the books one to one."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import inventory.identifiers


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0042_postings_in_fewer_statements'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReconciliationMatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='rcm', unique=True)),
                ('net_minor', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('movement_round', models.PositiveSmallIntegerField(default=0)),
                ('line_round', models.PositiveSmallIntegerField(default=0)),
                ('matched_by', models.CharField(choices=[('rule', 'by a rule'), ('hand', 'by a person')], max_length=4)),
                ('actor', models.CharField(max_length=80)),
                ('reason', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='PspBalance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(max_length=3)),
                ('available_minor', models.BigIntegerField()),
                ('pending_minor', models.BigIntegerField()),
                ('at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['currency', '-at'], name='psp_balance_newest')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='pspbalance',
            trigger=pgtrigger.compiler.Trigger(name='psp_balance_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='7fb93c82db82b2bf6c50cc9427b998f4bc54a0c6', operation='UPDATE OR DELETE', pgid='pgtrigger_psp_balance_append_only_d9191', table='billing_pspbalance', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='reconciliationmatch',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgeraccount'),
        ),
        migrations.AddField(
            model_name='reconciliationmatch',
            name='bank_line',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='matches', to='billing.bankline'),
        ),
        migrations.AddField(
            model_name='reconciliationmatch',
            name='offset',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgertransaction'),
        ),
        migrations.AddField(
            model_name='reconciliationmatch',
            name='opening',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='matches', to='billing.bankstatement'),
        ),
        migrations.AddField(
            model_name='reconciliationmatch',
            name='psp_line',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='matches', to='billing.pspbalancetransaction'),
        ),
        migrations.AddField(
            model_name='reconciliationmatch',
            name='transaction',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgertransaction'),
        ),
        migrations.CreateModel(
            name='ReconciliationReversal',
            fields=[
                ('match', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='reversal', serialize=False, to='billing.reconciliationmatch')),
                ('actor', models.CharField(max_length=80)),
                ('reason', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='match_reversal_has_a_reason')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reconciliationreversal',
            trigger=pgtrigger.compiler.Trigger(name='match_reversal_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='659d84f2b36b8a69180de62051eba11951773ee1', operation='UPDATE OR DELETE', pgid='pgtrigger_match_reversal_append_only_b781f', table='billing_reconciliationreversal', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='reconciliationmatch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('bank_line__isnull', False), ('offset', None), ('opening', None), ('psp_line', None)), models.Q(('bank_line', None), ('offset', None), ('opening', None), ('psp_line__isnull', False)), models.Q(('bank_line', None), ('offset', None), ('opening__isnull', False), ('psp_line', None)), models.Q(('bank_line', None), ('offset__isnull', False), ('opening', None), ('psp_line', None)), _connector='OR'), name='match_is_with_one_thing'),
        ),
        migrations.AddConstraint(
            model_name='reconciliationmatch',
            constraint=models.CheckConstraint(condition=models.Q(('offset', None), ('offset__lt', models.F('transaction')), _connector='OR'), name='match_offsets_an_earlier_movement'),
        ),
        migrations.AddConstraint(
            model_name='reconciliationmatch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('matched_by', 'hand'), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='match_by_hand_has_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='reconciliationmatch',
            constraint=models.UniqueConstraint(fields=('transaction', 'account', 'movement_round'), name='movement_matched_once'),
        ),
        migrations.AddConstraint(
            model_name='reconciliationmatch',
            constraint=models.UniqueConstraint(fields=('bank_line', 'line_round'), name='bank_line_matched_once'),
        ),
        migrations.AddConstraint(
            model_name='reconciliationmatch',
            constraint=models.UniqueConstraint(fields=('psp_line', 'line_round'), name='psp_line_matched_once'),
        ),
        migrations.AddConstraint(
            model_name='reconciliationmatch',
            constraint=models.UniqueConstraint(fields=('opening', 'line_round'), name='opening_matched_once'),
        ),
        migrations.AddConstraint(
            model_name='reconciliationmatch',
            constraint=models.UniqueConstraint(fields=('offset', 'account', 'line_round'), name='offset_matched_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reconciliationmatch',
            trigger=pgtrigger.compiler.Trigger(name='match_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='862f246bf3d597d8e8b9cc5a6b32526fe0de4aff', operation='UPDATE OR DELETE', pgid='pgtrigger_match_append_only_83832', table='billing_reconciliationmatch', when='BEFORE')),
        ),
    ]
