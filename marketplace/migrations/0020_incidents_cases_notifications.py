"""Incidents with their timelines, cases with their clocks, channels with what was sent there."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import inventory.identifiers
from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0012_suspension'),
        ('marketplace', '0019_service_levels'),
    ]

    operations = [
        migrations.CreateModel(
            name='Case',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='case', unique=True)),
                ('title', models.CharField(max_length=120)),
                ('category', models.CharField(choices=[('delivery', 'delivery'), ('failure', 'failure'), ('performance', 'performance'), ('access', 'access'), ('billing', 'billing'), ('other', 'other')], max_length=12)),
                ('priority', models.CharField(choices=[('urgent', 'urgent'), ('high', 'high'), ('normal', 'normal'), ('low', 'low')], default='normal', max_length=6)),
                ('state', models.CharField(choices=[('open', 'open'), ('waiting', 'waiting for its opener'), ('answered', 'answered'), ('closed', 'closed'), ('reopened', 'reopened')], default='open', max_length=8)),
                ('assignee', models.CharField(choices=[('provider', 'provider'), ('operator', 'operator')], max_length=8)),
                ('respond_by', models.DateTimeField(blank=True, null=True)),
                ('escalated_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('lease', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='cases', to='marketplace.lease')),
                ('node', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='cases', to='inventory.node')),
                ('opener', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('tenant', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='CaseAttachment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='att', unique=True)),
                ('number', models.PositiveSmallIntegerField()),
                ('name', models.CharField(max_length=120)),
                ('media_type', models.CharField(max_length=40)),
                ('content', models.BinaryField()),
                ('size', models.PositiveIntegerField()),
                ('sha256', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField()),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='attachments', to='marketplace.case')),
            ],
        ),
        migrations.CreateModel(
            name='CaseMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='msg', unique=True)),
                ('text', models.CharField(max_length=8000)),
                ('created_at', models.DateTimeField()),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='marketplace.case')),
            ],
        ),
        migrations.CreateModel(
            name='Channel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='chn', unique=True)),
                ('kind', models.CharField(choices=[('email', 'e-mail'), ('sms', 'text message'), ('wecom', 'WeCom robot'), ('dingtalk', 'DingTalk robot'), ('feishu', 'Feishu robot')], max_length=8)),
                ('name', models.CharField(max_length=60)),
                ('target', models.BinaryField()),
                ('hint', models.CharField(max_length=80)),
                ('language', models.CharField(default='zh-hans', max_length=7)),
                ('topics', models.JSONField(default=list)),
                ('state', models.CharField(choices=[('active', 'active'), ('removed', 'removed')], default='active', max_length=7)),
                ('created_at', models.DateTimeField()),
                ('removed_at', models.DateTimeField(blank=True, null=True)),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='channels', to='inventory.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='ntf', unique=True)),
                ('journal_id', models.BigIntegerField(blank=True, null=True)),
                ('event', models.CharField(max_length=60)),
                ('object_id', models.CharField(blank=True, max_length=40)),
                ('title', models.CharField(max_length=200)),
                ('text', models.CharField(max_length=1000)),
                ('state', models.CharField(choices=[('queued', 'to be sent'), ('sent', 'sent'), ('failed', 'failed')], default='queued', max_length=6)),
                ('attempt_count', models.PositiveSmallIntegerField(default=0)),
                ('next_at', models.DateTimeField(blank=True, null=True)),
                ('claim_token', models.UUIDField(blank=True, null=True)),
                ('claimed_until', models.DateTimeField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=300)),
                ('created_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='marketplace.channel')),
            ],
        ),
        migrations.CreateModel(
            name='Incident',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='inc', unique=True)),
                ('state', models.CharField(choices=[('open', 'open'), ('mitigated', 'mitigated'), ('resolved', 'resolved')], default='open', max_length=10)),
                ('cause', models.CharField(blank=True, max_length=500)),
                ('opened_at', models.DateTimeField()),
                ('mitigated_at', models.DateTimeField(blank=True, null=True)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('pool', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='incidents', to='inventory.pool')),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='IncidentEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('opened', 'opened'), ('node_failed', 'node failed'), ('node_back', 'node back'), ('lease_touched', 'lease touched'), ('late', 'not replaced in time'), ('mitigated', 'mitigated'), ('reopened', 'worse again'), ('resolved', 'resolved'), ('cause', 'cause found'), ('note', 'note')], max_length=14)),
                ('at', models.DateTimeField()),
                ('text', models.CharField(blank=True, max_length=1000)),
                ('author', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
                ('incident', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='marketplace.incident')),
                ('lease', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.lease')),
                ('outage', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.outage')),
            ],
        ),
        migrations.CreateModel(
            name='IncidentLease',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('touched_at', models.DateTimeField()),
                ('incident', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='leases', to='marketplace.incident')),
                ('lease', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='incidents', to='marketplace.lease')),
            ],
        ),
        migrations.CreateModel(
            name='IncidentOutage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('incident', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='outages', to='marketplace.incident')),
                ('outage', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='incident', to='inventory.outage')),
            ],
        ),
        migrations.CreateModel(
            name='NotifiedMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('last_xid', models.CharField(default='0', max_length=20)),
                ('last_id', models.BigIntegerField(default=0)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_notified_mark')],
            },
        ),
        migrations.AddIndex(
            model_name='case',
            index=models.Index(condition=models.Q(('respond_by__isnull', False)), fields=['respond_by'], name='case_by_clock'),
        ),
        migrations.AddIndex(
            model_name='case',
            index=models.Index(fields=['opener', '-id'], name='case_by_opener'),
        ),
        migrations.AddIndex(
            model_name='case',
            index=models.Index(fields=['provider', '-id'], name='case_by_provider'),
        ),
        migrations.AddConstraint(
            model_name='case',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease__isnull', False), ('node__isnull', True)), models.Q(('lease__isnull', True), ('node__isnull', False)), _connector='OR'), name='case_is_about_one_thing'),
        ),
        migrations.AddConstraint(
            model_name='case',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['open', 'reopened']), ('respond_by__isnull', True), _connector='OR'), name='case_clock_stands_while_answered'),
        ),
        migrations.AddConstraint(
            model_name='case',
            constraint=models.CheckConstraint(condition=models.Q(('title', ''), _negated=True), name='case_has_a_title'),
        ),
        migrations.AddConstraint(
            model_name='case',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('assignee', 'operator'), ('opener', models.F('provider')), ('tenant__isnull', True)), ('opener', models.F('tenant')), _connector='OR'), name='case_is_put_to_another'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='case',
            trigger=pgtrigger.compiler.Trigger(name='case_as_opened', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."category" IS DISTINCT FROM (NEW."category") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."lease_id" IS DISTINCT FROM (NEW."lease_id") OR OLD."node_id" IS DISTINCT FROM (NEW."node_id") OR OLD."opener_id" IS DISTINCT FROM (NEW."opener_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."title" IS DISTINCT FROM (NEW."title"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='20d7b49f7aa6e82d7a869915bc376ffd0f6d8ce1', operation='UPDATE', pgid='pgtrigger_case_as_opened_cd414', table='marketplace_case', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='case',
            trigger=pgtrigger.compiler.Trigger(name='case_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{open:waiting,open:answered,open:closed,waiting:open,waiting:answered,waiting:closed,answered:open,answered:waiting,answered:closed,closed:reopened,reopened:waiting,reopened:answered,reopened:closed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='d9ffa779c129f780b1f80a011e15cac995d66a68', operation='UPDATE', pgid='pgtrigger_case_lifecycle_a165a', table='marketplace_case', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='caseattachment',
            constraint=models.UniqueConstraint(fields=('case', 'number'), name='one_attachment_a_number'),
        ),
        migrations.AddConstraint(
            model_name='caseattachment',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1), ('number__lte', 20)), name='attachments_are_twenty_at_most'),
        ),
        migrations.AddConstraint(
            model_name='caseattachment',
            constraint=models.CheckConstraint(condition=models.Q(('size__gte', 1), ('size__lte', 5242880)), name='attachment_within_its_size'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='caseattachment',
            trigger=pgtrigger.compiler.Trigger(name='case_attachment_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='9cdf4c8f8d7efc04bd805c03164c2a9e4121d7d1', operation='UPDATE OR DELETE', pgid='pgtrigger_case_attachment_append_only_9896e', table='marketplace_caseattachment', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='casemessage',
            constraint=models.CheckConstraint(condition=models.Q(('text', ''), _negated=True), name='message_says_something'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='casemessage',
            trigger=pgtrigger.compiler.Trigger(name='case_message_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='7ed5b21988a52cbb2696952c6882f99c4a1b8559', operation='UPDATE OR DELETE', pgid='pgtrigger_case_message_append_only_54680', table='marketplace_casemessage', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='channel',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'active')), fields=('organisation', 'name'), name='one_active_channel_a_name'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='channel',
            trigger=pgtrigger.compiler.Trigger(name='channel_as_made', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."organisation_id" IS DISTINCT FROM (NEW."organisation_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='11037367fa652448a816af6c3b2d94a67fbf4fe6', operation='UPDATE', pgid='pgtrigger_channel_as_made_70c4e', table='marketplace_channel', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='channel',
            trigger=pgtrigger.compiler.Trigger(name='channel_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{active:removed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='5f59c3454c5b37c27bc1b3f18a17adcb3275cc69', operation='UPDATE', pgid='pgtrigger_channel_lifecycle_32e2b', table='marketplace_channel', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'queued')), fields=['next_at'], name='delivery_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['channel', '-id'], name='delivery_by_channel'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'sent')), fields=['channel', 'sent_at'], name='delivery_pace'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(fields=('channel', 'journal_id'), name='one_delivery_an_entry'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('next_at__isnull', False), ('sent_at__isnull', True), ('state', 'queued')), models.Q(('next_at__isnull', True), ('sent_at__isnull', False), ('state', 'sent')), models.Q(('next_at__isnull', True), ('sent_at__isnull', True), ('state', 'failed')), _connector='OR'), name='delivery_waits_or_is_done'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='delivery',
            trigger=pgtrigger.compiler.Trigger(name='delivery_as_made', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."channel_id" IS DISTINCT FROM (NEW."channel_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."event" IS DISTINCT FROM (NEW."event") OR OLD."journal_id" IS DISTINCT FROM (NEW."journal_id") OR OLD."object_id" IS DISTINCT FROM (NEW."object_id") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."text" IS DISTINCT FROM (NEW."text") OR OLD."title" IS DISTINCT FROM (NEW."title"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='bd9697c3c7be1c1588ecc63203483fb28ab1976b', operation='UPDATE', pgid='pgtrigger_delivery_as_made_2daca', table='marketplace_delivery', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='delivery',
            trigger=pgtrigger.compiler.Trigger(name='delivery_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{queued:sent,queued:failed,failed:queued}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='638df25ce3e2f7aa232abf9be7b07b60b0c8ce5c', operation='UPDATE', pgid='pgtrigger_delivery_lifecycle_370b1', table='marketplace_delivery', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='incident',
            index=models.Index(fields=['provider', '-id'], name='incident_by_provider'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'resolved'), _negated=True), fields=('pool',), name='one_open_incident_a_pool'),
        ),
        migrations.AddConstraint(
            model_name='incident',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'resolved'), _negated=True), ('resolved_at__isnull', False), _connector='OR'), name='incident_resolved_at_an_instant'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incident',
            trigger=pgtrigger.compiler.Trigger(name='incident_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{open:mitigated,open:resolved,mitigated:open,mitigated:resolved}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='856607407ee7fe6134e269052c1c401476ecfdd7', operation='UPDATE', pgid='pgtrigger_incident_lifecycle_5492a', table='marketplace_incident', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='incidententry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['note', 'cause']), _negated=True), models.Q(models.Q(('text', ''), _negated=True), ('author__isnull', False)), _connector='OR'), name='incident_note_says_something'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incidententry',
            trigger=pgtrigger.compiler.Trigger(name='incident_entry_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='afc07c9ebb223078c3c54989e27f6860bbd70f6f', operation='UPDATE OR DELETE', pgid='pgtrigger_incident_entry_append_only_71bd2', table='marketplace_incidententry', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='incidentlease',
            constraint=models.UniqueConstraint(fields=('incident', 'lease'), name='one_touch_a_lease'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incidentlease',
            trigger=pgtrigger.compiler.Trigger(name='incident_lease_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='c9fbb5c708e807fff724f591dda73f1c051e3d91', operation='UPDATE OR DELETE', pgid='pgtrigger_incident_lease_append_only_4653a', table='marketplace_incidentlease', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='incidentoutage',
            trigger=pgtrigger.compiler.Trigger(name='incident_outage_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='044d82b887f237230868026bb70372a13e792922', operation='UPDATE OR DELETE', pgid='pgtrigger_incident_outage_append_only_d478d', table='marketplace_incidentoutage', when='BEFORE')),
        ),
        migrations.RunSQL(
            "INSERT INTO marketplace_notifiedmark (id, last_xid, last_id) VALUES (1, '0', 0)",
            migrations.RunSQL.noop,
        ),
        # Compressed already, or small: it is kept as it is.
        migrations.RunSQL(
            "ALTER TABLE marketplace_caseattachment ALTER content SET STORAGE EXTERNAL",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            "ALTER TABLE marketplace_caseattachment ADD CONSTRAINT attachment_is_its_size"
            " CHECK (octet_length(content) = size)",
            migrations.RunSQL.noop,
        ),
        grants.give(
            {
                "marketplace_case": "UPDATE (assignee, closed_at, escalated_at, respond_by, state)",
                "marketplace_channel": "UPDATE (removed_at, state, topics)",
                "marketplace_delivery": "UPDATE (attempt_count, claim_token, claimed_until,"
                " last_error, next_at, sent_at, state)",
                "marketplace_incident": "UPDATE (cause, mitigated_at, resolved_at, state)",
                "marketplace_notifiedmark": "UPDATE (last_id, last_xid)",
            }
        ),
        grants.rules_always_hold(),
    ]
