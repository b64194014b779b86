"""Holding, confirming and giving back: money and machines move together or not at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from billing import chart, checkout, ledger
from billing.models import Charge, LedgerHold, LedgerTransaction
from inventory.errors import NotFound
from inventory.models import Allocation, Claim, JournalEntry
from inventory.transitions import IllegalTransition
from marketplace import leases, policy
from marketplace.models import Lease, Reservation
from marketplace.offers import OfferExpired, OfferInvalid
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours

pytestmark = pytest.mark.django_db

GROSS = 680 * 8 * 10  # one node of 8 cards, ten hours, 6.80 each, in fen
MINUTE = timedelta(minutes=1)


def test_a_hold_keeps_the_deposit_aside_and_the_capacity() -> None:
    tenant = world.tenant()
    books.top_up(tenant, 100_000)

    held = books.hold(scene.listing())

    assert (held.gross_minor, held.due_minor, held.hold_deposit_minor) == (GROSS, GROSS, 544)
    balance = ledger.balance(tenant)
    assert (balance.posted_minor, balance.held_minor) == (100_000, 544)
    hold = LedgerHold.objects.get()
    assert (hold.idempotency_key, hold.expires_at) == (f"hold:{held.public_id}", held.expires_at)


def test_a_hold_without_money_is_refused_and_takes_nothing() -> None:
    books.top_up(world.tenant(), 543)

    with refused(ledger.InsufficientFunds):
        books.hold(scene.listing())

    assert books.available() == 543
    assert not Reservation.objects.exists()
    assert not Allocation.objects.exists()


def test_capacity_that_is_gone_gives_the_money_back() -> None:
    books.top_up(world.tenant(), 100_000)
    listing = scene.listing(units=1)
    books.hold(listing)

    with refused(Exception):
        books.hold(listing)

    assert ledger.balance(world.tenant()).held_minor == 544
    assert Claim.objects.count() == 1


def test_confirming_moves_the_whole_price_to_the_deposit() -> None:
    tenant = world.tenant()
    books.top_up(tenant, 100_000)

    lease = books.lease(scene.listing())

    assert (lease.state, lease.due_minor) == ("scheduled", GROSS)
    balance = ledger.balance(tenant)
    assert (balance.posted_minor, balance.held_minor) == (100_000 - GROSS, 0)
    assert ledger.posted(chart.deposit(tenant, "CNY")) == GROSS
    assert LedgerTransaction.objects.filter(kind="deal_funded").count() == 1
    assert not books.differences()


def test_confirming_needs_the_whole_price_and_else_changes_nothing() -> None:
    books.top_up(world.tenant(), GROSS - 1)
    held = books.hold(scene.listing())

    with refused(ledger.InsufficientFunds):
        books.confirm(held)

    held.refresh_from_db()
    assert held.state == "held"
    assert ledger.balance(world.tenant()).held_minor == 544
    assert not Lease.objects.exists()


def test_a_deal_is_confirmed_once_and_in_time() -> None:
    books.top_up(world.tenant(), 10 * GROSS)
    listing = scene.listing()
    held, late = books.hold(listing), books.hold(listing)
    books.confirm(held)

    with refused(IllegalTransition):
        books.confirm(held)
    with refused(Exception):
        books.confirm(late, at=late.expires_at)

    assert books.available() == 9 * GROSS - late.hold_deposit_minor


def test_a_lapsed_hold_frees_money_and_makes_the_next_one_dearer() -> None:
    books.top_up(world.tenant(), 100_000)
    listing = scene.listing()
    held = books.hold(listing)

    assert checkout.expire_due(at=held.expires_at - MINUTE, limit=10) == 0
    assert checkout.expire_due(at=held.expires_at, limit=10) == 1
    assert checkout.expire_due(at=held.expires_at, limit=10) == 0

    assert books.available() == 100_000
    held.refresh_from_db()
    assert held.state == "expired"
    again = books.hold(listing, at=held.expires_at)
    assert again.hold_deposit_minor == 1088


def test_giving_back_a_held_deal_is_free() -> None:
    books.top_up(world.tenant(), 100_000)
    held = books.hold(scene.listing())
    actor = world.actor(world.tenant())

    quote = checkout.quote_cancel(reservation_public_id=held.public_id, at=T0, actor=actor)
    checkout.cancel(reservation_public_id=held.public_id, at=T0, actor=actor, reason="no need")

    assert (quote.refund_minor, quote.kept.gross_minor) == (0, 0)
    assert books.available() == 100_000
    with refused(IllegalTransition):
        checkout.cancel(reservation_public_id=held.public_id, at=T0, actor=actor, reason="again")


@pytest.mark.parametrize(
    ("start", "share", "refund"), [(200, 10_000, GROSS), (100, 5_000, 27_200), (30, 2_000, 10_880)]
)
def test_giving_back_a_lease_follows_its_terms(start, share, refund) -> None:
    tenant, provider = world.tenant(), world.provider()
    books.top_up(tenant, GROSS)
    lease = books.lease(scene.listing(), start=start, end=start + 10)
    actor = world.actor(tenant)
    public_id = lease.reservation.public_id

    quote = checkout.quote_cancel(reservation_public_id=public_id, at=T0, actor=actor)
    checkout.cancel(reservation_public_id=public_id, at=T0, actor=actor, reason="plans changed")

    assert (quote.share_bps, quote.refund_minor) == (share, refund)
    assert quote.kept.gross_minor == GROSS - refund
    assert books.available() == refund
    lease.refresh_from_db()
    assert (lease.state, lease.closed_at, lease.end_reason) == (
        "cancelled", T0, "cancelled_by_tenant",
    )  # fmt: skip
    assert ledger.posted(chart.deposit(tenant, "CNY")) == 0
    charges = list(Charge.objects.all())
    assert len(charges) == (refund != GROSS)
    for charge in charges:
        assert charge.kind == "cancellation"
        assert charge.gross_minor == GROSS - refund
        assert (charge.vat_minor, charge.fee_minor) == (quote.kept.vat_minor, quote.kept.fee_minor)
        accrued = ledger.posted(chart.provider_accrued(provider, "CNY"))
        assert accrued == charge.provider_minor > 0
    assert not books.differences()
    lease.reservation.refresh_from_db()
    assert (lease.reservation.state, lease.reservation.cancelled_at) == ("cancelled", T0)
    with refused(IllegalTransition):
        checkout.cancel(reservation_public_id=public_id, at=T0, actor=actor, reason="again")


def test_a_started_lease_is_not_cancelled() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.lease(scene.listing())

    with refused(leases.CancelWindowClosed):
        checkout.cancel(
            reservation_public_id=lease.reservation.public_id,
            at=T0 + hours(10),
            actor=world.actor(world.tenant()),
            reason="too late",
        )

    assert ledger.posted(chart.deposit(world.tenant(), "CNY")) == GROSS


def test_deposit_and_hourly_pays_its_share_at_confirmation() -> None:
    books.top_up(world.tenant(), GROSS)

    lease = books.lease(scene.listing(schedule="deposit_hourly", deposit_bps=3_000))

    assert lease.due_minor == GROSS * 3 // 10
    assert books.available() == GROSS - lease.due_minor
    assert not books.differences()


def test_nobody_else_may_act_on_a_deal() -> None:
    books.top_up(world.tenant(), GROSS)
    held = books.hold(scene.listing())

    for other in (world.stranger(), world.provider(), world.operator()):
        actor = world.actor(other)
        for verb in (checkout.confirm, checkout.cancel):
            extra: dict[str, Any] = {"reason": "x"} if verb is checkout.cancel else {}
            with refused(NotFound):
                verb(reservation_public_id=held.public_id, at=T0, actor=actor, **extra)
    with refused(NotFound):
        checkout.quote_cancel(
            reservation_public_id=held.public_id, at=T0, actor=world.actor(world.stranger())
        )

    held.refresh_from_db()
    assert held.state == "held"


def test_offers_are_ours_fresh_and_for_the_verified() -> None:
    books.top_up(world.tenant(), GROSS)
    listing = scene.listing()
    actor = world.actor(world.tenant())

    with refused(OfferInvalid):
        checkout.hold(offer_token="forged", project_id=None, at=T0, actor=actor)
    with refused(OfferExpired):
        books.hold(listing, at=T0 + hours(1000))
    tenant = world.tenant()
    tenant.state = "pending"
    tenant.save(update_fields=["state"])
    with refused(policy.OrganisationUnverified):
        books.hold(listing)

    assert not LedgerHold.objects.exists()


def test_every_step_is_journalled() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.lease(scene.listing(), start=200, end=210)
    checkout.cancel(
        reservation_public_id=lease.reservation.public_id,
        at=T0,
        actor=world.actor(world.tenant()),
        reason="plans changed",
    )

    events = JournalEntry.objects.filter(actor=world.actor(world.tenant()).label)
    seen = set(events.values_list("event", flat=True))
    assert {"reservation.held", "reservation.confirmed", "lease.scheduled"} <= seen
    assert "lease.cancelled" in seen
