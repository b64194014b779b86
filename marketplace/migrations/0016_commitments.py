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


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0015_quotas")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
