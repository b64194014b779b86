"""By agency, by resale, directly: who is paid, and what of it is in our books."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import chart, checkout, direct, ledger, rating, selling
from billing.models import Charge, DirectReceipt, LedgerTransaction
from inventory.errors import NotFound
from marketplace import listings
from marketplace.models import Lease, Reservation
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours

pytestmark = pytest.mark.django_db
GROSS = 680 * 8 * 10
FAR: dict[str, Any] = {"start": 200, "end": 210}


def held(mode: str) -> Reservation:
    books.top_up(world.tenant(), 2 * GROSS)
    return books.hold(scene.listing(selling=mode), **FAR)


def receive(row: Reservation, reference: str = " d-77 ", at=None) -> Lease:
    return direct.confirm_received(
        reservation_public_id=row.public_id,
        reference=reference,
        received_date=T0.date(),
        at=at or T0 + hours(1),
        actor=world.actor(world.provider()),
    )


def lease(mode: str) -> Lease:
    row = held(mode)
    return receive(row) if mode == "direct" else books.confirm(row)


def posted(*names: str) -> list[int]:
    provider, tenant = world.provider(), world.tenant()
    owner = {"provider_accrued": provider}
    return [
        ledger.posted(getattr(chart, name)(owner.get(name, tenant), "CNY"))
        if name in ("provider_accrued", "wallet", "deposit", "receivable")
        else ledger.posted(getattr(chart, name)("CNY"))
        for name in names
    ]


def test_by_resale_the_operator_has_the_sale_and_the_provider_its_cost() -> None:
    row = books.live(lease("resale"))

    sums = [sum(getattr(c, f"{part}_minor") for c in row.charges.all())
            for part in ("gross", "vat", "provider")]  # fmt: skip
    gross, vat, share = sums
    assert (row.selling, gross) == ("resale", GROSS)
    assert posted("sales", "vat", "cost_of_sales", "provider_accrued", "fee") == [
        gross - vat, vat, share, share, 0,
    ]  # fmt: skip
    assert not books.differences()


def test_directly_only_the_fee_and_its_vat_are_booked() -> None:
    row = books.live(lease("direct"))

    charges = list(row.charges.all())
    fee, fee_vat = (sum(getattr(c, f"{p}_minor") for c in charges) for p in ("fee", "fee_vat"))
    assert sum(c.direct_minor for c in charges) == GROSS
    assert fee_vat == (fee * 600 + 5_000) // 10_000
    assert posted("provider_accrued", "fee", "vat") == [-fee - fee_vat, fee, fee_vat]
    assert posted("wallet", "deposit", "receivable") == [2 * GROSS, 0, 0]
    assert not books.differences()


def test_the_centre_confirms_what_it_received_and_nobody_else() -> None:
    row = held("direct")
    assert row.pay_by == "bank"

    with refused(checkout.PaidToTheCentre):
        books.confirm(row)
    with refused(NotFound):
        direct.confirm_received(
            reservation_public_id=row.public_id, reference="X", received_date=T0.date(),
            at=T0, actor=world.actor(world.tenant()),
        )  # fmt: skip
    before = LedgerTransaction.objects.count()
    made = receive(row)

    receipt = DirectReceipt.objects.get()
    assert (receipt.reference, receipt.amount_minor) == ("D-77", GROSS)
    assert (made.selling, made.fee_vat_bps) == ("direct", 600)
    assert LedgerTransaction.objects.count() == before
    assert ledger.balance(world.tenant()).held_minor == 0
    assert not books.differences()


def test_a_payment_confirms_one_deal() -> None:
    listing = scene.listing(selling="direct")
    books.top_up(world.tenant(), 2 * GROSS)
    first, second = (books.hold(listing, **FAR) for _ in range(2))
    receive(first)

    with refused(direct.ReferenceUsed):
        receive(second, "D-77")

    second.refresh_from_db()
    assert second.state == "held"


def test_silence_of_the_centre_releases() -> None:
    row = held("direct")

    assert checkout.expire_due(at=row.expires_at + timedelta(seconds=1), limit=10) == 1

    row.refresh_from_db()
    assert row.state == "expired"
    assert ledger.balance(world.tenant()).held_minor == 0


def test_an_agency_deal_is_not_the_centres_to_confirm() -> None:
    row = held("agency")

    with refused(direct.NotSoldDirectly):
        receive(row)


def test_what_is_sold_directly_is_paid_ahead() -> None:
    with refused(listings.DirectIsPrepaid):
        scene.listing(selling="direct", schedule="deposit_hourly")


@pytest.mark.parametrize("mode", ["agency", "resale", "direct"])
def test_a_cancelled_deal_is_paid_back_by_who_was_paid(mode: str) -> None:
    made = lease(mode)
    at = T0 + hours(200 - 80)

    quote = checkout.quote_cancel(
        reservation_public_id=made.reservation.public_id, at=at, actor=world.actor(made.tenant)
    )
    checkout.cancel(
        reservation_public_id=made.reservation.public_id,
        at=at,
        actor=world.actor(made.tenant),
        reason="",
    )

    assert quote.pays_back == ("provider" if mode == "direct" else "operator")
    assert quote.refund_minor == GROSS // 2
    kept = 0 if mode == "direct" else GROSS // 2
    assert posted("wallet", "deposit") == [2 * GROSS - kept, 0]
    assert not books.differences()


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mode=st.sampled_from(["agency", "resale", "direct"]),
    gross=st.integers(-(10**9), 10**9),
    vat=st.integers(-(10**6), 10**6),
    fee=st.integers(-(10**6), 10**6),
    fee_vat=st.integers(-(10**5), 10**5),
)
def test_what_is_earned_is_what_the_books_take(mode, gross, vat, fee, fee_vat) -> None:
    taken = 0 if mode == "direct" else gross
    charge = Charge(
        selling=mode, currency="CNY", gross_minor=gross, vat_minor=vat, fee_minor=fee,
        provider_minor=gross - vat - fee, fee_vat_minor=fee_vat if mode == "direct" else 0,
    )  # fmt: skip

    assert sum(amount for _, amount in selling.earned(charge, world.provider())) == -taken


@pytest.mark.parametrize("mode", ["resale", "direct"])
def test_gaps_and_corrections_keep_charges_and_legs_equal(mode: str) -> None:
    made = lease(mode)
    start = T0 + hours(200)
    books.activate(made)
    books.meter(made, until=start + hours(7), gaps={start + hours(2): 12_345})
    rating.rate_due(at=start + hours(8), limit=1000)
    books.correct(made, start + hours(1), -7_777)
    rating.rate_due(at=start + hours(9), limit=1000)

    assert made.charges.filter(revision=1).get().gross_minor < 0
    assert not books.differences()
