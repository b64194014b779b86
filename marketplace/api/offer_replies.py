"""Offers as JSON, written out by hand: a search is asked often, and its reply is long.

The document is made from `OffersOut`; a test holds the two against each other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marketplace.offers import (
    CancellationStep,
    Maintenance,
    Offer,
    OfferResults,
    Payment,
    Rejection,
    Split,
)
from marketplace.sla import Promise


def results(found: OfferResults) -> dict[str, Any]:
    return {
        "data": [offer(each) for each in found.offers],
        "match_count": found.match_count,
        "rejections": [_rejection(each) for each in found.rejections],
        "alternatives": [
            {"changed": list(each.changed), "offer": offer(each.offer)}
            for each in found.alternatives
        ],
        "split": _split(found.split) if found.split else None,
    }


def offer(each: Offer) -> dict[str, Any]:
    return {
        "token": each.token,
        "expires_at": _text(each.expires_at),
        "marks": list(each.marks),
        "listing": each.listing_id,
        "pool": each.pool_id,
        "pool_name": each.pool_name,
        "centre_name": each.centre_name,
        "centre_name_en": each.centre_name_en,
        "owner_kind": each.owner_kind,
        "region": each.region,
        "hub": each.hub,
        "chip": each.chip,
        "memory_gib": each.memory_gib,
        "interconnect_gbps": each.interconnect_gbps,
        "unit_cards": each.unit_cards,
        "cards_per_node": each.cards_per_node,
        "unit_count": each.unit_count,
        "card_count": each.card_count,
        "start_at": _text(each.start_at),
        "end_at": _text(each.end_at),
        "hours": each.hours,
        "currency": each.currency,
        "basis": each.basis,
        "amount_micro": each.amount_micro,
        "tax_inclusive": each.tax_inclusive,
        "vat_bps": each.vat_bps,
        "schedule": each.schedule,
        "card_hour_micro": each.card_hour_micro,
        "list_minor": each.list_minor,
        "discount_bps": each.discount_bps,
        "gross_minor": each.gross_minor,
        "vat_minor": each.vat_minor,
        "fee_minor": each.fee_minor,
        "due_minor": each.due_minor,
        "security_minor": each.security_minor,
        "security_months": each.security_months,
        "advance_months": each.advance_months,
        "net_days": each.net_days,
        "hold_deposit_minor": each.hold_deposit_minor,
        "hold_seconds": each.hold_seconds,
        "selling": each.selling,
        "seller": each.parties.seller,
        "issuer": each.parties.issuer,
        "payee": each.parties.payee,
        "decide_hours": each.decide_hours,
        "pay_by_at": _text(each.pay_by_at) if each.pay_by_at else None,
        "pay_by_deposit_minor": each.pay_by_deposit_minor,
        "payments": [_payment(payment) for payment in each.payments],
        "terms": each.terms_id,
        "sla": _promise(each.promise),
        "cancellation": [list(step) for step in each.cancellation],
        "cancellation_steps": [_step(step) for step in each.cancellation_steps],
        "maintenance": [_maintenance(notice) for notice in each.maintenance],
        "faults": {
            "per_million": each.faults.per_million,
            "low_per_million": each.faults.low_per_million,
            "high_per_million": each.faults.high_per_million,
        },
        "software": each.software,
        "facts": each.facts,
        "declared": each.declared,
    }


def _payment(each: Payment) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "due_at": _text(each.due_at),
        "until_at": _text(each.until_at),
        "part_count": each.part_count,
        "amount_minor": each.amount_minor,
        "period_start_at": _text(each.period.start) if each.period else None,
        "period_end_at": _text(each.period.end) if each.period else None,
    }


def _promise(each: Promise | None) -> dict[str, Any] | None:
    if each is None:
        return None
    return {
        "availability_bps": each.availability_bps,
        "replacement_hours": each.replacement_hours,
        "credits": [list(step) for step in each.steps],
        "cap_bps": each.cap_bps,
        "notice_hours": each.notice_hours,
    }


def _step(each: CancellationStep) -> dict[str, Any]:
    return {
        "until_at": _text(each.until_at),
        "refund_bps": each.refund_bps,
        "refund_minor": each.refund_minor,
        "kept_minor": each.kept_minor,
    }


def _maintenance(each: Maintenance) -> dict[str, Any]:
    return {
        "start_at": _text(each.start_at),
        "end_at": _text(each.end_at),
        "node_count": each.node_count,
    }


def _split(each: Split) -> dict[str, Any]:
    return {
        "card_count": each.card_count,
        "gross_minor": each.gross_minor,
        "due_minor": each.due_minor,
        "offers": [offer(part) for part in each.offers],
    }


def _rejection(each: Rejection) -> dict[str, Any]:
    return {"code": each.code, "listing_count": each.listing_count, "nearest": each.nearest}


def _text(instant: datetime) -> str:
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return utc.isoformat().replace("+00:00", "Z")
