"""Leases: cancelled before their start, or moved along after their machines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory import capacity
from inventory.errors import NotFound
from inventory.models import Allocation, JournalEntry
from inventory.transitions import IllegalTransition, advance
from marketplace import leases
from tests import world
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db


def walked(lease) -> list[str]:
    entries = JournalEntry.objects.filter(object_id=lease.public_id).order_by("id")
    return [entry.to_state for entry in entries]


def move(lease, *states: str, at) -> Allocation:
    allocation = Allocation.objects.get(pk=lease.allocation_id)
    for state in states:
        advance(allocation, to=state, at=at, actor=SYSTEM)
    return allocation


def test_cancelling_before_the_start_frees_the_machines_and_quotes_by_the_terms() -> None:
    listing = scene.listing(units=4)
    lease = scene.lease(listing, units=4, start=100, end=110)
    at = T0 + hours(20)

    quote = leases.quote_cancel(lease=lease, at=at)
    leases.cancel(
        lease=leases.lock(lease.public_id), at=at, actor=world.actor(lease.tenant), reason="no need"
    )

    assert (quote.share_bps, quote.refund_minor) == (5_000, lease.due_minor // 2)
    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("cancelled", "cancelled_by_tenant")
    assert lease.end_evidence == lease.reservation.public_id
    assert lease.allocation.state == "cancelled"
    assert scene.lease(listing, units=4, start=100, end=110, at=at).state == "scheduled"


def test_a_lease_that_should_have_started_is_no_longer_cancelled() -> None:
    lease = scene.lease(scene.listing(), start=10, end=20)

    for verb in (
        lambda: leases.quote_cancel(lease=lease, at=T0 + hours(10)),
        lambda: leases.cancel(
            lease=leases.lock(lease.pk), at=T0 + hours(10), actor=SYSTEM, reason=""
        ),
    ):
        with refused(leases.CancelWindowClosed):
            verb()

    lease.refresh_from_db()
    assert lease.state == "scheduled"


def test_a_lease_whose_delivery_began_is_not_cancelled() -> None:
    lease = scene.lease(scene.listing(), start=10, end=20)
    move(lease, "delivering", at=T0 + hours(9))

    with refused(IllegalTransition):
        leases.cancel(lease=leases.lock(lease.pk), at=T0 + hours(9), actor=SYSTEM, reason="")

    lease.refresh_from_db()
    assert lease.state == "scheduled"


def test_a_lease_walks_through_every_state_however_late_it_looks() -> None:
    lease = scene.lease(scene.listing(), start=10, end=20)
    active, ended = T0 + hours(10.2), T0 + hours(20.5)
    move(lease, "delivering", at=T0 + hours(10))
    move(lease, "active", at=active)
    move(lease, "releasing", at=T0 + hours(20))
    move(lease, "ended", at=ended)

    leases.follow(lease_id=lease.pk, at=T0 + hours(30))

    lease.refresh_from_db()
    assert walked(lease) == ["scheduled", "delivering", "active", "ending", "ended"]
    assert (lease.state, lease.end_reason) == ("ended", "completed")
    assert lease.end_evidence == lease.allocation.public_id
    assert (lease.active_at, lease.ended_at) == (active, ended)
    leases.follow(lease_id=lease.pk, at=T0 + hours(31))
    assert len(walked(lease)) == 5


def test_a_lease_follows_step_by_step() -> None:
    lease = scene.lease(scene.listing(), start=10, end=20)

    scene.deliver(lease, start=T0 + hours(10), active=T0 + hours(10.1))
    lease.refresh_from_db()
    assert lease.state == "active"
    move(lease, "releasing", "release_failed", at=T0 + hours(20))
    assert leases.follow(lease_id=lease.pk, at=T0 + hours(20)).state == "ending"
    assert leases.astray(limit=10) == []
    move(lease, "releasing", "ended", at=T0 + hours(21))
    assert leases.follow(lease_id=lease.pk, at=T0 + hours(21)).state == "ended"


@pytest.mark.parametrize("last", [("releasing",), ("releasing", "ended")])
def test_machines_given_up_before_use_are_a_failed_delivery(last) -> None:
    lease = scene.lease(scene.listing(), start=10, end=20)
    move(lease, "delivering", at=T0 + hours(10))
    Allocation.objects.filter(pk=lease.allocation_id).update(failure_code="boot_timeout")
    move(lease, *last, at=T0 + hours(10.5))

    leases.follow(lease_id=lease.pk, at=T0 + hours(11))

    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("failed", "delivery_failed")
    assert walked(lease) == ["scheduled", "delivering", "failed"]
    entry = JournalEntry.objects.get(event="lease.failed")
    assert entry.reason == "boot_timeout"
    assert leases.astray(limit=10) == []


def test_the_sweep_moves_those_that_stand_elsewhere_and_only_those() -> None:
    listing = scene.listing(units=4)
    still = scene.lease(listing, start=10, end=20)
    moved = [scene.lease(listing, start=10, end=20) for _ in range(2)]
    for lease in moved:
        move(lease, "delivering", at=T0 + hours(10))

    assert leases.astray(limit=10) == [lease.pk for lease in moved]
    assert leases.sweep(at=T0 + hours(10)) == 2
    assert leases.sweep(at=T0 + hours(10)) == 0

    still.refresh_from_db()
    assert still.state == "scheduled"


def test_a_lease_that_cannot_move_holds_up_no_other(monkeypatch) -> None:
    listing = scene.listing(units=4)
    first, second = (scene.lease(listing, start=10, end=20) for _ in range(2))
    for lease in (first, second):
        move(lease, "delivering", at=T0 + hours(10))
    follow = leases.follow

    def stubborn(*, lease_id, at):
        if lease_id == first.pk:
            raise IllegalTransition("stuck")
        return follow(lease_id=lease_id, at=at)

    monkeypatch.setattr(leases, "follow", stubborn)

    assert leases.sweep(at=T0 + hours(10)) == 1
    second.refresh_from_db()
    assert second.state == "delivering"


def test_an_allocation_called_off_cancels_its_lease() -> None:
    lease = scene.lease(scene.listing(), start=10, end=20)
    capacity.release(allocation_id=lease.allocation_id, at=T0, actor=SYSTEM, reason="called off")

    leases.follow(lease_id=lease.pk, at=T0 + timedelta(minutes=1))

    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("cancelled", "capacity_released")
    assert lease.end_evidence == lease.allocation.public_id


@pytest.mark.parametrize("key", ["lse_" + "0" * 32, "rsv_" + "0" * 32, "x", 2**40])
def test_a_lease_that_is_not_there_is_not_found(key) -> None:
    with refused(NotFound):
        leases.lock(key)
