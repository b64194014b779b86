"""Samples become facts, and facts are folded into hours of nodes: each slot counts once.

Whatever arrives twice, late within the hour's time, out of order, or from both members of an HA
pair finds its slot taken. What a member of a pair missed is filled from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from inventory.telemetry.identity import Identity, Series, shown_as
from inventory.telemetry.metrics import MOST, NO_VALUE, Fact

SLOT_SECONDS = 30
SLOTS = 120
SLOT_BYTES = SLOTS // 8
BITMAPS = 5  # of Fact: busy, memory, power, not well, link down
# A sample is taken until its hour has been over for so long, then the hour is sealed. A sender
# that was cut off for less loses nothing (Prometheus keeps about two hours to send again).
LATE = timedelta(hours=3)
# Clocks of exporters may be ahead of ours by so much.
EARLY = timedelta(minutes=2)

Point = tuple[int, int, int, int, bool]  # card, fact, slot, value, not well
RowKey = tuple[int, int]  # node, hour in seconds since 1970


@dataclass
class Counts:
    """What became of samples."""

    stored: int = 0
    repeated: int = 0
    unused: int = 0
    unknown: int = 0
    late: int = 0
    early: int = 0
    void: int = 0

    @property
    def total(self) -> int:
        return sum(vars(self).values())


@dataclass
class Batch:
    """Facts by the row they belong to, and what did not become one."""

    points: dict[RowKey, list[Point]] = field(default_factory=dict)
    cards: dict[int, int] = field(default_factory=dict)  # how many each node has
    counts: Counts = field(default_factory=Counts)
    unknown: dict[tuple[Identity, str], Unknown] = field(default_factory=dict)
    replicas: set[str] = field(default_factory=set)


@dataclass
class Unknown:
    """Series bound to nothing, under one identity."""

    labels: dict[str, str]
    count: int = 0


def sort(samples: Iterable[tuple[Series, int, float]], *, at: datetime) -> Batch:
    """Each sample's fact and slot. Instants are in milliseconds since 1970."""
    batch = Batch()
    counts, points = batch.counts, batch.points
    latest = int((at + EARLY).timestamp() * 1000)
    # The first hour that is not due to be sealed.
    earliest = int((at - LATE).timestamp()) // 3600 * 3600 * 1000 - 3_600_000
    said, hour, slot, where = None, 0, 0, 0
    for series, instant, value in samples:
        card_of = series.card_of
        if card_of is None:
            counts.unknown += 1
            _unknown(batch, series)
            continue
        if instant != said:
            said = instant
            second = instant // 1000
            slot = second % 3600 // SLOT_SECONDS
            hour = second - second % 3600
            where = -1 if instant < earliest else 1 if instant > latest else 0
        if where:
            if where < 0:
                counts.late += 1
            else:
                counts.early += 1
            continue
        metric = series.metric
        fact = metric.fact
        # Not a number (stale markers are such), no value, or beyond what can be.
        if not 0 <= value < NO_VALUE or value * metric.scale > MOST[fact]:
            counts.void += 1
            continue
        bad = False
        if fact <= Fact.POWER:
            number = int(value * card_of[3] + 0.5)
            if fact <= Fact.MEMORY and number > 1000:
                number = 1000
        elif fact is Fact.TEMPERATURE:
            number = int(value + 0.5)
        else:
            number = int(value)
            bad = not metric.is_well(value)
        key = (card_of[0], hour)
        row = points.get(key)
        if row is None:
            row = points[key] = []
            batch.cards[card_of[0]] = card_of[2]
        row.append((card_of[1], fact, slot, number, bad))
        batch.replicas.add(series.replica)
    return batch


def _unknown(batch: Batch, series: Series) -> None:
    key = (shown_as(series), series.card)
    found = batch.unknown.get(key)
    if found is None:
        found = batch.unknown[key] = Unknown(series.labels)
    found.count += 1


@dataclass(slots=True)
class Hour:
    """A row of telemetry hours, as it is read, added to and written."""

    node_id: int
    hour: int
    cards: int
    seen: list[int]
    unhealthy: list[int]
    counted: tuple[list[int], list[int], list[int]]  # slots with busy, memory, power
    sums: tuple[list[int], list[int], list[int]]
    temperature: list[int]
    last_error: list[int]
    error_slot: list[int]
    link_down: list[int]
    slots: bytearray
    bits: bytearray
    is_changed: bool = False

    def add(self, points: Sequence[Point], counts: Counts) -> None:
        """First write wins, fact by fact; what is not well in a slot stays so."""
        span = self.cards * SLOT_BYTES
        slots, bits = self.slots, self.bits
        stored = 0
        for card, fact, slot, number, bad in points:
            place = card * SLOT_BYTES + (slot >> 3)
            bit = 1 << (slot & 7)
            if fact <= 2:
                spot = fact * span + place
                if bits[spot] & bit:
                    counts.repeated += 1
                    continue
                bits[spot] |= bit
                self.counted[fact][card] += 1
                self.sums[fact][card] += number
                if fact == 0 and not slots[place] & bit:
                    slots[place] |= bit
                    self.seen[card] += 1
            elif fact == Fact.TEMPERATURE:
                if number > self.temperature[card]:
                    self.temperature[card] = number
            elif fact == Fact.LINK:
                if bad and self._mark(Fact.LINK * span + place, bit):
                    self.link_down[card] += 1
            else:
                if not slots[place] & bit:
                    slots[place] |= bit
                    self.seen[card] += 1
                if bad and self._mark(Fact.HEALTH * span + place, bit):
                    self.unhealthy[card] += 1
                if fact == Fact.ERROR and number:
                    self._error(card, slot, number)
            stored += 1
        counts.stored += stored
        self.is_changed = self.is_changed or stored > 0

    def _mark(self, spot: int, bit: int) -> bool:
        was = self.bits[spot] & bit
        self.bits[spot] |= bit
        return not was

    def _error(self, card: int, slot: int, code: int) -> None:
        """The last one of the hour, whatever order they come in. Kept as 32 bits with a sign."""
        code = code - (1 << 32) if code > 0x7FFF_FFFF else code
        if (slot, code) > (self.error_slot[card], self.last_error[card]):
            self.error_slot[card], self.last_error[card] = slot, code


def empty(node_id: int, hour: int, cards: int) -> Hour:
    return Hour(
        node_id,
        hour,
        cards,
        [0] * cards,
        [0] * cards,
        ([0] * cards, [0] * cards, [0] * cards),
        ([0] * cards, [0] * cards, [0] * cards),
        [0] * cards,
        [0] * cards,
        [-1] * cards,
        [0] * cards,
        bytearray(cards * SLOT_BYTES),
        bytearray(BITMAPS * cards * SLOT_BYTES),
    )


def instant_of(hour: int) -> datetime:
    return datetime.fromtimestamp(hour, UTC)
