"""What no webhook told: a lost one costs minutes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing import chart, gateway, ledger
from billing.ledger import Kind
from billing.models import PayoutAccount, PspBalanceTransaction
from billing.psp import booking, disputes, following, refunds, topups, transfers, withdrawals
from inventory.errors import Busy, DomainError

logger = logging.getLogger(__name__)

LOOKS_BACK = timedelta(days=7)
OVERLAP = timedelta(days=7)
_BEHIND: dict[str, Callable[[Any], bool]] = {
    "payment_intent": topups.is_behind,
    "refund": refunds.is_behind,
    "dispute": disputes.is_behind,
    "transfer": transfers.is_behind,
    "payout": withdrawals.is_behind,
}


def look_around(*, at: datetime) -> int:
    """Every object of the last week is where ours are; returns how many were ahead of us.

    The lists are read from Stripe page by page; only what differs is fetched and followed.
    """
    if not gateway.is_on():
        return 0
    ahead = 0
    for kind, is_behind in _BEHIND.items():
        for seen in gateway.recent(kind, since=at - LOOKS_BACK):
            if is_behind(seen):
                ahead += _follow(kind, seen.id, at)
    waiting = PayoutAccount.objects.exclude(account_id=None).exclude(
        state=PayoutAccount.State.CLOSED
    )
    for account_id in waiting.values_list("account_id", flat=True):
        assert account_id is not None
        _follow("account", account_id, at)
    return ahead


def _follow(kind: str, object_id: str, at: datetime) -> bool:
    try:
        return following.follow(kind, object_id, at=at)
    except Busy:
        return False
    except (gateway.GatewayError, DomainError, booking.LineDiffers) as error:
        logger.warning("%s cannot be followed: %s", object_id, error)
        return False


def import_lines(*, at: datetime) -> int:
    """Stripe's balance transactions since the last one known, with a week's overlap, are ours to
    compare; returns how many are new. Fees of no payment are booked. Idempotent.
    """
    if not gateway.is_on():
        return 0
    last = PspBalanceTransaction.objects.order_by("-created_at").first()
    since = None if last is None else last.created_at - OVERLAP
    known = PspBalanceTransaction.objects.count()
    batch: list[PspBalanceTransaction] = []
    for line in gateway.lines(since=since):
        batch.append(
            PspBalanceTransaction(
                transaction_id=line.id,
                type=line.type,
                reporting_category=line.category,
                amount_minor=line.amount_minor,
                fee_minor=line.fee_minor,
                net_minor=line.net_minor,
                currency=line.currency,
                source=line.source,
                description=line.description,
                created_at=line.created_at,
                available_on=line.available_on,
                exchange_rate=line.exchange_rate,
                imported_at=at,
            )
        )
        if line.category == "fee" and not line.source:
            _book_fee(line, at)
    PspBalanceTransaction.objects.bulk_create(batch, ignore_conflicts=True, batch_size=500)
    _name_payouts(at)
    return PspBalanceTransaction.objects.count() - known


def _book_fee(line: gateway.shapes.Line, at: datetime) -> None:
    with transaction.atomic():
        key = f"stripe:{line.id}:fee"
        if booking.is_booked(key):
            return
        ledger.post(
            kind=Kind.STRIPE_FEE_CHARGED,
            key=key,
            entries=[
                (chart.stripe(line.currency), line.net_minor),
                (chart.psp_fee(line.currency), -line.net_minor),
            ],
            at=at,
            effective_at=min(line.created_at, at),
            actor=booking.ACTOR,
            external_reference=line.id,
        )


def _name_payouts(at: datetime) -> None:
    """Which automatic payout paid out which line: only those are itemised by Stripe."""
    recent = PspBalanceTransaction.objects.filter(
        type="payout", created_at__gte=at - LOOKS_BACK
    ).values_list("source", flat=True)
    for payout_id in recent:
        named = [line.id for line in gateway.lines(payout_id=payout_id)]
        PspBalanceTransaction.objects.filter(transaction_id__in=named, payout="").update(
            payout=payout_id
        )
