"""Which stalls of the search map fit a request best, and why the others do not."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from inventory.periods import Period
from marketplace import money
from marketplace.money import Quote
from marketplace.offers import screening
from marketplace.offers.model import Mark, OfferRequest
from marketplace.offers.screening import Reasons, Screen
from marketplace.search_map import Ints, Numbers, SearchMap, Stall, instant

Rank = tuple[int, int, int]  # price, start, listing


@dataclass(frozen=True, slots=True)
class Match:
    """A stall that fits: so many units, then, for so much."""

    stall: Stall
    unit_count: int
    period: Period
    quote: Quote
    rank: Rank
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Matches:
    """The best of them in order, and why the other stalls are not among those that fit."""

    best: list[Match]
    reasons: Reasons
    fit_count: int  # those beyond the limit too, of which none is held against a price


@dataclass(slots=True)
class _Race:
    """Stalls that fit, quoted one by one in order of the least that each can cost."""

    request: OfferRequest
    found: Screen
    units: Ints
    starts: Ints
    hours: Ints
    off: Ints  # basis points off for so long and so many
    least_micro: Numbers
    quoted: dict[int, Match | None] = field(default_factory=dict)  # None: too dear

    def quote(self, row: int) -> Match | None:
        """The stall's match; None, and excluded, where it costs more than the request allows."""
        if row not in self.quoted:
            self.quoted[row] = self._quote(row)
        return self.quoted[row]

    def _quote(self, row: int) -> Match | None:
        stall = self.found.map.stalls[row]
        begin = instant(int(self.starts[row]))
        period = Period(begin, begin + timedelta(hours=int(self.hours[row])))
        limit = self.request.max_card_hour_micro
        try:
            quote = quote_of(stall, int(self.units[row]), period, int(self.off[row]))
        except money.AmountTooLarge:
            self._exclude(row)
            return None
        if limit is not None and quote.card_hour_micro > limit:
            self._exclude(row)
            self.found.nearer("too_expensive", quote.card_hour_micro)
            return None
        price = quote.card_hour_micro if self.request.is_range else quote.gross_minor
        return Match(
            stall=stall,
            unit_count=int(self.units[row]),
            period=period,
            quote=quote,
            rank=(price, int(self.starts[row]), stall.ware.listing_id),
        )

    def _exclude(self, row: int) -> None:
        rows = np.zeros(len(self.units), dtype=np.bool_)
        rows[row] = True
        self.found.exclude("too_expensive", rows)


def quote_of(stall: Stall, unit_count: int, period: Period, off_bps: int) -> Quote:
    """What so many units of a stall cost over a period. Raises AmountTooLarge."""
    return money.quote(
        price=stall.ware.price.less(off_bps),
        unit_cards=stall.pool.unit_cards,
        cards_per_node=stall.pool.cards_per_node,
        unit_count=unit_count,
        period=period,
    )


def match(*, request: OfferRequest, map_: SearchMap, buyer_id: int | None, at: datetime) -> Matches:
    """The best matches in order, and why the other stalls are not among them.

    Exact: a stall is quoted unless a lower bound of its price says it cannot come among the
    first `limit`. The first of them is marked the cheapest, and the earliest of all that fit is
    among them, if need be as the last.
    """
    found, units = screening.screen(request=request, map_=map_, buyer_id=buyer_id)
    wanted = screening.ask(request=request, goods=map_.goods, units=units, rows=found.fits, at=at)
    starts, hours = map_.fits(wanted)
    screening.without_a_start(found, wanted, starts, at)
    off = map_.goods.share_off(units, hours)
    race = _Race(request, found, units, starts, hours, off, map_.goods.least_micro(off))
    _drop_too_dear(race)
    best = _best(race)
    reasons = found.reasons()
    return Matches(best, reasons, len(map_.stalls) - reasons.counts.total())


def _drop_too_dear(race: _Race) -> None:
    """Excludes what costs more than the request allows at the very least.

    The nearest of them is what the cheapest would cost: known of an hourly price, quoted of a
    monthly one while it may still be the nearest.
    """
    limit, goods = race.request.max_card_hour_micro, race.found.map.goods
    if limit is None:
        return
    least = race.least_micro
    dear = race.found.fits & np.asarray(least > limit, dtype=np.bool_)
    if not dear.any():
        return
    exact = goods.rate_is_exact
    if (dear & exact).any():
        race.found.nearer("too_expensive", int(least[dear & exact].min()))
    nearest = race.found.nearest_of("too_expensive")
    monthly = np.flatnonzero(dear & ~exact)
    for row in monthly[np.argsort(least[monthly], kind="stable")].tolist():
        if nearest is not None and least[row] >= nearest:
            break
        race.quote(row)
        nearest = race.found.nearest_of("too_expensive")
    race.found.exclude("too_expensive", dear)


def _best(race: _Race) -> list[Match]:
    rows = np.flatnonzero(race.found.fits)
    if not len(rows):
        return []
    goods, limit = race.found.map.goods, race.request.limit
    if race.request.is_range:
        bounds = race.least_micro[rows]
    else:
        card_hours = race.units[rows] * goods.unit_cards[rows] * race.hours[rows]
        bounds = goods.least_minor(rows, card_hours, race.off[rows])
    starts, listings = race.starts[rows], goods.listing[rows]
    best = _cheapest(race, _in_order(rows, bounds, starts, listings), limit)
    if not best:
        return []
    earliest = _earliest(race, _in_order(rows, starts, bounds, listings))
    if earliest is not None and all(earliest.stall is not found.stall for found in best):
        best = [*best[: max(1, limit - 1)], earliest][:limit]
    return _marked(best, earliest)


def _in_order(rows: Ints, *columns: Numbers) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Row and rank, by the first column, then the next; few are ever looked at."""
    if any(column.dtype == object for column in columns):
        ranks = list(zip(*(column.tolist() for column in columns), strict=True))
        order = sorted(range(len(ranks)), key=ranks.__getitem__)
    else:
        order = np.lexsort(columns[::-1]).tolist()
    return ((int(rows[at]), tuple(int(column[at]) for column in columns)) for at in order)


def _cheapest(
    race: _Race, places: Iterator[tuple[int, tuple[int, ...]]], limit: int
) -> list[Match]:
    """`places` come by least price, start and listing: no stall ranks before its place."""
    best: list[Match] = []
    for row, place in places:
        if len(best) >= limit and place > best[-1].rank:
            break
        found = race.quote(row)
        if found is not None:
            insort(best, found, key=lambda each: each.rank)
            del best[limit:]
    return best


def _earliest(race: _Race, places: Iterator[tuple[int, tuple[int, ...]]]) -> Match | None:
    """Of what starts first, the cheapest. `places` come by start, least price and listing."""
    first: Match | None = None
    for row, (start, bound, listing) in places:
        if first is not None:
            price, starts, number = first.rank
            if start > starts or (bound, listing) > (price, number):
                break
        found = race.quote(row)
        if found is not None and (first is None or found.rank < first.rank):
            first = found
    return first


def _marked(best: list[Match], earliest: Match | None) -> list[Match]:
    marked = []
    for place, found in enumerate(best):
        marks: list[Mark] = ["cheapest"] if place == 0 else []
        if earliest is not None and found.stall is earliest.stall:
            marks.append("earliest")
        marked.append(replace(found, marks=tuple(marks)) if marks else found)
    return marked
