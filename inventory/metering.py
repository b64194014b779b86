"""Folds instance history into usage hours: what was delivered, in whole card-seconds.

Every instant is cut to its whole second before it is subtracted, so that hours add up to
exactly what their intervals add up to, and delivered never exceeds owed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction

from inventory import journal
from inventory.actors import Actor
from inventory.errors import Invalid
from inventory.models import Instance, InstanceHistory, MeteringCursor
from inventory.periods import floor_hour

# An hour is counted this long after it closed: later than any reconcile step takes to report.
GRACE = timedelta(minutes=10)
# A correction reaches back this far; older ones are settled between people.
REACH = timedelta(days=35)
# Allocations of one transaction: enough that its statements cost little beside its rows, few
# enough that a correction waits a second at most for the cursor it marks.
AT_ONCE = 10_000
# Hours of one allocation in one sweep, and of all allocations of a transaction together, so that
# a long backlog is many short transactions.
HOURS_AT_ONCE = 24 * 31
ROWS_AT_ONCE = 20_000


class TooLate(Invalid):
    """The correction concerns hours that are beyond its reach."""

    code = "correction_too_late"
    title = "Too late for a correction"


def sweep(*, at: datetime, limit: int = 100_000) -> int:
    """Hours that closed GRACE ago are counted, and corrected history is counted again.

    Takes up to `limit` allocations, AT_ONCE in a transaction; returns the usage hours written.
    Idempotent, and safe beside itself: it locks the cursors it works on and skips those that
    are locked.
    """
    closed = floor_hour(at - GRACE)
    _open_cursors(closed)
    written = 0
    for part in _due(closed, limit):
        with transaction.atomic():
            _plan_for_many()
            if ids := _lock_due(part, closed):
                written += _fold(ids, closed=closed, at=at)
    for part in _corrected(limit):
        with transaction.atomic():
            _plan_for_many()
            if ids := _lock_corrected(part):
                written += _refold(ids, at=at)
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
        count_again(instance.allocation_id, since)
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


def count_again(allocation_id: int, since: datetime) -> None:
    """What is counted from `since` on is counted again at the next sweep.

    Marks what is behind the cursor; what lies ahead of it is counted from the history as it
    is by then. The cursor's lock keeps a sweep from moving past the entry unseen.
    """
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


# The cursors with closed hours that nobody has counted, and those whose counted hours were
# corrected; longest waiting first.
_DUE = """
    SELECT c.allocation_id, c.metered_until AS waits_since
    FROM inventory_meteringcursor c
    JOIN inventory_allocation a ON a.id = c.allocation_id
    WHERE c.metered_until < %(closed)s AND c.metered_until < least(upper(a.period), a.failed_at)
"""
_CORRECTED = """
    SELECT c.allocation_id, c.corrected_since AS waits_since
    FROM inventory_meteringcursor c WHERE c.corrected_since IS NOT NULL
"""
# Many numbers, as PostgreSQL writes an array of them: they go back as they came, never apart.
Ids = str


def _due(closed: datetime, limit: int) -> list[Ids]:
    """The allocations with uncounted closed hours, in parts; nothing is locked."""
    return _parts(_DUE, {"closed": closed, "limit": limit})


def _lock_due(part: Ids, closed: datetime) -> Ids | None:
    """Those of them that are due still and that nobody else counts, locked."""
    return _lock(_DUE, {"closed": closed, "ids": part})


def _corrected(limit: int) -> list[Ids]:
    """The allocations whose counted hours were corrected, in parts."""
    return _parts(_CORRECTED, {"limit": limit})


def _lock_corrected(part: Ids) -> Ids | None:
    return _lock(_CORRECTED, {"ids": part})


def _plan_for_many() -> None:
    """In this transaction statements are planned for the numbers they are given.

    A prepared one that came often is planned for any array, taken to hold ten numbers: with ten
    thousand it would look up each of them in what it should have read once.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")


def _parts(rows: str, parameters: dict[str, Any]) -> list[Ids]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(allocation_id)::text FROM ("
            " SELECT allocation_id, (row_number() OVER w - 1) / %(size)s AS part"
            f" FROM ({rows}) d WINDOW w AS (ORDER BY waits_since, allocation_id)"
            " ORDER BY waits_since, allocation_id LIMIT %(limit)s) e"
            " GROUP BY part ORDER BY part",
            {**parameters, "size": AT_ONCE},
        )
        return [row[0] for row in cursor.fetchall()]


def _lock(rows: str, parameters: dict[str, Any]) -> Ids | None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT array_agg(allocation_id)::text FROM ({rows}"
            " AND c.allocation_id = ANY(%(ids)s::bigint[]) ORDER BY c.allocation_id"
            " FOR UPDATE OF c SKIP LOCKED) d",
            parameters,
        )
        found: Ids | None = cursor.fetchone()[0]
        return found


# An instant's whole second. `extract` would give numeric, at several times the cost; a double
# holds the microseconds of any instant before 2200 well enough to be cut.
_SECOND = "floor(date_part('epoch', {}))::bigint"
_OPENS, _CLOSES = "greatest(s.period_start, hour)", "least(s.period_end, hour + interval '1 hour')"
_FROM, _UNTIL = "greatest(o.opens, e.at, o.usable_from)", "least(o.closes, e.until)"
# The hours of `spans`: what is owed in each, and what was delivered by the history as it is.
_COUNT = f"""
hours AS MATERIALIZED (
    -- Most allocations have the same hours to count, which are spelt out once.
    SELECT s.since, s.until, hour
    FROM (SELECT DISTINCT since, until FROM spans WHERE since < until) s
    CROSS JOIN LATERAL generate_series(
        s.since, s.until - interval '1 hour', interval '1 hour') AS hour
),
owed AS MATERIALIZED (
    SELECT s.allocation_id, hour, s.usable_from, {_OPENS} AS opens, {_CLOSES} AS closes,
           s.cards * greatest(0, {_SECOND.format(_CLOSES)} - {_SECOND.format(_OPENS)})
               AS card_seconds
    FROM spans s JOIN hours USING (since, until)
),
entries AS (
    SELECT i.allocation_id, i.card_count, h.state, h.at,
           lead(h.at, 1, 'infinity') OVER (PARTITION BY h.instance_id ORDER BY h.at, h.id) AS until
    FROM inventory_instancehistory h
    JOIN inventory_instance i ON i.id = h.instance_id
    WHERE i.allocation_id = ANY(%(ids)s::bigint[])
),
delivered AS (
    SELECT o.allocation_id, o.hour, sum(e.card_count
               * ({_SECOND.format(_UNTIL)} - {_SECOND.format(_FROM)}))::bigint AS card_seconds
    FROM owed o
    JOIN entries e ON e.allocation_id = o.allocation_id AND e.state = 'active'
     AND {_UNTIL} > {_FROM}
    WHERE o.usable_from IS NOT NULL
    GROUP BY o.allocation_id, o.hour
),
found AS (
    -- Corrections may claim two machines for one unit; never more than was sold.
    SELECT o.allocation_id, o.hour, o.card_seconds AS owed,
           least(coalesce(d.card_seconds, 0), o.card_seconds) AS delivered
    FROM owed o LEFT JOIN delivered d USING (allocation_id, hour)
)
"""
_WRITE = """
written AS (
    INSERT INTO inventory_usagehour
        (allocation_id, hour, revision, card_seconds, gap_card_seconds, recorded_at)
    {rows}
    RETURNING 1
)
"""
_ONCE = "ON CONFLICT (allocation_id, hour, revision) DO NOTHING"
# Ahead of the cursor nobody has counted: each hour is its first revision, even where nothing was
# delivered, so that the gap shows.
_ROWS = "SELECT f.allocation_id, f.hour, 0, f.delivered, f.owed - f.delivered, %(at)s FROM found f"
_FIRST, _FIRST_ONCE = _WRITE.format(rows=_ROWS), _WRITE.format(rows=f"{_ROWS} {_ONCE}")
# Behind it what differs from the sum of the revisions becomes one more. The bounds of the hours
# stand by themselves, so that the partitions outside them are not opened.
_NEXT = _WRITE.format(
    rows="""
        SELECT f.allocation_id, f.hour, coalesce(c.revision + 1, 0),
               f.delivered - coalesce(c.card_seconds, 0),
               f.owed - f.delivered - coalesce(c.gap_card_seconds, 0), %(at)s
        FROM (
            -- Where the two meters differ the lower counts, unless the higher was upheld.
            SELECT f.allocation_id, f.hour, f.owed,
                   CASE d.state WHEN 'for_provider'
                        THEN least(f.owed, greatest(f.delivered, d.telemetry_card_seconds))
                        -- without a dispute null, which least() passes over
                        ELSE least(f.delivered, d.telemetry_card_seconds) END AS delivered
            FROM found f LEFT JOIN inventory_meterdispute d USING (allocation_id, hour)
        ) f
        LEFT JOIN (
            SELECT u.allocation_id, u.hour, max(u.revision) AS revision,
                   sum(u.card_seconds)::bigint AS card_seconds,
                   sum(u.gap_card_seconds)::bigint AS gap_card_seconds
            FROM inventory_usagehour u
            WHERE u.allocation_id = ANY(%(ids)s::bigint[])
              AND u.hour >= (SELECT min(since) FROM spans)
              AND u.hour < (SELECT max(until) FROM spans)
            GROUP BY u.allocation_id, u.hour
        ) c USING (allocation_id, hour)
        WHERE c.revision IS NULL OR f.delivered <> c.card_seconds
           OR f.owed - f.delivered <> c.gap_card_seconds
        ORDER BY f.allocation_id, f.hour """
    + _ONCE
)


# What is owed to an allocation: its period, or up to where its delivery was given up.
_OWED = """
    SELECT a.id AS allocation_id, a.unit_count::bigint * p.unit_cards AS cards,
           a.active_at AS usable_from, lower(a.period) AS period_start,
           greatest(lower(a.period), least(upper(a.period), a.failed_at)) AS period_end,
           {since} AS since, {until} AS until
    FROM inventory_allocation a
    JOIN inventory_pool p ON p.id = a.pool_id
    JOIN inventory_meteringcursor c ON c.allocation_id = a.id
    WHERE a.id = ANY(%(ids)s::bigint[])
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
    UPDATE inventory_meteringcursor SET corrected_since = NULL
    WHERE allocation_id = ANY(%(ids)s::bigint[])
)
"""
_HOW_MANY = "SELECT count(*) FROM written"
_FOLD, _FOLD_ONCE = (
    f"WITH spans AS ({_FORWARD}), {_COUNT}, {first}, {_MOVE} {_HOW_MANY}"
    for first in (_FIRST, _FIRST_ONCE)
)
_REFOLD = f"WITH spans AS ({_AGAIN}), {_COUNT}, {_NEXT}, {_CLEAR} {_HOW_MANY}"


def _fold(ids: Ids, *, closed: datetime, at: datetime) -> int:
    """Counts each from its cursor to `closed`, and moves the cursor. The cursors are locked.

    Under their lock nobody else writes these hours, so the key is asked about each row only
    where one of them is there against all that: it is kept as it is, and the rest go on.
    """
    span: dict[str, Any] = {
        "ids": ids,
        "closed": closed,
        "hours": max(1, min(HOURS_AT_ONCE, ROWS_AT_ONCE // (ids.count(",") + 1))),
        "at": at,
    }
    with connection.cursor() as cursor:
        try:
            with transaction.atomic():
                cursor.execute(_FOLD, span)
                return int(cursor.fetchone()[0])
        except IntegrityError:
            cursor.execute(_FOLD_ONCE, span)
            return int(cursor.fetchone()[0])


def _refold(ids: Ids, *, at: datetime) -> int:
    """Counts the corrected hours again; what changed becomes a revision. The cursors are locked."""
    span: dict[str, Any] = {"ids": ids, "at": at}
    with connection.cursor() as cursor:
        cursor.execute(_REFOLD, span)
        return int(cursor.fetchone()[0])
