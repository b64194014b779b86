"""A request met by several listings at once, where one fabric is not asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

import numpy as np

from inventory.periods import Period
from marketplace import money
from marketplace.offers import screening
from marketplace.offers.matching import Match, quote_of
from marketplace.offers.model import OfferRequest
from marketplace.search_map import HOUR, Ask, Ints, Mask, Room, SearchMap, instant

LEAST_PARTS = 2  # one would have been an offer
MOST_PARTS = 8
MOST_STARTS = 64  # that are tried; of more, so many spread over the window


@dataclass(frozen=True, slots=True)
class _Part:
    """So many units of a stall; `size` is what a unit of it counts for."""

    stall: int
    units: int
    size: int

    @property
    def count(self) -> int:
        return self.units * self.size


def split(
    *, request: OfferRequest, map_: SearchMap, buyer_id: int | None, at: datetime
) -> list[Match]:
    """The request in as few parts as it can be had, all of one chip, with one start and length.

    Of equally few parts the first start counts. Every part is a listing's own deal, in a fabric
    of its own as a rule, and sells as that listing sells. Of a range of hours the shortest is
    taken. Empty where no eight listings have as much together; exact but for the starts: of very
    many, some are tried.
    """
    found, _ = screening.screen(request=request, map_=map_, buyer_id=buyer_id, of_any_count=True)
    goods = map_.goods
    units = np.where(found.fits, goods.units, 0)
    wanted = screening.ask(request=request, goods=goods, units=units, rows=found.fits, at=at)
    length = request.shortest_hours * HOUR
    asked = found.fits & (wanted.shortest == length)
    if request.max_card_hour_micro is not None:
        asked &= np.asarray(
            goods.least_micro(goods.share_off(units, wanted.shortest // HOUR))
            <= request.max_card_hour_micro,
            dtype=np.bool_,
        )
    room = Room.of_stalls(map_, asked)
    best: list[Match] = []
    most = MOST_PARTS
    for start in _starts(map_, room, wanted, length):
        parts = _parts_at(start, length, request, map_, room, wanted, most)
        matches = _quoted(parts, start, request, map_) if parts else []
        if matches:
            best, most = matches, len(matches) - 1
            if most < LEAST_PARTS:
                break
    return best


def _starts(map_: SearchMap, room: Room, wanted: Ask, length: int) -> list[int]:
    """Where more may be free than before: the first possible start, and after each step."""
    goods, grid = map_.goods, map_.grid(wanted)
    rows = room.stalls[room.of]
    low = np.maximum(room.start, wanted.not_before) + goods.lead[rows]
    low = np.maximum(low, np.maximum(goods.sell_start[rows], wanted.earliest))
    low = -(-low // grid[rows]) * grid[rows]
    starts = np.unique(low[low + length <= wanted.latest_end])
    if len(starts) > MOST_STARTS:
        starts = starts[np.linspace(0, len(starts) - 1, MOST_STARTS).astype(np.int64)]
    return [int(start) for start in starts]


def _parts_at(
    start: int,
    length: int,
    request: OfferRequest,
    map_: SearchMap,
    room: Room,
    wanted: Ask,
    most: int,
) -> list[_Part]:
    """The fewest parts at that start; none where it takes more than `most`."""
    goods, rows = map_.goods, room.stalls
    begin, end = start - goods.lead[rows], start + length + goods.turnaround[rows]
    open_: Mask = (
        (start % map_.grid(wanted)[rows] == 0)
        & (begin >= wanted.not_before)
        & (goods.sell_start[rows] <= start)
        & (goods.sell_end[rows] >= start + length)
    )
    free = np.minimum(room.over(begin, end), goods.maximum_units[rows])
    least, step = goods.minimum_units[rows], goods.unit_step[rows]
    units: Ints = np.where(open_ & (free >= least), least + (free - least) // step * step, 0)
    sizes = goods.unit_cards[rows] if request.counted == "cards" else np.ones_like(units)
    best: list[_Part] = []
    for group in _groups(request, map_, rows, units > 0):
        order = group[np.lexsort((goods.list_micro[rows[group]], -(units * sizes)[group]))]
        whole = [_Part(int(rows[i]), int(units[i]), int(sizes[i])) for i in order]
        parts = _fewest(whole, request.count, map_, most)
        if parts and (not best or len(parts) < len(best)):
            best, most = parts, len(parts) - 1
    return best


def _groups(request: OfferRequest, map_: SearchMap, rows: Ints, have: Mask) -> Iterator[Ints]:
    """Stalls that may be parts of one deal: one chip, and units of one size where units count."""
    by: dict[tuple[str, int], list[int]] = {}
    for place in np.flatnonzero(have).tolist():
        pool = map_.stalls[rows[place]].pool
        key = (pool.chip_code, pool.unit_cards if request.counted == "units" else 0)
        by.setdefault(key, []).append(place)
    for key in sorted(by):
        yield np.array(by[key], dtype=np.int64)


def _fewest(whole: Sequence[_Part], count: int, map_: SearchMap, most: int) -> list[_Part]:
    """The largest first, until the rest fits a last one exactly; none where more than `most`."""
    have = list(accumulate(part.count for part in whole))
    for number in range(LEAST_PARTS, min(most, len(whole)) + 1):
        if have[number - 1] < count:
            continue
        before = list(whole[: number - 1])
        rest = count - sum(part.count for part in before)
        for last in sorted(whole[number - 1 :], key=lambda part: _price(part, map_)):
            parts = _with_last(before, last, rest, map_)
            if parts:
                return parts
    return []


def _price(part: _Part, map_: SearchMap) -> tuple[float, int]:
    return float(map_.goods.list_micro[part.stall]), part.stall


def _with_last(before: list[_Part], last: _Part, rest: int, map_: SearchMap) -> list[_Part]:
    """The parts with what is left of the last one; the largest gives up what the last one needs
    to be sold at all."""
    least, step = _rule(last, map_)
    first = before[0]
    first_least, first_step = _rule(first, map_)
    enough = max(0, -rest) + (least + step) * last.size
    for given_up in range(0, enough, first.size):
        units, odd = divmod(rest + given_up, last.size)
        kept = first.units - given_up // first.size
        if odd or not least <= units <= last.units:
            continue
        if (units - least) % step or kept < first_least or (kept - first_least) % first_step:
            continue
        smaller = _Part(first.stall, kept, first.size)
        return [smaller, *before[1:], _Part(last.stall, units, last.size)]
    return []


def _rule(part: _Part, map_: SearchMap) -> tuple[int, int]:
    """The fewest units that its listing sells, and its step."""
    return int(map_.goods.minimum_units[part.stall]), int(map_.goods.unit_step[part.stall])


def _quoted(
    parts: Sequence[_Part], start: int, request: OfferRequest, map_: SearchMap
) -> list[Match]:
    """The parts as they are sold; none where one of them costs more than may be paid."""
    begin = instant(start)
    period = Period(begin, begin + request.shortest)
    units = np.zeros(len(map_.stalls), dtype=np.int64)
    units[[part.stall for part in parts]] = [part.units for part in parts]
    off = map_.goods.share_off(units, np.full_like(units, request.shortest_hours))
    limit = request.max_card_hour_micro
    matches = []
    for part in parts:
        stall = map_.stalls[part.stall]
        try:
            quote = quote_of(stall, part.units, period, int(off[part.stall]))
        except money.AmountTooLarge:
            return []
        if limit is not None and quote.card_hour_micro > limit:
            return []
        rank = (quote.gross_minor, start, stall.ware.listing_id)
        matches.append(Match(stall, part.units, period, quote, rank))
    return matches
