"""Looks at an object of Stripe's and takes our rows and books as far as it is.

Never at what a message said of it: messages come twice, late and in any order. One at a time
per object, so that an older look never follows a newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from billing import gateway
from billing.psp import accounts, disputes, refunds, topups, transfers, withdrawals
from inventory.errors import Busy

_FOLLOW: dict[str, Callable[[Any, datetime], bool]] = {
    "payment_intent": topups.follow,
    "refund": refunds.follow,
    "dispute": disputes.follow,
    "transfer": transfers.follow,
    "account": accounts.follow,
    "payout": withdrawals.follow,
}
_LOCKS = 0x5117  # the space of these advisory locks


def follow(kind: str, object_id: str, *, at: datetime) -> bool:
    """Whether the object is of any concern here. Calls Stripe: not in a transaction.

    Idempotent. Raises Busy where another worker is looking at it, Refused (no such object),
    NotTaken, Unanswered.
    """
    with alone(object_id):
        seen = gateway.fetch(kind, object_id)
        reversals = gateway.fetch_reversals(object_id) if kind == "transfer" else []
        with transaction.atomic():
            known = _FOLLOW[kind](seen, at)
            for back in reversals:
                transfers.follow_reversal(back, at)
        return known


def follow_account_payout(account_id: str, payout_id: str, *, at: datetime) -> bool:
    with alone(payout_id):
        seen = gateway.fetch_account_payout(payout_id, account_id=account_id)
        with transaction.atomic():
            return accounts.bank_payout(account_id, seen, at)


@contextmanager
def alone(object_id: str) -> Iterator[None]:
    """Held over the look and what follows from it: a session's lock, no transaction."""
    name: list[int | str] = [_LOCKS, object_id]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", name)
        if not cursor.fetchone()[0]:
            raise Busy()
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", name)
