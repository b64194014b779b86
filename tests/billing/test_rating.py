"""Delivered hours become charges: exactly once, exactly at the price, from the right purse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from billing import arrears, chart, closing, ledger, payments, rating
from billing.models import Charge, LeaseTally, LedgerTransaction
from inventory.errors import Invalid
from inventory.models import Allocation, JournalEntry
from inventory.periods import Period
from inventory.transitions import advance
from marketplace import leases
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db

GROSS = 680 * 8 * 10
CARDS_HOUR = 8 * 3600


LATER = T0 + hours(3000)


def rate(at: datetime = LATER) -> Sequence[Charge]:
    return rating.rate_due(at=at, limit=100_000)


def owed() -> int:
    return ledger.posted(chart.receivable(world.tenant(), "CNY"))


def deposit() -> int:
    return ledger.posted(chart.deposit(world.tenant(), "CNY"))


def test_a_lease_without_incidents_is_charged_exactly_as_quoted() -> None:
    books.top_up(world.tenant(), GROSS + 77)
    lease = books.lease(scene.listing())
    quoted = lease.reservation

    lease = books.live(lease)

    charges = Charge.objects.all()
    assert len(charges) == 10
    assert sum(c.gross_minor for c in charges) == quoted.gross_minor == GROSS
    assert sum(c.vat_minor for c in charges) == quoted.vat_minor
    assert sum(c.fee_minor for c in charges) == quoted.fee_minor
    assert {c.gross_minor for c in charges} == {5440}
    assert (lease.state, deposit(), books.available()) == ("ended", 0, 77)
    assert lease.closed_at is not None
    assert ledger.posted(chart.vat("CNY")) == quoted.vat_minor
    assert ledger.posted(chart.fee("CNY")) == quoted.fee_minor
    assert LedgerTransaction.objects.filter(kind="usage_charged").count() == 10
    assert not books.differences()


def test_rating_again_charges_nothing_again() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.activate(books.lease(scene.listing()))
    books.meter(lease, until=T0 + hours(13))

    first, second = rate(), rate()

    assert (len(first), second) == (3, [])
    books.meter(lease, until=T0 + hours(14))
    assert [c.hour for c in rate()] == [T0 + hours(13)]
    assert LeaseTally.objects.get().rated_until == T0 + hours(14)


def test_undelivered_time_is_given_back_when_the_lease_closes() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.lease(scene.listing())

    books.live(lease, gaps={T0 + hours(11): CARDS_HOUR, T0 + hours(12): CARDS_HOUR // 2})

    assert Charge.objects.count() == 9  # nothing delivered, nothing charged
    assert sum(c.gross_minor for c in Charge.objects.all()) == GROSS - 5440 - 2720
    assert books.available() == 5440 + 2720
    closed = JournalEntry.objects.get(event="lease.closed")
    assert closed.data["returned_minor"] == 5440 + 2720
    assert not books.differences()


def test_a_lease_closes_only_when_it_is_charged_to_the_end() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.activate(books.lease(scene.listing()))
    books.meter(lease, until=T0 + hours(19))
    books.end(lease)
    rate()

    assert closing.close_leases(at=T0 + hours(21), limit=10) == 0
    books.meter(lease, until=T0 + hours(20))
    assert closing.close_leases(at=T0 + hours(21), limit=10) == 0
    rate()
    assert closing.close_leases(at=T0 + hours(21), limit=10) == 1
    assert closing.close_leases(at=T0 + hours(21), limit=10) == 0


def test_a_failed_delivery_gives_everything_back() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.lease(scene.listing())
    allocation = Allocation.objects.get(pk=lease.allocation_id)
    advance(allocation, to="delivering", at=T0 + hours(10), actor=SYSTEM)
    allocation.failure_code = "boot_timeout"
    advance(allocation, to="releasing", at=T0 + hours(11), actor=SYSTEM, changed=("failure_code",))
    leases.follow(lease_id=lease.pk, at=T0 + hours(11))
    books.meter(lease, until=T0 + hours(12), gaps={T0 + hours(h): CARDS_HOUR for h in (10, 11)})
    rate()

    assert closing.close_leases(at=T0 + hours(12), limit=10) == 1

    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("failed", "delivery_failed")
    assert (books.available(), deposit(), Charge.objects.count()) == (GROSS, 0, 0)
    assert not books.differences()


@pytest.mark.parametrize(
    ("cards", "length", "price", "total"),
    [
        (3, 7, 333_300, 700),  # 3 × 7 × 33.33 fen = 699.93
        (1, 7, 100, 0),  # a ten-thousandth of a yuan an hour: 0.07 fen never rounds up
        (1, 100, 100, 1),  # one fen in a hundred hours
    ],
)
def test_amounts_that_hurt(cards, length, price, total) -> None:
    books.top_up(world.tenant(), 10_000)
    pool = world.pool(unit_cards=1)
    listing = scene.listing(pool, units=8, amount_micro=price)
    lease = books.lease(listing, units=cards, start=10, end=10 + length)

    books.live(lease)

    charges = list(Charge.objects.order_by("hour"))
    assert lease.gross_minor == sum(c.gross_minor for c in charges) == total
    exact = 0.0
    for charge in charges:
        exact += cards * price / 10_000
        so_far = sum(c.gross_minor for c in charges if c.hour <= charge.hour)
        assert abs(so_far - exact) <= 0.5 + 1e-9
        assert charge.gross_minor == charge.vat_minor + charge.fee_minor + charge.provider_minor
    assert books.available() == 10_000 - total
    assert not books.differences()


def test_a_month_costs_its_amount_and_its_edges_their_share() -> None:
    month = datetime(2026, 6, 30, 16, tzinfo=UTC)  # 1 July in Shanghai
    start = (month - T0) / hours(1)
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing(basis="node_month", amount_micro=60_000_000_000)
    lease = books.lease(listing, start=start - 24, end=start + 31 * 24)

    books.live(lease)

    july = Charge.objects.filter(hour__gte=month)
    assert sum(c.gross_minor for c in july) == 6_000_000
    before = Charge.objects.filter(hour__lt=month)
    assert sum(c.gross_minor for c in before) == 200_000  # one of June's thirty days
    assert lease.gross_minor == 6_200_000
    assert not books.differences()


def test_hourly_takes_from_the_wallet_then_the_deposit_then_it_is_owed() -> None:
    listing = scene.listing(schedule="deposit_hourly", deposit_bps=1_000)
    books.top_up(world.tenant(), 5_440 + 6_000)
    lease = books.activate(books.lease(listing))
    books.meter(lease, until=T0 + hours(14))

    charges = rate()

    assert [(c.wallet_minor, c.deposit_minor, c.receivable_minor) for c in charges] == [
        (5_440, 0, 0),
        (560, 4_880, 0),
        (0, 560, 4_880),
        (0, 0, 5_440),
    ]
    assert (books.available(), deposit(), owed()) == (0, 0, 10_320)
    assert not books.differences()
    books.top_up(world.tenant(), 12_000, "B-2")
    assert (books.available(), owed()) == (1_680, 0)
    assert not books.differences()


def test_hourly_gives_the_untouched_deposit_back() -> None:
    listing = scene.listing(schedule="deposit_hourly", deposit_bps=1_000)
    books.top_up(world.tenant(), GROSS + 5_440)

    lease = books.live(books.lease(listing))

    assert lease.closed_at is not None
    assert books.available() == 5_440
    assert all(c.wallet_minor == c.gross_minor for c in Charge.objects.all())
    assert not books.differences()


def test_corrections_are_deltas_either_way() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.activate(books.lease(scene.listing()))
    books.meter(lease, until=T0 + hours(13), gaps={T0 + hours(11): CARDS_HOUR})
    rate()

    books.correct(lease, T0 + hours(10), -CARDS_HOUR // 2)
    books.correct(lease, T0 + hours(11), CARDS_HOUR)
    charges = rate()

    assert [(c.hour, c.revision, c.gross_minor) for c in charges] == [
        (T0 + hours(10), 1, -2720),
        (T0 + hours(11), 1, 5440),
    ]
    assert all(c.gross_minor == c.vat_minor + c.fee_minor + c.provider_minor for c in charges)
    assert deposit() == GROSS - 2 * 5440 - 2720
    assert rate() == []
    assert not books.differences()


def test_a_correction_after_the_close_reaches_the_wallet() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.live(books.lease(scene.listing()))

    books.correct(lease, T0 + hours(10), -CARDS_HOUR)
    rate(T0 + hours(100))
    assert (books.available(), deposit()) == (5440, 0)
    books.correct(lease, T0 + hours(10), CARDS_HOUR, revision=2)
    rate(T0 + hours(100))

    assert (books.available(), deposit()) == (0, 0)
    assert not books.differences()


def test_leases_of_one_wallet_share_a_transaction_per_hour() -> None:
    books.top_up(world.tenant(), 2 * GROSS)
    listing = scene.listing()
    for lease in (books.lease(listing), books.lease(listing)):
        books.activate(lease)
        books.meter(lease, until=T0 + hours(12))

    charges = rate()

    assert len(charges) == 4
    assert LedgerTransaction.objects.filter(kind="usage_charged").count() == 2
    assert not books.differences()


def test_rating_reads_no_more_with_a_long_past(django_assert_max_num_queries) -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.activate(books.lease(scene.listing()))
    books.meter(lease, until=T0 + hours(19))
    rate()
    books.meter(lease, until=T0 + hours(20))

    with django_assert_max_num_queries(17):
        assert len(rate()) == 1
    with django_assert_max_num_queries(6):
        assert rate() == []


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_verify_ledger_finds_a_difference_and_fails() -> None:
    books.top_up(world.tenant(), GROSS)
    books.live(books.lease(scene.listing()))
    out = StringIO()
    call_command("verify_ledger", stdout=out)
    assert "The books agree." in out.getvalue()

    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE billing_ledgerbalance SET posted = posted + 1")
        cursor.execute("UPDATE billing_leasetally SET gross_minor = gross_minor + 1")
    out = StringIO()
    with pytest.raises(CommandError, match="checks found differences"):
        call_command("verify_ledger", stdout=out)

    assert "DIFFERENT  a balance is the sum of its entries" in out.getvalue()
    assert "DIFFERENT  a lease's tally is the sum of its charges" in out.getvalue()
    assert f"liability:wallet:{world.tenant().public_id}:CNY" in out.getvalue()


def test_an_unpaid_lease_ends_and_a_paid_one_goes_on() -> None:
    books.top_up(world.tenant(), GROSS // 10)
    price: dict[str, Any] = {"schedule": "deposit_hourly", "deposit_bps": 1000}
    lease = books.activate(books.lease(scene.listing(**price)))
    books.meter(lease, until=T0 + hours(12))
    rate()
    now = T0 + hours(12.5)
    assert ledger.balance(world.tenant()).owed_minor == 5440

    assert arrears.end_unpaid(at=now, limit=10) == 1
    assert arrears.end_unpaid(at=now, limit=10) == 0
    lease.refresh_from_db()
    allocation = Allocation.objects.get(pk=lease.allocation_id)

    assert Period.of(allocation.period).end == now
    assert Period.of(lease.period).end == T0 + hours(20)
    assert lease.end_reason == "unpaid"
    unpaid = lease.charges.filter(receivable_minor__gt=0).order_by("hour")[0]
    assert lease.end_evidence == unpaid.public_id
    assert JournalEntry.objects.filter(event="lease.end_ordered").count() == 1
    with pytest.raises(payments.DebtOpen):
        books.confirm(books.hold(scene.listing(amount_micro=1), start=50, end=60))


def test_one_lease_that_cannot_be_priced_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    books.top_up(world.tenant(), 10 * GROSS)
    bad, good = (books.activate(books.lease(scene.listing())) for _ in range(2))
    for lease in (bad, good):
        books.meter(lease, until=T0 + hours(12))
    real = rating._price

    def price(fact: Any, lease: Any, *rest: Any) -> Any:
        if lease.pk == bad.pk:
            raise Invalid("cannot be priced")
        return real(fact, lease, *rest)

    monkeypatch.setattr(rating, "_price", price)

    made = rating.rate_due(at=T0 + hours(13), limit=1000)

    assert {charge.lease_id for charge in made} == {good.pk}
    assert len(made) == 2
    monkeypatch.undo()
    assert {charge.lease_id for charge in rating.rate_due(at=T0 + hours(13), limit=1000)} == {
        bad.pk
    }
    assert not books.differences()
