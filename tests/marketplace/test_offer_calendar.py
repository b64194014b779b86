"""When so many units could be had for so long, and what a pool has on sale."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.errors import NotFound
from inventory.periods import Period
from marketplace import listings, offers
from marketplace.asking import TermsInput
from marketplace.offers import RangeTooLarge, StartWindow
from marketplace.offers.calendar import _days, _Windows
from tests import world
from tests.marketplace import scene
from tests.world import T0, hours, period

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR = 3_600_000_000


def calendar(**changes):
    return offers.calendar(
        request=scene.request(**changes), actor=world.actor(world.tenant()), at=T0
    )


def at(hour: float) -> datetime:
    return T0 + hours(hour)


@pytest.mark.django_db
def test_every_start_is_in_one_of_the_windows() -> None:
    dear = scene.listing(amount=9, units=2, sellable=period(0, 100))
    cheap = scene.listing(amount=6, units=4, sellable=period(0, 100))
    scene.lease(cheap, units=3, start=30, end=50)

    found = calendar(units=2, hours=10, latest_end=at(90))

    assert [row.stall.ware.public_id for row in found.listings] == [
        cheap.public_id,
        dear.public_id,
    ]
    assert found.listings[0].windows == (
        StartWindow(at(10), at(20)),
        StartWindow(at(50), at(80)),
    )
    assert found.listings[1].windows == (StartWindow(at(10), at(80)),)
    first = found.listings[0]
    assert (first.unit_count, first.card_count, first.hours) == (2, 16, 10)
    assert (first.gross_minor, first.card_hour_micro) == (96_000, 6_000_000)
    assert (first.start_grid_seconds, first.window_count) == (3600, 2)
    # T0 is eight in the morning in Shanghai.
    assert [(day.date, day.earliest_start_at, day.listing_count) for day in found.days] == [
        (date(2026, 6, 1), at(10), 2),
        (date(2026, 6, 2), at(16), 2),
        (date(2026, 6, 3), at(40), 2),
        (date(2026, 6, 4), at(64), 2),
    ]
    assert found.days[0].listing_id == cheap.public_id
    assert found.days[2].listing_id == dear.public_id
    assert (found.rejections, found.match_count) == ((), 2)


@pytest.mark.django_db
def test_a_calendar_says_why_listings_have_no_start() -> None:
    scene.listing(units=1)
    scene.listing(amount=9)
    scene.listing(terms=TermsInput(minimum_hours=200))

    found = calendar(units=2, max_card_hour_micro=8_000_000, hours=10)

    assert found.listings == found.days == ()
    assert {row.code: row.listing_count for row in found.rejections} == {
        "too_many_units": 1,
        "too_expensive": 1,
        "too_short": 1,
    }
    assert found.match_count == 0


@pytest.mark.django_db
def test_a_calendar_is_bounded() -> None:
    for _ in range(4):
        scene.listing()

    assert len(calendar(limit=3).listings) == 3
    assert calendar(limit=3).days[0].listing_count == 4
    with pytest.raises(RangeTooLarge):
        calendar(latest_end=T0 + timedelta(days=187))


spans = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 100), st.integers(0, 60), st.sampled_from([1, 3, 24])
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spans=spans)
def test_the_days_are_those_found_hour_by_hour(spans) -> None:
    base = 490_000 * HOUR // HOUR  # an hour count that no grid favours
    rows = sorted(
        (row, -(-(base + first) // grid) * grid, grid, length) for row, first, length, grid in spans
    )
    windows = _Windows(
        row=np.array([row for row, *_ in rows], dtype=np.int64),
        first=np.array([first * HOUR for _, first, *_ in rows], dtype=np.int64),
        last=np.array(
            [(first + length // grid * grid) * HOUR for _, first, grid, length in rows],
            dtype=np.int64,
        ),
        grid=np.array([grid * HOUR for *_, grid, _ in rows], dtype=np.int64),
    )

    found = _days(Rows(), windows, np.arange(4))  # type: ignore[arg-type]

    expected: dict[date, list[tuple[datetime, int]]] = {}
    for row, first, grid, length in rows:
        for hour in range(first, first + length + 1, grid):
            start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
            expected.setdefault(start.astimezone(SHANGHAI).date(), []).append((start, row))
    assert [(day.date, day.earliest_start_at, day.listing_count) for day in found] == [
        (day, min(starts)[0], len({row for _, row in starts}))
        for day, starts in sorted(expected.items())
    ]


class Rows:
    """As much of a map as the days look at: four stalls."""

    class Ware:
        public_id = "lst"

    class Stall:
        ware = None

    def __init__(self) -> None:
        self.Stall.ware = self.Ware  # type: ignore[assignment]
        self.stalls = [self.Stall] * 4


def on_sale(pool, start: float = 0, end: float = 100):
    return offers.on_sale(pool_public_id=pool.public_id, period=period(start, end), at=T0)


@pytest.mark.django_db
def test_what_is_on_sale_is_what_nobody_has_of_the_published_listings() -> None:
    pool = world.pool(nodes=10)
    first = scene.listing(pool, units=4, sellable=period(0, 60))
    second = scene.listing(pool, units=3, sellable=period(40, 90))
    paused = scene.listing(pool, units=1, sellable=period(0, 90))
    listings.pause(listing_id=paused.pk, at=T0, actor=world.actor(pool.provider))
    scene.lease(first, units=3, start=10, end=20)

    found = on_sale(pool, 5, 80)

    assert [(step.start, step.end, step.free_units) for step in found.steps] == [
        (at(5), at(10), 4),
        (at(10), at(20), 1),
        (at(20), at(40), 4),
        (at(40), at(60), 7),
        (at(60), at(80), 3),
    ]
    assert {row.listing_id: len(row.steps) for row in found.listings} == {
        first.public_id: 3,
        second.public_id: 1,
    }
    assert (found.pool_id, found.unit_cards) == (pool.public_id, 8)


@pytest.mark.django_db
def test_a_hole_between_listings_has_no_step() -> None:
    pool = world.pool(nodes=4)
    scene.listing(pool, units=4, sellable=period(0, 20))
    scene.listing(pool, units=4, sellable=period(30, 50))

    assert [(step.start, step.end) for step in on_sale(pool).steps] == [
        (at(0), at(20)),
        (at(30), at(50)),
    ]


@pytest.mark.django_db
def test_a_pool_with_nothing_on_sale_is_not_found() -> None:
    pool = world.pool()

    for public_id in (pool.public_id, "pool_" + "0" * 32):
        with pytest.raises(NotFound):
            offers.on_sale(pool_public_id=public_id, period=period(0, 10), at=T0)
    scene.listing(pool)
    with pytest.raises(RangeTooLarge):
        offers.on_sale(
            pool_public_id=pool.public_id, period=Period(T0, T0 + timedelta(days=401)), at=T0
        )
