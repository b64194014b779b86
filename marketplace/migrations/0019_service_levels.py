"""What terms promise of a service level, and what proves why each lease ended."""

from django.db import migrations, models

from inventory import grants

# Leases that ended before: the amendment that ended them, else the reservation of a cancelled
# one, else the allocation that their machines' story hangs on.
_EVIDENCE = """
    UPDATE marketplace_lease l SET
        end_reason = CASE WHEN l.end_reason = '' THEN 'capacity_released' ELSE l.end_reason END,
        end_evidence = CASE
            WHEN l.end_reason IN ('left_early', 'withdrawn_by_provider')
                 AND l.amendment_id IS NOT NULL THEN
                (SELECT 'amd_' || replace(a.public_id::text, '-', '')
                 FROM marketplace_amendment a WHERE a.id = l.amendment_id)
            WHEN l.end_reason = 'cancelled_by_tenant' THEN
                (SELECT 'rsv_' || replace(r.public_id::text, '-', '')
                 FROM marketplace_reservation r WHERE r.id = l.reservation_id)
            ELSE (SELECT 'alc_' || replace(a.public_id::text, '-', '')
                  FROM inventory_allocation a WHERE a.id = l.allocation_id)
        END
    WHERE l.end_reason <> '' OR l.state NOT IN ('scheduled', 'delivering', 'active')
"""


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0012_suspension'),
        ('marketplace', '0018_selling_modes'),
    ]

    operations = [
        migrations.AddField(
            model_name='lease',
            name='end_evidence',
            field=models.CharField(blank=True, max_length=40),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='sla_availability_bps',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='sla_cap_bps',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='sla_credits',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='sla_notice_hours',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='termsversion',
            name='sla_replacement_hours',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='lease',
            name='end_reason',
            field=models.CharField(blank=True, choices=[('completed', 'completed'), ('cancelled_by_tenant', 'cancelled by the tenant'), ('delivery_failed', 'delivery failed'), ('unpaid', 'not paid for'), ('left_early', 'left early by the tenant'), ('withdrawn_by_provider', 'withdrawn by the provider'), ('capacity_released', 'its capacity was given back'), ('converted', 'goes on as another lease')], max_length=24),
        ),
        migrations.RunSQL(_EVIDENCE, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='lease',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['scheduled', 'delivering', 'active']), models.Q(('end_reason', ''), _negated=True), _connector='OR'), name='lease_over_says_why'),
        ),
        migrations.AddConstraint(
            model_name='lease',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('end_evidence', ''), ('end_reason', '')), models.Q(models.Q(('end_reason', ''), _negated=True), ('end_evidence__regex', '^[a-z]{3,4}_[0-9a-f]{32}$')), _connector='OR'), name='lease_end_has_evidence'),
        ),
        migrations.AddConstraint(
            model_name='lease',
            constraint=models.CheckConstraint(condition=models.Q(('end_reason__in', ['', 'completed', 'cancelled_by_tenant', 'delivery_failed', 'unpaid', 'left_early', 'withdrawn_by_provider', 'capacity_released', 'converted'])), name='lease_end_reason_is_listed'),
        ),
        migrations.AddConstraint(
            model_name='termsversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('sla_availability_bps', 0), ('sla_cap_bps', 0), ('sla_credits', []), ('sla_notice_hours', 0), ('sla_replacement_hours', 0)), models.Q(('sla_availability_bps__gte', 1), ('sla_availability_bps__lte', 10000), ('sla_cap_bps__gte', 1), ('sla_cap_bps__lte', 10000), models.Q(('sla_credits', []), _negated=True)), _connector='OR'), name='terms_sla_whole_or_none'),
        ),
        grants.give({"marketplace_lease": "UPDATE (end_evidence)"}),
    ]
