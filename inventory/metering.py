"""Folds instance history into usage hours: what was delivered, in whole card-seconds.

Every instant is cut to its whole second before it is subtracted, so that hours add up to
exactly what their intervals add up to, and delivered never exceeds owed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from inventory import journal
from inventory.actors import Actor
from inventory.errors import Invalid
from inventory.models import Instance, InstanceHistory, MeteringCursor
from inventory.periods import floor_hour

# An hour is counted this long after it closed: later than any reconcile step takes to report.
GRACE = timedelta(minutes=10)
# A correction reaches back this far; older ones are settled between people.
REACH = timedelta(days=35)
# Hours of one allocation in one sweep, so that a long backlog is many short transactions.
HOURS_AT_ONCE = 24 * 31


class TooLate(Invalid):
    """The correction concerns hours that are beyond its reach."""

    code = "correction_too_late"
    title = "Too late for a correction"


def sweep(*, at: datetime, limit: int = 500) -> int:
    """Hours that closed GRACE ago are counted, and corrected history is counted again.

    Takes up to `limit` allocations; returns the usage hours written. Idempotent, and safe
    beside itself: it locks the cursors it works on and skips those that are locked.
    """
    closed = floor_hour(at - GRACE)
    _open_cursors(closed)
    with transaction.atomic():
        due = _lock_due(closed, limit)
        written = _fold(due, closed=closed, at=at)
    with transaction.atomic():
        corrected = _lock_corrected(limit)
        written += _refold(corrected, at=at)
    return written


def correct(
    *, instance_id: int, state: str, since: datetime, at: datetime, actor: Actor, reason: str
) -> InstanceHistory:
    """The history says that the instance was in `state` from `since` on, to its next entry.

    For what an engine or a person learned late; the instance's own state stays. Hours that
    were counted already get a revision at the next sweep. Locks the allocation's cursor.
    Raises Invalid, TooLate. Not idempotent: each call is an entry.
    """
    if state not in Instance.State.values:
        raise Invalid(f"{state} is not a state of an instance")
    if since > at:
        raise Invalid("A correction is about the past")
    if since < floor_hour(at - REACH):
        raise TooLate(f"Corrections reach back {REACH.days} days")
    with transaction.atomic():
        instance = Instance.objects.select_related("allocation").get(pk=instance_id)
        row = InstanceHistory.objects.create(
            instance=instance, state=state, at=since, recorded_at=at
        )
        _count_again(instance.allocation_id, since)
        journal.record(
            event="instance.corrected",
            object_id=instance.public_id,
            actor=actor,
            at=at,
            reason=reason,
            to_state=state,
            provider_id=instance.allocation.provider_id,
            tenant_id=instance.allocation.tenant_id,
            data={"since": since.isoformat()},
        )
    return row


def _count_again(allocation_id: int, since: datetime) -> None:
    """Marks what is behind the cursor; what lies ahead of it is counted from the history as it
    is by then. The cursor's lock keeps a sweep from moving past the entry unseen."""
    rows = MeteringCursor.objects.select_for_update()
    cursor = rows.filter(allocation_id=allocation_id).first()
    if cursor is None or since >= cursor.metered_until:
        return
    cursor.corrected_since = min(since, cursor.corrected_since or since)
    cursor.save(update_fields=["corrected_since"])


def _open_cursors(closed: datetime) -> None:
    """An allocation is metered from the hour of its start on, once delivery has begun."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO inventory_meteringcursor (allocation_id, metered_until)
            SELECT a.id, date_trunc('hour', lower(a.period), 'UTC')
            FROM inventory_allocation a
            LEFT JOIN inventory_meteringcursor c ON c.allocation_id = a.id
            WHERE a.kind = 'sale' AND c.allocation_id IS NULL
              AND a.state IN ('delivering', 'active', 'releasing', 'release_failed', 'ended')
              AND lower(a.period) < %s
              AND (a.failed_at IS NULL OR lower(a.period) < a.failed_at)
            ON CONFLICT DO NOTHING
            """,
            [closed],
        )


def _lock_due(closed: datetime, limit: int) -> list[int]:
    """The allocations with uncounted closed hours, longest waiting first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.allocation_id
            FROM inventory_meteringcursor c
            JOIN inventory_allocation a ON a.id = c.allocation_id
            WHERE c.metered_until < %(closed)s
              AND c.metered_until < least(upper(a.period), a.failed_at)
            ORDER BY c.metered_until, c.allocation_id
            LIMIT %(limit)s
            FOR UPDATE OF c SKIP LOCKED
            """,
            {"closed": closed, "limit": limit},
        )
        return [row[0] for row in cursor.fetchall()]


def _lock_corrected(limit: int) -> list[int]:
    """The allocations whose counted hours were corrected, longest waiting first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT allocation_id FROM inventory_meteringcursor
            WHERE corrected_since IS NOT NULL
            ORDER BY corrected_since, allocation_id
            LIMIT %s
            FOR UPDATE SKIP LOCKED
            """,
            [limit],
        )
        return [row[0] for row in cursor.fetchall()]


# Counts the hours of `spans` anew and writes what differs from the sum of their revisions.
# An hour nobody has counted gets revision 0, even where nothing was delivered: the gap shows.
_COUNT = """
hours AS (
    SELECT s.allocation_id, s.cards, s.usable_from, s.period_start, s.period_end, hour
    FROM spans s
    CROSS JOIN LATERAL generate_series(
        s.since, s.until - interval '1 hour', interval '1 hour') AS hour
    WHERE s.since < s.until
),
entries AS (
    SELECT i.allocation_id, i.card_count, h.state, h.at,
           lead(h.at) OVER (PARTITION BY h.instance_id ORDER BY h.at, h.id) AS until
    FROM inventory_instancehistory h
    JOIN inventory_instance i ON i.id = h.instance_id
    WHERE i.allocation_id IN (SELECT allocation_id FROM spans)
),
owed AS (
    SELECT allocation_id, hour, cards, usable_from,
           greatest(period_start, hour) AS opens,
           least(period_end, hour + interval '1 hour') AS closes,
           cards * greatest(0,
               floor(extract(epoch FROM least(period_end, hour + interval '1 hour')))
             - floor(extract(epoch FROM greatest(period_start, hour))))::bigint AS card_seconds
    FROM hours
),
delivered AS (
    SELECT o.allocation_id, o.hour, sum(e.card_count * (
               floor(extract(epoch FROM least(o.closes, coalesce(e.until, o.closes))))
             - floor(extract(epoch FROM greatest(o.opens, e.at, o.usable_from)))))::bigint
               AS card_seconds
    FROM owed o
    JOIN entries e ON e.allocation_id = o.allocation_id AND e.state = 'active'
     AND least(o.closes, coalesce(e.until, o.closes)) > greatest(o.opens, e.at, o.usable_from)
    WHERE o.usable_from IS NOT NULL
    GROUP BY o.allocation_id, o.hour
),
counted AS (
    SELECT u.allocation_id, u.hour, max(u.revision) AS revision,
           sum(u.card_seconds) AS card_seconds, sum(u.gap_card_seconds) AS gap_card_seconds
    FROM inventory_usagehour u
    JOIN hours h ON h.allocation_id = u.allocation_id AND h.hour = u.hour
    GROUP BY u.allocation_id, u.hour
),
written AS (
    INSERT INTO inventory_usagehour
        (allocation_id, hour, revision, card_seconds, gap_card_seconds, recorded_at)
    SELECT o.allocation_id, o.hour, coalesce(c.revision + 1, 0),
           now_delivered - coalesce(c.card_seconds, 0),
           o.card_seconds - now_delivered - coalesce(c.gap_card_seconds, 0),
           %(at)s
    FROM owed o
    LEFT JOIN delivered d ON d.allocation_id = o.allocation_id AND d.hour = o.hour
    LEFT JOIN counted c ON c.allocation_id = o.allocation_id AND c.hour = o.hour
    CROSS JOIN LATERAL (
        -- Corrections may claim two machines for one unit; never more than was sold.
        SELECT least(coalesce(d.card_seconds, 0), o.card_seconds) AS now_delivered) n
    WHERE c.allocation_id IS NULL OR now_delivered <> c.card_seconds
    ORDER BY o.allocation_id, o.hour
    ON CONFLICT (allocation_id, hour, revision) DO NOTHING
    RETURNING 1
)
"""


# What is owed to an allocation: its period, or up to where its delivery was given up.
_OWED = """
    SELECT a.id AS allocation_id, a.unit_count::bigint * p.unit_cards AS cards,
           a.active_at AS usable_from, lower(a.period) AS period_start,
           greatest(lower(a.period), least(upper(a.period), a.failed_at)) AS period_end,
           {since} AS since, {until} AS until
    FROM inventory_allocation a
    JOIN inventory_pool p ON p.id = a.pool_id
    JOIN inventory_meteringcursor c ON c.allocation_id = a.id
    WHERE a.id = ANY(%(ids)s)
"""
# From each cursor to the last closed hour.
_FORWARD = _OWED.format(
    since="c.metered_until",
    until="""least(%(closed)s, c.metered_until + %(hours)s * interval '1 hour',
                 date_trunc('hour', least(upper(a.period), a.failed_at) + interval '1 hour'
                                    - interval '1 microsecond', 'UTC'))""",
)
# From the correction to the cursor.
_AGAIN = _OWED.format(
    since="""greatest(date_trunc('hour', lower(a.period), 'UTC'),
                    date_trunc('hour', c.corrected_since, 'UTC'))""",
    until="c.metered_until",
)
_MOVE = """
moved AS (
    UPDATE inventory_meteringcursor c SET metered_until = s.until
    FROM spans s
    WHERE c.allocation_id = s.allocation_id AND c.metered_until < s.until
)
"""
_CLEAR = """
cleared AS (
    UPDATE inventory_meteringcursor SET corrected_since = NULL WHERE allocation_id = ANY(%(ids)s)
)
"""
_HOW_MANY = "SELECT count(*) FROM written"
_FOLD = f"WITH spans AS ({_FORWARD}), {_COUNT}, {_MOVE} {_HOW_MANY}"
_REFOLD = f"WITH spans AS ({_AGAIN}), {_COUNT}, {_CLEAR} {_HOW_MANY}"


def _fold(allocation_ids: Sequence[int], *, closed: datetime, at: datetime) -> int:
    """Counts each from its cursor to `closed`, and moves the cursor. The cursors are locked."""
    if not allocation_ids:
        return 0
    span: dict[str, Any] = {
        "ids": list(allocation_ids),
        "closed": closed,
        "hours": HOURS_AT_ONCE,
        "at": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FOLD, span)
        return int(cursor.fetchone()[0])


def _refold(allocation_ids: Sequence[int], *, at: datetime) -> int:
    """Counts the corrected hours again; what changed becomes a revision. The cursors are locked."""
    if not allocation_ids:
        return 0
    span: dict[str, Any] = {"ids": list(allocation_ids), "at": at}
    with connection.cursor() as cursor:
        cursor.execute(_REFOLD, span)
        return int(cursor.fetchone()[0])
