"""What is kept by hour and day is what the rows say, whatever comes late."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory import capacity
from inventory.errors import DomainError
from inventory.models import Node
from inventory.periods import Period
from marketplace import listings, utilisation
from marketplace.models import Lease, PoolReading, RollupCursor
from marketplace.utilisation import readings, rollups
from marketplace.utilisation.readings import Days
from tests import database, world
from tests.marketplace import scene
from tests.marketplace.test_utilisation import a_busy_world, usage
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db
ZONE = ZoneInfo("Asia/Shanghai")
END = T0 + hours(112)  # a midnight of the billing zone
FIRST, LAST = date(2026, 6, 1), date(2026, 6, 5)
STAGES = ("installed", "serviceable", "listed", "sold", "delivered", "listed_down", "sold_down")


def between(days: Days) -> Period:
    start, end = ((T0 + timedelta(days=(day - FIRST).days)).replace(tzinfo=ZONE)
                  for day in (days.first, days.last + timedelta(days=1)))  # fmt: skip
    return Period(start, end)


@pytest.mark.parametrize(("first", "last"), [(0, 4), (0, 0), (1, 2), (3, 4)])
def test_two_readings_are_what_a_recount_of_the_rows_says(first, last) -> None:
    a_busy_world()
    rollups.sweep(at=END)
    days = Days(FIRST + timedelta(days=first), FIRST + timedelta(days=last))

    kept = utilisation.of_sums(readings.of_pools(days), "pool")

    counted = utilisation.funnel(period=between(days), group_by="pool", actor=SYSTEM)
    assert [row.key for row in kept] == [row.key for row in counted]
    for mine, theirs in zip(kept, counted, strict=True):
        for stage in STAGES:
            assert getattr(mine, stage) == pytest.approx(getattr(theirs, stage), abs=1e-9), stage
    assert rollups.verify(at=END) == []


def test_every_split_of_a_period_adds_up() -> None:
    a_busy_world()
    rollups.sweep(at=END)
    whole = Days(FIRST, LAST)
    columns = [Days(day, day) for day in (FIRST + timedelta(days=n) for n in range(5))]

    sums = readings.of_pools(whole)
    total = readings.total(sums)

    centres = readings.of_centres(columns)
    cells = [cell for row in centres.values() for cell in row]
    for stage in ("installed", "serviceable", "listed", "sold", "delivered"):
        assert sum(getattr(cell, stage) for cell in cells) == total[stage]
    week = readings.of_week(whole)
    assert len(week) == 5 * 24
    assert sum(hour.serviceable for hour in week) == total["serviceable"]
    assert sum(hour.sold for hour in week) == total["sold"]
    classes = readings.by_class(sums)
    assert sum(row.sold for row in classes) == total["sold"] + total["sold_down"]
    for by in ("centre", "chip", "region", "hub", "owner", "provider", "pool"):
        rows = utilisation.of_sums(sums, by)
        assert sum(row.installed for row in rows) * 3600 == total["installed"]


def test_a_day_that_is_not_over_counts_to_the_last_full_hour() -> None:
    scene.listing(world.pool(nodes=4), units=4)

    rollups.sweep(at=T0 + hours(5.7))

    (one,) = readings.of_pools(Days(FIRST, FIRST))
    assert one.amounts["installed"] == (8 + 5) * 32 * 3600  # eight hours ahead of UTC
    assert one.amounts["listed"] == 5 * 32 * 3600
    assert readings.mark().counted_until == T0 + hours(5)


# The same funnel the slow way: each half hour looked at by itself, with nothing of the product's.
INDEPENDENT = """
WITH look AS (
    SELECT p.id, p.cards_per_node AS cpn, p.unit_cards AS uc, t,
        (SELECT count(*) FROM inventory_node n WHERE n.pool_id = p.id AND n.installed_at <= t
         AND (n.retired_at IS NULL OR n.retired_at > t)) AS nodes,
        (SELECT count(DISTINCT o.node_id) FROM inventory_outage o WHERE o.pool_id = p.id
         AND o.kind = 'failed' AND lower(o.period) <= t
         AND (o.closed_at IS NULL OR o.closed_at > t)) AS failed,
        (SELECT coalesce(sum(o.node_count), 0) FROM inventory_outage o WHERE o.pool_id = p.id
         AND o.kind = 'planned' AND o.node_id IS NULL AND o.period @> t
         AND (o.closed_at IS NULL OR o.closed_at > t)) AS planned,
        (SELECT coalesce(sum(CASE WHEN s.open THEN s.units ELSE s.sold END), 0) FROM (
            SELECT b.unit_count AS units,
                (SELECT j.to_state = 'open' FROM inventory_journalentry j
                 WHERE j.object_id = public_id('blk', b.public_id) AND j.at <= t
                   AND j.event IN ('block.open', 'block.closed')
                 ORDER BY j.at DESC, j.id DESC LIMIT 1) AS open,
                (SELECT coalesce(sum(a.unit_count), 0) FROM inventory_allocation a
                 JOIN inventory_claim c ON c.allocation_id = a.id AND c.block_id = b.id
                 WHERE c.state = 'confirmed' AND a.state = 'scheduled' AND a.period @> t) AS sold
            FROM inventory_block b WHERE b.pool_id = p.id AND b.sellable @> t) s) AS listed,
        (SELECT coalesce(sum(a.unit_count), 0) FROM inventory_allocation a
         WHERE a.pool_id = p.id AND a.kind = 'sale' AND a.state = 'scheduled'
           AND a.period @> t) AS sold
    FROM inventory_pool p, generate_series(%(start)s, %(end)s - interval '30 minutes',
                                           interval '30 minutes') t
), cut AS (
    SELECT id, t, nodes * cpn AS installed,
        greatest(0, nodes - failed - planned) * cpn AS serviceable, listed * uc AS listed,
        sold * uc AS sold
    FROM look
), hour AS (
    SELECT id, date_trunc('hour', t) AS hour, sum(installed) AS installed,
        sum(serviceable) AS serviceable, sum(least(listed, serviceable)) AS listed,
        sum(least(sold, listed, serviceable)) AS sold
    FROM cut GROUP BY 1, 2
)
SELECT sum(installed) * 1800, sum(serviceable) * 1800, sum(listed) * 1800, sum(sold) * 1800,
    sum(least(sold * 1800, (SELECT coalesce(sum(u.card_seconds), 0) FROM inventory_usagehour u
        JOIN inventory_allocation a ON a.id = u.allocation_id
        WHERE a.pool_id = h.id AND u.hour = h.hour)))
FROM hour h
"""
half_hours = st.integers(0, 200).map(lambda n: n / 2)
spans = st.tuples(half_hours, half_hours).filter(lambda pair: pair[0] < pair[1])


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    nodes=st.integers(1, 5),
    units=st.integers(1, 5),
    sellable=spans.filter(lambda pair: pair[1] - pair[0] >= 8),  # a lease fits, whatever its lead
    deals=st.lists(st.tuples(spans, st.integers(1, 3), st.integers(0, 3600)), max_size=4),
    outages=st.lists(st.tuples(st.sampled_from(["failed", "planned"]), spans), max_size=3),
    withdrawn=st.one_of(st.none(), half_hours),
    days=st.sampled_from([(0, 4), (0, 1), (2, 3), (4, 4)]),
)
def test_any_world_is_what_an_independent_recount_says(
    nodes, units, sellable, deals, outages, withdrawn, days
) -> None:
    with transaction.atomic():
        pool = world.pool(nodes=nodes)
        listing = scene.listing(pool, units=min(units, nodes), sellable=period(*sellable))
        for span, count, seconds in deals:
            with suppress(DomainError), transaction.atomic():
                lease = scene.lease(listing, units=count, start=span[0], end=span[1])
                usage(lease.allocation_id, int(span[0]), *[seconds * count] * 5)
        first_node = Node.objects.filter(pool=pool).order_by("pk")[0]
        for kind, span in outages:
            named = {"node_id": first_node.pk} if kind == "failed" else {"node_count": 1}
            with suppress(DomainError), transaction.atomic():
                capacity.set_outage(
                    pool_id=pool.pk, kind=kind, period=period(*span), reason="drill",
                    at=T0 + hours(span[0]) if kind == "failed" else T0, actor=SYSTEM, **named,
                )  # fmt: skip
        if withdrawn is not None:
            with suppress(DomainError):
                listings.withdraw(
                    listing_id=listing.pk, at=T0 + hours(withdrawn),
                    actor=world.actor(pool.provider),
                )  # fmt: skip
        asked = Days(FIRST + timedelta(days=days[0]), FIRST + timedelta(days=days[1]))
        rollups.sweep(at=END)

        kept = readings.total(readings.of_pools(asked))

        with connection.cursor() as cursor:
            window = between(asked)
            cursor.execute(INDEPENDENT, {"start": window.start, "end": window.end})
            counted = [int(value) for value in cursor.fetchone()]
        assert [kept[stage] for stage in STAGES[:5]] == counted
        transaction.set_rollback(True)


@pytest.fixture
def swept(transactional_db: Any) -> Lease:
    """A lease, metered for ten hours of the second day; its pool counted three days later."""
    with transaction.atomic():
        listing = scene.listing(world.pool(nodes=4), units=4)
        lease = scene.lease(listing, units=2, start=24, end=90)
        usage(lease.allocation_id, 24, *[16 * 3600] * 10)
    database.outwait()
    rollups.sweep(at=END)
    assert dirty() is None
    return lease


def dirty() -> date | None:
    database.outwait()
    rollups.read_changes(at=END)
    row = RollupCursor.objects.get()
    open_day = (END - rollups.OPEN).astimezone(ZONE).date()  # always counted again
    return None if row.dirty_since == open_day else row.dirty_since


def test_a_late_correction_marks_its_pool_and_is_counted(swept) -> None:
    before = readings.of_pools(Days(FIRST, LAST))[0].amounts["delivered"]

    usage(swept.allocation_id, 26, -7200, revision=1)
    usage(swept.allocation_id, 40, 3600)  # an hour that was metered late

    assert dirty() == date(2026, 6, 2)
    rollups.sweep(at=END)
    assert dirty() is None
    after = readings.of_pools(Days(FIRST, LAST))[0].amounts["delivered"]
    assert after == before - 7200 + 3600
    only_second = readings.of_pools(Days(date(2026, 6, 2), date(2026, 6, 2)))[0].amounts
    assert only_second["delivered"] == 160 * 3600 - 7200
    assert rollups.verify(at=END) == []


def test_a_failure_that_is_reported_late_is_counted_from_its_start(swept) -> None:
    pool = swept.allocation.pool
    capacity.set_outage(
        pool_id=pool.pk, kind="failed", period=period(30, 200), reason="fan",
        node_id=pool.nodes.order_by("pk")[0].pk, at=END - hours(1), actor=SYSTEM,
    )  # fmt: skip

    database.outwait()
    rollups.sweep(at=END)

    amounts = readings.of_pools(Days(FIRST, LAST))[0].amounts
    assert amounts["installed"] - amounts["serviceable"] == (112 - 30) * 8 * 3600


def test_a_row_that_was_changed_behind_the_sweep_is_found(swept, capsys) -> None:
    call_command("verify_rollups")
    assert "0 differ" in capsys.readouterr().out

    database.as_owner(
        "UPDATE marketplace_poolreading SET sold_down = sold_down + 1 WHERE day = '2026-06-03'"
    )
    database.as_owner(
        "UPDATE marketplace_poolhours SET counted_at = now(), sold_end_user = 5"
        " WHERE day = '2026-06-02'"
    )

    assert rollups.verify(at=END) == [
        f"hours of pool {swept.allocation.pool_id} on 2026-06-02",
        *(f"reading of pool {swept.allocation.pool_id} on 2026-06-0{day}" for day in (2, 3, 4, 5)),
    ]
    assert readings.mark().fault_count == 5
    with pytest.raises(CommandError, match="differ"):
        call_command("verify_rollups")
    RollupCursor.objects.update(dirty_since=FIRST)  # what the command says to do
    rollups.sweep(at=END)
    assert rollups.verify(at=END) == []


def test_the_database_refuses_a_reading_that_is_no_funnel(swept) -> None:
    with pytest.raises(Exception, match="reading_is_a_funnel"):
        PoolReading.objects.filter(day=LAST).update(sold=10**15)
