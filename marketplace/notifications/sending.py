"""Deliveries that are due, sent: claimed, outside any transaction, and told what came of it."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from inventory import actors, journal
from inventory.errors import DomainError
from marketplace.models import Channel, Delivery
from marketplace.notifications import secrets, senders
from marketplace.notifications.senders import Message, SendingFailed

logger = logging.getLogger(__name__)
ACTOR = actors.system("notifications")
CLAIM = timedelta(minutes=2)  # longer than a batch may block
MOST_ATTEMPTS = 8
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
A_MINUTE = timedelta(minutes=1)

# The longest waiting first, of each channel no more than its robot takes in a minute.
_CLAIM = """
    WITH paced AS (
        SELECT d.id, d.next_at,
               row_number() OVER (PARTITION BY d.channel_id ORDER BY d.next_at, d.id) + (
                   SELECT count(*) FROM marketplace_delivery s WHERE s.channel_id = d.channel_id
                    AND s.state = 'sent' AND s.sent_at > %(minute_ago)s) AS place,
               coalesce((%(pace)s::jsonb ->> c.kind)::int, 1000) AS pace
        FROM marketplace_delivery d JOIN marketplace_channel c ON c.id = d.channel_id
        WHERE d.state = 'queued' AND d.next_at <= %(at)s AND c.state = 'active'
          AND (d.claimed_until IS NULL OR d.claimed_until <= %(at)s)
    ), due AS MATERIALIZED (
        SELECT d.id FROM marketplace_delivery d JOIN paced p ON p.id = d.id
        WHERE p.place <= p.pace AND d.state = 'queued'
          AND (d.claimed_until IS NULL OR d.claimed_until <= %(at)s)
        ORDER BY p.next_at, d.id LIMIT %(limit)s
        FOR NO KEY UPDATE OF d SKIP LOCKED
    )
    UPDATE marketplace_delivery d SET claim_token = gen_random_uuid(), claimed_until = %(until)s
    FROM due WHERE d.id = due.id
    RETURNING d.id, d.claim_token
"""


@dataclass(frozen=True, slots=True)
class _Claimed:
    id: int
    token: UUID


def send_due(*, at: datetime, limit: int = 10) -> int:
    """What is due goes out, a batch of it; returns how many messages the other side took.

    Two sweeps never hold one delivery: it is claimed by a token for two minutes, and only its
    holder says what came of it. Killed between the other side's answer and that note, it is sent
    once more: at least once, with the same reference. What is refused for a while waits longer
    each time; refused for good, or eight times, it is given up, and the log says so.
    """
    return sum(_send(claimed, at) for claimed in claim(at=at, limit=limit))


def claim(*, at: datetime, limit: int) -> list[_Claimed]:
    facts: dict[str, Any] = {
        "at": at,
        "until": at + CLAIM,
        "minute_ago": at - A_MINUTE,
        "pace": _json_pace(),
        "limit": limit,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, facts)
        return [_Claimed(*row) for row in cursor.fetchall()]


def _json_pace() -> str:
    pairs = ", ".join(f'"{kind}": {count}' for kind, count in senders.PACE.items())
    return f"{{{pairs}}}"


def _send(claimed: _Claimed, at: datetime) -> bool:
    row = Delivery.objects.select_related("channel").get(pk=claimed.id)
    message = Message(row.public_id, row.title, row.text)
    try:
        target = secrets.unseal(row.channel.target)
        senders.send(row.channel.kind, target, message, at=at)
    except SendingFailed as error:
        _failed(claimed, row, error, at)
        return False
    except DomainError as error:  # its address cannot be read
        _failed(claimed, row, SendingFailed(str(error), permanent=True), at)
        return False
    return _apply(claimed, state=Delivery.State.SENT, sent_at=at, next_at=None,
                  attempt_count=row.attempt_count + 1, last_error="")  # fmt: skip


def _failed(claimed: _Claimed, row: Delivery, error: SendingFailed, at: datetime) -> None:
    attempts = row.attempt_count + (0 if error.too_often else 1)
    if not error.permanent and attempts < MOST_ATTEMPTS:
        wait = A_MINUTE if error.too_often else _wait(attempts)
        _apply(claimed, next_at=at + wait, attempt_count=attempts, last_error=str(error))
        return
    with transaction.atomic():
        parked = _apply(
            claimed,
            state=Delivery.State.FAILED,
            next_at=None,
            attempt_count=attempts,
            last_error=str(error),
        )
        if parked:
            _record(row.channel, row, str(error), at)


def _wait(attempts: int) -> timedelta:
    """Twice as long each time, up to an hour, of which a random half is left out: those that
    failed together do not come back together."""
    whole: timedelta = min(FIRST_WAIT * int(2 ** (attempts - 1)), LONGEST_WAIT)
    return whole * (0.5 + random.random() / 2)  # noqa: S311 (no secret)


def _apply(claimed: _Claimed, **changes: object) -> bool:
    """Whether it was still this sender's to say."""
    rows = Delivery.objects.filter(pk=claimed.id, claim_token=claimed.token)
    changes |= {"claim_token": None, "claimed_until": None}
    return bool(rows.update(**changes))


def _record(channel: Channel, row: Delivery, why: str, at: datetime) -> None:
    journal.record(
        event="delivery.failed",
        object_id=row.public_id,
        actor=ACTOR,
        at=at,
        reason=why,
        to_state=Delivery.State.FAILED,
        provider_id=channel.organisation_id,
        data={"channel": channel.public_id, "event": row.event},
    )
