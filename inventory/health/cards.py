"""What telemetry says of single cards, and how long it must say so: no queries, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inventory.models import HealthState

SLOT = timedelta(seconds=30)
# A sample lies in a slot of 30 seconds, and senders' and our clock may differ by the minute that
# exporters, scraping and sending take in the ordinary: an instant of a change is true to this.
CLOCK_ERROR = timedelta(seconds=90)
# Slots younger than that are not looked at: their samples may still be on their way.
LAG = timedelta(seconds=60)
# Ten slots. Prometheus scrapes once or twice a minute and drops a scrape now and then: fewer slots
# would call each of those a gap, more would find out late that a node is gone.
WINDOW_SLOTS = 10
# Seen in fewer than eight of ten, a card comes and goes; one missed scrape in five is ordinary.
STEADY_SHARE = 0.8
# Where the feed itself spoke in fewer than half of the slots nothing is concluded from silence.
WATCHED_SHARE = 0.5
# Two looks agree before it is worse: the window behind each has five minutes in it already.
WORSE_AFTER = timedelta(seconds=60)
# Long enough for a driver to come up, a link to train and the first job to fail again.
BETTER_AFTER = timedelta(minutes=10)
# Worse and better this often within an hour, it is not to be trusted with the last of them.
FLAPS, FLAPS_WITHIN = 4, timedelta(hours=1)

RANK = {
    HealthState.HEALTHY: 0,
    HealthState.JITTERING: 1,
    HealthState.DEGRADED: 2,
    HealthState.DOWN: 3,
}


@dataclass(slots=True)
class Memory:
    """What the next look needs of this one: counters as last read, when they last grew, and
    what each card was found to be, unlike its condition, since when. Instants are seconds."""

    hour: int = 0
    unhealthy: list[int] = field(default_factory=list)
    link_down: list[int] = field(default_factory=list)
    unhealthy_at: list[int] = field(default_factory=list)
    link_down_at: list[int] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    seen_since: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, stored: dict[str, Any], cards: int) -> Memory:
        """As stored, with a place for each card."""
        memory = cls(**stored)
        for name in ("unhealthy", "link_down", "unhealthy_at", "link_down_at", "seen_since"):
            setattr(memory, name, _sized(getattr(memory, name), cards, 0))
        memory.seen = _sized(memory.seen, cards, "")
        return memory

    def stored(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Look:
    """What telemetry keeps of a node around an instant.

    `seen` is (cards, slots of the window), True where a sample lies; `watched` says of each of
    these slots whether any card of the centre was seen. The counters are of the newest hour.
    """

    seen: NDArray[np.bool_]
    watched: NDArray[np.bool_]
    hour: datetime
    unhealthy_slots: Sequence[int]
    link_down_slots: Sequence[int]
    last_error: Sequence[int]
    error_at: Sequence[datetime | None]

    @property
    def is_watched(self) -> bool:
        return bool(self.watched.mean() >= WATCHED_SHARE)


def found(look: Look, memory: Memory, at: datetime) -> list[tuple[HealthState, str]]:
    """Card by card what this look finds and why; reads the counters into the memory."""
    _read_counters(look, memory, at)
    return [_found(look, memory, card, at) for card in range(len(look.seen))]


def _read_counters(look: Look, memory: Memory, at: datetime) -> None:
    hour, now = int(look.hour.timestamp()), int(at.timestamp())
    same = memory.hour == hour
    for name, counts in (("unhealthy", look.unhealthy_slots), ("link_down", look.link_down_slots)):
        before, grown_at = getattr(memory, name), getattr(memory, f"{name}_at")
        for card, value in enumerate(counts):
            if value > (before[card] if same else 0):
                grown_at[card] = now
            before[card] = int(value)
    memory.hour = hour


def _found(look: Look, memory: Memory, card: int, at: datetime) -> tuple[HealthState, str]:
    expected = int(look.watched.sum())
    there = int((look.seen[card] & look.watched).sum())
    now, fresh = int(at.timestamp()), int((WINDOW_SLOTS * SLOT).total_seconds())
    if there == 0:
        return HealthState.DOWN, f"card {card}: no sample in {expected} slots"
    if memory.unhealthy_at[card] and now - memory.unhealthy_at[card] < fresh:
        return HealthState.DEGRADED, f"card {card}: reported as not well"
    if (error_at := look.error_at[card]) is not None and (at - error_at).total_seconds() < fresh:
        return HealthState.DEGRADED, f"card {card}: error {look.last_error[card]}"
    if memory.link_down_at[card] and now - memory.link_down_at[card] < fresh:
        return HealthState.DEGRADED, f"card {card}: a link was down"
    if there < STEADY_SHARE * expected:
        return HealthState.JITTERING, f"card {card}: samples in {there} of {expected} slots"
    return HealthState.HEALTHY, ""


def settle(
    current: Sequence[str],
    findings: Sequence[tuple[HealthState, str]],
    memory: Memory,
    at: datetime,
) -> list[tuple[HealthState, datetime | None]]:
    """Card by card its condition after this look, and since when, where it changed.

    A finding on one side of the condition (worse, or better) has to last; if looks differ about
    how much, the one nearer to the condition is what has lasted.
    """
    return [
        _settle(HealthState(state), finding, memory, card, at)
        for card, (state, (finding, _)) in enumerate(zip(current, findings, strict=True))
    ]


def _settle(
    state: HealthState, finding: HealthState, memory: Memory, card: int, at: datetime
) -> tuple[HealthState, datetime | None]:
    if finding == state:
        memory.seen[card], memory.seen_since[card] = "", 0
        return state, None
    is_worse = RANK[finding] > RANK[state]
    before = memory.seen[card]
    if before and (RANK[HealthState(before)] > RANK[state]) == is_worse:
        nearer = min if is_worse else max
        memory.seen[card] = str(nearer(HealthState(before), finding, key=RANK.__getitem__))
    else:
        memory.seen[card], memory.seen_since[card] = str(finding), int(at.timestamp())
    since = datetime.fromtimestamp(memory.seen_since[card], at.tzinfo)
    if at - since < (WORSE_AFTER if is_worse else BETTER_AFTER):
        return state, None
    settled = HealthState(memory.seen[card])
    memory.seen[card], memory.seen_since[card] = "", 0
    return settled, since


def _sized(values: list[Any], count: int, empty: Any) -> list[Any]:
    return [*values[:count], *[empty] * (count - len(values))]
