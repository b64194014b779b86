"""Members who decide at once, and a decision against the sweep; each with its control."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from billing import checkout
from inventory import capacity, journal
from inventory.errors import DomainError
from inventory.models import JournalEntry
from marketplace import approvals, listings, reservations
from marketplace.asking import TermsInput
from marketplace.models import Reservation
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.marketplace.test_approvals import approve, member, set_rule
from tests.races.crowd import busy_tolerant, together
from tests.world import T0, hours

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
    pytest.mark.race,
    pytest.mark.usefixtures("many_connections"),
]
TERMS = TermsInput(decide_hours=6)


def waiting() -> Reservation:
    books.top_up(world.tenant(), 1_000_000)
    listing = scene.listing(mode="approval", terms=TERMS)
    return books.hold(listing, start=100, end=110)


def unlocked(meeting: threading.Barrier) -> Any:
    """What approving would be without the row's lock: all look before any writes."""

    def find(public_id: str, actor: Any) -> Reservation:
        row = Reservation.objects.select_related("provider").get(public_id=public_id)
        meeting.wait(30)
        return row

    return find


def decisions() -> int:
    return JournalEntry.objects.filter(event="reservation.approved").count()


def test_of_members_who_approve_at_once_the_last_one_needed_decides() -> None:
    provider = world.provider()
    members = [member(provider) for _ in range(4)]
    set_rule([0, 2])
    held = waiting()

    results = together(*(lambda who=who: approve(held, who) for who in members))

    late = [each for each in results if isinstance(each, approvals.AlreadyDecided)]
    assert len(late) == 2
    held.refresh_from_db()
    assert (held.decision, held.approvals.count(), decisions()) == ("approved", 2, 1)


def test_control_without_the_lock_members_who_approve_at_once_do_not_see_each_other(
    monkeypatch,
) -> None:
    provider = world.provider()
    members = [member(provider) for _ in range(2)]
    set_rule([0, 2])
    held = waiting()
    written = threading.Barrier(2)
    record = journal.record

    def together_written(**facts: Any) -> None:
        record(**facts)
        if facts["event"] == "reservation.approval_given":
            written.wait(30)

    monkeypatch.setattr(approvals, "lock", unlocked(threading.Barrier(2)))
    monkeypatch.setattr(journal, "record", together_written)

    together(*(lambda who=who: approve(held, who) for who in members))

    held.refresh_from_db()
    # Both agreed, and each counted only itself: the deal would wait for ever.
    assert (held.decision, held.approvals.count()) == ("", 2)


def test_one_member_who_approves_twice_at_once_counts_once() -> None:
    provider = world.provider()
    first, _ = member(provider), member(provider)
    set_rule([0, 2])
    held = waiting()

    results = together(*(lambda: approve(held, first) for _ in range(4)))

    assert sum(isinstance(each, approvals.ApprovedAlready) for each in results) == 3
    held.refresh_from_db()
    assert (held.decision, held.approvals.count()) == ("", 1)


def at_the_deadline(held: Reservation) -> tuple[Any, Any]:
    assert held.decide_by is not None
    deadline = held.decide_by
    who = member(world.provider())
    return (
        lambda: approve(held, who, at=deadline - timedelta(microseconds=1)),
        lambda: checkout.expire_due(at=deadline, limit=10),
    )


def test_approving_and_the_sweep_at_the_deadline_have_one_winner() -> None:
    for _ in range(5):
        held = waiting_again()

        approved, swept = together(*at_the_deadline(held))

        held.refresh_from_db()
        if isinstance(approved, DomainError):
            assert (held.state, held.decision, swept) == ("expired", "", 1)
        else:
            assert (held.state, held.decision, swept) == ("held", "approved", 0)
            assert held.allocation.state == "held"


def waiting_again() -> Reservation:
    """One after the other on a listing of its own, the tenant funded once."""
    books.top_up(world.tenant(), 1_000_000, reference=f"B-{Reservation.objects.count()}")
    return books.hold(
        scene.listing(world.pool(nodes=1), units=1, mode="approval", terms=TERMS),
        start=100,
        end=110,
    )


def test_control_without_the_lock_a_hold_is_approved_and_released(monkeypatch) -> None:
    held = waiting()
    approved_first, swept = at_the_deadline(held)
    looked, released = threading.Event(), threading.Event()

    def find(public_id: str, actor: Any) -> Reservation:
        row = Reservation.objects.select_related("provider").get(public_id=public_id)
        looked.set()
        released.wait(30)
        return row

    def sweep() -> int:
        looked.wait(30)
        count: int = swept()
        released.set()
        return count

    monkeypatch.setattr(approvals, "lock", find)

    together(approved_first, sweep)

    held.refresh_from_db()
    assert (held.state, held.decision) == ("expired", "approved")


def test_rejecting_and_approving_at_once_decide_once() -> None:
    held = waiting()
    first, second = member(world.provider()), member(world.provider())

    results = together(
        lambda: approve(held, first),
        lambda: checkout.reject(
            reservation_public_id=held.public_id, at=T0 + hours(1), actor=second, reason="no"
        ),
    )

    assert sum(isinstance(each, approvals.AlreadyDecided) for each in results) == 1
    held.refresh_from_db()
    expected = "cancelled" if held.decision == "rejected" else "held"
    assert held.state == expected
    assert not books.differences()


def test_confirming_and_rejecting_at_once_never_pays_for_what_was_rejected() -> None:
    held = waiting()
    who = member(world.provider())

    confirmed, rejected = together(
        lambda: books.confirm(held, at=T0 + hours(1)),
        lambda: checkout.reject(
            reservation_public_id=held.public_id, at=T0 + hours(1), actor=who, reason="no"
        ),
    )

    assert isinstance(confirmed, DomainError)
    assert not isinstance(rejected, DomainError)
    assert books.available() == 1_000_000
    assert not books.differences()


def test_shrinking_against_holds_never_leaves_more_sold_than_listed() -> None:
    books.top_up(world.tenant(), 10_000_000)
    row = scene.listing(world.pool(nodes=8), units=8)
    tenants = [world.tenant(f"Tenant {number}") for number in range(6)]

    def shrink() -> Any:
        return busy_tolerant(
            lambda: listings.resize(
                listing_id=row.pk, unit_count=3, at=T0, actor=world.actor(row.provider)
            )
        )

    def hold(tenant: Any) -> Any:
        def placed() -> Reservation:
            with transaction.atomic():
                return scene.hold(row, tenant=tenant, start=10, end=20)

        return busy_tolerant(placed)

    results = together(shrink, *(lambda who=who: hold(who) for who in tenants))

    row.block.refresh_from_db()
    held = Reservation.objects.filter(listing=row, state="held").count()
    assert held <= row.block.unit_count
    if isinstance(results[0], capacity.CapacityTaken):
        assert row.block.unit_count == 8
        assert results[0].fields()["sold_units"] > 3
    else:
        assert (row.block.unit_count, held) == (3, 3)
    assert reservations.due(at=T0, limit=10) == []
