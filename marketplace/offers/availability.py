"""What a pool has on sale over time, as anybody who may search can see it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from inventory.capacity import Step
from inventory.errors import NotFound
from inventory.periods import Period
from marketplace import search_map
from marketplace.offers.model import RangeTooLarge
from marketplace.search_map import (
    SELL_END,
    SELL_START,
    STEP_BLOCK,
    STEP_END,
    STEP_FREE,
    STEP_START,
    PoolMap,
    SearchMap,
    instant,
    micros,
)

LONGEST = timedelta(days=400)
MOST_STEPS = 5_000


@dataclass(frozen=True, slots=True)
class ListingSteps:
    """One listing's free units. A deal takes all its units from one listing."""

    listing_id: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class OnSale:
    """A pool's free units on sale, in all and by listing. Where no step lies, none is on sale."""

    pool_id: str
    unit_cards: int
    steps: tuple[Step, ...]
    listings: tuple[ListingSteps, ...]


def on_sale(*, pool_public_id: str, period: Period, at: datetime) -> OnSale:
    """Units of a pool's published listings that nobody has, step by step over a period.

    Says nothing of the pool's other nodes, of who has what, or of listings that are paused.
    Lead and turnaround are not taken off: a deal needs its units free for them as well. Advice,
    as a search is. Raises NotFound where the pool has nothing on sale, RangeTooLarge.
    """
    if period.end - period.start > LONGEST:
        raise RangeTooLarge(f"At most {LONGEST.days} days")
    map_ = search_map.current(at)
    pool = next(
        (each for each in map_.pools.values() if each.facts.public_id == pool_public_id), None
    )
    listings = _listings(map_, pool, period) if pool else {}
    if pool is None or not listings:
        raise NotFound("No such pool")
    if sum(map(len, listings.values())) > MOST_STEPS:
        raise RangeTooLarge(f"At most {MOST_STEPS} steps")
    return OnSale(
        pool_id=pool.facts.public_id,
        unit_cards=pool.facts.unit_cards,
        steps=_summed([step for steps in listings.values() for step in steps]),
        listings=tuple(ListingSteps(name, _merged(steps)) for name, steps in listings.items()),
    )


def _listings(map_: SearchMap, pool: PoolMap, period: Period) -> dict[str, list[Step]]:
    """By listing on sale, its steps inside what it sells and the period."""
    number = pool.facts.pool_id
    names = [
        stall.ware.public_id for stall in map_.stalls if stall.pool.pool_id == number
    ]  # rows follow the blocks
    found: dict[str, list[Step]] = {}
    for name, row in zip(names, map_.goods.on_sale[number].nonzero()[0].tolist(), strict=True):
        low = max(micros(period.start), int(pool.blocks[SELL_START][row]))
        high = min(micros(period.end), int(pool.blocks[SELL_END][row]))
        steps = pool.steps.where(
            (pool.steps[STEP_BLOCK] == row)
            & (pool.steps[STEP_END] > low)
            & (pool.steps[STEP_START] < high)
        )
        found[name] = [
            Step(
                instant(max(low, step[STEP_START])),
                instant(min(high, step[STEP_END])),
                max(0, step[STEP_FREE]),
            )
            for step in (steps.columns.T.tolist() if low < high else ())
        ]
    return found


def _summed(steps: list[Step]) -> tuple[Step, ...]:
    """Steps of several listings laid over each other."""
    changes: dict[datetime, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for step in steps:
        for edge, sign in ((step.start, 1), (step.end, -1)):
            units, layers = changes[edge]
            changes[edge] = (units + sign * step.free_units, layers + sign)
    summed: list[Step] = []
    units = layers = 0
    edges = sorted(changes)
    for start, end in pairwise(edges):
        units, layers = units + changes[start][0], layers + changes[start][1]
        if layers:
            summed.append(Step(start, end, units))
    return _merged(summed)


def _merged(steps: list[Step]) -> tuple[Step, ...]:
    merged: list[Step] = []
    for step in steps:
        if merged and merged[-1].free_units == step.free_units and merged[-1].end == step.start:
            merged[-1] = Step(merged[-1].start, step.end, step.free_units)
        else:
            merged.append(step)
    return tuple(merged)
