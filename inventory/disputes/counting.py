"""What telemetry says of one centre's hour: whole card-seconds by allocation.

A card delivers in a slot of 30 seconds if it was seen in it, less the slots in which it was not
well. Where a machine was handed over or taken down inside a slot, so much of the slot counts as
lies between. Slots in which no card of the centre was seen are the feed's silence and no card's:
they are unwatched, and held against nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

SLOTS = 120
SLOT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Piece:
    """Cards of a node that served an allocation over a part of the hour."""

    allocation_id: int
    node_id: int
    first_card: int
    end_card: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class NodeHour:
    """What telemetry keeps of a node's hour: card by card which slots, and how many were bad."""

    slots: bytes
    unhealthy_slots: Sequence[int]


@dataclass(slots=True)
class Count:
    """Card-seconds of one allocation: seen and well, and unwatched."""

    telemetry: int = 0
    unwatched: int = 0


def count(
    pieces: Sequence[Piece], hours: Mapping[int, NodeHour], *, hour: datetime
) -> dict[int, Count]:
    """By allocation, what was seen of its pieces. A node that is not among `hours` was silent."""
    seen = {node_id: bits(row.slots) for node_id, row in hours.items()}
    watched = np.zeros(SLOTS, dtype=bool)
    for there in seen.values():
        watched |= there.any(axis=0)
    found: dict[int, Count] = defaultdict(Count)
    for piece in pieces:
        weights = _seconds(piece, hour)
        sums = found[piece.allocation_id]
        cards = piece.end_card - piece.first_card
        sums.unwatched += cards * int(weights[~watched].sum())
        if piece.node_id in seen:
            sums.telemetry += _well(piece, seen[piece.node_id], hours[piece.node_id], weights)
    return found


def bits(slots: bytes) -> NDArray[np.bool_]:
    """(cards, 120): which slots of each card are taken."""
    flat = np.unpackbits(np.frombuffer(slots, dtype=np.uint8), bitorder="little")
    return flat.reshape(-1, SLOTS).astype(bool)


def _seconds(piece: Piece, hour: datetime) -> NDArray[np.int64]:
    """How many whole seconds of each slot lie in the piece, its ends cut to their second."""
    origin = int(hour.timestamp())
    start, end = int(piece.start.timestamp()) - origin, int(piece.end.timestamp()) - origin
    opens = np.arange(SLOTS, dtype=np.int64) * SLOT_SECONDS
    inside = np.minimum(opens + SLOT_SECONDS, end) - np.maximum(opens, start)
    weights: NDArray[np.int64] = np.clip(inside, 0, SLOT_SECONDS)
    return weights


def _well(piece: Piece, there: NDArray[np.bool_], row: NodeHour, weights: NDArray[np.int64]) -> int:
    """Seen seconds less the share of slots that were bad: which ones is not kept, so a part of
    an hour bears its part of them, rounded against the count."""
    total = 0
    for card in range(piece.first_card, min(piece.end_card, len(there))):
        seconds = int(weights[there[card]].sum())
        slots, bad = int(there[card].sum()), int(row.unhealthy_slots[card])
        total += seconds - (-(-seconds * min(bad, slots) // slots) if slots else 0)
    return total
