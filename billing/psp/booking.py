"""How a line of Stripe's books becomes a transaction in ours."""

from __future__ import annotations

from datetime import datetime

from billing import chart, ledger
from billing.gateway.shapes import Line
from billing.ledger import Entry
from billing.models import LedgerTransaction
from inventory import actors

ACTOR = actors.system("stripe")


class LineDiffers(Exception):
    """Stripe moved another amount than the one it was asked to, in the same currency."""


def entries(line: Line, *, account: str, currency: str, debit_minor: int) -> list[Entry]:
    """Stripe's movement and fee against one account of ours.

    Where the account counts in another currency each side is balanced by its half of the
    exchange: nothing is converted here, both amounts are Stripe's.
    """
    rows: list[Entry] = [
        (chart.stripe(line.currency), line.net_minor),
        (chart.psp_fee(line.currency), line.fee_minor),
        (account, debit_minor),
    ]
    if currency != line.currency:
        rows += [(chart.fx(currency), -debit_minor), (chart.fx(line.currency), -line.amount_minor)]
    elif debit_minor != -line.amount_minor:
        raise LineDiffers(f"{line.id}: {line.amount_minor}, not {-debit_minor}")
    return [(code, amount) for code, amount in rows if amount]


def post(kind: str, key: str, rows: list[Entry], *, line: Line, at: datetime) -> bool:
    """Books a fact once, at Stripe's own instant; False where it was booked before."""
    if is_booked(key):
        return False
    ledger.post(
        kind=kind,
        key=key,
        entries=rows,
        at=at,
        effective_at=min(line.created_at, at),
        actor=ACTOR,
        external_reference=line.source,
    )
    return True


def is_booked(key: str) -> bool:
    return LedgerTransaction.objects.filter(idempotency_key=key).exists()
