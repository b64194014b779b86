"""Forms of incidents, cases and notifications, filled in so that they work."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import reverse

from inventory import capacity
from inventory.periods import Period
from marketplace import cases, incidents, notifications
from marketplace.models import Delivery, Incident
from tests import world
from tests.web.conftest import Market
from tests.web.good_forms import Good


def incident(market: Market) -> Incident:
    """A node that failed just now."""
    capacity.set_outage(
        pool_id=market.pool.pk, kind="failed", node_id=market.pool.nodes.order_by("pk")[0].pk,
        period=Period(market.at, market.at + timedelta(days=1)), reason="XID 79",
        at=market.at, actor=world.actor(market.provider),
    )  # fmt: skip
    incidents.sweep(at=market.at)
    return Incident.objects.get()


def case(market: Market, lease_id: str) -> str:
    return cases.open_case(
        lease_public_id=lease_id, title="Slow links", text="20 GB/s", category="performance",
        priority="high", at=market.at, actor=world.actor(market.tenant),
    ).public_id  # fmt: skip


def channel(market: Market, name: str = "NOC") -> str:
    return notifications.add(
        organisation_id=market.provider.pk, kind="email", name=name, address="noc@a.example",
        topics=["leases"], at=market.at, actor=world.actor(market.provider),
    ).public_id  # fmt: skip


def failed_delivery(market: Market, channel_id: str) -> str:
    row = notifications.send_test(
        channel_public_id=channel_id, at=market.at, actor=world.actor(market.provider)
    )
    Delivery.objects.filter(pk=row.pk).update(state="failed", next_at=None)
    return row.public_id


def good_service_forms(market: Market) -> dict[str, Good]:
    """Every address of these that takes a form, by name."""
    market.fund()
    lease = market.lease(market.listing(units=3))
    about, told = case(market, lease.public_id), channel(market)
    row = incident(market).public_id
    words: dict[str, Any] = {"text": "We look at it"}
    return {
        "incident": Good(
            "provider", reverse("incident", args=[row]), {"text": "a fan", "is_cause": "on"}
        ),
        "case_create": Good(
            "tenant", reverse("case_create"),
            {"about": lease.public_id, "category": "access", "priority": "urgent",
             "title": "No way in", "text": "ssh says no"},
        ),
        "case": Good("provider", reverse("case", args=[about]), {**words, "asks_back": "on"}),
        "case_attach": Good("tenant", reverse("case_attach", args=[about]), {"file": "a line"}),
        "case_close": Good(
            "tenant", reverse("case_close", args=[about]), {"verdict": "close", "text": ""}
        ),
        "channels": Good(
            "provider", reverse("channels"),
            {"kind": "email", "name": "Duty", "address": "duty@a.example", "secret": "",
             "language": "en", "topics": "cases"},
        ),
        "channel": Good("provider", reverse("channel", args=[told]), {"topics": "invoices"}),
        "channel_test": Good("provider", reverse("channel_test", args=[told])),
        "channel_remove": Good(
            "provider", reverse("channel_remove", args=[channel(market, "Old")])
        ),
        "delivery_retry": Good(
            "provider", reverse("delivery_retry", args=[failed_delivery(market, told)])
        ),
    }  # fmt: skip
