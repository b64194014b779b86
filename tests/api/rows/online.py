"""Rows of payments over Stripe, as our own fake of it plays them."""

from __future__ import annotations

from typing import Any

from billing.models import Dispute
from tests.api.market import Market
from tests.billing import online


def top_up(_market: Market) -> str:
    return online.start().public_id


def refund_body(_market: Market) -> dict[str, Any]:
    return {"topup": online.paid().public_id, "amount_minor": 1_000}


def refund(_market: Market) -> str:
    return online.refund(online.paid(), 10_000).public_id


def dispute(_market: Market) -> str:
    online.hands.dispute(str(online.paid().intent_id))
    online.deliver()
    return Dispute.objects.get().public_id


def payout_account(_market: Market) -> str:
    return online.account().public_id


def link_body(_market: Market) -> dict[str, Any]:
    return {"refresh_url": "https://a.example", "return_url": "https://a.example"}
