"""The funnel's sweep: per pool, the level of every stage over time, cut to each other.

`HOURLY` is the one way from the rows to the figures: of a period at once, and of the hours that
are kept (`rollups`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import connection

from inventory.periods import Period, floor_hour

# Each part is a range of time with the cards it adds to a stage. Stages are counts of
# interchangeable cards, so that intersecting one with the one before is taking the smaller.
# Its last part, `counted`, has a row for every pool and hour of the period, in card-seconds.
HOURLY = """
WITH pool AS (
    SELECT id, cards_per_node, unit_cards FROM inventory_pool WHERE id = ANY (%(pools)s)
), outage AS (
    SELECT o.pool_id, o.node_id, o.node_count,
           tstzrange(
               lower(o.period),
               CASE WHEN o.closed_at IS NOT NULL AND o.kind = 'failed'
                        THEN greatest(o.closed_at, lower(o.period))
                    WHEN o.closed_at IS NOT NULL
                        THEN least(upper(o.period), greatest(o.closed_at, lower(o.period)))
                    WHEN o.kind = 'planned' THEN upper(o.period)
               END
           ) AS during
    FROM inventory_outage o JOIN pool p ON p.id = o.pool_id
), block_change AS (
    SELECT b.id, b.pool_id, b.sellable, j.id AS entry, j.at, j.to_state,
           (j.data ->> 'unit_count')::integer AS unit_count
    FROM inventory_block b
    JOIN pool p ON p.id = b.pool_id
    JOIN marketplace_listing l ON l.block_id = b.id
    JOIN inventory_journalentry j ON j.object_id = public_id('blk', b.public_id)
    WHERE j.event IN ('block.open', 'block.closed', 'block.resized')
), block_span AS (
    -- A change without a count keeps the last one, which `counted` numbers.
    SELECT c.id, c.pool_id, c.to_state,
           max(c.unit_count) OVER (PARTITION BY c.id, c.counted) AS unit_count,
           tstzrange(c.at, greatest(c.at, lead(c.at, 1, 'infinity') OVER w)) * c.sellable AS during
    FROM (
        SELECT *, count(unit_count) OVER (PARTITION BY id ORDER BY at, entry) AS counted
        FROM block_change
    ) c
    WINDOW w AS (PARTITION BY c.id ORDER BY c.at, c.entry)
), sale AS (
    SELECT a.id, a.pool_id, a.unit_count * p.unit_cards AS cards,
           tstzrange(
               lower(a.period),
               greatest(least(upper(a.period), a.ended_at, a.failed_at), lower(a.period))
           ) AS during
    FROM inventory_allocation a JOIN pool p ON p.id = a.pool_id
    WHERE a.kind = 'sale' AND a.state IN
          ('scheduled', 'delivering', 'active', 'releasing', 'release_failed', 'ended')
      AND a.period && tstzrange(%(start)s, %(end)s)
), part (pool_id, during, installed, down, listed, sold) AS (
    SELECT n.pool_id, tstzrange(n.installed_at, greatest(n.retired_at, n.installed_at), '[)'),
           p.cards_per_node, 0, 0, 0
    FROM inventory_node n JOIN pool p ON p.id = n.pool_id WHERE n.retired_at IS NOT NULL
    UNION ALL
    SELECT n.pool_id, tstzrange(n.installed_at, NULL), p.cards_per_node, 0, 0, 0
    FROM inventory_node n JOIN pool p ON p.id = n.pool_id WHERE n.retired_at IS NULL
    UNION ALL  -- named nodes: what two outages of one node cover together counts once
    SELECT n.pool_id, unnest(range_agg(o.during)) * tstzrange(n.installed_at, n.retired_at),
           0, p.cards_per_node, 0, 0
    FROM outage o JOIN inventory_node n ON n.id = o.node_id JOIN pool p ON p.id = n.pool_id
    GROUP BY n.id, p.cards_per_node
    UNION ALL
    SELECT o.pool_id, o.during, 0, o.node_count * p.cards_per_node, 0, 0
    FROM outage o JOIN pool p ON p.id = o.pool_id WHERE o.node_id IS NULL
    UNION ALL
    SELECT s.pool_id, s.during, 0, 0, s.unit_count * p.unit_cards, 0
    FROM block_span s JOIN pool p ON p.id = s.pool_id WHERE s.to_state = 'open'
    UNION ALL  -- after a withdrawal, what the block had sold
    SELECT s.pool_id, s.during * a.during, 0, 0, a.cards, 0
    FROM block_span s
    JOIN (SELECT DISTINCT block_id, allocation_id FROM inventory_claim
          WHERE state IN ('confirmed', 'ended')) c ON c.block_id = s.id
    JOIN sale a ON a.id = c.allocation_id
    WHERE s.to_state = 'closed'
    UNION ALL
    SELECT pool_id, during, 0, 0, 0, cards FROM sale
), edge (pool_id, t, installed, down, listed, sold) AS (
    SELECT pool_id, greatest(lower(during), %(start)s), installed, down, listed, sold
    FROM part WHERE during && tstzrange(%(start)s, %(end)s)
    UNION ALL
    SELECT pool_id, upper(during), -installed, -down, -listed, -sold
    FROM part WHERE during && tstzrange(%(start)s, %(end)s) AND upper(during) < %(end)s
    UNION ALL  -- usage is counted by the hour, so every hour is a step
    SELECT id, greatest(hour, %(start)s), 0, 0, 0, 0
    FROM pool,
         generate_series(%(first_hour)s, %(end)s - interval '1 microsecond', '1 hour') hour
), level AS (
    SELECT pool_id, t,
           extract(epoch FROM lead(t, 1, %(end)s) OVER w - t) AS seconds,
           sum(sum(installed)) OVER w AS installed,
           sum(sum(down)) OVER w AS down,
           sum(sum(listed)) OVER w AS listed,
           sum(sum(sold)) OVER w AS sold
    FROM edge GROUP BY pool_id, t WINDOW w AS (PARTITION BY pool_id ORDER BY t)
), cut AS (
    SELECT *, least(listed, serviceable) AS listed_in, least(sold, listed, serviceable) AS sold_in
    FROM (SELECT *, greatest(installed - down, 0) AS serviceable FROM level) l
), hourly AS (
    SELECT pool_id, date_trunc('hour', t, 'UTC') AS hour,
           sum(installed * seconds) AS installed,
           sum(serviceable * seconds) AS serviceable,
           sum(listed_in * seconds) AS listed,
           sum(sold_in * seconds) AS sold,
           sum((listed - listed_in) * seconds) AS listed_down,
           sum((sold - sold_in) * seconds) AS sold_down
    FROM cut GROUP BY pool_id, date_trunc('hour', t, 'UTC')
), usage AS (
    -- An hour that the period cuts counts by the part that lies inside.
    SELECT a.pool_id, u.hour, sum(
               u.card_seconds * extract(
                   epoch FROM least(u.hour + interval '1 hour', %(end)s)
                              - greatest(u.hour, %(start)s)
               ) / 3600
           ) AS delivered
    FROM inventory_usagehour u
    JOIN inventory_allocation a ON a.id = u.allocation_id JOIN pool p ON p.id = a.pool_id
    WHERE u.hour >= %(first_hour)s AND u.hour < %(end)s
    GROUP BY a.pool_id, u.hour
), work AS (
    -- What telemetry saw of the cards that served a sale, by the part of the hour they did. Only
    -- while it is read, an hour is as it was: a node is its own row there.
    SELECT a.pool_id, t.hour, sum(s.seen * c.share) AS seen, sum(s.busy * c.share) AS busy
    FROM inventory_allocation a
    JOIN pool p ON p.id = a.pool_id
    JOIN inventory_binding b ON b.allocation_id = a.id
     AND b.during && tstzrange(%(start)s, %(end)s)
    JOIN inventory_telemetryhour t ON t.node_id = b.node_id
     AND t.hour >= %(first_hour)s AND t.hour < %(end)s
     AND b.during && tstzrange(t.hour, t.hour + interval '1 hour')
    CROSS JOIN LATERAL (
        SELECT tstzrange(t.hour, t.hour + interval '1 hour') * b.during
               * tstzrange(%(start)s, %(end)s) AS span) r
    CROSS JOIN LATERAL (
        SELECT extract(epoch FROM upper(r.span) - lower(r.span)) / 3600 AS share) c
    CROSS JOIN LATERAL (
        SELECT sum(30 * t.busy_slots[n + 1]) AS seen, sum(0.03 * t.busy_permille_sum[n + 1]) AS busy
        FROM generate_series(lower(b.cards), least(upper(b.cards), t.card_count) - 1) AS n) s
    WHERE a.kind = 'sale' AND NOT isempty(r.span)
    GROUP BY a.pool_id, t.hour
), counted AS (
    SELECT h.pool_id, h.hour, h.installed, h.serviceable, h.listed, h.sold,
           least(coalesce(u.delivered, 0), h.sold) AS delivered, h.listed_down, h.sold_down,
           least(coalesce(w.seen, 0), coalesce(u.delivered, 0), h.sold) AS measured,
           least(coalesce(w.busy, 0), coalesce(w.seen, 0), coalesce(u.delivered, 0), h.sold)
               AS busy
    FROM hourly h
    LEFT JOIN usage u USING (pool_id, hour)
    LEFT JOIN work w USING (pool_id, hour)
)
"""
# Counted from rows a period may cut seconds; what is kept is whole.
Amount = int | Decimal
# The columns of `counted`. Measured is what telemetry told the utilisation of.
AMOUNTS = (
    "installed",
    "serviceable",
    "listed",
    "sold",
    "delivered",
    "listed_down",
    "sold_down",
    "measured",
    "busy",
)
_SUMS = ", ".join(f"sum({name})" for name in AMOUNTS)


def of_pools(pool_ids: list[int], period: Period) -> dict[int, dict[str, Amount]]:
    """Card-seconds by pool number and the names of `AMOUNTS`.

    One statement, over rows alone: no counter that could drift.
    """
    if not pool_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"{HOURLY} SELECT pool_id, {_SUMS} FROM counted GROUP BY pool_id",  # noqa: S608
            parameters(pool_ids, period),
        )
        return {row[0]: dict(zip(AMOUNTS, row[1:], strict=True)) for row in cursor.fetchall()}


def parameters(pool_ids: list[int], period: Period) -> dict[str, Any]:
    """What `HOURLY` is given."""
    return {
        "pools": pool_ids,
        "start": period.start,
        "end": period.end,
        "first_hour": floor_hour(period.start),
    }
