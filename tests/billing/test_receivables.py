"""A negative net: carried, demanded when too old, and paid back from what comes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import chart, ledger, rating, receivables, settlement
from billing.models import CarriedNet, Repayment, Settlement
from billing.payments import SamePerson
from billing.receipts import DuplicateReceipt
from inventory.models import JournalEntry
from tests import world
from tests.billing import books, paying
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db

CARDS_HOUR = 8 * 3600


def in_debt(correction_hours: int = 5) -> None:
    """Ten hours settled and then, for some of them, found undelivered."""
    lease = paying.earn()
    assert books.settle() is not None
    for number in range(correction_hours):
        books.correct(lease, T0 + hours(10 + number), -CARDS_HOUR)
    rating.rate_due(at=paying.LATER, limit=100_000)


def demanded() -> Settlement:
    in_debt()
    assert books.settle(1) is None
    assert books.settle(2) is None
    row = books.settle(3)
    assert row is not None
    return row


def owed() -> int:
    return ledger.posted(chart.provider_receivable(world.provider(), "CNY"))


def test_it_is_carried_for_sixty_days_and_then_demanded() -> None:
    in_debt()

    assert books.settle(1) is None
    (carried,) = CarriedNet.objects.all()
    assert carried.settlement is None
    assert not books.differences()
    assert books.settle(2) is None
    row = books.settle(3)

    assert row is not None
    assert (row.state, row.net_minor, row.line_count) == ("demanded", carried.net_minor, 5)
    assert row.due_date == (row.created_at + timedelta(days=30, hours=8)).date()
    assert CarriedNet.objects.get().settlement_id == row.pk
    assert owed() == -row.net_minor
    assert ledger.posted(chart.provider_accrued(world.provider(), "CNY")) == 0
    told = JournalEntry.objects.get(event="settlement.demanded")
    assert told.provider_id == world.provider().pk
    assert not books.differences()


def test_the_next_settlement_pays_it_first() -> None:
    demand = demanded()
    lease = paying.earn(20)
    assert lease.provider == demand.provider

    row = books.settle(4)

    assert row is not None
    assert row.paid_back_minor == -demand.net_minor
    assert row.payable_minor == row.net_minor + demand.net_minor
    demand.refresh_from_db()
    assert (demand.state, owed()) == ("paid_back", 0)
    assert Repayment.objects.get().settlement == row
    assert not books.differences()


def test_a_settlement_smaller_than_the_debt_leaves_the_rest() -> None:
    demand = demanded()
    paying.earn(2)

    row = books.settle(4)

    assert row is not None
    assert (row.state, row.payable_minor) == ("paid", 0)
    demand.refresh_from_db()
    assert demand.state == "demanded"
    assert owed() == -demand.net_minor - row.net_minor
    assert not books.differences()


def test_a_bank_transfer_pays_it_by_two_persons() -> None:
    demand = demanded()
    first, second = books.people()
    at = demand.created_at

    def record(amount: int, reference: str = "ICBC-9") -> Repayment:
        return receivables.record_repayment(
            provider_id=world.provider().pk, currency="CNY", amount_minor=amount,
            bank_reference=reference, at=at, actor=SYSTEM, user=first,
        )  # fmt: skip

    def decide(row: Repayment, user: object = second) -> Repayment:
        return receivables.approve_repayment(
            repayment_public_id=row.public_id,
            at=at,
            actor=SYSTEM,
            user=user,  # type: ignore[arg-type]
        )

    with pytest.raises(receivables.NothingOwed):
        record(1 - demand.net_minor)
    half = record(100)
    with pytest.raises(DuplicateReceipt):
        record(100, "icbc-9 ")
    with pytest.raises(SamePerson):
        decide(half, first)
    bank = ledger.posted(chart.bank("CNY"))
    decide(half)
    demand.refresh_from_db()
    assert (demand.state, owed()) == ("demanded", -demand.net_minor - 100)

    rest = record(owed(), "ICBC-10")
    lost = record(owed(), "ICBC-11")
    decide(rest)
    with pytest.raises(receivables.NothingOwed):
        decide(lost)
    receivables.reject_repayment(
        repayment_public_id=lost.public_id, reason="twice", at=at, actor=SYSTEM, user=second
    )

    demand.refresh_from_db()
    assert (demand.state, owed()) == ("paid_back", 0)
    assert ledger.posted(chart.bank("CNY")) == bank - demand.net_minor
    assert not books.differences()


def test_the_sweep_settles_carries_and_demands_by_itself() -> None:
    in_debt()
    after = paying.SETTLED_AT

    made = [settlement.settle_month(at=after + timedelta(days=days)) for days in (31, 40, 62, 95)]

    assert made == [0, 0, 0, 1]
    assert Settlement.objects.get(net_minor__lt=0).state == "demanded"
    assert not books.differences()
