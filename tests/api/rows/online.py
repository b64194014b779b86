"""Rows of payments over Stripe, as our own fake of it plays them."""

from __future__ import annotations

from typing import Any

from billing.fakestripe import events as messages
from billing.models import Dispute, GatewayEvent, PspRequest
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


def event(_market: Market) -> str:
    """Stripe told that a payment was made, and it was followed."""
    online.paid()
    return GatewayEvent.objects.latest("pk").public_id


def parked_event(market: Market) -> str:
    """Stripe told something that nobody could follow, many times in a row."""
    top_up = online.start()
    online.hands.pay(str(top_up.intent_id))
    for message in messages.take():
        online.hand_in(message)
    row = GatewayEvent.objects.filter(state="received").latest("pk")
    row.state, row.attempt_count, row.error_text = "parked", 12, "no answer"
    row.save(update_fields=["state", "attempt_count", "error_text"])
    return row.public_id


def request(_market: Market) -> str:
    online.start()
    return PspRequest.objects.latest("pk").public_id
