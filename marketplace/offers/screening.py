"""Which stalls are what a request asks for, whatever is free of them; and why others are not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from marketplace import policy
from marketplace.offers.model import CODES, Code, OfferRequest, Rejection
from marketplace.search_map import HOUR, NO_START, UNKNOWN, Ask, Goods, Ints, Mask, SearchMap
from marketplace.search_map import micros as micros_of

_NUMBER = {code: number for number, code in enumerate(CODES, start=1)}


@dataclass(frozen=True, slots=True)
class Reasons:
    """How many stalls each reason excluded, and what the nearest of them allows."""

    counts: Counter[Code] = field(default_factory=Counter)
    nearest: dict[Code, int] = field(default_factory=dict)

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """As they are answered, the most frequent first."""
        return tuple(
            Rejection(code, count, self.nearest.get(code))
            for code, count in self.counts.most_common()
        )


class Screen:
    """A request held against every stall: the first reason that excludes each, or none."""

    def __init__(self, request: OfferRequest, map_: SearchMap) -> None:
        self.request, self.map = request, map_
        self.why = np.zeros(len(map_.stalls), dtype=np.int64)  # 0: it fits so far
        self._nearest: dict[Code, int] = {}

    @property
    def fits(self) -> Mask:
        fits: Mask = self.why == 0
        return fits

    def exclude(self, code: Code, rows: Mask, allows: Ints | None = None) -> None:
        """Those of the rows that nothing has excluded yet; `allows` is what they would take."""
        newly = rows & (self.why == 0)
        if not newly.any():
            return
        self.why[newly] = _NUMBER[code]
        if allows is not None:
            nearer = max if code in _AT_MOST else min
            self._nearest[code] = int(nearer(allows[newly].tolist()))

    def reasons(self) -> Reasons:
        found = np.bincount(self.why, minlength=len(CODES) + 1).tolist()
        counts: Counter[Code] = Counter(
            {code: found[number] for code, number in _NUMBER.items() if found[number]}
        )
        nearest = {code: value for code, value in self._nearest.items() if code in counts}
        return Reasons(counts, nearest)

    def nearest_of(self, code: Code) -> int | None:
        return self._nearest.get(code)

    def nearer(self, code: Code, allows: int) -> None:
        """One of the excluded allows this much."""
        self._nearest[code] = min(allows, self._nearest.get(code, allows))


# What a listing allows at most; of the others, at least.
_AT_MOST = (
    "too_many_units",
    "over_maximum_units",
    "too_long",
    "too_little_memory",
    "too_little_bandwidth",
)


def screen(
    *, request: OfferRequest, map_: SearchMap, buyer_id: int | None, of_any_count: bool = False
) -> tuple[Screen, Ints]:
    """What each stall is, and the units of each that the request comes to.

    `of_any_count` leaves out how many are asked for.
    """
    found = Screen(request, map_)
    goods = map_.goods
    _kinds(found, request, goods, buyer_id)
    units = _units(found, request, goods, of_any_count)
    _stacks(found, request, goods)
    if not of_any_count:
        found.exclude("too_few_units", units < goods.minimum_units, goods.minimum_units)
        found.exclude("over_maximum_units", units > goods.maximum_units, goods.maximum_units)
        past = (units - goods.minimum_units) % goods.unit_step
        found.exclude("off_unit_step", past != 0, units - past + goods.unit_step)
    shortest, longest = _lengths(request, goods)
    asked = request.longest_hours, request.shortest_hours
    found.exclude("too_short", goods.minimum_hours > asked[0], goods.minimum_hours)
    found.exclude("too_long", goods.maximum_hours < asked[1], goods.maximum_hours)
    found.exclude("off_hour_step", shortest > longest, shortest)
    return found, units


def ask(*, request: OfferRequest, goods: Goods, units: Ints, rows: Mask, at: datetime) -> Ask:
    """The request as the map is asked it, of these rows."""
    shortest, longest = _lengths(request, goods)
    return Ask(
        units=np.where(rows, units, 0),
        shortest=shortest * HOUR,
        longest=longest * HOUR,
        earliest=micros_of(earliest(request, at)),
        latest_end=micros_of(request.latest_end),
        not_before=micros_of(at),
        grid=(request.start_grid_seconds or 0) * 1_000_000 or 1,
    )


def _lengths(request: OfferRequest, goods: Goods) -> tuple[Ints, Ints]:
    """The shortest and the longest lease that each stall sells of those asked for."""
    least, step = goods.minimum_hours, goods.hour_step
    above = np.maximum(request.shortest_hours, least) - least
    most = np.minimum(request.longest_hours, goods.maximum_hours) - least
    return least + -(-above // step) * step, least + most // step * step


def earliest(request: OfferRequest, at: datetime) -> datetime:
    """No offer starts before it could be held and confirmed."""
    return max(request.earliest_start, at + policy.SHORTEST_HOLD)


def without_a_start(found: Screen, wanted: Ask, starts: Ints, at: datetime) -> None:
    """Says of the stalls that sell such units why they have no start for them."""
    request, goods = found.request, found.map.goods
    none = starts == NO_START
    over = request.latest_end <= at
    short = micros_of(request.latest_end) - wanted.earliest < wanted.shortest
    start = np.maximum(goods.sell_start, wanted.earliest)
    end = np.minimum(goods.sell_end, wanted.latest_end)
    grid = found.map.grid(wanted)
    found.exclude("window_over", none & over)
    found.exclude("window_too_short", none & short)
    found.exclude("too_many_units", none & (wanted.units > goods.units), goods.units)
    found.exclude("not_on_sale_then", none & (end - start < wanted.shortest))
    found.exclude("off_the_grid", none & (end - -(-start // grid) * grid < wanted.shortest))
    found.exclude("sold_out", none)


def _kinds(found: Screen, request: OfferRequest, goods: Goods, buyer_id: int | None) -> None:
    if request.chips:
        found.exclude("no_such_chip", ~goods.chip.among(request.chips))
    if request.chip_class:
        found.exclude("no_such_chip", ~goods.chip_class.among([request.chip_class]))
    if (memory := request.minimum_memory_gib) is not None:
        found.exclude("too_little_memory", goods.memory < memory, goods.memory)
    if (bandwidth := request.minimum_interconnect_gbps) is not None:
        unknown = goods.bandwidth == UNKNOWN
        found.exclude(
            "too_little_bandwidth", ~unknown & (goods.bandwidth < bandwidth), goods.bandwidth
        )
        found.exclude("bandwidth_unknown", unknown)
    if request.regions:
        found.exclude("no_such_region", ~goods.region.among(request.regions))
    if request.hubs:
        found.exclude("no_such_region", ~goods.hub.among(request.hubs))
    if request.owners:
        found.exclude("no_such_owner", ~goods.owner.among(request.owners))
    if buyer_id is not None:
        found.exclude("own_listing", goods.provider == buyer_id)
    found.exclude("other_currency", ~goods.currency.among([request.currency]))


def _units(found: Screen, request: OfferRequest, goods: Goods, of_any_count: bool) -> Ints:
    whole = goods.unit_cards == goods.node_cards
    if request.counted == "nodes":
        found.exclude("no_whole_nodes", ~whole)
    if request.counted != "cards":
        return np.full(len(whole), request.count, dtype=np.int64)
    if not of_any_count:
        odd = request.count % goods.unit_cards != 0
        found.exclude("whole_nodes_only", odd & whole)
        found.exclude("not_a_multiple", odd)
    return request.count // goods.unit_cards


def _stacks(found: Screen, request: OfferRequest, goods: Goods) -> None:
    wanted = {
        name: asked
        for name in ("driver", "runtime", "framework")
        if (asked := getattr(request, name))
    }
    if not wanted or not len(goods.stack):
        return
    other, unknown = [], []
    for stack in goods.stacks:
        versions = [(getattr(stack, name), asked) for name, asked in wanted.items()]
        other.append(any(v and not runs(v, asked) for each, asked in versions for v in each))
        unknown.append(any(not each or "" in each for each, _ in versions))
    found.exclude("other_software", np.array(other, dtype=np.bool_)[goods.stack])
    found.exclude("software_unknown", np.array(unknown, dtype=np.bool_)[goods.stack])


def runs(version: str, asked: str) -> bool:
    """Whether a version begins with what was asked for, whole parts only, in any case."""
    version, asked = version.casefold(), asked.casefold()
    return version.startswith(asked) and (
        len(version) == len(asked) or not (version[len(asked)].isalnum() and asked[-1].isalnum())
    )
