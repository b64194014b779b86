"""What telemetry keeps of nodes around an instant, in two statements for any number of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from inventory.disputes.counting import SLOTS, bits
from inventory.health.cards import LAG, SLOT, WINDOW_SLOTS, Look
from inventory.periods import HOUR, floor_hour


def looks(node_ids: Sequence[int], *, at: datetime) -> dict[int, Look]:
    """By node, the window of slots that ends LAG before `at`. A node without a feed has none.

    A node has one if anything of it was kept in the day before.
    """
    end = _slot_floor(at - LAG)
    start = end - WINDOW_SLOTS * SLOT
    cards, spoken = _cards(node_ids, at)
    if not spoken:
        return {}
    rows = _rows(node_ids, start, end)
    watched = _watched(set(spoken.values()), start, end)
    return {
        node_id: _look(cards[node_id], rows.get(node_id, []), watched[centre_id], start, at)
        for node_id, centre_id in spoken.items()
    }


Kept = tuple[datetime, bytes, list[int], list[int], list[int], list[int]]


def _look(
    cards: int, kept: list[Kept], watched: NDArray[np.bool_], start: datetime, at: datetime
) -> Look:
    seen = np.zeros((cards, WINDOW_SLOTS), dtype=bool)
    for hour, slots, *_ in kept:
        _lay(seen, bits(slots)[:cards], hour, start)
    if not kept:
        none: list[int] = [0] * cards
        return Look(seen, watched, floor_hour(at), none, none, none, [None] * cards)
    hour, _, unhealthy, link_down, errors, error_slots = max(kept, key=lambda row: row[0])
    fit = slice(0, cards)
    return Look(
        seen=seen,
        watched=watched,
        hour=hour,
        unhealthy_slots=unhealthy[fit],
        link_down_slots=link_down[fit],
        last_error=errors[fit],
        error_at=[
            hour + slot * SLOT if slot >= 0 and error else None
            for slot, error in zip(error_slots[fit], errors[fit], strict=True)
        ],
    )


def _lay(
    window: NDArray[np.bool_], slots: NDArray[np.bool_], hour: datetime, start: datetime
) -> None:
    """The slots of an hour that fall into the window."""
    offset = (hour - start) // SLOT  # of the hour's first slot in the window
    first, last = max(0, offset), min(window.shape[1], offset + SLOTS)
    if first < last:
        window[: len(slots), first:last] |= slots[:, first - offset : last - offset]


def _cards(node_ids: Sequence[int], at: datetime) -> tuple[dict[int, int], dict[int, int]]:
    """Cards by node, and the centre of each that has a feed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT n.id, f.centre_id, p.cards_per_node
            FROM inventory_node n
            JOIN inventory_pool p ON p.id = n.pool_id
            JOIN inventory_fabric f ON f.id = p.fabric_id
            WHERE n.id = ANY(%(nodes)s)
              AND EXISTS (SELECT FROM inventory_telemetryhour t
                          WHERE t.node_id = n.id AND t.hour > %(since)s AND t.hour <= %(at)s)
            """,
            {"nodes": list(node_ids), "since": at - 24 * HOUR, "at": at},
        )
        rows = cursor.fetchall()
    return {node: count for node, _, count in rows}, {node: centre for node, centre, _ in rows}


def _rows(node_ids: Sequence[int], start: datetime, end: datetime) -> dict[int, list[Kept]]:
    found: dict[int, list[Kept]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT node_id, hour, slots, unhealthy_slots, link_down_slots, last_error, error_slots"
            " FROM inventory_telemetryhour"
            " WHERE node_id = ANY(%s) AND hour >= %s AND hour < %s",
            [list(node_ids), floor_hour(start), end],
        )
        for node_id, hour, slots, *counters in cursor.fetchall():
            found[node_id].append((hour, bytes(slots), *counters))
    return found


def _watched(centre_ids: set[int], start: datetime, end: datetime) -> dict[int, NDArray[np.bool_]]:
    """By centre, in which slots of the window any of its cards was seen."""
    found = {key: np.zeros((1, WINDOW_SLOTS), dtype=bool) for key in centre_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT f.centre_id, t.hour, t.slots
            FROM inventory_telemetryhour t
            JOIN inventory_node n ON n.id = t.node_id
            JOIN inventory_pool p ON p.id = n.pool_id
            JOIN inventory_fabric f ON f.id = p.fabric_id
            WHERE f.centre_id = ANY(%s) AND t.hour >= %s AND t.hour < %s
            """,
            [list(centre_ids), floor_hour(start), end],
        )
        for centre_id, hour, slots in cursor.fetchall():
            _lay(found[centre_id], bits(slots).max(axis=0, keepdims=True), hour, start)
    return {key: window[0] for key, window in found.items()}


def _slot_floor(at: datetime) -> datetime:
    return at - (at - floor_hour(at)) % SLOT
