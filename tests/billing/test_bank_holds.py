"""Held for a bank transfer: a deposit now, the money by a date, and what comes later."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import chart, checkout, ledger
from inventory.models import Allocation, Organisation, Verification
from marketplace import offers, policy, quotas
from marketplace.asking import TermsInput
from marketplace.models import Reservation
from marketplace.quotas import Limit
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours

pytestmark = pytest.mark.django_db
GROSS = 680 * 8 * 10
DEPOSIT = GROSS * 5 // 100  # one per cent, and one more for each of four days begun
DUE = T0 + timedelta(days=3, hours=9)  # Thursday, five in the afternoon


def bank_hold(listing=None, **shape) -> Reservation:
    token = offers.sign(
        scene.offer(listing or scene.listing(), **{"start": 200, "end": 210, **shape})
    )
    return checkout.hold(
        offer_token=token,
        project_id=None,
        at=T0,
        actor=world.actor(world.tenant()),
        pay_by="bank",
    )


def spent() -> tuple[int, int]:
    (use,) = quotas.used([_month()], at=T0 + hours(1))
    return use.used_minor, use.used_card_seconds


def _month():
    tenant = world.tenant()
    return quotas.put(
        organisation_id=tenant.pk,
        limit=Limit("spend", "month", "CNY", limit_minor=10**9),
        at=T0,
        actor=world.actor(tenant),
    )


def test_a_transfer_that_comes_in_time_confirms_the_deal() -> None:
    books.top_up(world.tenant(), DEPOSIT, "B-1")

    held = bank_hold()

    assert (held.pay_by, held.expires_at, held.hold_deposit_minor) == ("bank", DUE, DEPOSIT)
    assert books.available() == 0
    assert checkout.expire_due(at=DUE - timedelta(seconds=1), limit=10) == 0
    books.top_up(world.tenant(), GROSS - DEPOSIT, "B-2")
    lease = books.confirm(held, at=DUE - timedelta(seconds=1))
    assert lease.state == "scheduled"
    assert books.available() == 0
    assert not books.differences()


def test_money_that_comes_too_late_stays_in_the_wallet() -> None:
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    listing = scene.listing(units=1)
    held = bank_hold(listing)

    assert checkout.expire_due(at=DUE, limit=10) == 1
    books.top_up(world.tenant(), GROSS, "B-2")

    held.refresh_from_db()
    assert held.state == "expired"
    assert books.available() == DEPOSIT + GROSS
    again = books.hold(listing, at=DUE, start=200, end=210)
    assert again.hold_deposit_minor == GROSS * 2 // 100  # one lapse behind it
    assert books.confirm(again, at=DUE).state == "scheduled"


def test_without_money_for_the_deposit_nothing_is_held_for_days() -> None:
    books.top_up(world.tenant(), DEPOSIT - 1)

    with refused(ledger.InsufficientFunds):
        bank_hold()

    assert not Reservation.objects.exists()
    assert not Allocation.objects.exists()
    assert books.available() == DEPOSIT - 1


def test_a_hold_for_days_counts_against_what_may_be_held(settings) -> None:
    settings.HOLD_CARD_HOURS_LIMIT = 80
    books.top_up(world.tenant(), GROSS)
    listing = scene.listing()
    bank_hold(listing)

    with refused(policy.HoldLimit):
        books.hold(listing, at=T0 + hours(24), start=300, end=301)


def test_a_cancelled_lease_commits_what_was_kept() -> None:
    books.top_up(world.tenant(), GROSS)
    listing = scene.listing(terms=TermsInput(cancellation=((500, 5_000),)))
    lease = books.lease(listing, start=600, end=610)

    cancelled = checkout.cancel(
        reservation_public_id=lease.reservation.public_id,
        at=T0 + hours(1),
        actor=world.actor(world.tenant()),
        reason="",
    )

    assert cancelled.state == "cancelled"
    assert spent() == (GROSS // 2, 0)


def test_what_was_not_delivered_is_committed_no_more_once_the_lease_is_closed() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.lease(scene.listing())
    assert spent() == (GROSS, 80 * 3600)

    books.live(lease, gaps={T0 + hours(12): 8 * 3600})

    lease.refresh_from_db()
    assert lease.closed_at is not None
    assert spent() == (GROSS * 9 // 10, 72 * 3600)


def test_a_rejected_tenant_confirms_nothing_and_gets_its_deposit_back() -> None:
    books.top_up(world.tenant(), GROSS)
    held = bank_hold()
    Organisation.objects.filter(pk=world.tenant().pk).update(state=Verification.REJECTED)

    with refused(policy.OrganisationUnverified):
        books.confirm(held)

    held.refresh_from_db()
    assert held.state == "held"
    assert checkout.expire_due(at=DUE, limit=10) == 1
    assert books.available() == GROSS


def test_of_an_unverified_provider_nothing_becomes_payable_until_it_is_verified() -> None:
    books.top_up(world.tenant(), GROSS)
    books.live(books.lease(scene.listing()))
    provider = world.provider()
    Organisation.objects.filter(pk=provider.pk).update(state=Verification.REJECTED)

    with refused(policy.OrganisationUnverified):
        books.settle()

    assert ledger.posted(chart.provider_settling(provider, "CNY")) == 0
    assert ledger.posted(chart.provider_accrued(provider, "CNY")) > 0
    for state in (Verification.PENDING, Verification.VERIFIED):
        Organisation.objects.filter(pk=provider.pk).update(state=state)
    row = books.settle()
    assert row is not None
    assert row.net_minor == ledger.posted(chart.provider_settling(provider, "CNY"))
