"""Sends what was written down, and takes what became of it into the books.

Claim in a transaction, call outside any, apply in a transaction guarded by the claim. Whoever
dies in between leaves a request whose answer nobody knows: it is sent again with the same key
and the same parameters, which Stripe answers as it did the first time. Keys live for about a
day there, so an older request is looked up first and never sent blind.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing import gateway
from billing.models import PspRequest
from billing.psp import accounts, following, refunds, requests, topups, transfers, withdrawals
from inventory import actors, journal
from inventory.errors import Busy

logger = logging.getLogger(__name__)

State = PspRequest.State
CLAIM = timedelta(seconds=120)  # longer than any call may take
KEY_LIFE = timedelta(hours=20)  # Stripe's is about 24 h
FIRST_WAIT = 2.0
LONGEST_WAIT = 900.0

_DONE: dict[str, Callable[[PspRequest, Any, datetime], object]] = {
    "customer.create": topups.customer_made,
    "payment_intent.create": lambda _row, seen, at: topups.follow(seen, at),
    "payment_intent.cancel": lambda _row, seen, at: topups.follow(seen, at),
    "refund.create": lambda _row, seen, at: refunds.follow(seen, at),
    "account.create": lambda _row, seen, at: accounts.follow(seen, at),
    "transfer.create": lambda _row, seen, at: transfers.follow(seen, at),
    "transfer.reverse": lambda _row, seen, at: transfers.follow_reversal(seen, at),
    "payout.create": lambda _row, seen, at: withdrawals.follow(seen, at),
}
_REFUSED: dict[str, Callable[[PspRequest, datetime], object]] = {
    "customer.create": topups.customer_refused,
    "payment_intent.create": topups.refused,
    "payment_intent.cancel": topups.refused,
    "refund.create": refunds.refused,
    "account.create": accounts.refused,
    "transfer.create": transfers.refused,
    "transfer.reverse": transfers.reversal_refused,
    "payout.create": lambda _row, _at: None,
}


def send_due(*, at: datetime, limit: int) -> int:
    """Every request that is due is sent once; returns how many were. One by one."""
    sent = 0
    while sent < limit and (row := _claim(at)) is not None:
        _send(row, at)
        sent += 1
    return sent


def _claim(at: datetime) -> PspRequest | None:
    """The next due one is ours for a while; one whose worker vanished counts as unanswered."""
    with transaction.atomic():
        rows = PspRequest.objects.select_for_update(of=("self",), skip_locked=True)
        row = (
            rows.filter(
                state__in=[State.PLANNED, State.UNKNOWN, State.SENDING], next_attempt_at__lte=at
            )
            .select_related("organisation")
            .order_by("next_attempt_at", "pk")
            .first()
        )
        if row is None:
            return None
        if row.state == State.SENDING:  # it stays so: nobody answers for the first attempt
            logger.warning("%s was being sent by a worker that is gone", row.public_id)
        row.state = State.SENDING
        row.attempt_count += 1
        row.claim_token, row.claimed_until = uuid.uuid4(), at + CLAIM
        row.next_attempt_at = row.claimed_until  # should we vanish too
        row.save(
            update_fields=[
                "state", "attempt_count", "claim_token", "claimed_until", "next_attempt_at",
            ]
        )  # fmt: skip
        return row


def _send(row: PspRequest, at: datetime) -> None:
    if not requests.is_as_written(row):
        _refuse(row, gateway.Refused("parameters_changed", "not what was written down"), at)
        return
    try:
        with following.alone(row.idempotency_key):
            _note_first(row, at)
            seen = _found_or_made(row, at)
    except gateway.Refused as error:
        _refuse(row, error, at)
    except (gateway.NotTaken, gateway.GatewayOff) as error:
        _again(row, State.UNKNOWN if row.attempt_count > 1 else State.PLANNED, error, at)
    except (gateway.Unanswered, Busy) as error:
        _again(row, State.UNKNOWN, error, at)
    else:
        _done(row, seen, at)


def _note_first(row: PspRequest, at: datetime) -> None:
    """From here on it may have arrived: committed before the first byte leaves."""
    if row.first_sent_at is None:
        row.first_sent_at = at
        row.save(update_fields=["first_sent_at"])


def _found_or_made(row: PspRequest, at: datetime) -> Any:
    assert row.first_sent_at is not None
    if row.attempt_count > 1 and at - row.first_sent_at > KEY_LIFE:
        found = gateway.look_up(
            row.operation, row.parameters, request_id=row.public_id, since=row.first_sent_at
        )
        if found is not None:
            return found
    return gateway.call(row.operation, row.parameters, key=row.idempotency_key)


def _done(row: PspRequest, seen: Any, at: datetime) -> None:
    with transaction.atomic():
        if not _is_ours(row):
            return  # another worker took it up meanwhile, and gets the same answer
        row.state, row.object_id, row.succeeded_at = State.SUCCEEDED, seen.id, at
        row.error_code = row.error_text = ""
        row.save(update_fields=["state", "object_id", "succeeded_at", "error_code", "error_text"])
        _DONE[row.operation](row, seen, at)


def _refuse(row: PspRequest, error: gateway.GatewayError, at: datetime) -> None:
    with transaction.atomic():
        if not _is_ours(row):
            return
        row.state, row.failed_at = State.FAILED, at
        row.error_code, row.error_text = error.code, error.text
        row.save(update_fields=["state", "failed_at", "error_code", "error_text"])
        journal.record(
            event="psprequest.failed",
            object_id=row.public_id,
            actor=actors.system("stripe"),
            at=at,
            to_state=State.FAILED,
            reason=error.text,
            data={"operation": row.operation, "subject": row.subject, "code": error.code},
        )
        _REFUSED[row.operation](row, at)


def _again(row: PspRequest, state: str, error: Exception, at: datetime) -> None:
    """Later and later, and never all at once."""
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(row.attempt_count, 20))
    with transaction.atomic():
        if not _is_ours(row):
            return
        row.state = state
        row.error_code = getattr(error, "code", "")
        row.error_text = getattr(error, "text", str(error))[:500]
        row.next_attempt_at = at + timedelta(
            seconds=wait * random.uniform(0.5, 1)  # noqa: S311 - jitter
        )
        row.save(update_fields=["state", "error_code", "error_text", "next_attempt_at"])


def _is_ours(row: PspRequest) -> bool:
    rows = PspRequest.objects.select_for_update(of=("self",)).filter(pk=row.pk)
    return rows.filter(claim_token=row.claim_token, state=State.SENDING).exists()
