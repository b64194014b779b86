"""Where a pool has units that nobody has listed, sold or taken: what a listing could fill."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from inventory import capacity
from inventory.models import Pool
from inventory.periods import Period, ceil_hour, floor_hour

LONGEST = timedelta(days=28)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Gap:
    """So many units of a pool are in no block, all of the time."""

    period: Period
    unit_count: int


def first_gap(pool: Pool, *, start: datetime, at: datetime) -> Gap | None:
    """The gap that begins within a day of `start`, as wide as it is then, for as long as it
    stays so, whole hours only; None where nothing is free on that day."""
    steps = capacity.availability(pool_id=pool.pk, period=Period(start, start + LONGEST), at=at)
    within = [step for step in steps if step.start < start + _DAY]
    first = next((step for step in within if step.free_units > 0), None)
    if first is None:
        return None
    run = steps[steps.index(first) :]
    # What is free for all of the day, unless it is taken away before the day is over.
    rest = [step.free_units for step in run if step.start < start + _DAY]
    units = min(rest) if min(rest) > 0 else first.free_units
    end = first.end
    for step in run:
        if step.free_units < units:
            break
        end = step.end
    begin, over = ceil_hour(first.start), floor_hour(end)
    return Gap(Period(begin, over), units) if begin < over else None
