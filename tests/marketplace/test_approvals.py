"""Holds that wait for their provider: who agrees, until when, and what silence means."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError

from inventory import keys
from inventory.actors import Actor
from inventory.errors import Invalid, NotFound
from inventory.models import ApiKey, JournalEntry, Organisation, Verification
from inventory.organisations import ROLE_SCOPES
from inventory.transitions import IllegalTransition
from marketplace import approvals, policy, prospects, reservations
from marketplace.asking import TermsInput
from marketplace.models import Approval, ApprovalRule, Lease, Reservation
from tests import world
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db
LATER = T0 + hours(1)
MINUTE = timedelta(minutes=1)


def member(org: Organisation, role: str = "operator") -> Actor:
    """A real person: what is approved is approved by somebody."""
    user = world.member(org, role)
    return Actor(
        kind="user",
        label=user.public_id,
        organisation_id=org.pk,
        role=role,
        scopes=ROLE_SCOPES[role],
    )


def listing(**shape):
    shape.setdefault("terms", TermsInput(decide_hours=6))
    return scene.listing(mode="approval", **shape)


def waiting(start: float = 100, end: float = 110, **shape) -> Reservation:
    return scene.hold(listing(**shape), start=start, end=end)


def approve(row: Reservation, actor: Actor, at=LATER, document="HT-2026-17") -> Reservation:
    return approvals.approve(
        reservation_public_id=row.public_id, document_number=document, at=at, actor=actor
    )


def reject(row: Reservation, actor: Actor, at=LATER, reason: str = "kept for our own") -> None:
    approvals.reject(
        reservation=approvals.lock(row.public_id, actor), at=at, actor=actor, reason=reason
    )


def set_rule(*thresholds, at=T0, actor: Actor | None = None, **facts) -> ApprovalRule:
    provider = world.provider()
    return approvals.set_rule(
        provider_id=provider.pk,
        thresholds=thresholds,
        at=at,
        actor=actor or world.actor(provider),
        **facts,
    )


def test_a_hold_on_a_listing_by_approval_waits_until_its_deadline() -> None:
    held = waiting()

    assert held.decide_by == T0 + hours(6)
    assert held.expires_at == T0 + hours(6) + timedelta(minutes=15)
    assert (held.approvals_needed, held.decision, held.decided_at) == (1, "", None)
    entry = JournalEntry.objects.get(event="reservation.held")
    assert entry.data["decide_by"] == held.decide_by.isoformat()


def test_a_hold_on_an_instant_listing_waits_for_nobody() -> None:
    held = scene.hold(scene.listing())

    assert (held.decide_by, held.approvals_needed) == (None, 0)
    with refused(approvals.ApprovalNotNeeded):
        approve(held, member(world.provider()))


def test_near_the_start_the_provider_has_less_time_and_the_tenant_still_its_own() -> None:
    pool = world.pool(lead_seconds=1800)

    held = scene.hold(listing(pool=pool), start=3, end=5)

    # 03:00, less half an hour of lead and a quarter of an hour to pay
    assert held.decide_by == T0 + hours(2.25)
    assert held.expires_at == T0 + hours(2.5)


def test_a_transfer_has_its_business_days_after_the_provider_s_own_time() -> None:
    offer = scene.offer(listing(), start=500, end=510)

    found = prospects.of(offer, at=T0, pay_by="bank")

    decided = T0 + hours(6)
    after = policy.expires_at(decided, start=offer.period.start, lead_seconds=0, pay_by="bank")
    assert (found.decide_by, found.expires_at) == (decided, after)
    terms = found.hold_terms(lapsed_count=0, at=T0)
    instant = policy.hold_terms(lapsed_count=0, at=decided, pay_by="bank")
    assert terms.bps == instant.bps


def test_nobody_confirms_before_the_provider_has_approved() -> None:
    held = waiting()

    with refused(approvals.ApprovalPending):
        reservations.confirm(reservation=reservations.lock(held.pk), at=LATER, actor=SYSTEM)

    held.refresh_from_db()
    assert held.state == "held"
    assert not Lease.objects.exists()


def test_the_database_too_refuses_a_confirmation_without_approval() -> None:
    held = waiting()

    with refused(IntegrityError):
        Reservation.objects.filter(pk=held.pk).update(state="confirmed", confirmed_at=LATER)


def test_one_approval_is_enough_without_a_rule() -> None:
    held, actor = waiting(), member(world.provider())

    row = approve(held, actor)

    assert (row.decision, row.decided_at) == ("approved", LATER)
    approval = Approval.objects.get()
    assert approval.member is not None
    assert (approval.member.public_id, approval.document_number) == (actor.label, "HT-2026-17")
    lease = reservations.confirm(
        reservation=reservations.lock(held.pk), at=row.expires_at - MINUTE, actor=SYSTEM
    )
    assert lease.state == "scheduled"
    events = JournalEntry.objects.filter(object_id=held.public_id).order_by("id")
    assert [entry.event for entry in events] == [
        "reservation.held",
        "reservation.approval_given",
        "reservation.approved",
        "reservation.confirmed",
    ]


def test_the_tenant_s_journal_shows_the_decision_and_not_the_documents() -> None:
    held = waiting()
    approve(held, member(world.provider()))

    seen = JournalEntry.objects.filter(tenant_id=held.tenant_id)

    assert "reservation.approved" in {entry.event for entry in seen}
    assert "reservation.approval_given" not in {entry.event for entry in seen}


def test_above_a_threshold_several_members_have_to_agree() -> None:
    provider = world.provider()
    first, second, third = (member(provider) for _ in range(3))
    set_rule([50_000, 2], [500_000, 3])
    row = listing()
    # 8 cards, 6.80: 544.00 for 10 hours; 5,440.00 for 100
    middle = scene.hold(row, start=100, end=110)
    large = scene.hold(row, start=100, end=200)
    small = scene.hold(row, start=100, end=105)

    assert [held.approvals_needed for held in (small, middle, large)] == [1, 2, 3]
    assert approve(middle, first).decision == ""
    assert approve(middle, second).decision == "approved"
    assert approve(large, first).decision == approve(large, third).decision == ""
    assert approve(large, second).decision == "approved"


def test_the_same_member_counts_once() -> None:
    provider = world.provider()
    first, _ = member(provider), member(provider)
    set_rule([0, 2])
    held = waiting()
    approve(held, first)

    with refused(approvals.ApprovedAlready):
        approve(held, first, document="another")

    held.refresh_from_db()
    assert held.decision == ""
    assert Approval.objects.count() == 1


def test_a_key_agrees_for_its_maker_and_never_as_a_second_member() -> None:
    provider = world.provider()
    first, _ = member(provider), member(provider)
    set_rule([0, 2])
    held = waiting()
    maker = world.member(provider)
    key, _ = keys.issue(
        organisation_id=provider.pk,
        name="erp",
        scopes=["reservations:write"],
        at=T0,
        actor=SYSTEM,
        created_by_id=maker.pk,
    )
    by_key = Actor(kind="key", label=key.public_id, organisation_id=provider.pk)
    approve(held, by_key)
    by_maker = Actor(kind="user", label=maker.public_id, organisation_id=provider.pk)

    with refused(approvals.ApprovedAlready):
        approve(held, by_maker)

    assert approve(held, first).decision == "approved"


def test_a_key_that_nobody_made_cannot_be_one_of_several() -> None:
    provider = world.provider()
    member(provider), member(provider)
    set_rule([50_000, 2])
    world.key(provider)
    key = ApiKey.objects.get()
    nobody = Actor(kind="key", label=key.public_id, organisation_id=provider.pk)
    row = listing()
    large = scene.hold(row, start=100, end=110)
    small = scene.hold(row, start=100, end=105)

    with refused(approvals.ApproverUnknown):
        approve(large, nobody)

    assert approve(small, nobody).decision == "approved"
    assert large.approvals.count() == 0


def test_an_amount_in_another_currency_takes_the_most_members() -> None:
    provider = world.provider()
    member(provider), member(provider), member(provider)
    set_rule([10**12, 2], [10**13, 3], currency="USD")

    assert waiting().approvals_needed == 3


def test_a_new_rule_counts_for_later_holds_only() -> None:
    provider = world.provider()
    first, _ = member(provider), member(provider)
    row = listing()
    before = scene.hold(row, start=100, end=110)

    assert set_rule([0, 2]).version == 1
    after = scene.hold(row, start=100, end=110)

    assert (before.approvals_needed, after.approvals_needed) == (1, 2)
    assert approve(before, first).decision == "approved"
    entry = JournalEntry.objects.get(event="organisation.approval_rule_set")
    assert entry.data["thresholds"] == [[0, 2]]
    assert set_rule().version == 2
    assert scene.hold(row, start=100, end=110).approvals_needed == 1


@pytest.mark.parametrize(
    "thresholds",
    [
        [[100, 1]],
        [[100, 2], [50, 3]],
        [[100, 2], [200, 2]],
        [[100, 3], [200, 2]],
        [[-1, 2]],
        [[100]],
        [[10**17, 2]],
        [[100, 4]],  # three members can decide
    ],
)
def test_a_rule_that_contradicts_itself_or_cannot_be_met_is_refused(thresholds) -> None:
    provider = world.provider()
    member(provider), member(provider), member(provider, "owner")
    member(provider, "viewer"), member(provider, "finance")

    with refused(approvals.InvalidApprovalRule):
        set_rule(*thresholds)

    assert not ApprovalRule.objects.exists()


def test_only_the_provider_itself_sets_its_rule() -> None:
    with refused(NotFound):
        set_rule([0, 2], actor=world.actor(world.stranger()))

    with refused(NotFound):
        set_rule([0, 2], actor=world.actor(world.operator()))


def test_one_rejection_rejects_whoever_agreed_before() -> None:
    provider = world.provider()
    first, second = member(provider), member(provider)
    set_rule([0, 2])
    held = waiting()
    approve(held, first)

    reject(held, second)

    held.refresh_from_db()
    assert (held.decision, held.decided_at) == ("rejected", LATER)
    with refused(approvals.AlreadyDecided):
        approve(held, second)
    with refused(approvals.AlreadyDecided):
        reject(held, first)


def test_a_rejection_says_why() -> None:
    held = waiting()

    with refused(Invalid):
        reject(held, member(world.provider()), reason="  ")

    held.refresh_from_db()
    assert held.decision == ""


@pytest.mark.parametrize("who", [world.stranger, world.operator, world.tenant])
def test_only_the_provider_decides(who) -> None:
    held = waiting()
    actor = member(who(), "owner") if who is not world.operator else world.actor(who())

    with refused(NotFound):
        approve(held, actor)
    with refused(NotFound):
        reject(held, actor)

    held.refresh_from_db()
    assert (held.decision, held.approvals.count()) == ("", 0)


def test_at_the_deadline_it_is_too_late_to_decide() -> None:
    held, actor = waiting(), member(world.provider())
    assert held.decide_by is not None

    with refused(approvals.DecisionTooLate):
        approve(held, actor, at=held.decide_by)
    with refused(approvals.DecisionTooLate):
        reject(held, actor, at=held.decide_by)

    assert approve(held, actor, at=held.decide_by - MINUTE).decision == "approved"


def test_an_unverified_provider_approves_nothing() -> None:
    held, actor = waiting(), member(world.provider())
    Organisation.objects.filter(pk=held.provider_id).update(state=Verification.PENDING)

    with refused(policy.OrganisationUnverified):
        approve(held, actor)


def test_silence_releases_at_the_deadline_and_is_no_lapse() -> None:
    held = waiting(units=1)
    assert held.decide_by is not None
    assert reservations.due(at=held.decide_by - MINUTE, limit=10) == []
    assert reservations.due(at=held.decide_by, limit=10) == [held.pk]

    row = reservations.expire(reservation=reservations.lock(held.pk), at=held.decide_by)

    row.allocation.refresh_from_db()
    assert (row.state, row.allocation.state) == ("expired", "cancelled")
    entry = JournalEntry.objects.get(event="reservation.expired")
    assert entry.reason == "not decided in time"
    assert policy.lapsed_count(held.tenant_id, held.decide_by) == 0
    assert scene.hold(row.listing, at=held.decide_by, start=100, end=110)


def test_a_sweep_that_comes_late_releases_what_nobody_decided_on() -> None:
    held = waiting()

    row = reservations.expire(reservation=reservations.lock(held.pk), at=held.expires_at)

    assert row.state == "expired"
    assert policy.lapsed_count(held.tenant_id, held.expires_at) == 0


def test_a_lapse_after_approval_counts() -> None:
    held = waiting()
    approve(held, member(world.provider()))
    assert held.decide_by is not None
    assert reservations.due(at=held.decide_by, limit=10) == []
    with refused(reservations.NotYetDue):
        reservations.expire(reservation=reservations.lock(held.pk), at=held.decide_by)

    reservations.expire(reservation=reservations.lock(held.pk), at=held.expires_at)

    assert policy.lapsed_count(held.tenant_id, held.expires_at) == 1


def test_a_tenant_gives_back_what_still_waits() -> None:
    held = waiting()

    row = reservations.cancel(
        reservation=reservations.lock(held.pk), at=LATER, actor=SYSTEM, reason="no need"
    )

    assert row.state == "cancelled"
    with refused(IllegalTransition):
        approve(held, member(world.provider()))


def test_the_deadline_and_the_decision_are_frozen_in_the_database() -> None:
    held = waiting()
    approve(held, member(world.provider()))
    rows = Reservation.objects.filter(pk=held.pk)

    for change in (
        {"decision": "rejected"},
        {"decision": "", "decided_at": None},
        {"decided_at": T0},
        {"decide_by": T0},
        {"approvals_needed": 5},
        {"discount_bps": 5},
    ):
        with refused(DatabaseError):
            rows.update(**change)
    with refused(DatabaseError):
        Approval.objects.update(document_number="x")
    with refused(DatabaseError):
        Approval.objects.all().delete()


def test_an_offer_says_that_its_provider_decides() -> None:
    listing()

    found = scene.search(earliest_start=T0 + hours(100)).offers[0]

    assert found.decide_hours == 6
    assert found.hold_seconds == 6 * 3600 + 900
