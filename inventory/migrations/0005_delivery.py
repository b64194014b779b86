"""Tasks of people, public keys, acceptance before time counts, and another way in."""

from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import inventory.identifiers
from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0004_engines'),
    ]

    operations = [
        migrations.AddField(
            model_name='credential',
            name='told_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='renewal_asked_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='renewed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='Acceptance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='acc', unique=True)),
                ('threshold_mb_per_second', models.PositiveIntegerField()),
                ('patience_hours', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('waiting', 'not ready'), ('testing', 'being tested'), ('passed', 'passed'), ('accepted', 'accepted'), ('deemed', 'taken as accepted'), ('lapsed', 'lapsed')], default='waiting', max_length=10)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('signed_by', models.CharField(blank=True, max_length=80)),
                ('created_at', models.DateTimeField()),
                ('testing_at', models.DateTimeField(blank=True, null=True)),
                ('passed_at', models.DateTimeField(blank=True, null=True)),
                ('accepted_at', models.DateTimeField(blank=True, null=True)),
                ('deemed_at', models.DateTimeField(blank=True, null=True)),
                ('lapsed_at', models.DateTimeField(blank=True, null=True)),
                ('allocation', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='acceptance', to='inventory.allocation')),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='AcceptanceRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='arn', unique=True)),
                ('tool', models.CharField(choices=[('nccl', 'nccl-tests all_reduce_perf'), ('hccl', 'HCCL Test all_reduce_test')], max_length=4)),
                ('passed', models.BooleanField()),
                ('is_correct', models.BooleanField()),
                ('busbw_mb_per_second', models.PositiveIntegerField()),
                ('size_bytes', models.BigIntegerField()),
                ('node_count', models.PositiveIntegerField()),
                ('rank_count', models.PositiveIntegerField()),
                ('serials', models.JSONField()),
                ('report', models.TextField()),
                ('report_sha256', models.CharField(max_length=64)),
                ('actor', models.CharField(max_length=80)),
                ('at', models.DateTimeField()),
                ('acceptance', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='inventory.acceptance')),
                ('posted_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='ManualTask',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='mtk', unique=True)),
                ('name', models.CharField(max_length=200)),
                ('first_card', models.PositiveSmallIntegerField()),
                ('card_count', models.PositiveSmallIntegerField()),
                ('kind', models.CharField(choices=[('hand_over', 'set up and hand over'), ('renew', 'renew the way in'), ('shut', 'shut the customer out'), ('open', 'let the customer in again'), ('wipe', 'take down and wipe')], max_length=10)),
                ('state', models.CharField(choices=[('open', 'to be done'), ('done', 'done'), ('given_up', 'cannot be done'), ('dropped', 'dropped')], default='open', max_length=10)),
                ('due_at', models.DateTimeField()),
                ('overdue_at', models.DateTimeField(blank=True, null=True)),
                ('reason', models.CharField(blank=True, max_length=200)),
                ('told_at', models.DateTimeField(blank=True, null=True)),
                ('done_by', models.CharField(blank=True, max_length=80)),
                ('address', models.CharField(blank=True, max_length=255)),
                ('port', models.PositiveIntegerField(blank=True, null=True)),
                ('user', models.CharField(blank=True, max_length=32)),
                ('host_fingerprints', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=60), blank=True, default=list, size=None)),
                ('ciphertext', models.BinaryField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('given_up_at', models.DateTimeField(blank=True, null=True)),
                ('dropped_at', models.DateTimeField(blank=True, null=True)),
                ('allocation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.allocation')),
                ('node', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='manual_tasks', to='inventory.node')),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='SshKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='ssh', unique=True)),
                ('name', models.CharField(max_length=80)),
                ('algorithm', models.CharField(max_length=40)),
                ('line', models.CharField(max_length=1000)),
                ('fingerprint', models.CharField(max_length=60)),
                ('created_at', models.DateTimeField()),
                ('removed_at', models.DateTimeField(blank=True, null=True)),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='ssh_keys', to='inventory.organisation')),
            ],
        ),
        migrations.AddConstraint(
            model_name='acceptance',
            constraint=models.CheckConstraint(condition=models.Q(('patience_hours__gte', 1), ('threshold_mb_per_second__gte', 1)), name='acceptance_asks_for_something'),
        ),
        migrations.AddConstraint(
            model_name='acceptance',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'accepted'), _negated=True), models.Q(('signed_by', ''), _negated=True), _connector='OR'), name='acceptance_signed_by_one'),
        ),
        migrations.AddConstraint(
            model_name='acceptance',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['testing', 'passed']), _negated=True), ('due_at__isnull', False), _connector='OR'), name='acceptance_clock_runs'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='acceptance',
            trigger=pgtrigger.compiler.Trigger(name='acceptance_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."patience_hours" IS DISTINCT FROM (NEW."patience_hours") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."threshold_mb_per_second" IS DISTINCT FROM (NEW."threshold_mb_per_second"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='9c1a17b245897aa03d8ba5e72dc40d0a5596adeb', operation='UPDATE', pgid='pgtrigger_acceptance_as_agreed_6dffb', table='inventory_acceptance', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='acceptance',
            trigger=pgtrigger.compiler.Trigger(name='acceptance_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{waiting:testing,waiting:lapsed,testing:passed,testing:lapsed,passed:testing,passed:accepted,passed:deemed,passed:lapsed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='3fcd0ad1be735381ded0d3e41a9349fbc12c79b1', operation='UPDATE', pgid='pgtrigger_acceptance_lifecycle_1e77e', table='inventory_acceptance', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='acceptancerun',
            index=models.Index(fields=['acceptance', '-id'], name='run_by_acceptance'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='acceptancerun',
            trigger=pgtrigger.compiler.Trigger(name='acceptance_run_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='cec6281985cbe17421d34560ea69cfcdd80f1506', operation='UPDATE OR DELETE', pgid='pgtrigger_acceptance_run_append_only_e3cc9', table='inventory_acceptancerun', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='manualtask',
            index=models.Index(fields=['name', '-id'], name='task_by_name'),
        ),
        migrations.AddIndex(
            model_name='manualtask',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['due_at'], name='task_open'),
        ),
        migrations.AddConstraint(
            model_name='manualtask',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('name',), name='one_open_task_a_machine'),
        ),
        migrations.AddConstraint(
            model_name='manualtask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['hand_over', 'renew']), ('state', 'done'), _negated=True), models.Q(models.Q(('address', ''), _negated=True), models.Q(('user', ''), _negated=True), ('port__gte', 1), ('port__lte', 65535)), _connector='OR'), name='task_handed_over_says_how'),
        ),
        migrations.AddConstraint(
            model_name='manualtask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'given_up'), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='task_given_up_says_why'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='manualtask',
            trigger=pgtrigger.compiler.Trigger(name='manual_task_as_made', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."due_at" IS DISTINCT FROM (NEW."due_at") OR OLD."first_card" IS DISTINCT FROM (NEW."first_card") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."node_id" IS DISTINCT FROM (NEW."node_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='559fdb3fb663c9d876d896f875767f9fe4a0ea95', operation='UPDATE', pgid='pgtrigger_manual_task_as_made_266d1', table='inventory_manualtask', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='manualtask',
            trigger=pgtrigger.compiler.Trigger(name='manualtask_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{open:done,open:given_up,open:dropped}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='7775963965910f75a9003a6fc3165bb3ed0d5d3e', operation='UPDATE', pgid='pgtrigger_manualtask_lifecycle_e83ae', table='inventory_manualtask', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='sshkey',
            constraint=models.UniqueConstraint(condition=models.Q(('removed_at__isnull', True)), fields=('organisation', 'fingerprint'), name='ssh_key_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='sshkey',
            trigger=pgtrigger.compiler.Trigger(name='ssh_key_as_added', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."algorithm" IS DISTINCT FROM (NEW."algorithm") OR OLD."fingerprint" IS DISTINCT FROM (NEW."fingerprint") OR OLD."line" IS DISTINCT FROM (NEW."line") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."organisation_id" IS DISTINCT FROM (NEW."organisation_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='67feb00f76571a08deadf344f9aa60706b8be233', operation='UPDATE', pgid='pgtrigger_ssh_key_as_added_ae641', table='inventory_sshkey', when='BEFORE')),
        ),
        grants.give(
            {
                "inventory_manualtask": "UPDATE (state, overdue_at, reason, told_at, done_by,"
                ' address, port, "user", host_fingerprints, ciphertext, done_at, given_up_at,'
                " dropped_at)",
                "inventory_sshkey": "UPDATE (removed_at)",
                "inventory_acceptance": "UPDATE (state, due_at, signed_by, testing_at, passed_at,"
                " accepted_at, deemed_at, lapsed_at)",
                "inventory_instance": "UPDATE (renewal_asked_at, renewed_at)",
                "inventory_credential": "UPDATE (told_at)",
            }
        ),
        grants.rules_always_hold(),
        # Nodes that are well and run the usual software are bound first.
        migrations.RunSQL((SQL / "bindings.sql").read_text(encoding="utf-8")),
    ]
