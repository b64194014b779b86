"""What is free, for every pool at once, in memory: a search answers from here.

One immutable map a process, swapped whole and at most `SEARCH_MAP_SECONDS` old. It is fed by
each pool's version and events and by the journal, takes no lock, and is advice: the claim
decides.
"""

from marketplace.search_map.following import EMPTY, refresh
from marketplace.search_map.goods import UNKNOWN, Goods, Mask, Numbers, Stall
from marketplace.search_map.keeping import current, forget, glance, keep
from marketplace.search_map.map import HOUR, NO_START, Ask, SearchMap
from marketplace.search_map.pool_map import (
    OUT_END,
    OUT_NODES,
    OUT_START,
    SELL_END,
    SELL_START,
    STEP_BLOCK,
    STEP_END,
    STEP_FREE,
    STEP_START,
    Catalogue,
    Faults,
    Ints,
    PoolFacts,
    PoolMap,
    Stack,
    instant,
    micros,
)
from marketplace.search_map.room import Room
from marketplace.search_map.shelf import Ware

__all__ = [
    "EMPTY",
    "HOUR",
    "NO_START",
    "OUT_END",
    "OUT_NODES",
    "OUT_START",
    "SELL_END",
    "SELL_START",
    "STEP_BLOCK",
    "STEP_END",
    "STEP_FREE",
    "STEP_START",
    "UNKNOWN",
    "Ask",
    "Catalogue",
    "Faults",
    "Goods",
    "Ints",
    "Mask",
    "Numbers",
    "PoolFacts",
    "PoolMap",
    "Room",
    "SearchMap",
    "Stack",
    "Stall",
    "Ware",
    "current",
    "forget",
    "glance",
    "instant",
    "keep",
    "micros",
    "refresh",
]
