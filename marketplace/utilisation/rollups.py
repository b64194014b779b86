"""Keeps what was counted of every pool by hour and day, so that any period is two readings.

A sweep reads on in the pool events and the usage hours from where it stopped, marks each pool
they touch from the day they touch it on, and counts marked pools again from their rows. The last
hours are always counted again: telemetry may still come for them.
"""

# ruff: noqa: S608  statements are put together from names of this file

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from inventory import telemetry
from inventory.periods import HOUR, Period, floor_hour
from marketplace.models import PoolHours, RollupCursor, RollupMark, TenantClass
from marketplace.utilisation.levels import AMOUNTS, HOURLY, parameters

# Pool-days of one transaction: a pool is counted to the present day in it, so that its readings
# never contradict each other, and the work of a kill is small.
AT_ONCE = 40_000
NEAR = timedelta(days=7)
# Usage is recorded at its sweep's instant and seen once it is committed, at most so much later.
LONGEST_TRANSACTION = timedelta(hours=6)
# Telemetry is written until it is sealed; an hour is final after that.
OPEN = telemetry.LATE + 2 * HOUR
# Corrections reach back so far; nothing older changes by itself.
CHECKED = timedelta(days=36)

CLASS_AMOUNTS = tuple(f"{of}_{name}" for of in ("sold", "delivered") for name in TenantClass.values)
# Where a change of capacity begins to matter: what it says of the past counts from there.
_BACKDATED = "('held', 'confirmed', 'external', 'extended', 'outage_set')"
_READ_EVENTS = f"""
    WITH news AS (
        SELECT e.xid, e.id, e.pool_id,
               CASE WHEN e.kind IN {_BACKDATED} THEN least(e.at, lower(e.period)) ELSE e.at END
                   AS since
        FROM inventory_poolevent e
        WHERE e.xid < pg_snapshot_xmin(pg_current_snapshot())
          AND (e.xid, e.id) > (%(event_xid)s::text::xid8, %(event_id)s)
    ), marked AS (
        UPDATE marketplace_rollupcursor c SET dirty_since = least(c.dirty_since, n.day)
        FROM (SELECT pool_id, min((since AT TIME ZONE %(zone)s)::date) AS day
              FROM news GROUP BY pool_id) n
        WHERE c.pool_id = n.pool_id AND n.day <= c.counted_through
    )
    SELECT xid::text, id FROM news ORDER BY news.xid DESC, id DESC LIMIT 1
"""
_READ_USAGE = """
    WITH news AS (
        SELECT u.xid, u.recorded_at, a.pool_id, (u.hour AT TIME ZONE %(zone)s)::date AS day
        FROM inventory_usagehour u JOIN inventory_allocation a ON a.id = u.allocation_id
        WHERE u.xid < pg_snapshot_xmin(pg_current_snapshot())
          AND u.xid > %(usage_xid)s::text::xid8
          AND u.recorded_at >= %(usage_since)s
    ), marked AS (
        UPDATE marketplace_rollupcursor c SET dirty_since = least(c.dirty_since, n.day)
        FROM (SELECT pool_id, min(day) AS day FROM news GROUP BY pool_id) n
        WHERE c.pool_id = n.pool_id AND n.day <= c.counted_through
    )
    SELECT (SELECT xid::text FROM news ORDER BY news.xid DESC LIMIT 1), max(recorded_at) FROM news
"""
# A new pool begins with the day of its first node.
_BEGIN = """
    INSERT INTO marketplace_rollupcursor (pool_id, dirty_since)
    SELECT n.pool_id, (min(n.installed_at) AT TIME ZONE %(zone)s)::date
    FROM inventory_node n
    WHERE NOT EXISTS (SELECT FROM marketplace_rollupcursor c WHERE c.pool_id = n.pool_id)
    GROUP BY n.pool_id HAVING min(n.installed_at) < %(until)s
    ON CONFLICT DO NOTHING
"""
_KEEP_OPEN = """
    UPDATE marketplace_rollupcursor
    SET dirty_since = least(dirty_since, counted_through + 1, %(open)s)
    WHERE counted_through IS NOT NULL
"""
_DUE = """
    SELECT c.pool_id, c.dirty_since FROM marketplace_rollupcursor c
    WHERE c.dirty_since <= %(today)s ORDER BY c.dirty_since, c.pool_id
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""

_HOUR_ARRAYS = ", ".join(f"array_agg(coalesce(h.{n}, 0) ORDER BY g.wall) AS {n}" for n in AMOUNTS)
_ROUNDED = ", ".join(f"sum(round({name}))::integer AS {name}" for name in AMOUNTS)
_CLASS = f"""CASE WHEN o.is_reseller THEN '{TenantClass.RESELLER}'
         WHEN o.is_provider THEN '{TenantClass.PROVIDER}' ELSE '{TenantClass.END_USER}' END"""
_BY_CLASS = ", ".join(
    f"coalesce(sum({of}) FILTER (WHERE class = '{name}'), 0)::bigint AS {of}_{name}"
    for of in ("sold", "delivered")
    for name in TenantClass.values
)
_CLASS_OR_NONE = ", ".join(f"coalesce(c.{name}, 0) AS {name}" for name in CLASS_AMOUNTS)
# `days`: each day of every pool as its rows are now, hours as arrays, classes of tenants beside.
COUNTED_DAYS = f"""
{HOURLY}, by_wall AS (
    SELECT pool_id, (hour AT TIME ZONE %(zone)s)::date AS day,
           extract(hour FROM hour AT TIME ZONE %(zone)s)::integer AS wall, {_ROUNDED}
    FROM counted GROUP BY 1, 2, 3
), by_day AS (
    SELECT d::date AS day, p.id AS pool_id, {_HOUR_ARRAYS}
    FROM pool p
    CROSS JOIN generate_series(%(first)s::date, %(last)s::date, interval '1 day') d
    CROSS JOIN generate_series(0, 23) AS g (wall)
    LEFT JOIN by_wall h ON h.pool_id = p.id AND h.day = d::date AND h.wall = g.wall
    GROUP BY d, p.id
), class_part AS (
    SELECT s.pool_id, {_CLASS} AS class, d.day, 0 AS delivered,
           round(s.cards * extract(epoch FROM least(upper(s.during), d.until, %(end)s)
                                              - greatest(lower(s.during), d.since))) AS sold
    FROM sale s
    JOIN inventory_allocation a ON a.id = s.id JOIN inventory_organisation o ON o.id = a.tenant_id
    CROSS JOIN LATERAL (
        SELECT d::date AS day, d AT TIME ZONE %(zone)s AS since,
               (d + interval '1 day') AT TIME ZONE %(zone)s AS until
        FROM generate_series(
            greatest((lower(s.during) AT TIME ZONE %(zone)s)::date, %(first)s)::timestamp,
            least((upper(s.during) AT TIME ZONE %(zone)s)::date, %(last)s)::timestamp,
            interval '1 day') d
    ) d
    WHERE least(upper(s.during), d.until, %(end)s) > greatest(lower(s.during), d.since)
    UNION ALL
    SELECT a.pool_id, {_CLASS}, (u.hour AT TIME ZONE %(zone)s)::date, u.card_seconds, 0
    FROM inventory_usagehour u
    JOIN inventory_allocation a ON a.id = u.allocation_id JOIN pool p ON p.id = a.pool_id
    JOIN inventory_organisation o ON o.id = a.tenant_id
    WHERE u.hour >= %(start)s AND u.hour < %(end)s
), by_class AS (
    SELECT pool_id, day, {_BY_CLASS} FROM class_part GROUP BY pool_id, day
), days AS (
    SELECT d.*, {_CLASS_OR_NONE} FROM by_day d LEFT JOIN by_class c USING (pool_id, day)
)
"""
KEPT = (*AMOUNTS, *CLASS_AMOUNTS)
_KEPT = ", ".join(KEPT)
_WRITE_HOURS = f"""
{COUNTED_DAYS}
INSERT INTO marketplace_poolhours (day, pool_id, {_KEPT}, counted_at)
SELECT day, pool_id, {_KEPT}, %(at)s FROM days ORDER BY day, pool_id
ON CONFLICT (day, pool_id) DO UPDATE SET
    {", ".join(f"{name} = EXCLUDED.{name}" for name in KEPT)}, counted_at = EXCLUDED.counted_at
"""
_RUNNING = ", ".join(
    [
        f"coalesce(b.{n}, 0) + sum((SELECT sum(v) FROM unnest(h.{n}) v)) OVER w AS {n}"
        for n in AMOUNTS
    ]
    + [f"coalesce(b.{n}, 0) + sum(h.{n}) OVER w AS {n}" for n in CLASS_AMOUNTS]
)
# `readings`: what the hours of these days come to, on top of the reading before the first.
READINGS = f"""
WITH hours AS (
    SELECT * FROM marketplace_poolhours
    WHERE pool_id = ANY(%(pools)s) AND day BETWEEN %(first)s AND %(last)s
), running AS (
    SELECT h.day, h.pool_id, {_RUNNING}
    FROM hours h
    LEFT JOIN marketplace_poolreading b ON b.pool_id = h.pool_id AND b.day = %(first)s::date - 1
    WINDOW w AS (PARTITION BY h.pool_id ORDER BY h.day)
), by_weekday AS (
    SELECT day, pool_id, array_agg(serviceable ORDER BY wall)::bigint[] AS weekday_serviceable,
           array_agg(sold ORDER BY wall)::bigint[] AS weekday_sold
    FROM (
        SELECT h.day, h.pool_id, wall,
               coalesce(b.weekday_serviceable[wall], 0) + sum(h.serviceable[wall]) OVER w
                   AS serviceable,
               coalesce(b.weekday_sold[wall], 0) + sum(h.sold[wall]) OVER w AS sold
        FROM hours h
        CROSS JOIN generate_series(1, 24) wall
        LEFT JOIN marketplace_poolreading b ON b.pool_id = h.pool_id
              AND b.day = %(first)s::date - 7 + (h.day - %(first)s::date) %% 7
        WINDOW w AS (PARTITION BY h.pool_id, extract(isodow FROM h.day), wall ORDER BY h.day)
    ) e
    GROUP BY day, pool_id
), readings AS (
    SELECT * FROM running JOIN by_weekday USING (day, pool_id)
)
"""
READ = (*KEPT, "weekday_serviceable", "weekday_sold")
_WRITE_READINGS = f"""
{READINGS}
INSERT INTO marketplace_poolreading (day, pool_id, {", ".join(READ)})
SELECT day, pool_id, {", ".join(READ)} FROM readings ORDER BY day, pool_id
ON CONFLICT (day, pool_id) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in READ)}
"""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did."""

    pool_count: int
    pool_day_count: int


def sweep(*, at: datetime) -> Swept:
    """Every pool is counted up to the last full hour, and again from where it has changed.

    Each pool's days change in one transaction, so that a reader sees all of a correction or
    nothing. Locks the mark while it reads, then the cursors it works on, and skips those that are
    locked. Idempotent. Returns how many pools and pool-days were counted.
    """
    until = floor_hour(at)
    read_changes(at=at)
    pools = days = 0
    while (done := _count_due(until, at)) is not None:
        pools, days = pools + done.pool_count, days + done.pool_day_count
    RollupMark.objects.filter(pk=1).update(counted_until=until)
    return Swept(pools, days)


def read_changes(*, at: datetime) -> None:
    """Every pool whose past has changed since the last reading says so, and from which day on.

    Reads committed rows below the oldest running transaction, once each; the mark's lock keeps a
    second reader out. Pools that are new begin with the day of their first node.
    """
    zone, until = settings.BILLING_ZONE, floor_hour(at)
    with transaction.atomic():
        mark = RollupMark.objects.select_for_update(skip_locked=True).filter(pk=1).first()
        if mark is None:
            return
        asked: dict[str, Any] = {
            "zone": zone,
            "until": until,
            "open": (at - OPEN).astimezone(ZoneInfo(zone)).date(),
            "event_xid": mark.event_xid,
            "event_id": mark.event_id,
            "usage_xid": mark.usage_xid,
            "usage_since": (mark.usage_at or _long_ago()) - LONGEST_TRANSACTION,
        }
        with connection.cursor() as cursor:
            cursor.execute(_READ_EVENTS, asked)
            if (last := cursor.fetchone()) is not None:
                mark.event_xid, mark.event_id = last
            cursor.execute(_READ_USAGE, asked)
            xid, recorded_at = cursor.fetchone()
            if xid is not None:
                mark.usage_xid = xid
                mark.usage_at = max(recorded_at, mark.usage_at or recorded_at)
            cursor.execute(_BEGIN, asked)
            cursor.execute(_KEEP_OPEN, asked)
        mark.save(update_fields=["event_xid", "event_id", "usage_xid", "usage_at"])


def _long_ago() -> datetime:
    return datetime(2000, 1, 2, tzinfo=ZoneInfo("UTC"))


def _count_due(until: datetime, at: datetime) -> Swept | None:
    """The next marked pools are counted to `until`; None where none is left."""
    zone = ZoneInfo(settings.BILLING_ZONE)
    last = (until - timedelta(microseconds=1)).astimezone(zone).date()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DUE, {"today": last, "limit": AT_ONCE})
        due = cursor.fetchall()
        if not due:
            return None
        # Those that begin on the same day or little later share a statement.
        first = due[0][1]
        most = max(1, AT_ONCE // ((last - first).days + 1))
        pools = [pool_id for pool_id, since in due[:most] if since - first <= NEAR]
        period = Period(midnight(first), until)
        asked = {
            **parameters(pools, period),
            "zone": settings.BILLING_ZONE,
            "first": first,
            "last": last,
            "at": at,
        }
        # As in metering: planned for the pools that are given, with room to sort their hours.
        cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL work_mem = '64MB'")
        cursor.execute(_WRITE_HOURS, asked)
        cursor.execute(_WRITE_READINGS, asked)
        cursor.execute(
            "UPDATE marketplace_rollupcursor SET dirty_since = NULL, counted_through = %s"
            " WHERE pool_id = ANY(%s)",
            [last, pools],
        )
    return Swept(len(pools), len(pools) * ((last - first).days + 1))


def midnight(day: date) -> datetime:
    """When a day of the rollups begins."""
    zone = ZoneInfo(settings.BILLING_ZONE)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def verify(*, at: datetime, first: date | None = None) -> list[str]:
    """Every pool-day from `first` on (all of them where it is None) is counted again.

    What is kept must be what the rows say now, and the readings what the hours come to. Changes
    that no sweep has read yet are swept first. Returns a line for each pool-day that differs, and
    leaves the outcome on the mark. Changes nothing else.
    """
    sweep(at=at)
    zone = ZoneInfo(settings.BILLING_ZONE)
    counted = RollupMark.objects.get(pk=1).counted_until
    pools = list(RollupCursor.objects.order_by("pool").values_list("pool", flat=True))
    earliest = PoolHours.objects.order_by("day").values_list("day", flat=True).first()
    faults: list[str] = []
    checked = 0
    if counted is not None and earliest is not None:
        first = max(first or earliest, earliest)
        last = (counted - timedelta(microseconds=1)).astimezone(zone).date()
        most = max(1, AT_ONCE // ((last - first).days + 1))
        for start in range(0, len(pools), most):
            part = pools[start : start + most]
            checked += len(part) * ((last - first).days + 1)
            faults += _differing(part, first, last, counted)
    RollupMark.objects.filter(pk=1).update(
        checked_at=at, checked_count=checked, fault_count=len(faults)
    )
    return faults


def _differing(pools: list[int], first: date, last: date, until: datetime) -> list[str]:
    asked = {
        **parameters(pools, Period(midnight(first), until)),
        "zone": settings.BILLING_ZONE,
        "first": first,
        "last": last,
    }
    lines = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL work_mem = '64MB'")
        for what, statement in (("hours", _WRONG_HOURS), ("reading", _WRONG_READINGS)):
            cursor.execute(statement, asked)
            lines += [f"{what} of pool {pool} on {day}" for day, pool in cursor.fetchall()]
    return lines


def _wrong(counted: str, found: str, table: str, columns: tuple[str, ...]) -> str:
    """Days that are counted otherwise than they are kept, or that only one of both knows.

    A pool that begins within the days has none before: nothing was counted then.
    """
    left = ", ".join(f"f.{name}" for name in columns)
    right = ", ".join(f"k.{name}" for name in columns)
    return f"""
    {counted}
    SELECT coalesce(f.day, k.day), coalesce(f.pool_id, k.pool_id)
    FROM {found} f
    FULL JOIN (SELECT * FROM {table}
               WHERE pool_id = ANY(%(pools)s) AND day BETWEEN %(first)s AND %(last)s) k
        ON k.day = f.day AND k.pool_id = f.pool_id
    WHERE ROW({left}) IS DISTINCT FROM ROW({right})
      AND NOT (k.day IS NULL AND 0 = ALL(f.installed))
    ORDER BY 2, 1
    """


_WRONG_HOURS = _wrong(COUNTED_DAYS, "days", "marketplace_poolhours", KEPT)
_WRONG_READINGS = _wrong(READINGS, "readings", "marketplace_poolreading", READ).replace(
    "AND NOT (k.day IS NULL AND 0 = ALL(f.installed))", ""
)
