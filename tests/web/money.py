"""Money of the console's market: settled months, accounts, payouts, refunds, made at once."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from billing import (
    bank_accounts,
    chart,
    input_fapiaos,
    invoices,
    ledger,
    payout_terms,
    payouts,
    receipts,
    refunds,
    statements,
)
from billing.ledger import Kind
from billing.models import (
    BankAccount,
    BankReceipt,
    InputFapiao,
    Invoice,
    Payout,
    PayoutTerms,
    Refund,
    Settlement,
)
from billing.payout_terms import Terms
from inventory.models import Organisation, User
from inventory.periods import Period
from marketplace import money
from marketplace.models import Lease
from tests import world
from tests.billing import books
from tests.web.conftest import Market

_numbers = itertools.count(1)
ZONE = "Asia/Shanghai"


def last_month_of(market: Market) -> Period:
    """The last calendar month that may be settled: over for as long as terms ask."""
    over = money.month_of(market.at - timedelta(days=settings.SETTLE_AFTER_DAYS), ZONE)
    return money.month_of(over.start - timedelta(days=1), ZONE)


def last_month(market: Market) -> str:
    """That month as the form names it."""
    return f"{last_month_of(market).start.astimezone(ZoneInfo(ZONE)):%Y-%m}"


def in_last_month(market: Market) -> None:
    """The market as it was in the middle of that month."""
    market.at = last_month_of(market).start + timedelta(days=9)


def lived(market: Market, **price: Any) -> Lease:
    """Eight cards for a day of last month, delivered and charged; the market is here again.

    Before anything else in the pool: its clock does not go back.
    """
    now = market.at
    in_last_month(market)
    market.fund()
    lease = books.live(market.lease(market.listing(**price)))
    market.at = now
    return lease


def invoiced(market: Market) -> Invoice:
    """The final invoice of such a lease, its statement open."""
    lived(market)
    invoices.finalise_due(at=market.at, limit=10)
    statements.issue_due(at=market.at, limit=10)
    return Invoice.objects.get(state=Invoice.State.FINALISED)


def people() -> tuple[User, User]:
    """Two persons of the operator that nobody of the tests signs in as."""
    return books.people()


def terms(market: Market, **changes: Any) -> PayoutTerms:
    facts: dict[str, Any] = {
        "settle_after_days": 7,
        "minimum_minor": 0,
        "reserve_bps": 0,
        "reserve_days": 30,
        "needs_fapiao": False,
        "method": "bank",
    }
    return payout_terms.put(
        provider_id=market.provider.pk,
        currency="CNY",
        terms=Terms(**{**facts, **changes}),
        reason="agreed",
        at=market.at,
        actor=world.SYSTEM,
    )


def settled(market: Market, amount_minor: int = 100_000, **changes: Any) -> Settlement:
    """A month of the provider's that is settled, each call an older one; without its charges."""
    month = money.month_of(market.at, ZONE)
    for _number in range(next(_numbers)):
        month = money.month_of(month.start - timedelta(days=1), ZONE)
    version = terms(market, **changes)
    reserve = amount_minor * version.reserve_bps // 10_000
    own = market.provider
    posting = ledger.post(
        kind=Kind.SETTLED,
        key=f"settled:{next(_numbers)}",
        entries=[
            (chart.provider_accrued(own, "CNY"), amount_minor),
            (chart.provider_settling(own, "CNY"), reserve - amount_minor),
            *([(chart.provider_reserve(own, "CNY"), -reserve)] if reserve else []),
        ],
        at=market.at,
        actor=world.SYSTEM,
    )
    return Settlement.objects.create(
        provider=own,
        period=month.range,
        currency="CNY",
        terms=version,
        line_count=0,
        card_seconds=0,
        gross_minor=amount_minor,
        vat_minor=0,
        fee_minor=0,
        net_minor=amount_minor,
        reserve_minor=reserve,
        reserve_until=market.at + timedelta(days=30) if reserve else None,
        ledger_transaction_id=posting,
        created_at=market.at,
    )


def payee(market: Market) -> BankAccount:
    """The provider's verified account, cooled; the same one whenever it is asked for."""
    found = BankAccount.objects.filter(owner=market.provider, state="verified").first()
    return found or account(market, market.provider)


def planned(market: Market, amount_minor: int = 100_000) -> Payout:
    """A payout that waits for a second person; not of anybody who signs in."""
    payee(market)
    settled(market, amount_minor)
    return payouts.plan(
        provider_id=market.provider.pk,
        currency="CNY",
        at=market.at,
        actor=world.SYSTEM,
        user=people()[0],
    )


def approved(market: Market, amount_minor: int = 100_000) -> Payout:
    row = planned(market, amount_minor)
    return payouts.approve(
        payout_public_id=row.public_id, at=market.at, actor=world.SYSTEM, user=people()[1]
    )


def fapiao(market: Market, amount_minor: int = 100_000) -> InputFapiao:
    return input_fapiaos.hand_in(
        provider_id=market.provider.pk,
        number=f"{next(_numbers):020d}",
        issued_date=market.at.date() - timedelta(days=1),
        currency="CNY",
        amount_minor=amount_minor,
        vat_minor=amount_minor * 6 // 106,
        file_name="fapiao.pdf",
        content=b"%PDF-1.7 fapiao",
        at=market.at,
        actor=world.SYSTEM,
        user=people()[0],
    )


def proposed_account(market: Market, owner: Organisation) -> BankAccount:
    """Entered a month ago by a person of its owner's; of the operator's that is a check."""
    first, _second = people()
    person = first if owner.is_operator else world.member(owner)
    return bank_accounts.propose(
        owner=owner,
        holder_name=owner.name,
        bank_name="Bank 1",
        number=f"0200{next(_numbers):06d}",
        currency="CNY",
        at=market.at - timedelta(days=30),
        actor=world.actor(owner),
        user=person,
    )


def account(market: Market, owner: Organisation) -> BankAccount:
    """A verified one of the organisation's own, which has cooled."""
    row = proposed_account(market, owner)
    first, second = people()
    facts: dict[str, Any] = {
        "account_public_id": row.public_id,
        "at": market.at - timedelta(days=30),
        "actor": world.SYSTEM,
    }
    if row.state == BankAccount.State.PROPOSED:
        bank_accounts.check(user=first, **facts)
    return bank_accounts.decide(verified=True, user=second, **facts)


def refund(market: Market, amount_minor: int = 1_000) -> Refund:
    """The tenant's, asked for; the wallet has the money."""
    return refunds.ask(
        tenant=market.tenant,
        account_public_id=account(market, market.tenant).public_id,
        amount_minor=amount_minor,
        currency="CNY",
        reason="unused",
        at=market.at,
        actor=world.actor(market.tenant),
    )


def let_go(market: Market, row: Refund) -> Refund:
    """Two persons have agreed to it."""
    first, second = people()
    facts: dict[str, Any] = {
        "refund_public_id": row.public_id,
        "at": market.at,
        "actor": world.SYSTEM,
    }
    if row.state == Refund.State.ASKED:
        refunds.check(**facts, user=first)
    return refunds.approve(**facts, user=second)


def nobodys(market: Market, amount_minor: int = 5_000) -> BankReceipt:
    """A transfer of somebody unknown, recorded by nobody who signs in."""
    return receipts.record(
        bank_reference=f"X-{next(_numbers)}",
        payer_name="Nobody known",
        payer_account="99887766",
        amount_minor=amount_minor,
        currency="CNY",
        received_date=market.at.date(),
        at=market.at,
        actor=world.SYSTEM,
        user=people()[0],
    )
