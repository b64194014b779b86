"""Rows of what follows a deal: months held against their level, incidents, cases, messages."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from billing import rating, sla_credits
from inventory.periods import HOUR
from marketplace import incidents
from marketplace.asking import TermsInput
from marketplace.models import Delivery, Incident, Lease
from tests import world
from tests.api.market import Market, next_hour, text
from tests.api.rows import deals, machines
from tests.billing import books
from tests.marketplace import scene

TERMS = TermsInput(
    sla_availability_bps=9_900, sla_credits=((9_900, 1_000),), sla_cap_bps=5_000
)  # fmt: skip


def sla_month(market: Market) -> str:
    """A hundred hours of June, two of them not delivered."""
    books.top_up(market.tenant, 10**8, "SLA-1")
    row = books.activate(books.lease(scene.listing(market.pool, terms=TERMS), start=10, end=110))
    gaps = {world.T0 + number * HOUR: 8 * 3600 for number in (20, 21)}
    books.meter(row, until=world.T0 + 110 * HOUR, gaps=gaps)
    rating.rate_due(at=world.T0 + 111 * HOUR, limit=100_000)
    sla_credits.credit_due(at=datetime(2026, 7, 1, tzinfo=UTC), limit=10)
    return str(market.as_tenant.get("/sla-months").data[0]["id"])


def incident(market: Market) -> str:
    body = {"reason": "XID 79", "expected_back_at": text(next_hour(30))}
    market.as_provider.do(f"/nodes/{machines.node(market)}/fail", body)
    incidents.sweep(at=datetime.now(UTC))
    return str(market.as_provider.get("/incidents").data[0]["id"])


def touching_incident(market: Market) -> str:
    """One by which a lease is in danger."""
    lease = Lease.objects.get(public_id=deals.lease(market))
    public_id = incident(market)
    row = Incident.objects.get(public_id=public_id)
    incidents._touch(row, [lease.pk], datetime.now(UTC))
    return public_id


def case_body(market: Market) -> dict[str, Any]:
    return {
        "lease": deals.lease(market),
        "title": "Slow links",
        "text": "NCCL says 20 GB/s",
        "category": "performance",
    }


def case(market: Market) -> str:
    return str(market.as_tenant.do("/cases", case_body(market))["id"])


def closed_case(market: Market) -> str:
    public_id = case(market)
    market.as_tenant.do(f"/cases/{public_id}/close", {})
    return public_id


def attachment_body(_market: Market) -> dict[str, Any]:
    return {"name": "log.txt", "content": base64.b64encode(b"a line").decode()}


def channel_body(_market: Market) -> dict[str, Any]:
    return {
        "kind": "email",
        "name": "NOC",
        "address": "noc@borealis.example",
        "topics": ["leases", "cases"],
    }


def channel(market: Market) -> str:
    return str(market.as_tenant.do("/notification-channels", channel_body(market))["id"])


def delivery(market: Market) -> str:
    return str(market.as_tenant.do(f"/notification-channels/{channel(market)}/test")["id"])


def failed_delivery(market: Market) -> str:
    public_id = delivery(market)
    rows = Delivery.objects.filter(public_id=public_id)
    rows.update(state=Delivery.State.FAILED, next_at=None, last_error="refused")
    return public_id
