"""How many units of some stalls are free over a period: for who tries many periods in a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marketplace.search_map.goods import Mask
from marketplace.search_map.map import SearchMap
from marketplace.search_map.pool_map import Ints

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """The steps of the stalls asked for, cut out of the map once. Immutable."""

    stalls: Ints  # their rows on the map
    of: Ints  # by step, which of them
    first: Ints  # by stall, its first step
    start: Ints
    until: Ints
    free: Ints

    @classmethod
    def of_stalls(cls, map_: SearchMap, asked: Mask) -> Room:
        kept = np.repeat(asked, map_.lengths)
        lengths, start = map_.lengths[asked], map_.start[kept]
        first = np.cumsum(lengths) - lengths
        until = np.append(start[1:], _NEVER)
        until[np.cumsum(lengths) - 1] = _NEVER  # the step that ends a stall
        return cls(
            stalls=np.flatnonzero(asked),
            of=np.repeat(np.arange(len(lengths), dtype=np.int64), lengths),
            first=first,
            start=start,
            until=until,
            free=map_.free[kept].astype(np.int64),
        )

    def over(self, begin: Ints, end: Ints) -> Ints:
        """By stall, the fewest units that are free at any time of its period; 0 where it is not
        open over all of it."""
        if not len(self.stalls):
            return np.zeros(0, dtype=np.int64)
        inside = (self.start < end[self.of]) & (self.until > begin[self.of])
        least = np.minimum.reduceat(np.where(inside, self.free, _NEVER), self.first)
        opened = self.start[self.first] <= begin
        found: Ints = np.where(opened & (least < _NEVER), np.maximum(least, 0), 0)
        return found
