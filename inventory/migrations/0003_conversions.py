"""An allocation goes on as another on the same machines."""

from pathlib import Path

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


def run(name: str) -> migrations.RunSQL:
    return migrations.RunSQL((SQL / f"{name}.sql").read_text(encoding="utf-8"), elidable=False)


class Migration(migrations.Migration):

    dependencies = [
        ("inventory", "0002_capacity_sql"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='instance',
            name='instance_lifecycle',
        ),
        migrations.AddField(
            model_name='allocation',
            name='continues',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='continued_by', to='inventory.allocation'),
        ),
        migrations.AddField(
            model_name='instance',
            name='engine_name',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AlterField(
            model_name='instance',
            name='state',
            field=models.CharField(choices=[('planned', 'planned'), ('provisioning', 'provisioning'), ('active', 'active'), ('provision_failed', 'provision failed'), ('releasing', 'releasing'), ('release_failed', 'release failed'), ('released', 'released'), ('handed_over', 'handed over')], default='planned', max_length=16),
        ),
        migrations.AlterField(
            model_name='instancehistory',
            name='state',
            field=models.CharField(choices=[('planned', 'planned'), ('provisioning', 'provisioning'), ('active', 'active'), ('provision_failed', 'provision failed'), ('releasing', 'releasing'), ('release_failed', 'release failed'), ('released', 'released'), ('handed_over', 'handed over')], max_length=16),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='instance',
            trigger=pgtrigger.compiler.Trigger(name='instance_lifecycle', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE _is_valid_transition BOOLEAN;', func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{planned:provisioning,planned:releasing,planned:handed_over,provisioning:active,provisioning:provision_failed,provisioning:releasing,provisioning:handed_over,active:releasing,active:handed_over,provision_failed:releasing,provision_failed:handed_over,releasing:released,releasing:release_failed,releasing:handed_over,release_failed:releasing,release_failed:released,release_failed:handed_over}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;', hash='0e1aabf29a6502d62d90504dc1eab0156f871026', operation='UPDATE', pgid='pgtrigger_instance_lifecycle_3b8ff', table='inventory_instance', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='allocation',
            constraint=models.UniqueConstraint(condition=models.Q(('continues__isnull', False), models.Q(('state', 'cancelled'), _negated=True)), fields=('continues',), name='allocation_goes_on_once'),
        ),
        run("claims"),
        run("changes"),
        run("bindings"),
        run("conversions"),
        grants.rules_always_hold(),
    ]
