"""A payout decided on by several at once, and months settled by several sweeps."""

from __future__ import annotations

import threading

import pytest
from django.db import transaction

from billing import chart, ledger, payouts, settlement, settlement_lines
from billing.models import (
    Charge,
    LedgerHold,
    LedgerTransaction,
    Payout,
    PayoutLine,
    Settlement,
    SettlementLine,
)
from inventory.errors import DomainError
from inventory.models import JournalEntry, User
from inventory.transitions import IllegalTransition
from tests import world
from tests.billing import books, paying
from tests.billing.paying import MONTH, SETTLED_AT
from tests.races.crowd import together
from tests.world import SYSTEM, T0

pytestmark = [
    pytest.mark.race,
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
    pytest.mark.usefixtures("many_connections"),
]


def approvers(count: int = 4) -> list[User]:
    """Any of them may approve what the first person planned."""
    more = [
        User.objects.create(email=f"{number}@delta.example", date_joined=T0)
        for number in range(count - 1)
    ]
    return [books.people()[1], *more]


def planned() -> Payout:
    paying.settled()
    paying.payee()
    return paying.plan()


def approve(row: Payout, user: User) -> Payout:
    return payouts.approve(payout_public_id=row.public_id, at=SETTLED_AT, actor=SYSTEM, user=user)


def available() -> int:
    code = chart.provider_settling(world.provider(), "CNY")
    return ledger.lock([code])[code]


def test_one_of_several_approvers_holds_the_money_and_the_others_are_told() -> None:
    row, users = planned(), approvers()

    said = together(*[lambda user=user: approve(row, user) for user in users])

    assert sum(isinstance(each, Payout) for each in said) == 1
    assert sum(isinstance(each, IllegalTransition) for each in said) == len(users) - 1
    row.refresh_from_db()
    assert (row.state, available()) == ("approved", 0)
    assert LedgerHold.objects.filter(idempotency_key=row.hold_key).count() == 1
    assert JournalEntry.objects.filter(event="payout.approved").count() == 1
    assert not books.differences()


def test_control_without_the_payouts_lock_two_persons_approve_it() -> None:
    row = planned()
    both_read = threading.Barrier(2)

    def naive() -> bool:
        with transaction.atomic():
            found = Payout.objects.get(pk=row.pk)
            both_read.wait(timeout=30)
            return found.state == "planned"

    assert together(naive, naive) == [True, True]


def test_it_is_approved_or_given_up_and_its_money_is_held_or_free() -> None:
    row = planned()

    together(
        lambda: approve(row, books.people()[1]),
        lambda: payouts.cancel(
            payout_public_id=row.public_id, reason="stop", at=SETTLED_AT, actor=SYSTEM
        ),
    )

    # Approved first, it can still be given up: nothing was sent.
    row.refresh_from_db()
    assert row.state == "cancelled"
    assert available() == row.amount_minor
    assert not PayoutLine.objects.filter(is_live=True).exists()
    assert not books.differences()


def test_several_planners_make_one_payout() -> None:
    paying.settled()
    paying.payee()

    said = together(*[paying.plan] * 6)

    assert sum(isinstance(each, Payout) for each in said) == 1
    assert all(isinstance(each, Payout | DomainError) for each in said)
    assert Payout.objects.count() == 1
    assert not books.differences()


def test_paid_and_failed_at_once_it_is_one_of_them() -> None:
    row = paying.approve(planned())
    paying.send()

    together(
        lambda: paying.paid(row),
        lambda: payouts.mark_failed(
            payout_public_id=row.public_id, reason="closed", at=SETTLED_AT, actor=SYSTEM
        ),
        lambda: paying.paid(row),
    )

    row.refresh_from_db()
    assert row.state in ("paid", "failed")
    left = LedgerTransaction.objects.filter(kind="paid_out").count()
    assert left == (1 if row.state == "paid" else 0)
    assert available() == (0 if row.state == "paid" else row.amount_minor)
    assert not books.differences()


def test_several_monthly_sweeps_settle_every_charge_once() -> None:
    paying.earn()
    charges = Charge.objects.count()

    said = together(*[lambda: settlement.settle_month(at=SETTLED_AT)] * 4)

    assert sorted(said) == [0, 0, 0, 1]
    assert Settlement.objects.count() == 1
    assert SettlementLine.objects.count() == charges
    assert LedgerTransaction.objects.filter(kind="settled").count() == 1
    assert not books.differences()


def test_control_without_the_providers_lock_both_sweeps_would_consume_the_same() -> None:
    paying.earn()
    both_read = threading.Barrier(2)

    def naive() -> int:
        with transaction.atomic():
            (row,) = settlement_lines.sums_of([world.provider().pk], "CNY", MONTH).values()
            both_read.wait(timeout=30)
            return row.line_count

    first, second = together(naive, naive)
    assert first == second == Charge.objects.count()
