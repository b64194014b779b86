from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import metering
from inventory.models import Allocation, Pool
from inventory.periods import Period
from tests import world
from tests.metering import timeline
from tests.world import T0

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
FULL = 8 * 3600


def _served(pool: Pool, start: datetime, end: datetime, *, late: float = 0) -> Allocation:
    """Usable from `late` seconds after its start to its end."""
    up = start + timedelta(seconds=late)
    row = timeline.allocation(pool, period=Period(start, end), active_at=up)
    timeline.instance(row, [(up, end + timedelta(seconds=4))])
    return row


def test_each_closed_hour_is_counted_with_its_gap() -> None:
    row = _served(world.pool(), T0, T0 + 3 * HOUR, late=90)

    written = metering.sweep(at=T0 + 4 * HOUR)

    assert written == 3
    assert timeline.hours(row) == [
        (T0, 0, FULL - 8 * 90, 8 * 90),
        (T0 + HOUR, 0, FULL, 0),
        (T0 + 2 * HOUR, 0, FULL, 0),
    ]


def test_partial_hours_at_both_ends_are_owed_in_part() -> None:
    start, end = T0 + timedelta(minutes=40), T0 + timedelta(minutes=75)
    row = _served(world.pool(), start, end)

    metering.sweep(at=T0 + 3 * HOUR)

    assert timeline.hours(row) == [(T0, 0, 8 * 1200, 0), (T0 + HOUR, 0, 8 * 900, 0)]


def test_an_hour_is_not_counted_before_its_grace_is_over() -> None:
    row = _served(world.pool(), T0, T0 + 3 * HOUR)

    before = metering.sweep(at=T0 + HOUR + metering.GRACE - timedelta(microseconds=1))
    after = metering.sweep(at=T0 + HOUR + metering.GRACE)

    assert (before, after) == (0, 1)
    assert [hour for hour, *_ in timeline.hours(row)] == [T0]


def test_a_sweep_that_runs_again_changes_nothing() -> None:
    row = _served(world.pool(), T0, T0 + 3 * HOUR, late=90)
    metering.sweep(at=T0 + 4 * HOUR)
    counted = timeline.hours(row)

    again = [metering.sweep(at=T0 + 4 * HOUR), metering.sweep(at=T0 + 40 * HOUR)]

    assert again == [0, 0]
    assert timeline.hours(row) == counted


def test_nothing_is_delivered_before_the_customer_can_use_all_of_it() -> None:
    row = timeline.allocation(
        world.pool(), period=world.period(0, 1), units=2, active_at=T0 + timedelta(minutes=30)
    )
    timeline.instance(row, [(T0, T0 + HOUR)])
    timeline.instance(row, [(T0 + timedelta(minutes=30), T0 + HOUR)])

    metering.sweep(at=T0 + 2 * HOUR)

    assert timeline.hours(row) == [(T0, 0, FULL, FULL)]


def test_a_delivery_that_never_became_usable_is_all_gap() -> None:
    row = timeline.allocation(world.pool(), period=world.period(0, 1), active_at=None)
    timeline.instance(row, [(T0, T0 + HOUR)])

    metering.sweep(at=T0 + 2 * HOUR)

    assert timeline.hours(row) == [(T0, 0, 0, FULL)]


def test_a_delivery_that_was_given_up_is_owed_no_longer() -> None:
    row = timeline.allocation(world.pool(), period=world.period(0, 5), active_at=None)
    early = timeline.allocation(world.pool(), period=world.period(5, 9), active_at=None)
    for given_up, after in ((row, 90), (early, 120)):
        given_up.failure_code = "provision_failed"
        given_up.failed_at = T0 + timedelta(minutes=after)
        given_up.save(update_fields=["failure_code", "failed_at"])

    written = [metering.sweep(at=T0 + 12 * HOUR), metering.sweep(at=T0 + 12 * HOUR)]

    assert written == [2, 0]
    assert timeline.hours(row) == [(T0, 0, 0, FULL), (T0 + HOUR, 0, 0, FULL // 2)]
    assert timeline.hours(early) == []


def test_a_replacement_adds_up_with_what_it_replaced() -> None:
    row = timeline.allocation(world.pool(), period=world.period(0, 1), active_at=T0)
    timeline.instance(row, [(T0, T0 + timedelta(minutes=10))])
    timeline.instance(row, [(T0 + timedelta(minutes=25), T0 + HOUR)])

    metering.sweep(at=T0 + 2 * HOUR)

    assert timeline.hours(row) == [(T0, 0, 8 * 45 * 60, 8 * 15 * 60)]


@pytest.mark.parametrize("state", ["held", "scheduled", "cancelled", "expired"])
def test_what_was_never_delivered_is_not_metered(state: str) -> None:
    row = timeline.allocation(world.pool(), period=world.period(0, 2), active_at=None, state=state)

    assert metering.sweep(at=T0 + 9 * HOUR) == 0
    assert timeline.hours(row) == []


def test_the_centres_own_use_is_not_metered() -> None:
    row = timeline.allocation(world.pool(), period=world.period(0, 2), active_at=T0, kind="own_use")

    metering.sweep(at=T0 + 9 * HOUR)

    assert timeline.hours(row) == []


def test_a_month_turns_at_a_partitions_edge_without_losing_a_second() -> None:
    edge = datetime(2026, 7, 1, tzinfo=UTC)
    row = _served(world.pool(), edge - timedelta(minutes=90), edge + timedelta(minutes=90))

    metering.sweep(at=edge + 3 * HOUR)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text, count(*), sum(card_seconds)"
            " FROM inventory_usagehour WHERE allocation_id = %s GROUP BY 1 ORDER BY 1",
            [row.pk],
        )
        by_partition = cursor.fetchall()
    assert by_partition == [
        ("inventory_usagehour_2026_06", 2, 8 * 5400),
        ("inventory_usagehour_2026_07", 2, 8 * 5400),
    ]


def test_many_allocations_cost_no_more_statements_than_one() -> None:
    pool = world.pool()

    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            metering.sweep(at=T0 + 4 * HOUR)
        return len(queries)

    _served(pool, T0, T0 + 3 * HOUR)
    one = statements()
    rows = [_served(pool, T0, T0 + 3 * HOUR) for _ in range(20)]
    many = statements()

    assert many == one
    assert all(len(timeline.hours(row)) == 3 for row in rows)


def test_a_long_backlog_is_worked_off_piece_by_piece() -> None:
    row = _served(world.pool(), T0, T0 + timedelta(days=40))
    at = T0 + timedelta(days=41)

    written = [metering.sweep(at=at), metering.sweep(at=at), metering.sweep(at=at)]

    assert written == [24 * 31, 24 * 9, 0]
    assert sum(delivered for _, _, delivered, _ in timeline.hours(row)) == 40 * 24 * FULL
