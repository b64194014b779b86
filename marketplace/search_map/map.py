"""The map itself: what is on sale and what is free of it, and where a deal fits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from marketplace.search_map.goods import Goods, Mask, Stall
from marketplace.search_map.pool_map import (
    STEP_BLOCK,
    STEP_END,
    STEP_FREE,
    STEP_START,
    Ints,
    PoolMap,
    Table,
)
from marketplace.search_map.shelf import Ware

NO_START = -1
HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """What is looked for in each stall; instants and lengths in microseconds.

    `units` 0 leaves a stall out. A deal lasts `shortest` or whole steps of the stall's more, up
    to `longest`.
    No lead begins before `not_before`: nodes cannot be prepared in the past. Starts lie on the
    stall's grid and on `grid`.
    """

    units: Ints
    shortest: Ints
    longest: Ints
    earliest: int
    latest_end: int
    not_before: int
    grid: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """A pool's steps that are on sale, each stall's closed by a step with nothing free, so that
    no stretch of free units runs from one stall into the next."""

    steps: Table  # what it was cut from
    on_sale: Mask
    start: Ints
    free: NDArray[np.int32]  # half as wide: every search reads all of it
    lengths: Ints  # by stall

    @classmethod
    def of(cls, pool: PoolMap, on_sale: Mask) -> Strip:
        block = pool.steps[STEP_BLOCK]
        kept = pool.steps.columns[:, on_sale[block]] if len(block) else pool.steps.columns
        counts = np.bincount(kept[STEP_BLOCK], minlength=len(on_sale))[on_sale]
        lasts = np.cumsum(counts)
        return cls(
            steps=pool.steps,
            on_sale=on_sale,
            start=np.insert(kept[STEP_START], lasts, kept[STEP_END][lasts - 1]),
            free=np.insert(kept[STEP_FREE], lasts, -1).astype(np.int32),
            lengths=counts + 1,
        )


@dataclass(frozen=True, slots=True, eq=False)
class SearchMap:
    """Every block on sale, its free units over time, its price and terms. Immutable."""

    pools: dict[int, PoolMap]
    wares: dict[int, Ware]  # by listing
    goods: Goods
    strips: dict[int, Strip]
    # A row a step, in order of stall and start; a stall's last one ends it, nothing free.
    row: Ints
    start: Ints
    free: NDArray[np.int32]
    lengths: Ints  # by stall, how many steps
    snapshot: str = ""  # what the journal told up to

    @classmethod
    def build(
        cls,
        pools: dict[int, PoolMap],
        wares: dict[int, Ware],
        *,
        old: SearchMap | None = None,
        snapshot: str = "",
    ) -> SearchMap:
        """The map of these pools and wares, with what it can share of an older one."""
        same = old is not None and _sell_the_same(old, pools, wares)
        goods = old.goods if old is not None and same else Goods.of(pools, wares)
        known = old.strips if old is not None else {}
        strips = {
            pool_id: _strip(known.get(pool_id), pool, goods.on_sale[pool_id])
            for pool_id, pool in pools.items()
        }
        none = np.zeros(0, dtype=np.int64)
        lengths = np.concatenate([none, *(strip.lengths for strip in strips.values())])
        return cls(
            pools=pools,
            wares=wares,
            goods=goods,
            strips=strips,
            row=np.repeat(np.arange(len(lengths), dtype=np.int64), lengths),
            start=np.concatenate([none, *(strip.start for strip in strips.values())]),
            free=np.concatenate(
                [none.astype(np.int32), *(strip.free for strip in strips.values())]
            ),
            lengths=lengths,
            snapshot=snapshot,
        )

    def as_of_snapshot(self, snapshot: str) -> SearchMap:
        """The same map, known to be up to date as of a later snapshot."""
        return self if snapshot == self.snapshot else replace(self, snapshot=snapshot)

    @property
    def stalls(self) -> tuple[Stall, ...]:
        return self.goods.stalls

    def fits(self, ask: Ask) -> tuple[Ints, Ints]:
        """By stall, the start of the longest deal that fits, the first of them, and its hours.

        NO_START and 0 where none does. Its units stay free over the whole deal with lead and
        turnaround.
        """
        count = len(self.stalls)
        starts, lengths = np.full(count, NO_START, dtype=np.int64), np.zeros(count, dtype=np.int64)
        row, low, _, hours = self._openings(ask)
        if not len(row):
            return starts, lengths
        first = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
        longest = np.maximum.reduceat(hours, first)
        best = hours == np.repeat(longest, np.diff(np.append(first, len(row))))
        row, low, hours = row[best], low[best], hours[best]
        first = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
        starts[row[first]], lengths[row[first]] = low[first], hours[first]
        return starts, lengths

    def windows(self, ask: Ask) -> tuple[Ints, Ints, Ints]:
        """Every stretch of possible starts for deals of the shortest length: stall, first and
        last start, both on the grid; in order of stall and first start."""
        row, low, high, _ = self._openings(ask)
        grid = self.grid(ask)[row]
        return row, low, (high - ask.shortest[row]) // grid * grid

    def most_units(self, ask: Ask) -> Ints:
        """By stall, the most units that it sells, no more than asked for, that fit for the
        shortest length; 0 where not even its minimum fits."""
        goods = self.goods
        least, step = goods.minimum_units, goods.unit_step
        most = np.minimum(np.minimum(ask.units, goods.units), goods.maximum_units)
        # In steps above the minimum; -1: not even that.
        low = np.full(len(most), -1, dtype=np.int64)
        high = np.where((ask.units > 0) & (most >= least), (most - least) // step, -1)
        while np.any(low < high):
            middle = (low + high + 1) // 2
            wanted = np.where(low < high, least + middle * step, 0)
            starts, _ = self.fits(replace(ask, units=wanted, longest=ask.shortest))
            fit = starts != NO_START
            low = np.where((wanted > 0) & fit, middle, low)
            high = np.where((wanted > 0) & ~fit, middle - 1, high)
        found: Ints = np.where(low >= 0, least + low * step, 0)
        return found

    def _openings(self, ask: Ask) -> tuple[Ints, Ints, Ints, Ints]:
        """Stretches in which a deal fits: stall, first start, last end, hours of the longest."""
        row, start, end = self._free_runs(ask.units)
        goods, grid = self.goods, self.grid(ask)[row]
        low = np.maximum(start, ask.not_before) + goods.lead[row]
        low = np.maximum(low, np.maximum(goods.sell_start[row], ask.earliest))
        low = -(-low // grid) * grid  # up to the grid
        high = np.minimum(end - goods.turnaround[row], goods.sell_end[row])
        high = np.minimum(high, ask.latest_end)
        hours = np.minimum((high - low) // HOUR, ask.longest[row] // HOUR)
        shortest, step = ask.shortest[row] // HOUR, goods.hour_step[row]
        fits = hours >= shortest
        hours = shortest + (hours - shortest) // step * step
        return row[fits], low[fits], high[fits], hours[fits]

    def grid(self, ask: Ask) -> Ints:
        """By stall, what starts lie on: its own grid, and the one asked for."""
        return self.goods.grid if ask.grid == 1 else np.lcm(self.goods.grid, ask.grid)

    def _free_runs(self, units: Ints) -> tuple[Ints, Ints, Ints]:
        """Stretches over which a stall has its `units` free: stall, start, end."""
        row, start, free = self.row, self.start, self.free
        asked = units > 0
        if not asked.all():
            kept = np.repeat(asked, self.lengths)
            row, start, free = row[kept], start[kept], free[kept]
            units_asked = units[asked]
        else:
            units_asked = units
        if not len(row):
            return row, start, start
        alike = bool((units_asked == units_asked[0]).all())
        enough = free >= (int(units_asked[0]) if alike else units[row])
        edges = np.flatnonzero(enough[1:] != enough[:-1]) + 1
        if enough[0]:
            edges = np.concatenate([[0], edges])
        opens, closes = edges[::2], edges[1::2]  # a stall's last step closes what is open
        return row[opens], start[opens], start[closes]


def _strip(known: Strip | None, pool: PoolMap, on_sale: Mask) -> Strip:
    if known is not None and known.steps is pool.steps:
        if known.on_sale is on_sale or np.array_equal(known.on_sale, on_sale):
            return known
    return Strip.of(pool, on_sale)


def _sell_the_same(old: SearchMap, pools: dict[int, PoolMap], wares: dict[int, Ware]) -> bool:
    return (
        wares is old.wares
        and pools.keys() == old.pools.keys()
        and all(pool.sells_the_same(old.pools[pool_id]) for pool_id, pool in pools.items())
    )
