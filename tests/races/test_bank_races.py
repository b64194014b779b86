"""The bank rail under concurrency: each has one winner, and the control shows what is raced for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from billing import bank_deals, bank_statements, checkout, receipts, references
from billing.models import BankLine, BankReceipt, BankStatement
from inventory.errors import Busy, DomainError
from inventory.models import User
from tests import world
from tests.billing import books
from tests.billing.test_bank_holds import DEPOSIT, DUE, GROSS, bank_hold
from tests.billing.test_bank_rail import account, line, pay, statement, wallet_reference
from tests.world import SYSTEM, T0, hours

pytestmark = [
    pytest.mark.race,
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
]


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each returned, or the refusal it got."""
    barrier, said = threading.Barrier(len(acts)), [None] * len(acts)

    def run(number: int, act: Callable[[], Any]) -> None:
        try:
            barrier.wait()
            said[number] = act()
        except DomainError as error:
            said[number] = error  # type: ignore[call-overload]
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def bring(row: Any, content: bytes) -> Any:
    return bank_statements.bring_in(
        account_public_id=row.public_id,
        content=content,
        file_name="x.csv",
        at=T0,
        actor=SYSTEM,
        user=books.people()[0],
    )


def test_two_approvers_at_once_put_the_money_in_once() -> None:
    books.people()
    third = User.objects.create(email="third@delta.example", date_joined=T0)
    row = account()
    bring(row, statement(line(wallet_reference())))
    receipt = BankReceipt.objects.get()

    said = at_once(
        *(
            lambda who=who: receipts.approve(
                receipt_public_id=receipt.public_id, at=T0, actor=SYSTEM, user=who
            )
            for who in (books.people()[1], third)
        )
    )

    assert sum(isinstance(each, BankReceipt) for each in said) == 1
    assert books.available() == 10_000


def test_the_same_file_twice_at_once_is_imported_once() -> None:
    row = account()
    books.people()
    content = statement(*(line(wallet_reference()) for _ in range(20)))

    at_once(*(lambda: bring(row, content) for _ in range(4)))

    assert (BankStatement.objects.count(), BankLine.objects.count()) == (1, 20)
    assert BankReceipt.objects.count() == 20


def test_without_the_accounts_lock_both_would_read_that_nothing_is_known() -> None:
    """The control: two previews at once both count every line as new."""
    row = account()
    content = statement(line(wallet_reference()))

    said = at_once(*(lambda: bank_statements.preview(account=row, content=content),) * 2)

    assert [each.new_count for each in said] == [1, 1]


def test_the_hold_lapses_or_becomes_a_lease_never_both() -> None:
    row = account()
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    held = bank_hold()
    pay(row, held, GROSS - DEPOSIT, T0 + hours(1))

    at_once(
        lambda: bank_deals.confirm_paid(at=DUE - timedelta(seconds=1), limit=10),
        lambda: checkout.expire_due(at=DUE, limit=10),
        lambda: bank_deals.confirm_paid(at=DUE, limit=10),
    )
    bank_deals.confirm_paid(at=DUE + hours(1), limit=10)

    held.refresh_from_db()
    assert held.state in ("confirmed", "expired")
    assert books.available() == 0  # by this hold, or by the one made anew
    assert not books.differences()


def test_the_money_is_approved_while_the_hold_lapses_and_is_the_tenants_either_way() -> None:
    row = account()
    second = books.people()[1]
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    held = bank_hold()
    bring(row, statement(line(references.of(held.public_id), f"{(GROSS - DEPOSIT) / 100:.2f}")))
    receipt = BankReceipt.objects.latest("pk")

    def approve() -> BankReceipt:
        return receipts.approve(
            receipt_public_id=receipt.public_id, at=DUE, actor=SYSTEM, user=second
        )

    said = at_once(approve, lambda: checkout.expire_due(at=DUE, limit=10))
    if isinstance(said[0], Busy):  # who waited too long for the other is asked to come again
        said[0] = approve()

    assert said[0] == receipt
    receipt.refresh_from_db()
    held.refresh_from_db()
    assert (receipt.state, held.state) == ("approved", "expired")
    assert books.available() == GROSS
    assert not books.differences()
    # It came too late for the hold, but nobody else wanted the capacity.
    assert bank_deals.confirm_paid(at=DUE + hours(1), limit=10) == 1
    assert books.available() == 0
    assert not books.differences()


def test_control_without_its_lock_a_lapsed_hold_is_confirmed() -> None:
    books.top_up(world.tenant(), GROSS, "B-1")
    held = bank_hold()
    both_read = threading.Barrier(2)

    def naive() -> bool:
        found = type(held).objects.get(pk=held.pk)
        both_read.wait(timeout=30)
        return found.state == "held"

    assert at_once(naive, naive) == [True, True]
