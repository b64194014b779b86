from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from inventory import metering
from inventory.errors import Invalid
from inventory.models import Allocation, Instance, JournalEntry, MeteringCursor
from tests import world
from tests.metering import timeline
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
FULL = 8 * 3600


def _counted() -> tuple[Allocation, Instance]:
    row = timeline.allocation(world.pool(), period=world.period(0, 3), active_at=T0)
    made = timeline.instance(row, [(T0, T0 + 3 * HOUR)])
    metering.sweep(at=T0 + 4 * HOUR)
    return row, made


def _was_down(made: Instance, start: float, end: float, at: timedelta) -> None:
    """Learned late: it did not work between these minutes after T0."""
    for state, minute in ((Instance.State.PROVISIONING, start), (Instance.State.ACTIVE, end)):
        metering.correct(
            instance_id=made.pk,
            state=state,
            since=T0 + minute * MINUTE,
            at=T0 + at,
            actor=SYSTEM,
            reason="power cut",
        )


def test_a_late_gap_becomes_a_delta_in_each_hour_it_touches() -> None:
    row, made = _counted()

    _was_down(made, 50, 75, at=5 * HOUR)
    written = metering.sweep(at=T0 + 5 * HOUR)

    assert written == 2
    assert timeline.hours(row) == [
        (T0, 0, FULL, 0),
        (T0, 1, -8 * 600, 8 * 600),
        (T0 + HOUR, 0, FULL, 0),
        (T0 + HOUR, 1, -8 * 900, 8 * 900),
        (T0 + 2 * HOUR, 0, FULL, 0),
    ]


def test_a_correction_is_counted_once_however_often_it_is_swept() -> None:
    row, made = _counted()
    _was_down(made, 50, 75, at=5 * HOUR)

    written = [metering.sweep(at=T0 + 5 * HOUR + minute * MINUTE) for minute in range(5)]

    assert written == [2, 0, 0, 0, 0]
    assert max(revision for _, revision, *_ in timeline.hours(row)) == 1


def test_a_second_correction_is_a_delta_against_the_sum() -> None:
    row, made = _counted()
    _was_down(made, 10, 20, at=5 * HOUR)
    metering.sweep(at=T0 + 5 * HOUR)

    _was_down(made, 30, 35, at=6 * HOUR)
    metering.sweep(at=T0 + 6 * HOUR)

    first = [entry[1:] for entry in timeline.hours(row) if entry[0] == T0]
    assert first == [(0, FULL, 0), (1, -8 * 600, 8 * 600), (2, -8 * 300, 8 * 300)]


def test_a_correction_made_while_no_sweep_ran_is_found_later() -> None:
    row, made = _counted()
    _was_down(made, 10, 20, at=5 * HOUR)

    written = metering.sweep(at=T0 + timedelta(days=10))

    assert written == 1
    assert timeline.hours(row)[1] == (T0, 1, -8 * 600, 8 * 600)


def test_a_correction_made_while_the_meter_stood_still_is_not_lost() -> None:
    """The hours that were late are counted first, and after the correction was entered."""
    row = timeline.allocation(world.pool(), period=world.period(0, 9), active_at=T0)
    made = timeline.instance(row, [(T0, T0 + 9 * HOUR)])
    metering.sweep(at=T0 + 4 * HOUR)
    _was_down(made, 10, 20, at=5 * HOUR)

    metering.sweep(at=T0 + 9 * HOUR)

    assert [entry[1:] for entry in timeline.hours(row) if entry[0] == T0] == [
        (0, FULL, 0),
        (1, -8 * 600, 8 * 600),
    ]


def test_corrections_beyond_one_sweeps_limit_wait_their_turn() -> None:
    counted = [_counted() for _ in range(3)]
    for _, made in counted:
        _was_down(made, 10, 20, at=5 * HOUR)

    written = [metering.sweep(at=T0 + 5 * HOUR, limit=2) for _ in range(3)]

    assert written == [2, 1, 0]


def test_a_correction_without_effect_is_looked_at_once() -> None:
    row, made = _counted()
    metering.correct(
        instance_id=made.pk, state="active", since=T0 + timedelta(minutes=5),
        at=T0 + 5 * HOUR, actor=SYSTEM, reason="nothing new",
    )  # fmt: skip

    assert metering.sweep(at=T0 + 5 * HOUR) == 0
    assert MeteringCursor.objects.get(allocation=row).corrected_since is None


def test_a_correction_never_adds_more_than_was_sold() -> None:
    row, _ = _counted()
    twin = timeline.instance(row, [])

    metering.correct(
        instance_id=twin.pk,
        state=Instance.State.ACTIVE,
        since=T0,
        at=T0 + 5 * HOUR,
        actor=SYSTEM,
        reason="wrong machine",
    )

    assert metering.sweep(at=T0 + 5 * HOUR) == 0
    assert sum(delivered for _, _, delivered, _ in timeline.hours(row)) == 3 * FULL


def test_a_correction_says_who_and_why() -> None:
    _, made = _counted()

    _was_down(made, 10, 20, at=5 * HOUR)

    entry = JournalEntry.objects.filter(object_id=made.public_id).latest("id")
    assert (entry.event, entry.reason, entry.actor) == (
        "instance.corrected",
        "power cut",
        SYSTEM.label,
    )


@pytest.mark.parametrize(
    ("state", "since", "error"),
    [
        ("active", T0 - timedelta(days=40), metering.TooLate),
        ("active", T0 + timedelta(days=1), Invalid),
        ("asleep", T0, Invalid),
    ],
)
def test_refuses_what_is_no_correction(state: str, since: datetime, error: type[Exception]) -> None:
    _, made = _counted()

    with pytest.raises(error):
        metering.correct(
            instance_id=made.pk, state=state, since=since, at=T0 + HOUR, actor=SYSTEM, reason=""
        )

    assert made.history.count() == 2
