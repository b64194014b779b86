"""Half a year of the country as it was in early 2024: 1.7 billion card-hours on line, 0.56 used.

Of what is installed some is broken, some never comes on the market, some is on sale and finds
nobody, and of what is sold a little is handed over late or never. All of it is drawn from the
plan, and steered so that what is delivered comes to the figure of that year.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import connections, transaction

from billing.demo.people import SEED
from billing.nation import history
from billing.nation.deals import Deal
from billing.nation.history import Drawn
from billing.nation.places import Ground
from billing.nation.plan import Stock
from inventory import capacity
from inventory.errors import DomainError
from inventory.models import Outage, Pool
from inventory.periods import Period

# China Academy of Information and Communications Technology, for the first half of 2024: 1.7
# billion card-hours on line, 0.56 billion used.
USED, ON_LINE = 56, 170
WEEKS = (1, 2, 2, 4, 4, 8)  # of a lease
LUCK = (0.1, 0.3, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0)  # how well pools sell beside each other
MOST_SOLD = 0.93  # of what is listed
CATCH_UP = 0.2  # of its own target
MOST_LANES = 4  # leases of a pool side by side
LATE_EVERY, LATE_HOURS = 29, 6  # a lease that starts on such an hour is handed over late
BROKEN_EVERY, BROKEN_NODES = 50, 3  # nodes of a pool to one that breaks, and at most so many
POOLS_AT_ONCE = 25


def fill(ground: Ground, *, leases_times: int, progress: Callable[[str], None]) -> int:
    """Deals for all of the past, metered hour by hour; returns the usage hours written.

    With `leases_times` each lease is so many shorter ones in a row: the same card-hours in more
    deals. Run again it goes on where it was cut off.
    """
    _break(ground, progress)
    history.copy(ground, _deals(ground, leases_times), progress=progress)
    return _meter(ground, progress)


def _deals(ground: Ground, leases_times: int) -> Iterator[Drawn]:
    """Pool after pool; what one misses of its target, the next ones make good little by little."""
    missing = 0.0  # card-hours
    targets = _targets(ground)
    for (stock, pool), target in zip(ground.pools, targets, strict=True):
        more = max(-CATCH_UP * target, min(CATCH_UP * target, missing))
        drawn = list(_of_pool(ground, stock, pool, target + more, leases_times))
        missing += target - sum(_delivered(ground, deal) for deal in drawn) * pool.unit_cards
        yield Drawn(stock, pool, drawn, len(drawn))


def _targets(ground: Ground) -> list[float]:
    """Card-hours that each pool delivers: some sell well, some hardly; together the share."""
    installed = [stock.nodes * pool.cards_per_node for stock, pool in ground.pools]
    most = [
        history.block_of(pool).unit_count * pool.unit_cards * MOST_SOLD for _, pool in ground.pools
    ]
    luck = [
        random.Random(f"{ground.plan.seed}:{stock.name}:luck").choice(LUCK)
        for stock, _ in ground.pools
    ]
    wanted, scale = sum(installed) * USED / ON_LINE, 1.0
    for _step in range(50):  # what some cannot sell, the others do
        cards = [min(most[n], installed[n] * luck[n] * scale) for n in range(len(luck))]
        scale *= wanted / sum(cards)
    return [one * ground.past_hours for one in cards]


def _of_pool(
    ground: Ground, stock: Stock, pool: Pool, target: float, leases_times: int
) -> Iterator[Deal]:
    """Lanes of leases one after the other, as busy as the pool has to be."""
    rng = random.Random(f"{ground.plan.seed}:{stock.name}:usage")
    units = history.block_of(pool).unit_count
    lanes = max(1, min(MOST_LANES, units // 16))
    width = units // lanes
    # Lead and turnaround keep the next one waiting.
    between = -(-(stock.lead_seconds + stock.turnaround_seconds) // 3600)
    lead = -(-stock.lead_seconds // 3600)
    left = target / pool.unit_cards  # unit-hours
    for lane in range(lanes):
        share = min(1.0, left / (lanes - lane) / (width * ground.past_hours))
        hour = lead + rng.randrange(24, 24 * 21)
        last = ground.past_hours - between
        while hour < last and left > 0:
            whole = min(rng.choice(WEEKS) * 168, last - hour)
            # The last deal of the country's last pools is as wide as what is left to sell.
            taken = min(width, max(1, round(left / whole)))
            for part in range(leases_times):
                hours = whole * (part + 1) // leases_times - whole * part // leases_times
                hours -= between if part < leases_times - 1 else 0
                if hours <= 0:
                    continue
                start = hour + whole * part // leases_times
                deal = Deal(start, hours, 0, taken, rng.randrange(len(ground.tenant_ids)), False)
                left -= _delivered(ground, deal)
                yield deal
            gap = whole * (1 - share) / share if share > 0 else last
            hour += whole + between + int(gap * rng.uniform(0.6, 1.4))


def _is_late(ground: Ground, start: int) -> bool:
    return (int(ground.founded.timestamp()) // 3600 + start) % LATE_EVERY == 0


def _delivered(ground: Ground, deal: Deal) -> int:
    """Unit-hours."""
    lost = min(deal.hours, LATE_HOURS) if _is_late(ground, deal.start) else 0
    return deal.units * (deal.hours - lost)


def _break(ground: Ground, progress: Callable[[str], None]) -> None:
    """A few nodes of each pool fail for weeks, some to this day; and there is maintenance."""
    for stock, pool in ground.pools:
        if Outage.objects.filter(pool=pool).exists():
            continue
        rng = random.Random(f"{ground.plan.seed}:{stock.name}:outages")
        nodes = list(pool.nodes.order_by("pk").values_list("pk", flat=True)[:BROKEN_NODES])
        count = min(len(nodes), max(stock.nodes // BROKEN_EVERY, stock.number % 2))
        with transaction.atomic(), capacity.replaying():
            for node_id in nodes[:count]:
                begins = ground.founded + timedelta(hours=rng.randrange(ground.past_hours - 48))
                ends = begins + timedelta(hours=rng.randrange(48, 1500))
                with suppress(DomainError), transaction.atomic():
                    row = capacity.set_outage(
                        pool_id=pool.pk, kind="failed", node_id=node_id,
                        period=Period(begins, begins + timedelta(days=2)),
                        reason="hardware", at=begins, actor=SEED,
                    )  # fmt: skip
                    if ends < ground.turn:
                        capacity.close_outage(outage_id=row.pk, at=ends, actor=SEED)
            begins = ground.founded + timedelta(hours=rng.randrange(ground.past_hours))
            with suppress(DomainError), transaction.atomic():
                capacity.set_outage(
                    pool_id=pool.pk, kind="planned", node_count=max(1, stock.nodes // 20),
                    period=Period(begins, begins + timedelta(hours=96)),
                    reason="power and cooling", at=ground.founded, actor=SEED,
                )  # fmt: skip
    progress("broken nodes and maintenance")


_HOURS = f"""
    INSERT INTO inventory_usagehour
        (allocation_id, hour, revision, card_seconds, gap_card_seconds, recorded_at)
    SELECT e.id, e.hour, 0, CASE WHEN e.late THEN 0 ELSE e.cards * 3600 END,
           CASE WHEN e.late THEN e.cards * 3600 ELSE 0 END, e.hour + interval '70 minutes'
    FROM (
        SELECT a.id, hour, a.unit_count::bigint * p.unit_cards AS cards,
               extract(epoch FROM lower(a.period))::bigint / 3600 %% {LATE_EVERY} = 0
               AND hour < lower(a.period) + interval '{LATE_HOURS} hours' AS late
        FROM inventory_allocation a
        JOIN inventory_pool p ON p.id = a.pool_id
        CROSS JOIN LATERAL generate_series(lower(a.period),
            least(upper(a.period), %(turn)s) - interval '1 hour', interval '1 hour') AS hour
        WHERE a.pool_id = ANY(%(pools)s) AND a.tenant_id = ANY(%(tenants)s)
          AND NOT EXISTS (SELECT FROM inventory_meteringcursor c WHERE c.allocation_id = a.id)
    ) e
"""
_CURSORS = """
    INSERT INTO inventory_meteringcursor (allocation_id, metered_until)
    SELECT a.id, least(upper(a.period), %(turn)s) FROM inventory_allocation a
    WHERE a.pool_id = ANY(%(pools)s) AND a.tenant_id = ANY(%(tenants)s)
    ON CONFLICT DO NOTHING
"""


def _meter(ground: Ground, progress: Callable[[str], None]) -> int:
    """What metering would have counted of deals whose machines nobody has kept."""
    written = 0
    numbers = [pool.pk for _, pool in ground.pools]
    for start in range(0, len(numbers), POOLS_AT_ONCE):
        asked: dict[str, Any] = {
            "pools": numbers[start : start + POOLS_AT_ONCE],
            "tenants": ground.tenant_ids,
            "turn": ground.turn,
        }
        with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
            cursor.execute(_HOURS, asked)
            written += cursor.rowcount
            cursor.execute(_CURSORS, asked)
        if start % (POOLS_AT_ONCE * 10) == 0:
            progress(f"{written} usage hours")
    with connections["owner"].cursor() as cursor:
        for table in ("inventory_usagehour", "inventory_meteringcursor"):
            cursor.execute(f"VACUUM ANALYZE {table}")
    progress(f"{written} usage hours")
    return written
