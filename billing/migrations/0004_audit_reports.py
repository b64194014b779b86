"""The monthly reports of card-hours, in versions that nobody edits."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import inventory.identifiers
from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0003_rights'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditReport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='rpt', unique=True)),
                ('month', models.DateField()),
                ('version', models.PositiveIntegerField()),
                ('figures', models.JSONField()),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('month', 'version'), name='one_report_per_version'), models.CheckConstraint(condition=models.Q(('version__gte', 1)), name='report_versions_from_one')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='auditreport',
            trigger=pgtrigger.compiler.Trigger(name='audit_report_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='8b0c911925603cad3a729420ea7da144f19c5910', operation='UPDATE OR DELETE', pgid='pgtrigger_audit_report_append_only_e0f0c', table='billing_auditreport', when='BEFORE')),
        ),
        grants.rules_always_hold(),
    ]
