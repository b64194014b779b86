"""Webhooks: kept when they come, applied afterwards, harmless when they come again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing import gateway
from billing.gateway import signatures
from billing.models import GatewayEvent
from billing.psp import accounts, booking, following
from inventory.errors import Busy, DomainError

logger = logging.getLogger(__name__)

State = GatewayEvent.State
Endpoint = GatewayEvent.Endpoint
PARKED_AFTER = 12  # attempts, over about a day

# The object to look at, by the type's beginning; of a charge's events its refunds and its
# disputes have their own.
_KINDS = {
    "payment_intent.": "payment_intent",
    "refund.": "refund",
    "charge.dispute.": "dispute",
    "transfer.": "transfer",
}


def secrets_of(endpoint: str) -> list[str]:
    return list(
        settings.STRIPE_CONNECT_WEBHOOK_SECRETS
        if endpoint == Endpoint.CONNECT
        else settings.STRIPE_WEBHOOK_SECRETS
    )


def receive(*, endpoint: str, body: bytes, header: str, at: datetime) -> bool:
    """The event is kept; False where it was kept before. Raises NotSigned, NotAnEvent."""
    message = signatures.read(body, header, secrets_of(endpoint), at=at)
    row = GatewayEvent(
        event_id=message.event_id,
        endpoint=endpoint,
        account_id=message.account_id,
        type=message.type,
        object_id=message.object_id,
        api_version=message.api_version,
        sent_at=message.sent_at,
        received_at=at,
        next_attempt_at=at,
    )
    GatewayEvent.objects.bulk_create([row], ignore_conflicts=True)
    return GatewayEvent.objects.filter(
        event_id=message.event_id, received_at=at, state=State.RECEIVED
    ).exists()


def apply_due(*, at: datetime, limit: int) -> int:
    """Every event that is due is looked after, the oldest first; returns how many were."""
    for done in range(limit):
        row = _claim(at)
        if row is None:
            return done
        _apply(row, at)
    return limit


def _claim(at: datetime) -> GatewayEvent | None:
    """The next one, and it comes again by itself should we vanish."""
    with transaction.atomic():
        rows = GatewayEvent.objects.select_for_update(skip_locked=True)
        row = (
            rows.filter(state=State.RECEIVED, next_attempt_at__lte=at)
            .order_by("next_attempt_at", "pk")
            .first()
        )
        if row is None:
            return None
        row.attempt_count += 1
        wait = timedelta(seconds=min(7200, 15 * 2 ** min(row.attempt_count, 12)))
        row.next_attempt_at = at + wait
        row.save(update_fields=["attempt_count", "next_attempt_at"])
        return row


def _apply(row: GatewayEvent, at: datetime) -> None:
    look = _look(row)
    try:
        known = look is not None and look(at)
    except Busy:
        return  # another worker is looking at the object; it comes again
    except gateway.Refused as error:
        if error.code == "resource_missing":
            _decide(row, State.IGNORED, at, str(error))
        else:
            _fail(row, error, at)
    except (gateway.GatewayError, DomainError, booking.LineDiffers) as error:
        _fail(row, error, at)
    else:
        _decide(row, State.APPLIED if known else State.IGNORED, at)


def _look(row: GatewayEvent) -> Callable[[datetime], bool] | None:
    """What this event is a reason to look at; None: nothing here."""
    name, object_id, account = row.type, row.object_id, row.account_id
    if not object_id:
        return None
    if name == "account.application.deauthorized":
        return lambda at: _deauthorized(account, at)
    if row.endpoint == Endpoint.CONNECT:
        if name.startswith("payout."):
            return lambda at: following.follow_account_payout(account, object_id, at=at)
        if name.startswith(("account.", "capability.")) and account:
            return lambda at: following.follow("account", account, at=at)
        return None
    if name.startswith("payout."):
        return lambda at: following.follow("payout", object_id, at=at)
    for start, kind in _KINDS.items():
        if name.startswith(start):
            return lambda at: following.follow(kind, object_id, at=at)
    return (lambda at: _charge(object_id, at)) if name.startswith("charge.") else None


def _charge(charge_id: str, at: datetime) -> bool:
    """A charge is looked at by way of its payment."""
    if not charge_id.startswith(("ch_", "py_")):
        return False
    intent_id = gateway.intent_of(charge_id)
    return bool(intent_id) and following.follow("payment_intent", intent_id, at=at)


def _deauthorized(account_id: str, at: datetime) -> bool:
    with transaction.atomic():
        return accounts.deauthorized(account_id, at)


def _decide(row: GatewayEvent, state: str, at: datetime, text: str = "") -> None:
    row.state, row.decided_at, row.error_text = state, at, text[:500]
    row.save(update_fields=["state", "decided_at", "error_text"])


def _fail(row: GatewayEvent, error: Exception, at: datetime) -> None:
    logger.warning("%s (%s) cannot be applied: %s", row.event_id, row.type, error)
    if row.attempt_count >= PARKED_AFTER:
        _decide(row, State.PARKED, at, str(error))
    else:
        row.error_text = str(error)[:500]
        row.save(update_fields=["error_text"])


def retry(*, event_id: str, at: datetime) -> None:
    """A parked event is tried again from the start. Idempotent."""
    GatewayEvent.objects.filter(event_id=event_id, state=State.PARKED).update(
        state=State.RECEIVED, attempt_count=0, next_attempt_at=at
    )
