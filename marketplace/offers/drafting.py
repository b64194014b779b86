"""From a match to an offer: dated, priced, with its schedules and facts, and signed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings

from marketplace import approvals, money, policy, selling
from marketplace.offers import schedules, tokens
from marketplace.offers.matching import Match
from marketplace.offers.model import UNKNOWN, Fact, Offer
from marketplace.offers.tokens import OfferClaim
from marketplace.search_map import Catalogue, SearchMap, Stack


def draft(found: Match, map_: SearchMap, lapsed_count: int, at: datetime) -> Offer:
    """The match as it is offered, signed, to a tenant that let so many holds lapse."""
    ware, quote, pool, period = found.stall.ware, found.quote, found.stall.pool, found.period
    expires_at = at + timedelta(seconds=settings.OFFER_SECONDS)
    start, lead_seconds = period.start, pool.lead_micros // 1_000_000
    decided_by = at
    if ware.decide_hours is not None:
        decided_by = approvals.decide_by(
            decide_hours=ware.decide_hours, start=start, lead_seconds=lead_seconds, at=at
        )
    hold, bank = policy.ways_to_hold(
        lapsed_count=lapsed_count, at=decided_by, start=start, lead_seconds=lead_seconds
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
        list_minor=_list_minor(found),
        discount_bps=quote.discount_bps,
        gross_minor=quote.gross_minor,
        vat_minor=quote.vat_minor,
        fee_minor=quote.fee_minor,
        due_minor=quote.due_minor,
        security_minor=quote.security_minor,
        security_months=ware.price.security_months,
        advance_months=ware.price.advance_months,
        net_days=ware.price.net_days,
        hold_deposit_minor=hold.deposit_minor(quote.gross_minor),
        hold_seconds=int((hold.expires_at - at).total_seconds()),
        selling=ware.selling,
        parties=selling.parties(ware.selling),
        decide_hours=ware.decide_hours,
        pay_by_at=bank.expires_at if bank else None,
        pay_by_deposit_minor=bank.deposit_minor(quote.gross_minor) if bank else None,
        payments=schedules.payments(
            price=_price(found),
            quote=quote,
            found=_running(found),
            period=period,
            confirm_until=hold.expires_at,
        ),
        terms_id=ware.terms_id,
        promise=ware.promise,
        cancellation=ware.cancellation,
        cancellation_steps=schedules.cancellation_steps(
            schedule=ware.cancellation,
            due_minor=quote.due_minor,
            security_minor=quote.security_minor,
            start=period.start,
            at=at,
        ),
        maintenance=schedules.maintenance(map_.pools[pool.pool_id], period),
        faults=pool.faults,
        software=software(pool.stack),
        facts=proved_facts(pool.catalogue),
        declared=declared_facts(pool.catalogue),
    )


def _running(found: Match) -> money.Running:
    pool = found.stall.pool
    return money.Running(
        price=_price(found),
        cards=found.unit_count * pool.unit_cards,
        cards_per_node=pool.cards_per_node,
        period=found.period,
    )


def _price(found: Match) -> money.Price:
    """As it was quoted: less what it takes off for the length and the cards."""
    return found.stall.ware.price.less(found.quote.discount_bps)


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
