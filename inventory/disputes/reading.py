"""Sealed hours are read from the second meter, centre by centre, each once and in order."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from inventory import actors, journal, metering
from inventory.disputes.counting import Count, NodeHour, Piece, count
from inventory.models import Allocation, MeterDispute, MeteringCursor, MeterReading, ReadingCursor
from inventory.periods import HOUR, floor_hour

logger = logging.getLogger(__name__)
ACTOR = actors.system("meters")
# A node that spoke this long before a silent hour is one with a feed; another has one meter.
SPOKE_WITHIN = timedelta(days=1)
# An hour whose telemetry nobody sealed, or that nobody metered, is left behind after so long.
WAITS = timedelta(days=2)
# So long a feed that sent nothing for an hour may still make up for it.
SILENCE = timedelta(hours=3)
HOURS_AT_ONCE = 48  # of one centre in one sweep


def sweep(*, at: datetime, limit: int = 500) -> int:
    """Hours that telemetry has sealed and metering has counted are read; returns the readings.

    Takes up to `limit` centres, an hour in a transaction. Locks the centre's reading cursor
    (one another works on is skipped), then metering cursors. Idempotent: a cursor that has
    moved reads nothing twice, and a reading is unique by its fact.
    """
    _open_cursors(at)
    cursors = ReadingCursor.objects.filter(read_until__lte=at - HOUR).order_by("read_until", "pk")
    made = 0
    for centre_id in list(cursors.values_list("pk", flat=True)[:limit]):
        for _ in range(HOURS_AT_ONCE):
            read = _read_next(centre_id, at)
            if read is None:
                break
            made += read
    return made


def _open_cursors(at: datetime) -> None:
    """A centre is read from the first hour on that telemetry of it is kept of."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO inventory_readingcursor (centre_id, read_until)
            SELECT f.centre_id, min(t.hour)
            FROM inventory_telemetryhour t
            JOIN inventory_node n ON n.id = t.node_id
            JOIN inventory_pool p ON p.id = n.pool_id
            JOIN inventory_fabric f ON f.id = p.fabric_id
            WHERE t.hour >= %(since)s AND t.sealed_at IS NOT NULL
              AND NOT EXISTS (SELECT FROM inventory_readingcursor c
                              WHERE c.centre_id = f.centre_id)
            GROUP BY f.centre_id
            ON CONFLICT DO NOTHING
            """,
            {"since": at - WAITS},
        )


def _read_next(centre_id: int, at: datetime) -> int | None:
    """The centre's next hour is read, or left; None where it has to wait."""
    with transaction.atomic():
        rows = ReadingCursor.objects.select_for_update(no_key=True, skip_locked=True)
        cursor = rows.filter(pk=centre_id).first()
        if cursor is None or cursor.read_until > floor_hour(at) - HOUR:
            return None
        hour = cursor.read_until
        hours, is_sealed = _telemetry(centre_id, hour)
        pieces = _pieces(centre_id, hour)
        usage = _usage({piece.allocation_id for piece in pieces}, hour)
        missing = {piece.allocation_id for piece in pieces} - set(usage)
        waits = not is_sealed or bool(missing) if hours else at - hour < SILENCE
        if waits and at - hour <= WAITS:
            return None
        made = 0
        if hours and is_sealed:
            made = _record(hour, count(_metered_twice(pieces, hours, hour), hours, hour=hour), at)
        cursor.read_until = hour + HOUR
        cursor.save(update_fields=["read_until"])
    return made


def _record(hour: datetime, counts: Mapping[int, Count], at: datetime) -> int:
    """Each reading is kept beside its usage hour, and what differs is disputed."""
    _hold_still(counts)
    usage = _usage(set(counts), hour)
    known = set(
        MeterReading.objects.filter(hour=hour, allocation_id__in=list(counts)).values_list(
            "allocation_id", flat=True
        )
    )
    readings = [
        _reading(key, hour, sums, *usage[key], at)
        for key, sums in sorted(counts.items())
        if key in usage and key not in known and usage[key][0] > 0
    ]
    MeterReading.objects.bulk_create(readings)
    for reading in readings:
        _dispute(reading, at)
    return len(readings)


def _hold_still(counts: Mapping[int, Count]) -> None:
    """Nobody corrects these hours between the look at their sum and the dispute about it."""
    cursors = MeteringCursor.objects.select_for_update(no_key=True).order_by("pk")
    list(cursors.filter(pk__in=list(counts)).values_list("pk", flat=True))


def _reading(
    key: int, hour: datetime, sums: Count, owed: int, delivered: int, at: datetime
) -> MeterReading:
    telemetry = min(sums.telemetry, owed)
    return MeterReading(
        allocation_id=key,
        hour=hour,
        owed_card_seconds=owed,
        history_card_seconds=delivered,
        telemetry_card_seconds=telemetry,
        unwatched_card_seconds=min(sums.unwatched, owed - telemetry),
        recorded_at=at,
    )


def tolerance(owed_card_seconds: int) -> int:
    """By how many card-seconds the meters of an hour may differ: a share of it, with a least."""
    share = owed_card_seconds * settings.METER_TOLERANCE_BPS // 10_000
    return max(share, settings.METER_TOLERANCE_CARD_SECONDS)


def _dispute(reading: MeterReading, at: datetime) -> MeterDispute | None:
    """Opens one where the history lies outside of what telemetry leaves possible.

    What was unwatched is credited to the history, never held against it.
    """
    least = reading.telemetry_card_seconds
    most = least + reading.unwatched_card_seconds
    allowed, history = tolerance(reading.owed_card_seconds), reading.history_card_seconds
    if least - allowed <= history <= most + allowed:
        return None
    allocation = Allocation.objects.get(pk=reading.allocation_id)
    assert allocation.tenant_id is not None
    row = MeterDispute.objects.create(
        allocation=allocation,
        hour=reading.hour,
        provider_id=allocation.provider_id,
        tenant_id=allocation.tenant_id,
        owed_card_seconds=reading.owed_card_seconds,
        history_card_seconds=history,
        telemetry_card_seconds=least if history < least else most,
        tolerance_card_seconds=allowed,
        created_at=at,
    )
    metering.count_again(allocation.pk, reading.hour)
    journal.record(
        event="meterdispute.open",
        object_id=row.public_id,
        actor=ACTOR,
        at=at,
        to_state=MeterDispute.State.OPEN,
        provider_id=row.provider_id,
        tenant_id=row.tenant_id,
        data={
            "allocation": allocation.public_id,
            "hour": reading.hour.isoformat(),
            "history_card_seconds": history,
            "telemetry_card_seconds": row.telemetry_card_seconds,
            "tolerance_card_seconds": allowed,
        },
    )
    return row


def _telemetry(centre_id: int, hour: datetime) -> tuple[dict[int, NodeHour], bool]:
    """What is kept of the centre's nodes in the hour, and whether nothing is added any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT t.node_id, t.slots, t.unhealthy_slots, t.sealed_at IS NOT NULL
            FROM inventory_telemetryhour t
            JOIN inventory_node n ON n.id = t.node_id
            JOIN inventory_pool p ON p.id = n.pool_id
            JOIN inventory_fabric f ON f.id = p.fabric_id
            WHERE f.centre_id = %s AND t.hour = %s
            """,
            [centre_id, hour],
        )
        rows = cursor.fetchall()
    hours = {node_id: NodeHour(bytes(slots), bad) for node_id, slots, bad, _ in rows}
    return hours, all(is_sealed for *_, is_sealed in rows)


def _pieces(centre_id: int, hour: datetime) -> list[Piece]:
    """Who was to be served by which cards when: from the hand-over of a machine until it was
    taken down, inside what is owed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT * FROM (
                SELECT b.allocation_id, b.node_id, lower(b.cards) AS first, upper(b.cards) AS last,
                       greatest(%(hour)s, lower(b.during), lower(a.period), a.active_at,
                                i.active_at) AS opens,
                       least(%(until)s, upper(b.during), upper(a.period), a.failed_at,
                             i.releasing_at) AS closes
                FROM inventory_binding b
                JOIN inventory_instance i ON i.binding_id = b.id
                JOIN inventory_allocation a ON a.id = b.allocation_id
                JOIN inventory_pool p ON p.id = a.pool_id
                JOIN inventory_fabric f ON f.id = p.fabric_id
                WHERE f.centre_id = %(centre)s AND a.kind = 'sale' AND a.tenant_id IS NOT NULL
                  AND a.active_at IS NOT NULL AND i.active_at IS NOT NULL
                  AND a.period && tstzrange(%(hour)s, %(until)s)
                  AND b.during && tstzrange(%(hour)s, %(until)s)
            ) piece WHERE opens < closes
            """,
            {"centre": centre_id, "hour": hour, "until": hour + HOUR},
        )
        return [Piece(*row) for row in cursor.fetchall()]


def _usage(allocation_ids: set[int], hour: datetime) -> dict[int, tuple[int, int]]:
    """(owed, delivered) of these allocations in the hour, all revisions added up."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT allocation_id, sum(card_seconds + gap_card_seconds)::bigint,
                   sum(card_seconds)::bigint
            FROM inventory_usagehour
            WHERE hour = %s AND allocation_id = ANY(%s)
            GROUP BY allocation_id
            """,
            [hour, list(allocation_ids)],
        )
        return {key: (owed, delivered) for key, owed, delivered in cursor.fetchall()}


def _metered_twice(
    pieces: list[Piece], hours: Mapping[int, NodeHour], hour: datetime
) -> list[Piece]:
    """The pieces of allocations whose every node has a feed: it speaks, or spoke the day before."""
    silent = {piece.node_id for piece in pieces} - set(hours)
    if not silent:
        return pieces
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT node_id FROM inventory_telemetryhour"
            " WHERE node_id = ANY(%s) AND hour >= %s AND hour < %s",
            [list(silent), hour - SPOKE_WITHIN, hour],
        )
        spoke = {row[0] for row in cursor.fetchall()}
    once = {piece.allocation_id for piece in pieces if piece.node_id in silent - spoke}
    return [piece for piece in pieces if piece.allocation_id not in once]
