"""Requests near one that nothing fits: each gives up one thing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from inventory.periods import LATEST
from marketplace.offers import screening
from marketplace.offers.model import OfferRequest
from marketplace.search_map import Ask, Ints, SearchMap

Way = tuple[tuple[str, ...], OfferRequest]
# What can be given up by itself, and what is asked instead: the smallest sacrifice first.
_ALONE: dict[str, Any] = {
    "start_grid_seconds": None,
    "max_card_hour_micro": None,
    "owners": (),
    "framework": "",
    "runtime": "",
    "driver": "",
    "minimum_interconnect_gbps": None,
    "minimum_memory_gib": None,
}
_KINDS: dict[str, Any] = {"regions": (), "hubs": (), "chips": (), "chip_class": ""}


def relaxed(request: OfferRequest, map_: SearchMap) -> Iterator[Way]:
    """The request with one thing given up at a time, the smallest sacrifice first; then with
    all that was asked for beside the size, the length and the window."""
    if request.cards is not None:
        for cards in _whole_nodes(request, map_):
            yield ("cards",), replace(request, cards=cards)
    later = min(request.latest_end + max(timedelta(days=30), 2 * request.shortest), LATEST)
    if later > request.latest_end:
        yield ("latest_end",), replace(request, latest_end=later)
    for name, instead in _ALONE.items():
        if getattr(request, name):
            yield (name,), replace(request, **{name: instead})
    if places := tuple(name for name in ("regions", "hubs") if getattr(request, name)):
        yield places, replace(request, regions=(), hubs=())
    if request.chip_class:
        yield ("chip_class",), replace(request, chip_class="")
    elif request.chips:
        for chip_class in _classes(request, map_) or [""]:
            yield ("chips",), replace(request, chips=(), chip_class=chip_class)
    asked = tuple(name for name in (*_ALONE, *_KINDS) if getattr(request, name))
    if len(asked) > 1:
        everything = {**_ALONE, **_KINDS}
        yield asked, replace(request, **{name: everything[name] for name in asked})


def fewer(
    *, request: OfferRequest, map_: SearchMap, buyer_id: int | None, at: datetime
) -> Iterator[Way]:
    """The request for as many as there are, the most first, where what was asked for is too much.

    Each stall is asked how many of its own units fit, so that a pool of whole nodes counts by
    nodes and one of slices by slices. A price that is too high shows only when it is quoted, so
    there may be several.
    """
    goods = map_.goods
    if request.counted == "cards":
        size = goods.unit_cards
    else:
        size = np.ones(len(goods.units), dtype=np.int64)
    most = np.minimum((request.count - 1) // size, goods.units)
    wanted = _ask(request, map_, buyer_id, most, at)
    counts: Ints = map_.most_units(wanted) * size
    for count in sorted(set(counts[counts > 0].tolist()), reverse=True):
        yield (request.counted,), replace(request, **{request.counted: count})


def shorter(
    *, request: OfferRequest, map_: SearchMap, buyer_id: int | None, at: datetime
) -> Iterator[Way]:
    """The request for as long as there is, the longest first, where what was asked for is more."""
    if request.shortest_hours == 1:
        return
    less = replace(request, hours=None, minimum_hours=1, maximum_hours=request.shortest_hours - 1)
    found, units = screening.screen(request=less, map_=map_, buyer_id=buyer_id)
    wanted = screening.ask(request=less, goods=map_.goods, units=units, rows=found.fits, at=at)
    _, hours = map_.fits(wanted)
    for count in sorted(set(hours[hours > 0].tolist()), reverse=True):
        yield ("hours",), replace(request, hours=count, minimum_hours=None, maximum_hours=None)


def _ask(
    request: OfferRequest, map_: SearchMap, buyer_id: int | None, units: Ints, at: datetime
) -> Ask:
    """Whatever the request's own count: what fits it otherwise, so many units of each."""
    found, _ = screening.screen(request=request, map_=map_, buyer_id=buyer_id, of_any_count=True)
    rows = found.fits & (units >= map_.goods.minimum_units)
    return screening.ask(request=request, goods=map_.goods, units=units, rows=rows, at=at)


def _classes(request: OfferRequest, map_: SearchMap) -> list[str]:
    return sorted(
        {stall.pool.chip_class for stall in map_.stalls if stall.pool.chip_code in request.chips}
    )


def _whole_nodes(request: OfferRequest, map_: SearchMap) -> list[int]:
    """The card counts nearest above that the pools' units make up."""
    cards = request.cards or 0
    sizes = set(np.unique(map_.goods.unit_cards).tolist())
    return sorted({-(-cards // size) * size for size in sizes} - {cards})[:3]
