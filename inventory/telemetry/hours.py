"""Hours of nodes in the database: locked in order, added to, written in one statement, sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from inventory.telemetry.folding import (
    LATE,
    Batch,
    Hour,
    Point,
    RowKey,
    instant_of,
)

_READ = """
SELECT t.node_id, extract(epoch FROM t.hour)::bigint, t.card_count, t.seen_slots,
       t.unhealthy_slots, t.busy_slots, t.memory_slots, t.power_slots, t.busy_permille_sum,
       t.memory_permille_sum, t.power_watt_sum, t.temperature_max, t.last_error, t.error_slots,
       t.link_down_slots, t.slots, t.fact_slots, t.sealed_at IS NOT NULL
FROM inventory_telemetryhour t
JOIN unnest(%(nodes)s::bigint[], %(hours)s::timestamptz[]) AS k (node_id, hour)
  ON t.node_id = k.node_id AND t.hour = k.hour
WHERE t.hour BETWEEN %(first)s AND %(last)s
ORDER BY t.node_id, t.hour
FOR UPDATE OF t
"""
# What no body of this hour made yet. Two that make it at once: one of them makes it.
_MAKE = """
INSERT INTO inventory_telemetryhour (
    node_id, hour, recorded_at, card_count, seen_slots, unhealthy_slots, busy_slots,
    memory_slots, power_slots, busy_permille_sum, memory_permille_sum, power_watt_sum,
    temperature_max, last_error, error_slots, link_down_slots, slots, fact_slots)
SELECT k.node_id, k.hour, %(at)s, k.cards, zero.s, zero.s, zero.s, zero.s, zero.s, zero.i, zero.i,
       zero.i, zero.s, zero.i, array_fill((-1)::smallint, ARRAY[k.cards]), zero.s,
       decode(repeat('00', k.cards * 15), 'hex'), decode(repeat('00', k.cards * 75), 'hex')
FROM unnest(%(nodes)s::bigint[], %(hours)s::timestamptz[], %(cards)s::int[])
     AS k (node_id, hour, cards)
CROSS JOIN LATERAL (SELECT array_fill(0::smallint, ARRAY[k.cards]) AS s,
                           array_fill(0, ARRAY[k.cards]) AS i) AS zero
ORDER BY k.node_id, k.hour
ON CONFLICT (node_id, hour) DO NOTHING
"""
# Arrays of arrays have to be of one length in SQL, so each travels as text.
_WRITE = """
UPDATE inventory_telemetryhour t SET
    seen_slots = n.seen::smallint[], unhealthy_slots = n.unhealthy::smallint[],
    busy_slots = n.busy::smallint[], memory_slots = n.memory::smallint[],
    power_slots = n.power::smallint[], busy_permille_sum = n.busy_sum::int[],
    memory_permille_sum = n.memory_sum::int[], power_watt_sum = n.power_sum::int[],
    temperature_max = n.temperature::smallint[], last_error = n.last_error::int[],
    error_slots = n.error::smallint[], link_down_slots = n.link::smallint[],
    slots = n.slots, fact_slots = n.bits, replica = %(replica)s, recorded_at = %(at)s
FROM unnest(
    %(nodes)s::bigint[], %(hours)s::timestamptz[], %(seen)s::text[], %(unhealthy)s::text[],
    %(busy)s::text[], %(memory)s::text[], %(power)s::text[], %(busy_sum)s::text[],
    %(memory_sum)s::text[], %(power_sum)s::text[], %(temperature)s::text[],
    %(last_error)s::text[], %(error)s::text[], %(link)s::text[], %(slots)s::bytea[],
    %(bits)s::bytea[]
) AS n (node_id, hour, seen, unhealthy, busy, memory, power, busy_sum, memory_sum, power_sum,
        temperature, last_error, error, link, slots, bits)
WHERE t.node_id = n.node_id AND t.hour = n.hour AND t.hour BETWEEN %(first)s AND %(last)s
"""


def fold(batch: Batch, *, replica: str, at: datetime) -> None:
    """The batch's facts are in their rows; its counts say what was stored, repeated or late.

    Locks the rows by node, then hour. Runs in the caller's transaction; idempotent.
    """
    if not batch.points:
        return
    keys = sorted(batch.points)
    rows = _read(keys)
    if missing := [key for key in keys if key not in rows]:
        _make(missing, batch.cards, at)
        # All of them again, so that the order of locks is kept whatever others made meanwhile.
        rows = _read(keys)
    changed = []
    for key in keys:
        points = batch.points[key]
        row = rows[key]
        if row is None:
            batch.counts.late += len(points)
            continue
        fitting = _fitting(points, row.cards)
        batch.counts.unknown += len(points) - len(fitting)
        row.add(fitting, batch.counts)
        if row.is_changed:
            changed.append(row)
    if changed:
        _write(changed, replica, at)


def _fitting(points: list[Point], cards: int) -> list[Point]:
    """Without those of cards that the node did not have when the hour began."""
    if max(point[0] for point in points) < cards:
        return points
    return [point for point in points if point[0] < cards]


def _bounds(keys: Sequence[RowKey]) -> dict[str, Any]:
    """The keys as two arrays, and between which hours they lie, to find the partitions by."""
    hours = [instant_of(hour) for _, hour in keys]
    return {
        "nodes": [node_id for node_id, _ in keys],
        "hours": hours,
        "first": min(hours),
        "last": max(hours),
    }


def _read(keys: Sequence[RowKey]) -> dict[RowKey, Hour | None]:
    """The rows that are there, locked; None for one that is sealed."""
    found: dict[RowKey, Hour | None] = {}
    with connection.cursor() as cursor:
        cursor.execute(_READ, _bounds(keys))
        for row in cursor.fetchall():
            sealed = row[17]
            found[row[0], row[1]] = (
                None
                if sealed
                else Hour(
                    row[0],
                    row[1],
                    row[2],
                    row[3],
                    row[4],
                    (row[5], row[6], row[7]),
                    (row[8], row[9], row[10]),
                    row[11],
                    row[12],
                    row[13],
                    row[14],
                    bytearray(row[15]),
                    bytearray(row[16]),
                )
            )
    return found


def _make(keys: Sequence[RowKey], cards: Mapping[int, int], at: datetime) -> None:
    given = _bounds(keys)
    given["cards"] = [cards[node_id] for node_id, _ in keys]
    given["at"] = at
    with connection.cursor() as cursor:
        cursor.execute(_MAKE, given)


def _write(rows: Sequence[Hour], replica: str, at: datetime) -> None:
    given = _bounds([(row.node_id, row.hour) for row in rows])
    given |= {
        "seen": [_text(row.seen) for row in rows],
        "unhealthy": [_text(row.unhealthy) for row in rows],
        "temperature": [_text(row.temperature) for row in rows],
        "last_error": [_text(row.last_error) for row in rows],
        "error": [_text(row.error_slot) for row in rows],
        "link": [_text(row.link_down) for row in rows],
        "slots": [bytes(row.slots) for row in rows],
        "bits": [bytes(row.bits) for row in rows],
        "replica": replica,
        "at": at,
    }
    for number, name in enumerate(("busy", "memory", "power")):
        given[name] = [_text(row.counted[number]) for row in rows]
        given[f"{name}_sum"] = [_text(row.sums[number]) for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, given)


def _text(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def seal(*, at: datetime, limit: int = 10_000) -> int:
    """Hours that ended LATE ago are final; the bitmaps by fact, needed no more, are let go.

    Returns how many were sealed. Idempotent, and safe beside itself and beside senders.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE inventory_telemetryhour t SET sealed_at = %(at)s, fact_slots = ''
            FROM (SELECT node_id, hour FROM inventory_telemetryhour
                  WHERE sealed_at IS NULL AND hour <= %(until)s
                  ORDER BY node_id, hour LIMIT %(limit)s FOR UPDATE SKIP LOCKED) due
            WHERE t.node_id = due.node_id AND t.hour = due.hour AND t.hour <= %(until)s
            """,
            {"at": at, "until": at - LATE - timedelta(hours=1), "limit": limit},
        )
        return int(cursor.rowcount)
