"""Both sides of a reconciliation, as far as nobody has matched them: lines and movements.

Each side has names that the other may bear: the document that both belong to, and references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

# What Stripe's lines may be of (docs.stripe.com/reports/balance-transaction-types), as far as
# something here books it. New ones come with minor releases: a person looks at those first.
KNOWN_TYPES = frozenset(
    {
        "charge",
        "payment",
        "refund",
        "payment_refund",
        "refund_failure",
        "payment_failure_refund",
        "adjustment",
        "transfer",
        "transfer_cancel",
        "transfer_failure",
        "transfer_refund",
        "payout",
        "payout_cancel",
        "payout_failure",
        "stripe_fee",
        "stripe_fx_fee",
    }
)

# How far the bank's day may lie from the day Stripe says its payout arrives.
ARRIVES_BEFORE, ARRIVES_AFTER = timedelta(days=3), timedelta(days=10)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the bank's or of Stripe's, or an account's opening balance, that is open."""

    purpose: str  # of the account of ours that it is about: bank or stripe
    currency: str
    net_minor: int
    since: datetime
    name: str  # public id, or Stripe's
    documents: tuple[str, ...]  # keys of the ledger that its documents have
    references: tuple[str, ...]
    text: str  # who and what for, to be read
    type: str = ""  # Stripe's
    bank_line_id: int | None = None
    psp_line_id: str | None = None
    opening_id: int | None = None

    @property
    def is_of_known_type(self) -> bool:
        return not self.type or self.type in KNOWN_TYPES

    @property
    def code(self) -> str:
        return f"asset:{self.purpose}:{self.currency}"


@dataclass(frozen=True, slots=True)
class Movement:
    """What an open transaction moved an account of money outside by, debit positive."""

    transaction_id: int
    account_id: int
    code: str
    purpose: str
    currency: str
    net_minor: int
    kind: str
    key: str
    references: tuple[str, ...]
    effective_at: datetime
    created_at: datetime
    passes: tuple[str, ...]  # the purposes of its other accounts


_BANK_LINES = """
    SELECT l.id, l.public_id, l.currency, l.amount_minor, l.booked_date, l.bank_reference,
           l.own_reference, l.fact_key, l.counterparty_name, l.text, r.public_id, f.public_id
    FROM billing_bankline l
    LEFT JOIN billing_bankreceipt r ON r.line_id = l.id
    LEFT JOIN billing_refund f ON f.line_id = l.id
    WHERE NOT EXISTS (SELECT FROM reconciliation_live m WHERE m.bank_line_id = l.id)
    ORDER BY l.booked_date, l.id
"""
_PSP_LINES = """
    SELECT p.transaction_id, p.currency, p.net_minor, p.created_at, p.source, p.type,
           p.reporting_category
    FROM billing_pspbalancetransaction p
    WHERE p.net_minor <> 0
      AND NOT EXISTS (SELECT FROM reconciliation_live m WHERE m.psp_line_id = p.transaction_id)
    ORDER BY p.created_at, p.transaction_id
"""
_OPENINGS = """
    SELECT o.statement_id, o.currency, o.net_minor, o.booked_date, o.name, b.number
    FROM reconciliation_opening o JOIN billing_bankaccount b ON b.id = o.held_at_id
    WHERE coalesce(o.net_minor, 0) <> 0
      AND NOT EXISTS (SELECT FROM reconciliation_live m WHERE m.opening_id = o.statement_id)
    ORDER BY o.booked_date, o.statement_id
"""
_MOVEMENTS = """
    SELECT m.transaction_id, m.account_id, m.code, m.purpose, m.currency, m.net_minor, t.kind,
           t.idempotency_key, t.external_reference, coalesce(p.rail_reference, ''),
           t.effective_at, t.created_at, ARRAY(
               SELECT DISTINCT o.purpose FROM billing_ledgerentry e
               JOIN billing_ledgeraccount o ON o.id = e.account_id
               WHERE e.transaction_id = m.transaction_id AND o.id <> m.account_id ORDER BY 1)
    FROM reconciliation_movement m
    JOIN billing_ledgertransaction t ON t.id = m.transaction_id
    LEFT JOIN billing_payout p ON p.ledger_transaction_id = t.id
    WHERE NOT EXISTS (SELECT FROM reconciliation_live x
                      WHERE x.account_id = m.account_id AND x.transaction_id = m.transaction_id)
      AND NOT EXISTS (SELECT FROM reconciliation_live x
                      WHERE x.account_id = m.account_id AND x.offset_id = m.transaction_id)
    ORDER BY t.created_at, t.id
"""


def zone() -> ZoneInfo:
    return ZoneInfo(settings.BILLING_ZONE)


def open_lines() -> list[Line]:
    """What nobody has matched of the bank's and of Stripe's, oldest first. Three statements."""
    lines = [_bank_line(row) for row in _rows(_BANK_LINES)]
    lines += [_psp_line(row) for row in _rows(_PSP_LINES)]
    lines += [_opening(row) for row in _rows(_OPENINGS)]
    return lines


def open_movements() -> list[Movement]:
    """What nobody has matched of the books, oldest first. One statement."""
    return [
        Movement(
            transaction_id=row[0],
            account_id=row[1],
            code=row[2],
            purpose=row[3],
            currency=row[4],
            net_minor=row[5],
            kind=row[6],
            key=row[7],
            references=tuple(dict.fromkeys(filter(None, (row[8], row[9])))),
            effective_at=row[10],
            created_at=row[11],
            passes=tuple(row[12]),
        )
        for row in _rows(_MOVEMENTS)
    ]


def start_of(day: date) -> datetime:
    """The first instant of a day in the billing zone."""
    return datetime.combine(day, time(), tzinfo=zone()).astimezone(UTC)


def _bank_line(row: tuple[Any, ...]) -> Line:
    pk, public_id, currency, minor, day, reference, own, fact, who, text, receipt, refund = row
    documents = []
    if receipt is not None:
        documents.append(f"receipt:rcp_{receipt.hex}:recorded")
    if refund is not None:
        documents.append(f"refund:rfd_{refund.hex}:done")
    name = f"bln_{public_id.hex}"
    return Line(
        purpose="bank",
        currency=currency,
        net_minor=minor,
        since=start_of(day),
        name=name,
        documents=tuple(documents),
        references=tuple(filter(None, (name, reference, own, f"LINE-{fact[:24].upper()}"))),
        text=" ".join(filter(None, (who, text))),
        bank_line_id=pk,
    )


def _psp_line(row: tuple[Any, ...]) -> Line:
    pk, currency, minor, created_at, source, kind, category = row
    return Line(
        purpose="stripe",
        currency=currency,
        net_minor=minor,
        since=created_at,
        name=pk,
        documents=(),
        references=tuple(filter(None, (pk, source))),
        text=f"{kind} {category} {source}".strip(),
        type=kind,
        psp_line_id=pk,
    )


def _opening(row: tuple[Any, ...]) -> Line:
    pk, currency, minor, day, name, number = row
    return Line(
        purpose="bank",
        currency=currency,
        net_minor=minor,
        since=start_of(day),
        name=name,
        documents=(),
        references=(name,),
        text=number,
        opening_id=pk,
    )


def _rows(statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(parameters))
        return list(cursor.fetchall())
