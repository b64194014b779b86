from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory import metering
from inventory.models import Allocation, Pool
from inventory.periods import Period
from tests import world
from tests.metering import timeline
from tests.metering.timeline import Interval
from tests.world import SYSTEM

pytestmark = pytest.mark.django_db

# Two days before a month's end, so that half of what is drawn crosses a partition's edge.
BASE = datetime.fromisoformat("2026-06-29T00:00:00+00:00")
SPAN = timedelta(days=4)
relaxed = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

instants = st.integers(0, int(SPAN.total_seconds()) * 10**6).map(
    lambda microseconds: BASE + timedelta(microseconds=microseconds)
)


@st.composite
def intervals(draw: st.DrawFn) -> list[Interval]:
    """Up to three that do not overlap."""
    cuts = sorted(draw(st.sets(instants, min_size=0, max_size=6)))
    return [(cuts[i], cuts[i + 1]) for i in range(0, len(cuts) - 1, 2)]


@st.composite
def stories(draw: st.DrawFn) -> tuple[Period, datetime, list[list[Interval]]]:
    start, end = sorted(draw(st.lists(instants, min_size=2, max_size=2, unique=True)))
    machines = draw(st.lists(intervals(), min_size=1, max_size=3))
    return Period(start, end), draw(instants), machines


@pytest.fixture
def pool() -> Pool:
    return world.pool(nodes=1)


def _write(pool: Pool, story: tuple[Period, datetime, list[list[Interval]]]) -> Allocation:
    period, active_at, machines = story
    row = timeline.allocation(pool, period=period, units=len(machines), active_at=active_at)
    for each in machines:
        timeline.instance(row, each)
    return row


def _expected(story: tuple[Period, datetime, list[list[Interval]]]) -> int:
    """Card-seconds of all intervals, cut to the period and to what was usable."""
    period, active_at, machines = story
    total = 0
    for start, end in (interval for machine in machines for interval in machine):
        opens, closes = max(start, period.start, active_at), min(end, period.end)
        if opens < closes:
            total += int(closes.timestamp()) - int(opens.timestamp())
    return 8 * total


@relaxed
@given(story=stories())
def test_usage_is_conserved_and_never_above_what_was_sold(
    pool: Pool, story: tuple[Period, datetime, list[list[Interval]]]
) -> None:
    row = _write(pool, story)
    metering.sweep(at=BASE + SPAN + timedelta(hours=2))

    hours = timeline.hours(row)
    period = story[0]
    owed = 8 * len(story[2]) * (int(period.end.timestamp()) - int(period.start.timestamp()))

    assert sum(delivered for _, _, delivered, _ in hours) == _expected(story)
    assert sum(delivered + gap for _, _, delivered, gap in hours) == owed
    assert all(delivered >= 0 and gap >= 0 for _, _, delivered, gap in hours)
    assert all(delivered <= 8 * 3600 * len(story[2]) for _, _, delivered, _ in hours)
    assert all(revision == 0 for _, revision, *_ in hours)


@relaxed
@given(story=stories(), sweeps=st.lists(st.integers(0, 110), max_size=5))
def test_when_and_how_often_it_is_swept_does_not_matter(
    pool: Pool, story: tuple[Period, datetime, list[list[Interval]]], sweeps: list[int]
) -> None:
    often, once = _write(pool, story), _write(pool, story)

    for hour in sweeps:
        metering.sweep(at=BASE + timedelta(hours=hour), limit=1)
    metering.sweep(at=BASE + SPAN + timedelta(hours=2))
    metering.sweep(at=BASE + SPAN + timedelta(hours=2))

    assert [entry[1:] for entry in timeline.hours(often)] == [
        entry[1:] for entry in timeline.hours(once)
    ]
    assert sum(delivered for _, _, delivered, _ in timeline.hours(often)) == _expected(story)


@relaxed
@given(story=stories(), again=stories())
def test_after_any_correction_the_sum_is_what_the_corrected_history_says(
    pool: Pool,
    story: tuple[Period, datetime, list[list[Interval]]],
    again: tuple[Period, datetime, list[list[Interval]]],
) -> None:
    row = _write(pool, story)
    at = BASE + SPAN + timedelta(hours=2)
    metering.sweep(at=at)

    late = at + timedelta(minutes=5)
    made = row.instances.order_by("pk")[0]
    for start, end in again[2][0]:
        for state, since in (("active", start), ("releasing", end)):
            metering.correct(
                instance_id=made.pk, state=state, since=since, at=late, actor=SYSTEM, reason="late"
            )
    metering.sweep(at=late)
    corrected = sum(delivered for _, _, delivered, _ in timeline.hours(row))

    assert corrected == _recount(row, story[0], story[1], len(story[2]))


def _recount(row: Allocation, period: Period, active_at: datetime, units: int) -> int:
    """The history replayed second by second's edges, hour by hour capped at what was sold."""
    hours: dict[int, int] = {}
    for made in row.instances.all():
        entries = list(made.history.order_by("at", "pk").values_list("state", "at"))
        ends = [at for _, at in entries[1:]] + [period.end]
        for (state, start), end in zip(entries, ends, strict=False):
            opens, closes = max(start, period.start, active_at), min(end, period.end)
            if state != "active" or opens >= closes:
                continue
            first, last = int(opens.timestamp()), int(closes.timestamp())
            while first < last:
                edge = min(last, (first // 3600 + 1) * 3600)
                hours[first // 3600] = hours.get(first // 3600, 0) + 8 * (edge - first)
                first = edge
    cap = {
        hour: 8
        * units
        * (
            min(int(period.end.timestamp()), (hour + 1) * 3600)
            - max(int(period.start.timestamp()), hour * 3600)
        )
        for hour in hours
    }
    return sum(min(seconds, cap[hour]) for hour, seconds in hours.items())
