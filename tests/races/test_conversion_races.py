"""A trial that goes on while others take what follows it, and a step that dies in between."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from inventory import capacity, credentials, verification
from inventory.capacity import CapacityTaken
from inventory.errors import Busy
from inventory.models import Allocation, Binding, Claim, Instance
from inventory.periods import Period
from inventory.transitions import IllegalTransition
from tests.capacity.deals import hold
from tests.delivery import scene
from tests.races.crowd import busy_tolerant, together
from tests.world import SYSTEM, T0, hours, period

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("many_connections"),
]
OPTIONS = {"provision_seconds": 5, "release_seconds": 5}


def running(nodes: int = 2) -> Allocation:
    with capacity.replaying():
        pool = scene.pool(nodes=nodes, options=OPTIONS)
        row = scene.sold(pool, units=2, period=period(0, 10))
        scene.run(T0 - hours(1), T0 + hours(1), every=60)
    row.refresh_from_db()
    assert row.state == "active"
    return row


def convert(row: Allocation, *, seam: float = 10) -> Allocation:
    return capacity.convert(
        allocation_id=row.pk, seam=T0 + hours(seam), end=T0 + hours(20), at=T0 + hours(2),
        actor=SYSTEM,
    )  # fmt: skip


def test_what_follows_goes_to_the_trial_or_to_another_hold_never_to_both() -> None:
    for number in range(6):
        row = running()
        block = row.pool.blocks.get()

        converted, held = together(
            lambda: busy_tolerant(lambda: convert(row)),  # noqa: B023
            lambda: busy_tolerant(lambda: hold(block, units=1, start=12, end=14)),  # noqa: B023
        )

        won = isinstance(converted, Allocation)
        assert won != isinstance(held, Allocation), number
        assert isinstance(held if won else converted, CapacityTaken)
        assert Allocation.objects.filter(continues=row).count() == int(won)
    assert verification.verify() == []


def test_control_room_counted_before_the_lock_is_given_to_both() -> None:
    row = running()
    block = row.pool.blocks.get()
    both_counted = threading.Barrier(2)

    def taken() -> int:
        """Units of the block taken after the seam, as a naive check would count them."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(sum(unit_count), 0) FROM inventory_claim WHERE block_id = %s"
                " AND state IN ('held', 'confirmed') AND blocking && %s",
                [block.pk, period(12, 14).range],
            )
            count = int(cursor.fetchone()[0])
        both_counted.wait(timeout=30)
        return count

    assert together(taken, taken) == [0, 0]  # two units are free for each of them, of two in all


def test_a_trial_goes_on_once_however_many_ask() -> None:
    row = running()

    results = together(
        *[lambda n=n: busy_tolerant(lambda: convert(row, seam=10 - n)) for n in range(4)]
    )

    assert sum(isinstance(each, Allocation) for each in results) == 1
    assert sum(isinstance(each, IllegalTransition) for each in results) == 3
    assert verification.verify() == []


def test_many_workers_at_the_seam_hand_over_once() -> None:
    row = running()
    with capacity.replaying():
        child = convert(row)
    at = T0 + hours(10) + timedelta(seconds=1)

    together(*[lambda: scene.tick(at) for _ in range(6)])
    with capacity.replaying():
        scene.run(at, at + timedelta(minutes=5), every=30)

    child.refresh_from_db()
    row.refresh_from_db()
    assert (row.state, child.state) == ("ended", "active")
    assert scene.states(child) == ["active", "active"]
    assert Binding.objects.filter(allocation=child).count() == 2
    assert verification.verify() == []


def test_a_step_that_dies_within_the_hand_over_has_done_nothing(monkeypatch) -> None:
    row = running()
    with capacity.replaying():
        child = convert(row)
    seam = T0 + hours(10)
    carry_over = credentials.carry_over

    def dies(**_: object) -> int:
        raise Busy

    with capacity.replaying():
        monkeypatch.setattr(credentials, "carry_over", dies)
        scene.tick(seam)
        row.refresh_from_db()
        child.refresh_from_db()
        before = (row.state, child.state, scene.states(row), scene.states(child))
        monkeypatch.setattr(credentials, "carry_over", carry_over)
        scene.run(seam + timedelta(minutes=2), seam + timedelta(minutes=10), every=30)

    child.refresh_from_db()
    assert before == ("active", "scheduled", ["active", "active"], [])
    assert (child.state, child.active_at) == ("active", seam)
    assert Instance.objects.filter(allocation=child).count() == 2
    assert Claim.objects.filter(allocation=row, state="confirmed").count() == 0
    assert verification.verify() == []


def test_control_two_steps_in_two_transactions_leave_the_machines_to_nobody() -> None:
    """The nodes change hands first, and the worker dies before the machines do."""
    row = running()
    with capacity.replaying():
        child = convert(row)
        with transaction.atomic():
            capacity.hand_over(
                allocation_id=row.pk, into_id=child.pk, at=T0 + hours(10), actor=SYSTEM
            )

    held_by = set(
        Binding.objects.filter(during__endswith__gt=T0 + hours(10)).values_list(
            "allocation", flat=True
        )
    )
    run_for = set(Instance.objects.filter(state="active").values_list("allocation", flat=True))
    assert (held_by, run_for) == ({child.pk}, {row.pk})
    assert Period.of(child.period).start == T0 + hours(10)
