"""Bank receipts: two persons, one reference, and debts first."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing import chart, ledger, payments, receipts
from billing.models import BankReceipt
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import JournalEntry, User
from inventory.transitions import IllegalTransition
from marketplace.money import UnknownCurrency
from tests import world
from tests.billing import books
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db


def record(user: User, **changes: Any) -> BankReceipt:
    given: dict[str, Any] = {
        "tenant_id": world.tenant().pk,
        "bank_reference": "2026-06-01/17",
        "payer_name": "Borealis",
        "amount_minor": 1_000_000,
        "currency": "CNY",
        "received_date": T0.date(),
        **changes,
    }
    return receipts.record(at=T0, actor=SYSTEM, user=user, **given)


def approve(receipt: BankReceipt, user: User) -> BankReceipt:
    return receipts.approve(receipt_public_id=receipt.public_id, at=T0, actor=SYSTEM, user=user)


def test_money_reaches_the_wallet_when_a_second_person_approves() -> None:
    first, second = books.people()

    receipt = record(first)
    assert books.available() == 0
    assert ledger.posted(chart.bank("CNY")) == 1_000_000
    assert ledger.posted(chart.unmatched_receipts("CNY")) == 1_000_000
    receipt = approve(receipt, second)

    assert (receipt.state, receipt.decided_by, receipt.approved_at) == ("approved", second, T0)
    assert books.available() == 1_000_000
    assert ledger.posted(chart.unmatched_receipts("CNY")) == 0
    events = JournalEntry.objects.filter(object_id=receipt.public_id)
    assert sorted(events.values_list("event", flat=True)) == [
        "bankreceipt.approved",
        "bankreceipt.recorded",
    ]


def test_the_recorder_does_not_decide() -> None:
    first, _ = books.people()
    receipt = record(first)

    with refused(payments.SamePerson):
        approve(receipt, first)
    with refused(payments.SamePerson):
        receipts.reject(
            receipt_public_id=receipt.public_id, at=T0, actor=SYSTEM, user=first, reason="no"
        )
    with pytest.raises(IntegrityError, match="two_persons"), transaction.atomic():
        BankReceipt.objects.filter(pk=receipt.pk).update(state="approved", decided_by=first)

    assert books.available() == 0


def test_a_rejected_receipt_is_booked_back() -> None:
    first, second = books.people()
    receipt = record(first)

    receipt = receipts.reject(
        receipt_public_id=receipt.public_id, at=T0, actor=SYSTEM, user=second, reason="not ours"
    )

    assert receipt.state == "rejected"
    assert ledger.posted(chart.bank("CNY")) == 0
    assert books.available() == 0
    with refused(IllegalTransition):
        approve(receipt, second)


def test_a_line_of_the_statement_counts_once() -> None:
    first, second = books.people()
    receipt = record(first)

    with refused(receipts.DuplicateReceipt):
        record(second, amount_minor=5)
    approve(receipt, second)
    with refused(IllegalTransition):
        approve(receipt, second)

    assert books.available() == 1_000_000


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount_minor": 0}, Invalid),
        ({"amount_minor": -1}, Invalid),
        ({"amount_minor": 10**15 + 1}, Invalid),
        ({"amount_minor": 9_200_000_000_000_000_000}, Invalid),
        ({"currency": "XXX"}, UnknownCurrency),
        ({"bank_reference": " "}, Invalid),
        ({"payer_name": ""}, Invalid),
        ({"tenant_id": 0}, NotFound),
    ],
)
def test_refuses_what_no_statement_shows(changes: dict[str, Any], error: type[DomainError]) -> None:
    first, _ = books.people()

    with refused(error):
        record(first, **changes)

    assert not BankReceipt.objects.exists()
    assert ledger.posted(chart.bank("CNY")) == 0


@pytest.mark.parametrize("amount", [1, 10**15])
def test_the_smallest_and_the_largest_receipt_fit(amount: int) -> None:
    first, second = books.people()

    approve(record(first, amount_minor=amount), second)

    assert books.available() == amount


def test_a_top_up_first_pays_what_the_tenant_owes() -> None:
    tenant = world.tenant()
    first, second = books.people()
    ledger.post(
        kind="usage_charged",
        key="debt",
        entries=[(chart.receivable(tenant, "CNY"), 300), (chart.fee("CNY"), -300)],
        at=T0,
        actor=SYSTEM,
    )

    approve(record(first, amount_minor=200), second)
    assert (books.available(), ledger.posted(chart.receivable(tenant, "CNY"))) == (0, 100)
    approve(record(first, amount_minor=500, bank_reference="next"), second)

    assert (books.available(), ledger.posted(chart.receivable(tenant, "CNY"))) == (400, 0)


def test_a_receipt_nobody_knows_is_not_found() -> None:
    _, second = books.people()

    for unknown in ("rcp_00000000000000000000000000000000", "x", "lse_" + "0" * 32):
        with refused(NotFound):
            receipts.approve(receipt_public_id=unknown, at=T0, actor=SYSTEM, user=second)
