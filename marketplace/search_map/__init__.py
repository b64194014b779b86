"""What is free, for every pool at once, in memory: a search answers from here.

One immutable map a process, swapped whole and at most `SEARCH_MAP_SECONDS` old. It is fed by
each pool's version and events, takes no lock, and is advice: the claim decides.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.conf import settings
from django.db import connection

from marketplace.search_map import loading, shelf
from marketplace.search_map.pool_map import (
    BLOCK_ID,
    BLOCK_UNITS,
    SELL_START,
    STEP_BLOCK,
    STEP_END,
    STEP_FREE,
    STEP_START,
    Ints,
    PoolFacts,
    PoolMap,
    Rows,
    Table,
    instant,
    micros,
)
from marketplace.search_map.shelf import Key, Ware

__all__ = [
    "NO_START",
    "Ints",
    "PoolFacts",
    "SearchMap",
    "Stall",
    "Ware",
    "current",
    "instant",
    "micros",
    "refresh",
]

NO_START = -1


@dataclass(frozen=True, slots=True)
class Stall:
    """One block on sale: the pool's facts beside the listing's."""

    pool: PoolFacts
    ware: Ware


@dataclass(frozen=True, slots=True, eq=False)
class SearchMap:
    """Every block on sale, its free units over time, its price and terms. Immutable."""

    pools: dict[int, PoolMap]
    wares: dict[Key, Ware]
    stalls: tuple[Stall, ...]
    windows: Table  # a row a stall: sellable start and end, lead, turnaround, start grid
    units: Ints  # a row a stall: what its block holds in all
    steps: Table  # stall, start, end, free; in order of stall and start

    @classmethod
    def build(cls, pools: dict[int, PoolMap], wares: dict[Key, Ware]) -> SearchMap:
        by_block = {ware.block_id: ware for ware in wares.values()}
        stalls: list[Stall] = []
        windows: Rows = []
        units: list[int] = []
        steps: list[Ints] = []
        for pool in pools.values():
            number = np.full(len(pool.blocks), NO_START, dtype=np.int64)
            for row, block_id in enumerate(pool.blocks[BLOCK_ID].tolist()):
                if block_id in by_block:
                    number[row] = len(stalls)
                    stalls.append(Stall(pool.facts, by_block[block_id]))
                    units.append(int(pool.blocks[BLOCK_UNITS][row]))
                    windows.append((*pool.blocks.columns[SELL_START:, row], *_margins(stalls[-1])))
            if len(pool.steps):
                columns = pool.steps.columns.copy()
                columns[STEP_BLOCK] = number[columns[STEP_BLOCK]]
                steps.append(columns[:, columns[STEP_BLOCK] != NO_START])
        return cls(
            pools=pools,
            wares=wares,
            stalls=tuple(stalls),
            windows=Table.of(windows, 5),
            units=np.array(units, dtype=np.int64),
            steps=Table(np.concatenate(steps, axis=1)) if steps else Table.of([], 4),
        )

    def first_starts(
        self, *, units: Ints, duration: int, earliest: int, latest_end: int, not_before: int
    ) -> Ints:
        """Each stall's first start, on its grid, at which its `units` stay free for the whole
        deal with lead and turnaround; NO_START where there is none. In microseconds.

        No lead begins before `not_before`: nodes cannot be prepared in the past.
        """
        count = len(self.stalls)
        first = np.full(count, NO_START, dtype=np.int64)
        if not count:
            return first
        row, start, end = self._free_runs(units)
        sell_start, sell_end, lead, turnaround, grid = self.windows.columns[:, row]
        low = np.maximum(np.maximum(start, not_before) + lead, np.maximum(sell_start, earliest))
        low = -(-low // grid) * grid  # up to the grid
        high = np.minimum(end - turnaround, np.minimum(sell_end, latest_end))
        fits = low + duration <= high
        rows, index = np.unique(row[fits], return_index=True)
        first[rows] = low[fits][index]
        return first

    def _free_runs(self, units: Ints) -> tuple[Ints, Ints, Ints]:
        """Stretches over which a stall has its `units` free: neighbouring steps joined."""
        row = self.steps[STEP_BLOCK]
        enough = self.steps[STEP_FREE] >= units[row]
        row = row[enough]
        start, end = self.steps[STEP_START][enough], self.steps[STEP_END][enough]
        joined = (row[1:] == row[:-1]) & (start[1:] == end[:-1])
        opens = np.concatenate([[True], ~joined])[: len(row)]
        closes = np.concatenate([~joined, [True]])[: len(row)]
        return row[opens], start[opens], end[closes]


def _margins(stall: Stall) -> tuple[int, int, int]:
    return stall.pool.lead_micros, stall.pool.turnaround_micros, stall.ware.grid_micros


_EMPTY = SearchMap.build({}, {})
_lock = threading.Lock()


class _Kept:
    """The process's map and when it was begun, swapped together."""

    pair: tuple[float, SearchMap] = (float("-inf"), _EMPTY)


def current(at: datetime) -> SearchMap:
    """The process's map, at most `SEARCH_MAP_SECONDS` old.

    Inside a transaction a map is made for that transaction alone: it may see rows that are
    never committed.
    """
    if connection.in_atomic_block:
        return refresh(_EMPTY, at)
    made, kept = _Kept.pair
    if time.monotonic() - made < settings.SEARCH_MAP_SECONDS:
        return kept
    with _lock:
        made, kept = _Kept.pair
        if time.monotonic() - made < settings.SEARCH_MAP_SECONDS:
            return kept  # another thread was faster
        began = time.monotonic()
        kept = refresh(kept, at)
        _Kept.pair = (began, kept)
    return kept


def refresh(old: SearchMap, at: datetime) -> SearchMap:
    """A map of what is committed now. Reads only what changed since the old one."""
    as_of = micros(at)
    found = loading.versions()
    pools: dict[int, PoolMap] = {}
    behind: dict[int, int] = {}
    unknown: dict[int, loading.Version] = {}
    for pool_id, version in found.items():
        pool = old.pools.get(pool_id)
        if pool is None or _is_another(pool, version) or pool.facts.failing:
            unknown[pool_id] = version
        elif pool.ver == version.ver:
            pools[pool_id] = pool.at(as_of)
        else:
            behind[pool_id] = pool.ver
    touched = loading.touched_claims(behind) if behind else {}
    changed = [claim for claims in touched.values() if claims for claim in claims]
    live = loading.live_claims(changed)
    nothing = Table.of([], 6)
    for pool_id in behind:
        claims = touched.get(pool_id)
        if claims is None:
            unknown[pool_id] = found[pool_id]
            continue
        pools[pool_id] = old.pools[pool_id].with_claims(
            claims, live.get(pool_id, nothing), found[pool_id].ver, as_of
        )
    pools.update(loading.pools(unknown, at))
    wares = shelf.read(old.wares)
    unchanged = wares is old.wares and pools.keys() == old.pools.keys()
    if unchanged and all(pools[key].steps is old.pools[key].steps for key in pools):
        return old
    return SearchMap.build(dict(sorted(pools.items())), wares)


def _is_another(pool: PoolMap, version: loading.Version) -> bool:
    return (
        pool.facts.public_id != version.public_id
        or pool.epoch != version.epoch
        or pool.ver > version.ver
    )
