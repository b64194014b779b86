"""What the deals made so far take up of their tenants' quotas."""

from django.db import migrations

# A lease whose money is settled commits what was charged for it, which its journal entry says.
FILL = """
    UPDATE marketplace_reservation r
    SET card_count = r.unit_count * p.unit_cards,
        committed_minor = coalesce(
            (SELECT max((e.data ->> 'charged_minor')::bigint)
             FROM marketplace_lease l
             JOIN inventory_journalentry e ON e.event = 'lease.closed'
                 AND e.object_id = 'lse_' || replace(l.public_id::text, '-', '')
             WHERE l.reservation_id = r.id),
            CASE WHEN r.state IN ('held', 'confirmed') THEN r.gross_minor ELSE 0 END),
        committed_card_seconds = CASE WHEN r.state IN ('held', 'confirmed')
            THEN r.unit_count * p.unit_cards
                 * extract(epoch FROM upper(r.period) - lower(r.period))::bigint
            ELSE 0 END
    FROM inventory_allocation a JOIN inventory_pool p ON p.id = a.pool_id
    WHERE a.id = r.allocation_id AND r.card_count = 0
"""


ADD_UP = """
    INSERT INTO marketplace_commitment
        (tenant_id, project_id, api_key, currency, month, minor, card_seconds)
    SELECT r.tenant_id, r.project_id,
           CASE WHEN starts_with(r.actor, 'key_') THEN r.actor ELSE '' END, r.currency,
           date_trunc('month', r.created_at AT TIME ZONE 'Asia/Shanghai')::date,
           sum(r.committed_minor), sum(r.committed_card_seconds)
    FROM marketplace_reservation r GROUP BY 1, 2, 3, 4, 5
"""


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0004_quotas"),
    ]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(ADD_UP, "DELETE FROM marketplace_commitment"),
    ]
