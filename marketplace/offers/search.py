"""The search: from a request to ranked, dated, priced and signed offers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, islice

from inventory.actors import Actor
from inventory.periods import LATEST
from marketplace import policy, search_map
from marketplace.offers import drafting, matching, relaxing, splitting
from marketplace.offers.matching import Match
from marketplace.offers.model import (
    Alternative,
    Offer,
    OfferRequest,
    OfferResults,
    Split,
)
from marketplace.offers.tokens import OfferClaim
from marketplace.search_map import SearchMap

MOST_ALTERNATIVES = 5
MOST_NEXT = 3
_MOST_TRIES = 4  # counts or lengths that are quoted before one is found that is not too dear

_Try = tuple[tuple[str, ...], list[Match]]

logger = logging.getLogger(__name__)


def search(*, request: OfferRequest, actor: Actor, at: datetime) -> OfferResults:
    """What the market would sell for a request now, the cheapest first, then the earliest.

    Reads the process's map, which may be some hundred milliseconds old: the claim decides.
    An organisation is not offered its own capacity.
    """
    map_ = search_map.current(at)
    buyer_id = actor.organisation_id
    found = matching.match(request=request, map_=map_, buyer_id=buyer_id, at=at)
    near = [] if found.best else _near(request, map_, buyer_id, at)
    parts = []
    if not (found.best or request.one_fabric):
        parts = splitting.split(request=request, map_=map_, buyer_id=buyer_id, at=at)
    lapsed = _lapsed_count(actor, at) if found.best or near or parts else 0
    return OfferResults(
        offers=tuple(drafting.draft(each, map_, lapsed, at) for each in found.best),
        rejections=found.reasons.rejections,
        alternatives=tuple(
            Alternative(changed, drafting.draft(each, map_, lapsed, at)) for changed, each in near
        ),
        match_count=found.fit_count,
        split=_drafted(parts, map_, lapsed, at) if parts else None,
    )


def next_best(
    *, claim: OfferClaim, actor: Actor, lapsed_count: int, at: datetime
) -> tuple[Offer, ...]:
    """Up to three fresh offers for the need behind an offer that can no longer be held.

    The same cards of the same chip for as long, from the same start on and within 30 days
    after it. Never raises, reads nothing but the process's map where it is fresh: the
    transaction of the refused hold may be spent.
    """
    try:
        return _next_best(claim, actor, lapsed_count, at)
    except Exception:
        # The refusal it goes with is worth more than what comes with it.
        logger.exception("Nothing could be offered instead")
        return ()


def _next_best(
    claim: OfferClaim, actor: Actor, lapsed_count: int, at: datetime
) -> tuple[Offer, ...]:
    map_ = search_map.glance(at)
    stall = next((each for each in map_.stalls if each.ware.public_id == claim.listing_id), None)
    if stall is None:
        return ()
    need = OfferRequest(
        hours=max(1, claim.period.seconds // 3600),
        earliest_start=claim.period.start,
        latest_end=min(claim.period.end + timedelta(days=30), LATEST),
        cards=claim.unit_count * stall.pool.unit_cards,
        chips=(stall.pool.chip_code,),
        currency=stall.ware.price.currency,
        limit=MOST_NEXT + 1,
    )
    found = matching.match(request=need, map_=map_, buyer_id=actor.organisation_id, at=at)
    fresh = [
        each
        for each in found.best
        # What was just refused may still stand on the map.
        if (each.stall.ware.public_id, each.period.start) != (claim.listing_id, claim.period.start)
    ]
    return tuple(drafting.draft(each, map_, lapsed_count, at) for each in fresh[:MOST_NEXT])


def _drafted(parts: list[Match], map_: SearchMap, lapsed: int, at: datetime) -> Split:
    return Split(tuple(drafting.draft(part, map_, lapsed, at) for part in parts))


def _near(
    request: OfferRequest, map_: SearchMap, buyer_id: int | None, at: datetime
) -> list[tuple[tuple[str, ...], Match]]:
    """Matches of the request with one thing given up, no stall twice."""
    near: list[tuple[tuple[str, ...], Match]] = []
    seen: set[int] = set()

    def matches(other: OfferRequest) -> list[Match]:
        wanted = replace(other, limit=2)
        return matching.match(request=wanted, map_=map_, buyer_id=buyer_id, at=at).best

    fewer = relaxing.fewer(request=request, map_=map_, buyer_id=buyer_id, at=at)
    shorter = relaxing.shorter(request=request, map_=map_, buyer_id=buyer_id, at=at)
    tries = chain(
        ((changed, matches(other)) for changed, other in relaxing.relaxed(request, map_)),
        _first_found((changed, matches(other)) for changed, other in fewer),
        _first_found((changed, matches(other)) for changed, other in shorter),
    )
    for changed, best in tries:
        for found in best:
            if found.stall.ware.listing_id not in seen:
                seen.add(found.stall.ware.listing_id)
                near.append((changed, found))
        if len(near) >= MOST_ALTERNATIVES:
            break
    return near[:MOST_ALTERNATIVES]


def _first_found(tries: Iterator[_Try]) -> Iterator[_Try]:
    """The first of a few tries that found something."""
    return islice((each for each in islice(tries, _MOST_TRIES) if each[1]), 1)


def _lapsed_count(actor: Actor, at: datetime) -> int:
    """What holding costs this tenant depends on how many holds it let lapse."""
    tenant_id = actor.organisation_id
    return policy.lapsed_count(tenant_id, at) if tenant_id else 0
