"""The months of the books: open until two persons close them, and then for good."""

from pathlib import Path

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import inventory.identifiers
from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"
POSTING = "(text, text, timestamptz, timestamptz, text, text, text, text[], bigint[])"


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0009_chart_of_accounts'),
        ('inventory', '0008_refusals_let_go'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AccountingPeriod',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', inventory.identifiers.PublicIdField(editable=False, prefix='acp', unique=True)),
                ('month', models.DateField()),
                ('zone', models.CharField(max_length=40)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('state', models.CharField(choices=[('open', 'open'), ('closing', 'closing'), ('closed', 'closed')], default='open', max_length=10)),
                ('closing_at', models.DateTimeField(blank=True, null=True)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('closed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('closing_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('issuer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.organisation')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('issuer', 'month'), name='one_period_per_month'), models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='period_ends_after_it_starts'), models.CheckConstraint(condition=models.Q(('state', 'open'), models.Q(('closing_at__isnull', False), ('closing_by__isnull', False)), _connector='OR'), name='period_closing_has_a_person'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'closed'), _negated=True), models.Q(('closed_at__isnull', False), ('closed_by__isnull', False), models.Q(('closed_by', models.F('closing_by')), _negated=True)), _connector='OR'), name='period_closes_by_two_persons')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='accountingperiod',
            trigger=pgtrigger.compiler.Trigger(name='period_as_made', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."ends_at" IS DISTINCT FROM (NEW."ends_at") OR OLD."issuer_id" IS DISTINCT FROM (NEW."issuer_id") OR OLD."month" IS DISTINCT FROM (NEW."month") OR OLD."public_id" IS DISTINCT FROM (NEW."public_id") OR OLD."starts_at" IS DISTINCT FROM (NEW."starts_at") OR OLD."zone" IS DISTINCT FROM (NEW."zone"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='c9424021adc73a5fd011edab2147a70bb63dac16', operation='UPDATE', pgid='pgtrigger_period_as_made_dafe9', table='billing_accountingperiod', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='accountingperiod',
            trigger=pgtrigger.compiler.Trigger(name='accountingperiod_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{open:closing,closing:open,closing:closed}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='69b5a0fe5693a52056893f51aea9e9ec29cadadc', operation='UPDATE', pgid='pgtrigger_accountingperiod_lifecycle_bab12', table='billing_accountingperiod', when='BEFORE')),
        ),
        migrations.RunSQL((SQL / "ledger_periods.sql").read_text(encoding="utf-8")),
        migrations.RunSQL((SQL / "ledger_functions.sql").read_text(encoding="utf-8")),
        grants.execute_only(
            f"ledger_post_by_hand{POSTING}",
            inner=(
                "ledger_first_open()",
                "ledger_content(text, timestamptz, text, text[], bigint[], bigint)",
                "ledger_period_closes()",
            ),
        ),
        grants.give(
            {
                "billing_accountingperiod": "UPDATE (state, closing_by_id, closing_at, closed_by_id,"
                " closed_at)"
            }
        ),
        grants.rules_always_hold(),
    ]
