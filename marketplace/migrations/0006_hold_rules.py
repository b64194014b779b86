"""What the database holds the rules of a hold to, and what it finds their figures by."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):

    dependencies = [
        ("marketplace", "0005_commitments"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='reservation',
            name='reservation_as_agreed',
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state', 'held')), fields=['tenant', 'expires_at'], name='reservation_live'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state', 'expired')), fields=['tenant', 'expired_at'], name='reservation_lapsed'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('confirmed_at__isnull', True), ('state', 'cancelled')), fields=['tenant', 'cancelled_at'], name='reservation_given_back'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reservation',
            trigger=pgtrigger.compiler.Trigger(name='reservation_as_agreed', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."fee_minor" IS DISTINCT FROM (NEW."fee_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."hold_deposit_minor" IS DISTINCT FROM (NEW."hold_deposit_minor") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."pay_by" IS DISTINCT FROM (NEW."pay_by") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count") OR OLD."vat_minor" IS DISTINCT FROM (NEW."vat_minor"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='4ea84db2465faeba3688b3f65da47b5401c00600', operation='UPDATE', pgid='pgtrigger_reservation_as_agreed_26469', table='marketplace_reservation', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('committed_card_seconds__gte', 0), ('committed_minor__gte', 0)), name='reservation_commits_no_less_than_nothing'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'expired'), _negated=True), models.Q(('committed_card_seconds', 0), ('committed_minor', 0)), _connector='OR'), name='reservation_lapsed_commits_nothing'),
        ),
        migrations.AddConstraint(
            model_name='quota',
            constraint=models.UniqueConstraint(fields=('organisation', 'project', 'api_key', 'authority', 'measure', 'window', 'currency'), name='quota_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='quota',
            constraint=models.CheckConstraint(condition=models.Q(('project__isnull', True), ('api_key__isnull', True), _connector='OR'), name='quota_has_one_subject'),
        ),
        migrations.AddConstraint(
            model_name='quota',
            constraint=models.CheckConstraint(condition=models.Q(('authority', 'tenant'), models.Q(('api_key__isnull', True), ('project__isnull', True)), _connector='OR'), name='quota_of_the_operator_is_of_an_organisation'),
        ),
        migrations.AddConstraint(
            model_name='quota',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('limit_card_hours__isnull', True), ('limit_minor__gte', 0), ('measure', 'spend'), models.Q(('currency', ''), _negated=True)), models.Q(models.Q(('measure', 'spend'), _negated=True), ('currency', ''), ('limit_card_hours__gte', 0), ('limit_minor__isnull', True)), _connector='OR'), name='quota_limit_is_of_its_measure'),
        ),
        migrations.AddConstraint(
            model_name='quota',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('authority', 'operator'), ('measure', 'held_card_hours'), ('window', 'at_once')), models.Q(models.Q(('measure', 'held_card_hours'), _negated=True), models.Q(('window', 'at_once'), _negated=True)), _connector='OR'), name='quota_of_what_is_held_is_the_operators'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reservation',
            trigger=pgtrigger.compiler.Trigger(name='reservation_commits', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    INSERT INTO marketplace_commitment\n        (tenant_id, project_id, api_key, currency, month, minor, card_seconds)\n    SELECT NEW.tenant_id, NEW.project_id,\n           CASE WHEN starts_with(NEW.actor, 'key_') THEN NEW.actor ELSE '' END, NEW.currency,\n           date_trunc('month', NEW.created_at AT TIME ZONE 'Asia/Shanghai')::date,\n           NEW.committed_minor - coalesce(OLD.committed_minor, 0),\n           NEW.committed_card_seconds - coalesce(OLD.committed_card_seconds, 0)\n    WHERE (NEW.committed_minor, NEW.committed_card_seconds)\n        IS DISTINCT FROM (OLD.committed_minor, OLD.committed_card_seconds);\n    RETURN NULL;\n", hash='3536a455f728fda9d9731daf14639952819b8283', operation='INSERT OR UPDATE OF "committed_minor", "committed_card_seconds"', pgid='pgtrigger_reservation_commits_1ebed', table='marketplace_reservation', when='AFTER')),
        ),
        grants.give(
            {
                'marketplace_reservation': 'UPDATE (committed_minor, committed_card_seconds)',
                'marketplace_commitment': 'DELETE',
                'marketplace_quota': 'UPDATE (limit_minor, limit_card_hours, set_at), DELETE',
            }
        ),
        grants.rules_always_hold(),
    ]
