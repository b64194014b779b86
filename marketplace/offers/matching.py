"""Which stalls of the search map fit a request, and why the others do not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from inventory.periods import LATEST, Period
from marketplace import discounts, money, policy
from marketplace.money import Price, Quote
from marketplace.offers.model import Code, OfferRequest
from marketplace.search_map import NO_START, Ints, SearchMap, Stall, Ware, instant, micros

_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Match:
    """A stall that fits: so many units, then, for so much."""

    stall: Stall
    unit_count: int
    period: Period
    quote: Quote

    @property
    def rank(self) -> tuple[int, datetime, int]:
        return self.quote.gross_minor, self.period.start, self.stall.ware.listing_id


@dataclass(frozen=True, slots=True)
class Reasons:
    """How many stalls each reason excluded, and what the nearest of them allows."""

    counts: Counter[Code] = field(default_factory=Counter)
    nearest: dict[Code, int] = field(default_factory=dict)

    def add(self, code: Code, allows: int | None = None) -> None:
        self.counts[code] += 1
        if allows is not None:
            nearer = max if code in ("too_many_units", "over_maximum_units", "too_long") else min
            self.nearest[code] = nearer(allows, self.nearest.get(code, allows))


def match(
    *, request: OfferRequest, map_: SearchMap, buyer_id: int | None, at: datetime
) -> tuple[list[Match], Reasons]:
    """The best matches in order, and why the other stalls are not among them.

    Exact: a stall is quoted unless a lower bound of its price says it cannot come among the
    first `limit`.
    """
    reasons = Reasons()
    units = np.array(
        [_units_of(request, stall, buyer_id, reasons) for stall in map_.stalls], dtype=np.int64
    )
    starts = map_.first_starts(
        units=np.where(units > 0, units, np.iinfo(np.int64).max),
        duration=request.hours * _HOUR,
        earliest=micros(_earliest(request, at)),
        latest_end=micros(request.latest_end),
        not_before=micros(at),
    )
    asked = np.flatnonzero(units > 0)
    fitting = asked[starts[asked] != NO_START]
    for row in asked[starts[asked] == NO_START].tolist():
        code = _why_not(request, map_, row, int(units[row]), at)
        reasons.add(code, int(map_.units[row]) if code == "too_many_units" else None)
    return _best(request, map_, fitting, units, starts, reasons), reasons


def _earliest(request: OfferRequest, at: datetime) -> datetime:
    """No offer starts before it could be held and confirmed."""
    return max(request.earliest_start, at + policy.SHORTEST_HOLD)


def _units_of(request: OfferRequest, stall: Stall, buyer_id: int | None, reasons: Reasons) -> int:
    """The stall's units for the request, 0 where it cannot match whatever is free."""
    ware = stall.ware
    code = _excluded(request, stall, buyer_id)
    if code is not None:
        reasons.add(code)
        return 0
    units = request.count // (stall.pool.unit_cards if request.counted == "cards" else 1)
    if units < ware.minimum_units:
        reasons.add("too_few_units", ware.minimum_units)
    elif ware.maximum_units is not None and units > ware.maximum_units:
        reasons.add("over_maximum_units", ware.maximum_units)
    elif past := (units - ware.minimum_units) % ware.unit_step:
        reasons.add("off_unit_step", units - past + ware.unit_step)
    elif request.hours < ware.minimum_hours:
        reasons.add("too_short", ware.minimum_hours)
    elif request.hours > ware.maximum_hours:
        reasons.add("too_long", ware.maximum_hours)
    elif past := (request.hours - ware.minimum_hours) % ware.hour_step:
        reasons.add("off_hour_step", request.hours - past + ware.hour_step)
    else:
        return units
    return 0


def _excluded(request: OfferRequest, stall: Stall, buyer_id: int | None) -> Code | None:
    """Why the stall is another thing than what was asked for, or None."""
    pool = stall.pool
    if request.chips and pool.chip_code not in request.chips:
        return "no_such_chip"
    if request.chip_class and pool.chip_class != request.chip_class:
        return "no_such_chip"
    if request.regions and pool.region not in request.regions:
        return "no_such_region"
    if request.hubs and pool.hub not in request.hubs:
        return "no_such_region"
    if pool.provider_id == buyer_id:
        return "own_listing"
    if stall.ware.price.currency != request.currency:
        return "other_currency"
    whole = pool.unit_cards == pool.cards_per_node
    if request.counted == "nodes" and not whole:
        return "no_whole_nodes"
    if request.counted == "cards" and request.count % pool.unit_cards:
        return "whole_nodes_only" if whole else "not_a_multiple"
    return None


def _why_not(request: OfferRequest, map_: SearchMap, row: int, units: int, at: datetime) -> Code:
    """Why a stall that sells such units has no start for them."""
    if request.latest_end <= at:
        return "window_over"
    earliest = _earliest(request, at)
    if request.latest_end - earliest < request.duration:
        return "window_too_short"
    if units > map_.units[row]:
        return "too_many_units"
    sell_start, sell_end = map_.windows.columns[:2, row].tolist()
    start, end = max(sell_start, micros(earliest)), min(sell_end, micros(request.latest_end))
    if end - start < request.hours * _HOUR:
        return "not_on_sale_then"
    grid = map_.stalls[row].ware.grid_micros
    return "sold_out" if end - -(-start // grid) * grid >= request.hours * _HOUR else "off_the_grid"


def _best(
    request: OfferRequest, map_: SearchMap, rows: Ints, units: Ints, starts: Ints, reasons: Reasons
) -> list[Match]:
    """Quotes in order of a lower bound, until no later one can come among the first."""
    bounds = sorted(
        (_least_minor(request, map_.stalls[row], int(units[row])), row) for row in rows.tolist()
    )
    matches: list[Match] = []
    worst: int | None = None
    for bound, row in bounds:
        if worst is not None and bound > worst:
            break
        found = _quoted(request, map_.stalls[row], int(units[row]), int(starts[row]))
        if found is None or _is_too_expensive(request, found.quote):
            reasons.add("too_expensive", found.quote.card_hour_micro if found else None)
            continue
        matches.append(found)
        if len(matches) >= request.limit:
            matches = sorted(matches, key=lambda match: match.rank)[: request.limit]
            worst = matches[-1].quote.gross_minor
    return sorted(matches, key=lambda match: match.rank)[: request.limit]


def _quoted(request: OfferRequest, stall: Stall, units: int, start: int) -> Match | None:
    begin = instant(start)
    period = Period(begin, begin + request.duration)
    try:
        quote = money.quote(
            price=_price(request, stall, units),
            unit_cards=stall.pool.unit_cards,
            cards_per_node=stall.pool.cards_per_node,
            unit_count=units,
            period=period,
        )
    except money.AmountTooLarge:
        return None
    return Match(stall=stall, unit_count=units, period=period, quote=quote)


def _price(request: OfferRequest, stall: Stall, units: int) -> Price:
    """The stall's price, less what it takes off for so long and so many cards."""
    ware: Ware = stall.ware
    off = discounts.share_off(
        ware.discounts, hours=request.hours, cards=units * stall.pool.unit_cards
    )
    return ware.price.less(off)


def _is_too_expensive(request: OfferRequest, quote: Quote) -> bool:
    limit = request.max_card_hour_micro
    return limit is not None and quote.card_hour_micro > limit


def _least_minor(request: OfferRequest, stall: Stall, units: int) -> int:
    """No quote of the stall is lower: hourly prices exactly, monthly ones by the longest month."""
    price = _price(request, stall, units)
    card_hours = units * stall.pool.unit_cards * request.hours
    least: int = price.amount_micro * card_hours * 10 ** money.exponent(price.currency)
    least = least * (money.WHOLE_BPS - price.discount_bps) // money.WHOLE_BPS
    if price.basis != "card_hour":
        least //= stall.pool.cards_per_node
    if price.basis == "node_month":
        least //= money.longest_month_hours(price.billing_zone)
    if not price.tax_inclusive:
        least = least * (money.WHOLE_BPS + price.vat_bps) // money.WHOLE_BPS
    return least // money.MICRO


def relaxed(request: OfferRequest, map_: SearchMap) -> list[tuple[tuple[str, ...], OfferRequest]]:
    """The request with one thing given up at a time, the smallest sacrifice first."""
    ways: list[tuple[tuple[str, ...], OfferRequest]] = []
    if request.cards is not None:
        ways += [
            (("cards",), replace(request, cards=cards)) for cards in _whole_nodes(request, map_)
        ]
    later = min(request.latest_end + max(timedelta(days=30), 2 * request.duration), LATEST)
    if later > request.latest_end:
        ways.append((("latest_end",), replace(request, latest_end=later)))
    if request.max_card_hour_micro is not None:
        ways.append((("max_card_hour_micro",), replace(request, max_card_hour_micro=None)))
    if places := tuple(name for name in ("regions", "hubs") if getattr(request, name)):
        ways.append((places, replace(request, regions=(), hubs=())))
    if request.chip_class:
        ways.append((("chip_class",), replace(request, chip_class="")))
    elif request.chips:
        classes = sorted(
            {
                stall.pool.chip_class
                for stall in map_.stalls
                if stall.pool.chip_code in request.chips
            }
        )
        ways += [
            (("chips",), replace(request, chips=(), chip_class=chip_class))
            for chip_class in classes
        ]
    return ways


def fewer(
    *, request: OfferRequest, map_: SearchMap, buyer_id: int | None, at: datetime
) -> OfferRequest | None:
    """The request for as many as there are, where what was asked for is too much."""

    def of(count: int) -> OfferRequest:
        change: dict[str, Any] = {request.counted: count}
        return replace(request, **change)

    def fits(count: int) -> bool:
        found = match(request=of(count), map_=map_, buyer_id=buyer_id, at=at)
        return bool(found[0])

    largest = max(map_.units.tolist(), default=0) * max(
        (stall.pool.unit_cards for stall in map_.stalls), default=0
    )
    least = most = min(request.count, largest + 1)
    while (least := least // 2) >= 1 and not fits(least):
        most = least
    if least < 1:
        return None
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return of(least)


def _whole_nodes(request: OfferRequest, map_: SearchMap) -> list[int]:
    """The card counts nearest above that the pools' units make up."""
    cards = request.cards or 0
    sizes = {stall.pool.unit_cards for stall in map_.stalls}
    return sorted({-(-cards // size) * size for size in sizes} - {cards})[:3]
