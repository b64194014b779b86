"""How long things may take, and when they are tried again. Seconds unless said otherwise."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from inventory.models import Pool

# How long rows that wait for others are left alone; a change nearby wakes them earlier.
LOOK_AGAIN = timedelta(seconds=15)
BACKOFF_FIRST_SECONDS = 2.0
BACKOFF_MOST_SECONDS = 300.0
# A quarantined node is expected back after this; a person brings it back earlier or later.
QUARANTINE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """After which a state counts as failed; a pool sets its own in `driver_options.deadlines`."""

    provision_seconds: float = 1_800
    """One machine: from the first try to usable. Then another node is tried."""
    delivery_seconds: float = 7_200
    """The whole allocation, from its start or its binding, whichever is later."""
    release_seconds: float = 3_600
    """One machine: down and wiped. Then it is quarantined."""

    @classmethod
    def of(cls, pool: Pool) -> Deadlines:
        given = pool.driver_options.get("deadlines", {})
        return cls(**{each.name: given[each.name] for each in fields(cls) if each.name in given})


def retry_at(*, name: str, attempt: int, at: datetime) -> datetime:
    """When a failed step is tried again: doubling, and jittered by half.

    The jitter is drawn from the name and the attempt, so that many machines that failed
    together come back apart, and the same history always gives the same instants.
    """
    seconds = min(BACKOFF_MOST_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** min(attempt - 1, 16))
    draw = int.from_bytes(hashlib.sha256(f"{name}:{attempt}".encode()).digest()[:4]) / 2**32
    return at + timedelta(seconds=seconds * (0.5 + draw / 2))
