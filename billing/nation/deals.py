"""What was and will be sold of a pool: chance that never sells more than there is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from billing.nation.plan import Stock

UNITS = (1, 1, 2, 2, 4, 4, 8, 8, 16)
PAST_HOURS = (12, 24, 48, 72, 168)
LIVE_HOURS = (24, 72, 168, 168, 168, 336)
LIVE_EVERY = 10  # one claim of so many is live or to come
TRIES = 12
SMALLER_FROM = 4  # tries, from which less and shorter is asked for


@dataclass(frozen=True, slots=True)
class Deal:
    """In whole hours since the founding, and minutes within the hour of the start."""

    start: int
    hours: int
    minute: int
    units: int
    tenant: int
    live: bool


def of_pool(
    stock: Stock, *, units: int, past_hours: int, ahead_hours: int, tenants: int, seed: int
) -> Iterator[Deal]:
    """Deals of a pool with so many units on sale, without end; a longer run begins alike.

    At no hour of the past or of the future do they take more units than there are, lead and
    turnaround included. Where chance finds no room a deal is left out.
    """
    rng = random.Random(f"{seed}:{stock.name}")
    taken = np.zeros(past_hours + ahead_hours, dtype=np.int32)
    lead, turnaround = -(-stock.lead_seconds // 3600), -(-stock.turnaround_seconds // 3600)
    live_turn = stock.number % LIVE_EVERY
    number = 0
    while True:
        live = number % LIVE_EVERY == live_turn
        number += 1
        for attempt in range(TRIES):
            hours = rng.choice(LIVE_HOURS if live else PAST_HOURS)
            wanted = min(rng.choice(UNITS), units)
            if attempt >= SMALLER_FROM:
                hours, wanted = max(1, hours >> (attempt - SMALLER_FROM)), 1
            minute = rng.randrange(60) if stock.grid_seconds < 3600 else 0
            whole = hours + (minute > 0)  # hours of the clock that it touches
            if live:
                first, last = past_hours - whole + 1, past_hours + ahead_hours - whole - turnaround
            else:
                first, last = lead, past_hours - whole - turnaround
            if last < first:
                continue
            start = rng.randint(max(first, lead), last)
            span = slice(start - lead, start + whole + turnaround)
            if int(taken[span].max()) + wanted <= units:
                taken[span] += wanted
                yield Deal(start, hours, minute, wanted, rng.randrange(tenants), live)
                break
        else:
            yield Deal(0, 0, 0, 0, 0, live=live)  # no room was found


def shares(total: int, weights: list[int]) -> list[int]:
    """`total` in proportion to the weights, exactly."""
    whole = sum(weights)
    edges = [0]
    for weight in weights:
        edges.append(edges[-1] + weight)
    return [total * after // whole - total * before // whole for before, after in pairwise(edges)]
