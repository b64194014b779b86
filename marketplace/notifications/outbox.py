"""From the journal to deliveries: one for each entry and channel that wants it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import override

from inventory.identifiers import new
from marketplace.models import Channel, Delivery
from marketplace.notifications.topics import EVENTS, events_of

AT_ONCE = 5_000

# In the order that nothing slips into; see `inventory.seals`.
_NEXT = """
    SELECT r.xid::text, r.id, r.recorded_at, r.at, r.event, r.object_id, r.from_state, r.to_state,
           r.reason, r.provider_id, r.tenant_id
    FROM inventory_journalentry r
    WHERE r.xid < pg_snapshot_xmin(pg_current_snapshot())
      AND (r.xid, r.id) > (%s::text::xid8, %s)
    ORDER BY r.xid, r.id LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class _Entry:
    xid: str
    id: int
    recorded_at: datetime
    at: datetime
    event: str
    object_id: str
    from_state: str
    to_state: str
    reason: str
    provider_id: int | None
    tenant_id: int | None


def fan_out(*, at: datetime, limit: int = 50_000) -> int:
    """Every committed entry that a channel wants has its delivery; returns how many were made.

    Reads on from a mark, in transactions of some thousand entries; the mark's lock keeps a second
    reader out, and (channel, entry) is unique besides. A channel hears nothing from before it was
    made. Idempotent.
    """
    made, read = 0, 0
    while read < limit:
        with transaction.atomic():
            entries = _next(min(AT_ONCE, limit - read))
            made += _deliver(entries, at) if entries else 0
        read += len(entries)
        if len(entries) < AT_ONCE:
            break
    return made


def _next(size: int) -> list[_Entry]:
    """The next entries, the mark moved behind them; none where another reader is at it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT last_xid, last_id FROM marketplace_notifiedmark FOR UPDATE SKIP LOCKED"
        )
        mark = cursor.fetchone()
        if mark is None:
            return []
        cursor.execute(_NEXT, [*mark, size])
        entries = [_Entry(*row) for row in cursor.fetchall()]
        if entries:
            cursor.execute(
                "UPDATE marketplace_notifiedmark SET last_xid = %s, last_id = %s",
                [entries[-1].xid, entries[-1].id],
            )
    return entries


def _deliver(entries: list[_Entry], at: datetime) -> int:
    wanted = [entry for entry in entries if entry.event in EVENTS]
    if not wanted:
        return 0
    concerned = {own for e in wanted for own in (e.provider_id, e.tenant_id) if own is not None}
    rows = Channel.objects.filter(state=Channel.State.ACTIVE).select_related("organisation")
    channels = list(
        rows.filter(organisation__in=concerned) | rows.filter(organisation__is_operator=True)
    )
    made = []
    for channel in channels:
        events = events_of(channel.topics)
        everything = channel.organisation.is_operator
        own = channel.organisation_id
        for entry in wanted:
            concerns = everything or own in (entry.provider_id, entry.tenant_id)
            if entry.event in events and concerns and entry.recorded_at >= channel.created_at:
                made.append(_delivery(channel, entry, at))
    Delivery.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def _delivery(channel: Channel, entry: _Entry, at: datetime) -> Delivery:
    with override(channel.language):
        title = str(EVENTS[entry.event][1])
    facts: list[Any] = [entry.object_id, entry.reason, f"{entry.at:%Y-%m-%d %H:%M} UTC"]
    return Delivery(
        public_id=new("ntf"),
        channel=channel,
        journal_id=entry.id,
        event=entry.event,
        object_id=entry.object_id,
        title=title[:200],
        text=" · ".join(str(fact) for fact in facts if fact)[:1000],
        next_at=at,
        created_at=at,
    )
