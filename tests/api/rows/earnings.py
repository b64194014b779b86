"""Rows of what providers earn: settlements, payouts, and what they need."""

from __future__ import annotations

from typing import Any

from tests.api.market import Market
from tests.api.rows import rail
from tests.billing import books, paying
from tests.disputes import scene as two_meters
from tests.marketplace import scene


def lived_in_june(market: Market) -> None:
    """Something to settle: a lease of the small world, long over and paid for."""
    books.top_up(market.tenant, 10_000_000)
    books.live(books.lease(scene.listing()))


def settle_body(market: Market) -> dict[str, Any]:
    return {
        "provider": market.provider.public_id,
        "month": "2026-06",
        "currency": "CNY",
    }


def settlement(market: Market) -> str:
    lived_in_june(market)
    return str(market.as_operator.do("/settlements", settle_body(market))["id"])


def meter_dispute(market: Market) -> str:
    """Half an hour of a lease that telemetry has not seen."""
    return two_meters.disputed(market.provider).public_id


def input_fapiao_body(_market: Market) -> dict[str, Any]:
    return {
        "number": "12345678",
        "issued_date": "2026-06-30",
        "currency": "CNY",
        "amount_minor": 10_600,
        "vat_minor": 600,
        "file_name": "f.pdf",
        "file_base64": "JVBERi0xLjc=",
    }


def input_fapiao(market: Market) -> str:
    return str(market.as_provider.do("/input-fapiaos", input_fapiao_body(market))["id"])


def terms_body(market: Market) -> dict[str, Any]:
    return {
        "provider": market.provider.public_id,
        "currency": "CNY",
        "settle_after_days": 7,
        "minimum_minor": 0,
        "reserve_bps": 0,
        "reserve_days": 0,
        "needs_fapiao": False,
        "method": "bank",
        "reason": "agreed",
    }


def terms(market: Market) -> str:
    return str(market.as_operator.do("/payout-terms", terms_body(market))["id"])


def payout_body(market: Market) -> dict[str, Any]:
    """Where a month is settled and an account verified long enough."""
    settlement(market)
    paying.payee(provider=market.provider)
    return {"provider": market.provider.public_id, "currency": "CNY"}


def payout(market: Market) -> str:
    return str(market.as_operator.do("/payouts", payout_body(market))["id"])


def approved_payout(market: Market) -> str:
    public_id = payout(market)
    market.as_second_operator.do(f"/payouts/{public_id}/approve")
    return public_id


def file_body(market: Market) -> dict[str, Any]:
    approved_payout(market)
    rail.operators_account(market)
    return {"currency": "CNY", "layout": "plain"}


def file(market: Market) -> str:
    return str(market.as_operator.do("/payout-files", file_body(market))["id"])


def sent_payout(market: Market) -> str:
    file(market)
    return str(market.as_operator.get("/payouts").data[0]["id"])


def paid_payout(market: Market) -> str:
    public_id = sent_payout(market)
    market.as_operator.do(f"/payouts/{public_id}/paid", {"reference": "ICBC-1"})
    return public_id


def repayment_body(market: Market) -> dict[str, Any]:
    paying.owing(market.provider)
    return {
        "provider": market.provider.public_id,
        "currency": "CNY",
        "amount_minor": 1,
        "bank_reference": "R-1",
    }


def repayment(market: Market) -> str:
    return str(market.as_operator.do("/provider-repayments", repayment_body(market))["id"])
