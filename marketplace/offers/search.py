"""The search: from a request to ranked, dated, priced and signed offers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, islice

from django.conf import settings

from inventory.actors import Actor
from inventory.periods import LATEST
from marketplace import policy, search_map
from marketplace.offers import matching, relaxing, schedules, tokens
from marketplace.offers.matching import Match
from marketplace.offers.model import (
    UNKNOWN,
    Alternative,
    Fact,
    Offer,
    OfferRequest,
    OfferResults,
    Rejection,
)
from marketplace.offers.tokens import OfferClaim
from marketplace.search_map import Catalogue, SearchMap, Stack

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
    lapsed = _lapsed_count(actor, at) if found.best or near else 0
    return OfferResults(
        offers=tuple(_offer(each, map_, lapsed, at) for each in found.best),
        rejections=tuple(
            Rejection(code, count, found.reasons.nearest.get(code))
            for code, count in found.reasons.counts.most_common()
        ),
        alternatives=tuple(
            Alternative(changed, _offer(each, map_, lapsed, at)) for changed, each in near
        ),
        match_count=found.fit_count,
    )


def next_best(*, claim: OfferClaim, actor: Actor, at: datetime) -> tuple[Offer, ...]:
    """Up to three fresh offers for the need behind an offer that can no longer be held.

    The same cards of the same chip for as long, from the same start on and within 30 days
    after it. Never raises and locks nothing; reads the process's map where it is fresh.
    """
    try:
        return _next_best(claim, actor, at)
    except Exception:
        # The refusal it goes with is worth more than what comes with it.
        logger.exception("Nothing could be offered instead")
        return ()


def _next_best(claim: OfferClaim, actor: Actor, at: datetime) -> tuple[Offer, ...]:
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
    lapsed = _lapsed_count(actor, at) if fresh else 0
    return tuple(_offer(each, map_, lapsed, at) for each in fresh[:MOST_NEXT])


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


def _offer(found: Match, map_: SearchMap, lapsed_count: int, at: datetime) -> Offer:
    ware, quote, pool, period = found.stall.ware, found.quote, found.stall.pool, found.period
    expires_at = at + timedelta(seconds=settings.OFFER_SECONDS)
    hold, bank = policy.ways_to_hold(
        lapsed_count=lapsed_count,
        at=at,
        start=period.start,
        lead_seconds=pool.lead_micros // 1_000_000,
    )
    claim = OfferClaim(
        listing_id=ware.public_id,
        price_id=ware.price_id,
        terms_id=ware.terms_id,
        unit_count=found.unit_count,
        period=period,
        expires_at=expires_at,
    )
    return Offer(
        token=tokens.sign(claim),
        expires_at=expires_at,
        marks=found.marks,
        listing_id=ware.public_id,
        pool_id=pool.public_id,
        pool_name=pool.catalogue.name,
        centre_name=pool.catalogue.centre_name,
        centre_name_en=pool.catalogue.centre_name_en,
        owner_kind=pool.owner_kind,
        region=pool.region,
        hub=pool.hub,
        chip=pool.chip_code,
        memory_gib=pool.memory_gib,
        interconnect_gbps=pool.interconnect_gbps,
        unit_cards=pool.unit_cards,
        cards_per_node=pool.cards_per_node,
        unit_count=found.unit_count,
        card_count=quote.card_count,
        start_at=period.start,
        end_at=period.end,
        hours=period.seconds // 3600,
        currency=quote.currency,
        basis=ware.price.basis,
        amount_micro=ware.price.amount_micro,
        tax_inclusive=ware.price.tax_inclusive,
        vat_bps=ware.price.vat_bps,
        schedule=ware.price.schedule,
        card_hour_micro=quote.card_hour_micro,
        gross_minor=quote.gross_minor,
        vat_minor=quote.vat_minor,
        fee_minor=quote.fee_minor,
        due_minor=quote.due_minor,
        hold_deposit_minor=hold.deposit_minor(quote.gross_minor),
        hold_seconds=int((hold.expires_at - at).total_seconds()),
        pay_by_at=bank.expires_at if bank else None,
        pay_by_deposit_minor=bank.deposit_minor(quote.gross_minor) if bank else None,
        payments=schedules.payments(
            price=ware.price, quote=quote, period=period, confirm_until=hold.expires_at
        ),
        cancellation=ware.cancellation,
        cancellation_steps=schedules.cancellation_steps(
            schedule=ware.cancellation, due_minor=quote.due_minor, start=period.start, at=at
        ),
        maintenance=schedules.maintenance(map_.pools[pool.pool_id], period),
        software=software(pool.stack),
        facts=proved_facts(pool.catalogue),
        declared=declared_facts(pool.catalogue),
    )


def software(stack: Stack) -> dict[str, str]:
    """What runs on the pool's nodes: "mixed" where they differ, "unknown" where one is silent."""
    return {
        name: UNKNOWN if not versions or "" in versions else _one(versions)
        for name, versions in (
            ("driver", stack.driver),
            ("runtime", stack.runtime),
            ("framework", stack.framework),
        )
    }


def _one(versions: Sequence[str]) -> str:
    return versions[0] if len(versions) == 1 else "mixed"


def proved_facts(fabric: Catalogue) -> dict[str, Fact]:
    """What a collective run has shown of the network; what nobody has proved is "unknown"."""
    proved_on = fabric.proved_on_date
    return {
        "fabric": fabric.fabric_id,
        "proved_node_count": fabric.proved_node_count or UNKNOWN,
        "proved_on_date": proved_on.isoformat() if proved_on else UNKNOWN,
    }


def declared_facts(fabric: Catalogue) -> dict[str, Fact]:
    """What the provider says of the network."""
    spread = fabric.oversubscription
    return {
        "technology": fabric.technology or UNKNOWN,
        "site_count": UNKNOWN if fabric.site_count is None else fabric.site_count,
        "oversubscription": UNKNOWN if spread is None else str(spread),
    }
