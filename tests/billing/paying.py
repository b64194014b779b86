"""Providers that are paid: earned months, verified accounts, payouts by two persons."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from billing import (
    bank_accounts,
    chart,
    input_fapiaos,
    ledger,
    payout_files,
    payout_terms,
    payouts,
    rating,
)
from billing.models import BankAccount, Charge, InputFapiao, Payout, PayoutTerms, Settlement
from billing.payout_terms import Terms
from inventory.models import Organisation
from marketplace import money
from marketplace.models import Lease
from tests import world
from tests.billing import books
from tests.billing.test_bank_rail import account
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

LATER = T0 + hours(3000)
MONTH = money.month_of(T0 + timedelta(days=14), "Asia/Shanghai")
# The month's end and the usual delay; accounts verified at T0 have cooled by then.
SETTLED_AT = MONTH.end + timedelta(days=7)
_numbers = itertools.count(1)


def earn(card_hours: int = 10) -> Lease:
    """A lease of eight cards for so many hours of T0's month: delivered and charged."""
    books.top_up(world.tenant(), 5440 * card_hours, f"B-{next(_numbers)}")
    lease = books.activate(books.lease(scene.listing(), start=10, end=10 + card_hours))
    books.meter(lease, until=T0 + hours(10 + card_hours))
    rating.rate_due(at=LATER, limit=100_000)
    return lease


def terms(**changes: Any) -> PayoutTerms:
    facts: dict[str, Any] = {
        "settle_after_days": 7,
        "minimum_minor": 0,
        "reserve_bps": 0,
        "reserve_days": 30,
        "needs_fapiao": False,
        "method": "bank",
    }
    return payout_terms.put(
        provider_id=world.provider().pk,
        currency="CNY",
        terms=Terms(**{**facts, **changes}),
        reason="agreed",
        at=T0,
        actor=SYSTEM,
    )


def payee(
    *, at: datetime = T0, number: str = "6222020200011223344", provider: Organisation | None = None
) -> BankAccount:
    """An account that two persons have verified."""
    row = proposed(at=at, number=number, provider=provider)
    return verify(row, at=at)


def verify(row: BankAccount, *, at: datetime) -> BankAccount:
    _, second = books.people()
    return bank_accounts.decide(
        account_public_id=row.public_id, verified=True, at=at, actor=SYSTEM, user=second
    )


def proposed(
    *, at: datetime = T0, number: str = "6222020200011223344", provider: Organisation | None = None
) -> BankAccount:
    """Entered by a person of the operator, who has seen it."""
    owner = provider or world.provider()
    return bank_accounts.propose(
        owner=owner,
        holder_name=owner.name,
        bank_name="中国工商银行兰州新区支行",
        number=number,
        bank_code="102821000015",
        currency="CNY",
        at=at,
        actor=SYSTEM,
        user=books.people()[0],
    )


def settled(card_hours: int = 10) -> Settlement:
    earn(card_hours)
    row = books.settle()
    assert row is not None
    return row


def plan(*, at: datetime = SETTLED_AT) -> Payout:
    first, _second = books.people()
    return payouts.plan(
        provider_id=world.provider().pk, currency="CNY", at=at, actor=SYSTEM, user=first
    )


def approve(row: Payout, *, at: datetime = SETTLED_AT) -> Payout:
    _first, second = books.people()
    return payouts.approve(payout_public_id=row.public_id, at=at, actor=SYSTEM, user=second)


def send(*, at: datetime = SETTLED_AT) -> None:
    first, _second = books.people()
    if not bank_accounts.of_operator("CNY"):
        account()
    payout_files.make(currency="CNY", layout="plain", at=at, actor=SYSTEM, user=first)


def paid(row: Payout, *, at: datetime = SETTLED_AT) -> Payout:
    return payouts.mark_paid(
        payout_public_id=row.public_id, reference=f"ICBC-{row.pk}", at=at, actor=SYSTEM
    )


def fapiao(amount_minor: int, *, at: datetime = T0) -> InputFapiao:
    first, _second = books.people()
    return input_fapiaos.hand_in(
        provider_id=world.provider().pk,
        number=f"{next(_numbers):020d}",
        issued_date=T0.date(),
        currency="CNY",
        amount_minor=amount_minor,
        vat_minor=amount_minor * 6 // 106,
        file_name="fapiao.pdf",
        content=b"%PDF-1.7 fapiao",
        at=at,
        actor=SYSTEM,
        user=first,
    )


def shares() -> int:
    """What all charges come to for their provider."""
    return sum(Charge.objects.values_list("provider_minor", flat=True))


def owing(provider: Organisation, amount_minor: int = 100) -> None:
    """The provider owes so much, by a posting of the kind a demand has."""
    ledger.post(
        kind="net_made_receivable",
        key=f"owing:{next(_numbers)}",
        entries=[
            (chart.provider_receivable(provider, "CNY"), amount_minor),
            (chart.provider_accrued(provider, "CNY"), -amount_minor),
        ],
        at=T0,
        actor=SYSTEM,
    )
