"""When could so many units be had for so long: every possible start, listing by listing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from django.conf import settings

from inventory.actors import Actor
from inventory.periods import Period
from marketplace import money, search_map
from marketplace.offers import screening
from marketplace.offers.model import OfferRequest, RangeTooLarge, Rejection
from marketplace.search_map import (
    HOUR,
    NO_START,
    Ask,
    Ints,
    Mask,
    Numbers,
    SearchMap,
    Stall,
    instant,
    micros,
)

LONGEST = timedelta(days=186)
MOST_WINDOWS = 50  # of one listing


@dataclass(frozen=True, slots=True)
class StartWindow:
    """Every start of the grid from the first to the last is possible, both included."""

    first_start_at: datetime
    last_start_at: datetime


@dataclass(frozen=True, slots=True)
class CalendarListing:
    """When one listing could start, and what it would cost at its first start."""

    stall: Stall
    unit_count: int
    hours: int
    start_grid_seconds: int
    card_hour_micro: int
    gross_minor: int
    windows: tuple[StartWindow, ...]
    window_count: int  # those beyond the shown ones too

    @property
    def card_count(self) -> int:
        return self.unit_count * self.stall.pool.unit_cards


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A day of the billing zone on which something could start."""

    date: date
    earliest_start_at: datetime
    listing_id: str  # which of them starts then; of several the cheapest
    listing_count: int  # how many could start on that day


@dataclass(frozen=True, slots=True)
class Calendar:
    """Listings by their first start, then by price; days in order, none without a start."""

    listings: tuple[CalendarListing, ...]
    days: tuple[CalendarDay, ...]
    rejections: tuple[Rejection, ...]
    match_count: int


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """Stretches of possible starts, in order of stall and start."""

    row: Ints
    first: Ints
    last: Ints
    grid: Ints

    def of(self, rows: Mask) -> _Windows:
        return _Windows(self.row[rows], self.first[rows], self.last[rows], self.grid[rows])


def calendar(*, request: OfferRequest, actor: Actor, at: datetime) -> Calendar:
    """Every start at which what was asked for could be had, over the request's window.

    Of a range of lengths the shortest counts. A highest price is held against a listing's
    least price. Advice, as a search is. Raises RangeTooLarge.
    """
    if request.latest_end - max(request.earliest_start, at) > LONGEST:
        raise RangeTooLarge(f"At most {LONGEST.days} days")
    map_ = search_map.current(at)
    goods = map_.goods
    found, units = screening.screen(request=request, map_=map_, buyer_id=actor.organisation_id)
    wanted = screening.ask(request=request, goods=goods, units=units, rows=found.fits, at=at)
    off = goods.share_off(units, wanted.shortest // HOUR)
    least = goods.least_micro(off)
    if (limit := request.max_card_hour_micro) is not None:
        found.exclude("too_expensive", np.asarray(least > limit, dtype=np.bool_))
        wanted = replace(wanted, units=np.where(found.fits, units, 0))
    row, first, last = map_.windows(wanted)
    starts = np.full(len(goods.stalls), NO_START, dtype=np.int64)
    opens = np.flatnonzero(np.diff(row, prepend=-1))
    starts[row[opens]] = first[opens]
    screening.without_a_start(found, wanted, starts, at)
    windows = _Windows(row, first, last, map_.grid(wanted)[row])
    reasons = found.reasons()
    return Calendar(
        listings=_listings(map_, request.limit, windows, starts, wanted, off, least),
        days=_days(map_, windows, least),
        rejections=reasons.rejections,
        match_count=len(goods.stalls) - reasons.counts.total(),
    )


def _listings(
    map_: SearchMap,
    limit: int,
    windows: _Windows,
    starts: Ints,
    wanted: Ask,
    off: Ints,
    least: Numbers,
) -> tuple[CalendarListing, ...]:
    order = sorted(
        np.unique(windows.row).tolist(),
        key=lambda row: (starts[row], least[row], map_.goods.listing[row]),
    )
    found = (
        _listing(
            map_.stalls[row],
            windows.of(windows.row == row),
            units=int(wanted.units[row]),
            hours=int(wanted.shortest[row]) // HOUR,
            off=int(off[row]),
        )
        for row in order[:limit]
    )
    return tuple(each for each in found if each is not None)


def _listing(
    stall: Stall, windows: _Windows, *, units: int, hours: int, off: int
) -> CalendarListing | None:
    start = instant(int(windows.first[0]))
    try:
        quote = money.quote(
            price=stall.ware.price.less(off),
            unit_cards=stall.pool.unit_cards,
            cards_per_node=stall.pool.cards_per_node,
            unit_count=units,
            period=Period(start, start + timedelta(hours=hours)),
        )
    except money.AmountTooLarge:
        return None
    pairs = zip(windows.first.tolist(), windows.last.tolist(), strict=True)
    return CalendarListing(
        stall=stall,
        unit_count=units,
        hours=hours,
        start_grid_seconds=int(windows.grid[0]) // 1_000_000,
        card_hour_micro=quote.card_hour_micro,
        gross_minor=quote.gross_minor,
        windows=tuple(
            StartWindow(instant(first), instant(last)) for first, last in list(pairs)[:MOST_WINDOWS]
        ),
        window_count=len(windows.row),
    )


def _days(map_: SearchMap, windows: _Windows, least: Numbers) -> tuple[CalendarDay, ...]:
    if not len(windows.row):
        return ()
    zone = ZoneInfo(settings.BILLING_ZONE)
    day = instant(int(windows.first.min())).astimezone(zone).date()
    over = instant(int(windows.last.max())).astimezone(zone).date()
    days = []
    while day <= over:
        following = day + timedelta(days=1)
        found = _day(windows, _midnight(day, zone), _midnight(following, zone), least)
        if found is not None:
            row, earliest, count = found
            days.append(CalendarDay(day, earliest, map_.stalls[row].ware.public_id, count))
        day = following
    return tuple(days)


def _day(
    windows: _Windows, start: int, end: int, least: Numbers
) -> tuple[int, datetime, int] | None:
    """The earliest start between two midnights: whose, when, and how many could start."""
    first = np.maximum(windows.first, -(-start // windows.grid) * windows.grid)
    open_ = (first <= windows.last) & (first < end)
    if not open_.any():
        return None
    rows, first = windows.row[open_], first[open_]
    earliest = first.min()
    row = min(rows[first == earliest].tolist(), key=lambda each: (least[each], each))
    return row, instant(int(earliest)), len(np.unique(rows))


def _midnight(day: date, zone: ZoneInfo) -> int:
    return micros(datetime(day.year, day.month, day.day, tzinfo=zone))
