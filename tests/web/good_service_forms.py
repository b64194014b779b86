"""Forms of incidents, cases and notifications, filled in so that they work."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django.urls import reverse

from inventory import capacity, ssh_keys
from inventory.periods import Period
from marketplace import cases, incidents, notifications
from marketplace.models import Delivery, Incident
from tests import world
from tests.api.rows import deliveries
from tests.web.conftest import Market
from tests.web.good_forms import Good

ANOTHER_KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJN9HK/DZIbzgPDyKR"
    "SHQFWLzv5RdRmeUNwHCin/c4CUU+RDsdlATQ8aBtkOLjM/3Bj/PEFq5mJB6PhDxnfBifM= me"
)


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


def good_delivery_forms(market: Market) -> dict[str, Good]:
    """What people do in a delivery: tasks, keys, acceptance, another way in."""
    pool = world.pool(nodes=2, owner=market.provider)
    gate = deliveries.gate(cast(Any, market), pool)
    tested = gate.allocation.lease.public_id
    by_hand = deliveries.run_by_hand(cast(Any, market))
    served = gate.allocation.instances.order_by("pk")
    task, other = (deliveries.task_for(each).public_id for each in served)
    key = ssh_keys.add(
        organisation_id=market.tenant.pk, name="old", text=deliveries.SSH_KEY, at=market.at,
        actor=world.actor(market.tenant),
    ).public_id  # fmt: skip
    report = deliveries.report_body(cast(Any, market))["report"]
    return {
        "manual_task": Good(
            "provider", reverse("manual_task", args=[task]),
            {"address": "10.1.2.3", "port": "22", "user": "ubuntu",
             "host_fingerprints": deliveries.PRINT, "secret": "pa55word"},
        ),
        "manual_task_give_up": Good(
            "provider", reverse("manual_task_give_up", args=[other]), {"reason": "no power"}
        ),
        "ssh_keys": Good(
            "tenant", reverse("ssh_keys"), {"name": "laptop", "public_key": ANOTHER_KEY}
        ),
        "ssh_key_remove": Good("tenant", reverse("ssh_key_remove", args=[key])),
        "lease_acceptance": Good(
            "provider", reverse("lease_acceptance", args=[tested]),
            {"tool": "nccl", "hosts": "", "file": report},
        ),
        "lease_acceptance_sign": Good(
            "tenant", reverse("lease_acceptance_sign", args=[tested])
        ),
        "lease_renew": Good("tenant", reverse("lease_renew", args=[by_hand])),
    }  # fmt: skip


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
