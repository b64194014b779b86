"""Money of holds that wait for their provider, and of leases at a discount."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import checkout, ledger
from billing.models import Charge, LedgerHold
from inventory.errors import NotFound
from inventory.models import JournalEntry
from inventory.periods import Period
from marketplace import approvals, policy
from marketplace.asking import TermsInput
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.marketplace.test_approvals import approve, member
from tests.world import T0, hours

pytestmark = pytest.mark.django_db
LATER = T0 + hours(1)
TIERS = (("hours", 7, 333), ("cards", 8, 250))


def waiting(**shape):
    books.top_up(world.tenant(), 1_000_000)
    listing = scene.listing(mode="approval", terms=TermsInput(decide_hours=6))
    return books.hold(listing, **{"start": 100, "end": 110, **shape})


def reject(held, actor=None, at=LATER):
    return checkout.reject(
        reservation_public_id=held.public_id,
        at=at,
        actor=actor or member(world.provider()),
        reason="kept for our own",
    )


def test_confirming_waits_for_the_provider_even_where_there_is_no_money() -> None:
    held = waiting()
    wallet = books.available()

    with refused(approvals.ApprovalPending):
        books.confirm(held, at=LATER)

    assert books.available() == wallet == 1_000_000 - held.hold_deposit_minor
    approve(held, member(world.provider()))
    assert books.confirm(held, at=held.expires_at - timedelta(minutes=1)).state == "scheduled"
    assert not books.differences()


def test_a_rejection_gives_everything_back_and_is_no_lapse() -> None:
    held = waiting()

    row = reject(held, at=held.decide_by - timedelta(minutes=1))

    row.allocation.refresh_from_db()
    assert (row.state, row.decision, row.allocation.state) == (
        "cancelled",
        "rejected",
        "cancelled",
    )
    assert books.available() == 1_000_000
    assert LedgerHold.objects.get().state == "released"
    assert policy.lapsed_count(held.tenant_id, LATER) == 0
    reasons = JournalEntry.objects.filter(object_id=held.public_id, tenant_id=held.tenant_id)
    assert reasons.get(event="reservation.cancelled").reason == "kept for our own"
    with refused(approvals.AlreadyDecided):
        reject(held)
    assert not books.differences()


def test_only_its_provider_rejects() -> None:
    held = waiting()

    for actor in (
        world.actor(world.tenant()),
        world.actor(world.stranger()),
        world.actor(world.operator()),
    ):
        with refused(NotFound):
            reject(held, actor)

    held.refresh_from_db()
    assert (held.state, held.decision) == ("held", "")


def test_silence_gives_everything_back_at_the_deadline() -> None:
    held = waiting()

    assert checkout.expire_due(at=held.decide_by - timedelta(minutes=1), limit=10) == 0
    assert checkout.expire_due(at=held.decide_by, limit=10) == 1
    assert checkout.expire_due(at=held.decide_by, limit=10) == 0

    assert books.available() == 1_000_000
    assert ledger.balance(world.tenant()).held_minor == 0
    again = books.hold(held.listing, at=held.decide_by, start=100, end=110)
    assert again.hold_deposit_minor == held.hold_deposit_minor
    assert not books.differences()


def test_a_lapse_after_approval_makes_the_next_hold_dearer() -> None:
    held = waiting()
    approve(held, member(world.provider()))

    assert checkout.expire_due(at=held.decide_by, limit=10) == 0
    assert checkout.expire_due(at=held.expires_at, limit=10) == 1

    again = books.hold(held.listing, at=held.expires_at, start=100, end=110)
    assert again.hold_deposit_minor == 2 * held.hold_deposit_minor


def test_a_deal_instant_or_approved_is_charged_at_its_discount_to_the_fen() -> None:
    books.top_up(world.tenant(), 10_000_000)
    lease = books.lease(scene.listing(amount=6.87, discounts=TIERS), start=10, end=17)

    books.live(lease)

    # 56 card-hours at 6.87 less 5.83 %
    assert lease.discount_bps == 583
    assert lease.gross_minor == 36_229
    charges = Charge.objects.filter(lease=lease, kind="usage")
    assert sum(charge.gross_minor for charge in charges) == 36_229
    assert not books.differences()


def test_an_hour_that_was_not_delivered_is_not_charged_at_the_listed_price_either() -> None:
    books.top_up(world.tenant(), 10_000_000)
    lease = books.lease(scene.listing(amount=10, discounts=(("hours", 5, 5_000),)), end=15)
    start = Period.of(lease.period).start

    books.live(lease, gaps={start: 8 * 3600})

    assert lease.gross_minor == 5 * 8 * 500
    assert sum(charge.gross_minor for charge in Charge.objects.all()) == 4 * 8 * 500
    assert books.available() == 10_000_000 - 4 * 8 * 500
    assert not books.differences()


def test_cancelling_counts_with_what_was_paid_after_the_discount() -> None:
    books.top_up(world.tenant(), 10_000_000)
    row = scene.listing(amount=10, discounts=(("hours", 5, 5_000),))
    lease = books.lease(row, start=100, end=110)

    quote = checkout.quote_cancel(
        reservation_public_id=lease.reservation.public_id,
        at=T0,
        actor=world.actor(world.tenant()),
    )

    assert lease.due_minor == 10 * 8 * 500
    assert (quote.share_bps, quote.refund_minor) == (5_000, 10 * 8 * 250)
