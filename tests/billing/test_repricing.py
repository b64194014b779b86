"""Another price from an hour on: agreed by both, paid for at once, and charged by the hour."""

from __future__ import annotations

from typing import Any

import pytest

from billing import amending, ledger, rating
from billing.models import Charge, LedgerTransaction
from inventory.errors import Invalid, NotFound
from inventory.models import JournalEntry, Organisation, Verification
from inventory.transitions import IllegalTransition
from marketplace import amendments, floors, lease_prices, policy, quotas
from marketplace.models import Amendment, Lease, PriceVersion, Reservation
from marketplace.quotas import Limit
from marketplace.repricings import NewPrice
from tests import world
from tests.billing import books
from tests.billing.test_amending import NOW, propose, sign
from tests.billing.test_quotes import HOUR, accept, ask, figures, row_of, running
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db

NODE = 8
DEARER, CHEAPER = 1_000 * NODE, 500 * NODE  # a node's hour at 10.00 and at 5.00, in fen
BY_HOUR: dict[str, Any] = {"schedule": "deposit_hourly", "deposit_bps": 3_000}


def reprice(
    lease: Lease, amount: float, hour: float = 15, by: str = "tenant", **more: Any
) -> Amendment:
    price: dict[str, Any] = {"basis": "card_hour", "amount_micro": round(amount * 10**6)}
    for name in ("basis", "tax_inclusive"):
        if name in more:
            price[name] = more.pop(name)
    return propose(lease, by, price=NewPrice(**price), price_from=T0 + hours(hour), **more)


@pytest.mark.parametrize("by", ["tenant", "provider"])
def test_a_lease_is_untouched_byte_by_byte_until_the_other_side_signs(by: str) -> None:
    lease = running()
    other = "provider" if by == "tenant" else "tenant"
    before, money = row_of(lease), books.available()

    amendment = reprice(lease, 10.00, by=by)

    assert (row_of(lease), books.available()) == (before, money)
    assert lease.prices.count() == 1
    assert not PriceVersion.objects.filter(purpose="agreed").exists()
    assert amendment.expires_at == T0 + hours(15)
    assert amendment.replaces == lease.prices.get()
    assert not books.differences()
    sign(amendment, by=other)
    lease.refresh_from_db()
    assert lease.amendment == amendment
    assert (lease.gross_minor, lease.due_minor) == (5 * HOUR + 5 * DEARER,) * 2
    assert books.available() == money - 5 * (DEARER - HOUR)  # the tenant pays, whoever signed
    segment = lease.prices.get(amendment=amendment)
    assert (segment.from_at, segment.price.amount_micro) == (T0 + hours(15), 10_000_000)
    assert (segment.price.purpose, segment.price.listing) == ("agreed", None)
    assert lease.price.amount_micro == 6_800_000
    assert not books.differences()


@pytest.mark.parametrize(
    ("way", "amount", "pays"),
    [
        ({}, 10.00, 5 * (DEARER - HOUR)),
        ({}, 5.00, -5 * (HOUR - CHEAPER)),
        (BY_HOUR, 10.00, 5 * (DEARER - HOUR) * 3 // 10),
        (BY_HOUR, 5.00, -5 * (HOUR - CHEAPER) * 3 // 10),
    ],
)
def test_what_is_due_moves_at_once_and_the_hours_add_up_to_the_quote(way, amount, pays) -> None:
    lease = running(scene.listing(**way))
    money, due = books.available(), lease.due_minor

    amendment = sign(reprice(lease, amount))

    assert books.available() == money - pays
    lease.refresh_from_db()
    assert lease.due_minor == due + pays
    assert amendment.pay_minor - amendment.refund_minor == pays
    assert LedgerTransaction.objects.get(kind="deal_repriced").external_reference == str(amendment)
    assert Reservation.objects.get().committed_minor == lease.gross_minor
    assert not books.differences()
    books.meter(lease, until=T0 + hours(20))
    books.end(lease)
    rating.rate_due(at=T0 + hours(30), limit=100)
    charges = Charge.objects.filter(lease=lease)
    assert sum(charge.gross_minor for charge in charges) == lease.gross_minor
    late = charges.filter(hour__gte=T0 + hours(15))
    assert {charge.price.amount_micro for charge in late} == {round(amount * 10**6)}
    assert {charge.price_id for charge in charges.exclude(pk__in=late)} == {lease.price_id}
    quote = lease_prices.quote(lease=lease, period=period(10, 20))
    assert quote.gross_minor == lease.gross_minor
    assert quote.vat_minor == sum(charge.vat_minor for charge in charges)
    assert not books.differences()


@pytest.mark.parametrize(
    "hour", [11, 12, 15.5, 10, 20, 21]
)  # past, now, off the hour, the start, the end, beyond
def test_a_price_is_agreed_from_a_full_hour_to_come_only(hour: float) -> None:
    lease = running()
    before = row_of(lease)

    with refused(lease_prices.InvalidPriceHour):
        reprice(lease, 5.00, hour)

    assert row_of(lease) == before
    assert not Amendment.objects.exists()


def test_an_hours_price_is_agreed_once_and_a_later_one_stays() -> None:
    lease = running()
    sign(reprice(lease, 5.00, 15))
    before = row_of(lease)

    with refused(lease_prices.PriceAlreadyAgreed):
        reprice(lease, 4.00, 15)

    assert row_of(lease) == before
    later = sign(reprice(lease, 10.00, 18))
    earlier = sign(reprice(lease, 8.00, 13))
    replaced = [row.replaces and row.replaces.price.amount_micro for row in (later, earlier)]
    assert replaced == [5_000_000, 6_800_000]
    lease.refresh_from_db()
    assert lease.gross_minor == 3 * HOUR + 2 * 800 * NODE + 3 * CHEAPER + 2 * DEARER
    assert not books.differences()


@pytest.mark.parametrize(
    "wanted",
    [
        {"price": NewPrice("card_hour", 5_000_000)},
        {"price_from": T0 + hours(15)},
        {"price": NewPrice("card_hour", 0), "price_from": T0 + hours(15)},
        {"price": NewPrice("card_day", 5_000_000), "price_from": T0 + hours(15)},
        {"price": NewPrice("card_hour", 10**19), "price_from": T0 + hours(15)},
        {"price": NewPrice("card_hour", 1), "price_from": T0 + hours(15), "end": T0 + hours(16)},
    ],
)
def test_what_is_no_price_is_not_proposed(wanted) -> None:
    lease = running()

    with refused(Invalid):
        propose(lease, **wanted)

    assert not Amendment.objects.exists()


def test_neither_the_side_that_asked_nor_a_stranger_signs_and_nobody_twice() -> None:
    lease = running()
    amendment = reprice(lease, 5.00)
    before = row_of(lease)

    with refused(amendments.WrongSide):
        sign(amendment, by="tenant")
    with refused(NotFound):
        amending.sign(
            amendment_public_id=amendment.public_id, at=NOW, actor=world.actor(world.stranger())
        )
    with refused(NotFound):
        amending.propose(
            lease_public_id=lease.public_id,
            proposal=amending.Proposal(price=NewPrice("card_hour", 1), price_from=T0 + hours(16)),
            at=NOW,
            actor=world.actor(world.stranger()),
        )
    assert row_of(lease) == before
    sign(amendment)
    after, money = row_of(lease), books.available()
    with refused(IllegalTransition):
        sign(amendment)
    assert (row_of(lease), books.available()) == (after, money)
    assert lease.prices.count() == 2
    assert not books.differences()


def test_a_price_nobody_signed_before_its_hour_expires() -> None:
    lease = running()
    amendment = reprice(lease, 5.00, 14)
    before = row_of(lease)

    with refused(amendments.AmendmentExpired):
        sign(amendment, at=T0 + hours(14))
    assert amendments.expire_due(at=T0 + hours(14), limit=10) == 1

    amendment.refresh_from_db()
    assert (amendment.state, row_of(lease)) == ("expired", before)
    assert lease.prices.count() == 1
    assert not books.differences()


@pytest.mark.parametrize("by", ["tenant", "provider"])
def test_an_empty_wallet_refuses_the_signature_of_either_side(by: str) -> None:
    lease = running(money=10 * HOUR)
    amendment = reprice(lease, 10.00, by=by)
    before = row_of(lease)

    with refused(ledger.InsufficientFunds):
        sign(amendment, by="provider" if by == "tenant" else "tenant")

    amendment.refresh_from_db()
    assert (amendment.state, row_of(lease), lease.prices.count()) == ("proposed", before, 1)
    assert not books.differences()


def test_a_price_below_the_floor_is_neither_proposed_nor_signed() -> None:
    lease = running()
    amendment = reprice(lease, 4.00)
    floors.set_floor(
        pool_id=lease.allocation.pool_id, power_micro=4 * 10**6, depreciation_micro=0,
        network_micro=0, operations_micro=0, at=T0, actor=world.actor(lease.provider),
    )  # fmt: skip
    before = row_of(lease)

    with refused(policy.BelowFloor):
        sign(amendment)
    amendments.withdraw(
        amendment_public_id=amendment.public_id, at=NOW, actor=world.actor(lease.tenant), reason=""
    )
    with refused(policy.BelowFloor):
        reprice(lease, 4.00)

    assert (row_of(lease), lease.prices.count()) == (before, 1)
    sign(reprice(lease, 4.70, by="provider"), by="tenant")  # 4.08 after VAT and fee
    assert not books.differences()


@pytest.mark.parametrize("party", ["provider", "tenant"])
def test_who_is_not_verified_agrees_on_no_higher_price(party: str) -> None:
    lease = running()
    amendment = reprice(lease, 10.00)
    Organisation.objects.filter(pk=getattr(lease, f"{party}_id")).update(
        state=Verification.REJECTED
    )
    before = row_of(lease)

    with refused(policy.OrganisationUnverified):
        sign(amendment)

    assert (row_of(lease), lease.prices.count()) == (before, 1)


def test_a_higher_price_counts_under_the_tenants_quotas() -> None:
    lease = running()
    owner = world.actor(lease.tenant)
    cap = 10 * HOUR + 5 * (DEARER - HOUR)
    for limit in (
        Limit(measure="spend", window="total", currency="CNY", limit_minor=cap),
        Limit(measure="card_hours", window="total", limit_card_hours=1),  # lowered since
    ):
        quotas.put(organisation_id=lease.tenant_id, limit=limit, at=T0, actor=owner)
    before = row_of(lease)

    too_much = reprice(lease, 10.01)
    with refused(policy.QuotaExceeded):
        sign(too_much)
    assert row_of(lease) == before
    amendments.withdraw(
        amendment_public_id=too_much.public_id, at=NOW, actor=owner, reason="too much"
    )
    sign(reprice(lease, 10.00))

    committed = Reservation.objects.get()
    assert (committed.committed_minor, committed.committed_card_seconds) == (cap, 80 * 3600)
    assert not books.differences()


def test_extending_leaving_and_withdrawing_go_by_the_prices_of_their_hours() -> None:
    lease = running()
    sign(reprice(lease, 10.00, 15))
    money = books.available()

    longer = ask(lease, "extend", 25, at=NOW)
    assert figures(longer) == (5 * DEARER, 0, 0, 0)
    accept(longer)
    left = ask(lease, "leave", 13, at=NOW)
    rest = 2 * HOUR + 10 * DEARER
    back = rest - (rest * 7_000 + 5_000) // 10_000  # at this notice three tenths come back
    assert figures(left) == (0, back, rest - back, 0)
    shorter = sign(propose(lease, end=T0 + hours(18)))
    assert shorter.refund_minor == 7 * DEARER
    accept(ask(lease, "leave", 14, at=NOW))

    rest = HOUR + 3 * DEARER
    kept = (rest * 7_000 + 5_000) // 10_000
    assert books.available() == money - 5 * DEARER + 7 * DEARER + rest - kept
    lease.refresh_from_db()
    assert lease.gross_minor == 4 * HOUR
    assert not books.differences()


def test_a_withdrawal_compensates_by_the_price_of_the_rest() -> None:
    lease = running(until=400)
    sign(reprice(lease, 10.00, 390))

    quote = ask(lease, "withdraw", 385, at=NOW)

    rest = 5 * HOUR + 10 * DEARER
    assert (quote.refund_minor, quote.compensation_minor) == (rest, rest * 3 // 10)
    accept(quote)
    assert not books.differences()


def test_a_price_may_change_its_basis_and_whether_tax_is_in_it() -> None:
    lease = running()

    sign(reprice(lease, 64.00, 15, basis="node_hour", tax_inclusive=False))

    lease.refresh_from_db()
    assert lease.gross_minor == 5 * HOUR + 5 * 6_400 * 106 // 100
    version = PriceVersion.objects.get(purpose="agreed")
    assert (version.vat_code, version.vat_bps, version.fee_bps) == (
        lease.price.vat_code,
        lease.price.vat_bps,
        lease.price.fee_bps,
    )
    sign(reprice(lease, 50_000.00, 17, basis="node_month"))
    assert lease.prices.get(from_at=T0 + hours(17)).price.tax_inclusive is False  # as before it
    assert not books.differences()


def test_units_added_later_have_the_price_of_their_first_hour() -> None:
    lease = running(units=1)
    sign(reprice(lease, 10.00, 15))
    money = books.available()

    amendment = sign(propose(lease, added_units=2, added_from=T0 + hours(16)))

    amendment.refresh_from_db()
    child = amendment.child
    assert child is not None
    assert child.gross_minor == 2 * 4 * DEARER
    assert child.price == lease.prices.get(from_at=T0 + hours(15)).price
    assert books.available() == money - 2 * 4 * DEARER
    assert not books.differences()


def test_what_was_paid_too_much_comes_back_as_far_as_it_is_there() -> None:
    lease = running(scene.listing(**BY_HOUR), money=10 * HOUR * 3 // 10)
    books.meter(lease, until=T0 + hours(12))
    rating.rate_due(at=T0 + hours(12), limit=10)  # nothing but the deposit to pay with
    lease.tally.refresh_from_db()
    left = lease.tally.deposit_left_minor
    assert left == HOUR

    amendment = sign(reprice(lease, 0.01, 13))

    assert amendment.refund_minor == left
    assert books.available() == left
    assert not books.differences()


def test_both_sides_read_in_the_journal_what_was_proposed_and_signed() -> None:
    lease = running()

    amendment = sign(reprice(lease, 5.00))

    entries = JournalEntry.objects.filter(object_id=amendment.public_id).order_by("id")
    assert [entry.event for entry in entries] == ["amendment.proposed", "amendment.signed"]
    said = entries[0].data
    assert (said["kind"], said["price_amount_micro"], said["price_from_at"]) == (
        "price", 5_000_000, "2026-06-01T15:00:00+00:00",
    )  # fmt: skip
    assert {(e.provider_id, e.tenant_id) for e in entries} == {(lease.provider_id, lease.tenant_id)}
