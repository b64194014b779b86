"""The search: from a request to ranked, dated, priced and signed offers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings

from inventory import capacity
from inventory.actors import Actor
from inventory.capacity import Step
from inventory.models import Fabric, Pool
from inventory.periods import Period
from marketplace import approvals, money, policy, search_map
from marketplace.offers import matching, tokens
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
from marketplace.search_map import SearchMap

MOST_ALTERNATIVES = 5


def search(*, request: OfferRequest, actor: Actor, at: datetime) -> OfferResults:
    """What the market would sell for a request now, the cheapest first, then the earliest.

    Reads the process's map, which may be some hundred milliseconds old: the claim decides.
    An organisation is not offered its own capacity.
    """
    map_ = search_map.current(at)
    buyer_id = actor.organisation_id
    matches, reasons = matching.match(request=request, map_=map_, buyer_id=buyer_id, at=at)
    near = [] if matches else _near(request, map_, buyer_id, at)
    offers = _offers([*matches, *(found for _, found in near)], actor, at)
    return OfferResults(
        offers=tuple(offers[: len(matches)]),
        rejections=tuple(
            Rejection(code, count, reasons.nearest.get(code))
            for code, count in reasons.counts.most_common()
        ),
        alternatives=tuple(
            Alternative(changed, offer)
            for (changed, _), offer in zip(near, offers[len(matches) :], strict=True)
        ),
        match_count=len(map_.stalls) - reasons.counts.total(),
    )


def availability(*, pool_id: int, period: Period, at: datetime) -> list[Step]:
    """A pool's free units over a period, as steps: what could still be opened for sale."""
    return capacity.availability(pool_id=pool_id, period=period, at=at)


def _near(
    request: OfferRequest, map_: SearchMap, buyer_id: int | None, at: datetime
) -> list[tuple[tuple[str, ...], Match]]:
    """Matches of the request with one thing given up, no stall twice."""
    near: list[tuple[tuple[str, ...], Match]] = []
    seen: set[int] = set()
    ways = matching.relaxed(request, map_)
    less = matching.fewer(request=request, map_=map_, buyer_id=buyer_id, at=at)
    if less is not None:
        ways.append(((request.counted,), less))
    for changed, other in ways:
        for found in matching.match(request=other, map_=map_, buyer_id=buyer_id, at=at)[0][:2]:
            if found.stall.ware.listing_id not in seen and len(near) < MOST_ALTERNATIVES:
                seen.add(found.stall.ware.listing_id)
                near.append((changed, found))
    return near


def _offers(matches: Sequence[Match], actor: Actor, at: datetime) -> list[Offer]:
    if not matches:
        return []
    pools = Pool.objects.select_related("chip", "fabric__centre").in_bulk(
        {found.stall.pool.pool_id for found in matches}
    )
    tenant_id = actor.organisation_id
    lapsed = policy.lapsed_count(tenant_id, at) if tenant_id else 0
    return [_offer(found, pools[found.stall.pool.pool_id], lapsed, at) for found in matches]


def _offer(found: Match, pool: Pool, lapsed_count: int, at: datetime) -> Offer:
    ware, quote, centre = found.stall.ware, found.quote, pool.fabric.centre
    expires_at = at + timedelta(seconds=settings.OFFER_SECONDS)
    start, lead = found.period.start, pool.lead_seconds
    decided_by = at
    if ware.decide_hours is not None:
        decided_by = approvals.decide_by(
            decide_hours=ware.decide_hours, start=start, lead_seconds=lead, at=at
        )
    hold, bank = policy.ways_to_hold(
        lapsed_count=lapsed_count, at=decided_by, start=start, lead_seconds=lead
    )
    claim = OfferClaim(
        listing_id=ware.public_id,
        price_id=ware.price_id,
        terms_id=ware.terms_id,
        unit_count=found.unit_count,
        period=found.period,
        expires_at=expires_at,
    )
    return Offer(
        token=tokens.sign(claim),
        expires_at=expires_at,
        listing_id=ware.public_id,
        pool_id=pool.public_id,
        pool_name=pool.name,
        centre_name=centre.name,
        centre_name_en=centre.name_en,
        region=centre.region,
        hub=centre.hub,
        chip=pool.chip_id,
        unit_cards=pool.unit_cards,
        cards_per_node=pool.cards_per_node,
        unit_count=found.unit_count,
        card_count=quote.card_count,
        start_at=found.period.start,
        end_at=found.period.end,
        currency=quote.currency,
        basis=ware.price.basis,
        amount_micro=ware.price.amount_micro,
        tax_inclusive=ware.price.tax_inclusive,
        vat_bps=ware.price.vat_bps,
        schedule=ware.price.schedule,
        card_hour_micro=quote.card_hour_micro,
        list_minor=_list_minor(found),
        discount_bps=quote.discount_bps,
        gross_minor=quote.gross_minor,
        vat_minor=quote.vat_minor,
        fee_minor=quote.fee_minor,
        due_minor=quote.due_minor,
        hold_deposit_minor=hold.deposit_minor(quote.gross_minor),
        hold_seconds=int((hold.expires_at - at).total_seconds()),
        decide_hours=ware.decide_hours,
        pay_by_at=bank.expires_at if bank else None,
        pay_by_deposit_minor=bank.deposit_minor(quote.gross_minor) if bank else None,
        cancellation=ware.cancellation,
        facts=proved_facts(pool.fabric),
        declared=declared_facts(pool.fabric),
    )


def _list_minor(found: Match) -> int:
    """What it would cost without its discount."""
    if not found.quote.discount_bps:
        return found.quote.gross_minor
    return money.quote(
        price=found.stall.ware.price,
        unit_cards=found.stall.pool.unit_cards,
        cards_per_node=found.stall.pool.cards_per_node,
        unit_count=found.unit_count,
        period=found.period,
    ).gross_minor


def proved_facts(fabric: Fabric) -> dict[str, Fact]:
    """What a collective run has shown of the network; what nobody has proved is "unknown"."""
    proved_on = fabric.proved_on_date
    return {
        "fabric": fabric.public_id,
        "proved_node_count": fabric.proved_node_count or UNKNOWN,
        "proved_on_date": proved_on.isoformat() if proved_on else UNKNOWN,
    }


def declared_facts(fabric: Fabric) -> dict[str, Fact]:
    """What the provider says of the network."""
    spread = fabric.oversubscription
    return {
        "technology": fabric.technology or UNKNOWN,
        "site_count": UNKNOWN if fabric.site_count is None else fabric.site_count,
        "oversubscription": UNKNOWN if spread is None else str(spread),
    }
