"""A good request for every POST of the API, made in a market."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from inventory import credentials
from inventory.drivers.base import Access
from inventory.transitions import advance
from marketplace import leases
from marketplace.models import Lease
from tests import world
from tests.api import money_requests
from tests.api.client import Api
from tests.api.good import Good, no_body, reason
from tests.api.market import Market, next_hour, text
from tests.api.rows import OBJECTS, deals, deliveries, machines, service

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICp+DnOy9lRSESdgdpyR5MgGs6hInSw8YO2knseJo2rG me"


def _search(market: Market) -> Any:
    body = market.listing_body()
    return {
        "units": 1,
        "hours": 2,
        "earliest_start": body["start_at"],
        "latest_end": body["end_at"],
        "chips": ["h100-80g"],
    }


def _hold(market: Market) -> Any:
    market.listing()
    market.fund()
    return {"offer": market.offer()["token"], "ssh_keys": [SSH_KEY]}


def _hold_together(market: Market) -> Any:
    market.listing()
    market.fund()
    return {"offers": [market.offer(start=start)["token"] for start in (1, 5)]}


def _try(market: Market) -> Any:
    return {"listing": market.listing(terms=deals.trial_terms())["id"]}


def running_trial(market: Market) -> str:
    """The id of a trial that is being used."""
    market.fund()
    held = market.as_tenant.do("/trials", {**_try(market), "start_at": text(next_hour(1))})
    market.as_tenant.do(f"/reservations/{held['id']}/confirm")
    lease = Lease.objects.get(reservation__public_id=held["id"])
    for to in ("delivering", "active"):
        advance(lease.allocation, to=to, at=datetime.now(UTC), actor=world.SYSTEM)
    return leases.follow(lease_id=lease.pk, at=datetime.now(UTC)).public_id


def _paused(market: Market) -> str:
    public_id = str(market.listing()["id"])
    market.as_provider.do(f"/listings/{public_id}/pause", {})
    return public_id


def waiting(market: Market) -> str:
    market.listing(mode="approval")
    market.fund()
    return str(market.reservation()["id"])


def _sold_directly(market: Market) -> str:
    market.listing(selling="direct")
    market.fund()
    return str(market.reservation(start=24 * 10)["id"])


def handed_over(market: Market) -> str:
    public_id = OBJECTS["leases"](market)
    lease = Lease.objects.get(public_id=public_id)
    credentials.issue(
        allocation_id=lease.allocation_id,
        kind="ssh",
        machines=[Access("ssh", "n1", "10.0.0.1", 22, "cardhour", "s3cret")],
        at=datetime.now(UTC),
    )
    return public_id


def _stuck(market: Market) -> str:
    return market.instance(stuck=True).public_id


GOOD: dict[str, Good] = {
    "/organisations": Good("as_operator", lambda m: {"name": "Echo", "is_tenant": True}),
    "/organisations/{public_id}/verify": Good(
        "as_operator", lambda m: {"verified": False, "reason": "papers"}
    ),
    "/projects": Good("as_tenant", lambda m: {"name": "Pre-training 预训练"}),
    "/api-keys": Good(
        "as_tenant",
        lambda m: {"name": "ci", "scopes": ["leases:read"], "ip_allow": ["10.0.0.0/8"]},
    ),
    "/quotas": Good("as_tenant", machines.quota_body),
    "/centres": Good(
        "as_provider",
        lambda m: {
            "name": "贵安",
            "region": "贵州",
            "owner_kind": "telecom",
            "hub": "gzh",
            "pue": "1.20",
            "built_racks": 100,
            "occupied_racks": 60,
        },
    ),
    "/fabrics": Good(
        "as_provider",
        lambda m: {
            "centre": m.pool.fabric.centre.public_id,
            "name": "IB-2",
            "technology": "InfiniBand NDR",
            "site_count": 1,
        },
    ),
    "/pools": Good(
        "as_provider",
        lambda m: {
            "fabric": m.pool.fabric.public_id,
            "chip": "h100-80g",
            "name": "P-new",
            "unit_cards": 8,
            "spare_count": 1,
        },
    ),
    "/pools/{public_id}/state": Good("as_provider", lambda m: {"state": "draining"}),
    "/pools/{public_id}/floors": Good(
        "as_provider",
        lambda m: {
            "power_micro": 1_000_000,
            "depreciation_micro": 2_000_000,
            "network_micro": 0,
            "operations_micro": 500_000,
        },
    ),
    "/nodes/{public_id}/fail": Good(
        "as_provider",
        lambda m: {"reason": "a card fell off the bus", "expected_back_at": text(next_hour(30))},
    ),
    "/nodes/{public_id}/retire": Good("as_provider", reason),
    "/outages": Good("as_provider", machines.outage_body),
    "/health-reports": Good("as_provider", machines.health_report_body),
    "/health-reports/{public_id}/withdraw": Good("as_provider", reason),
    "/telemetry-sources": Good("as_provider", machines.telemetry_source_body),
    **{
        f"/telemetry-sources/{{public_id}}/{verb}": Good("as_provider", no_body)
        for verb in ("rotate-key", "revoke-keys")
    },
    "/telemetry-sources/{public_id}/close": Good("as_provider", reason),
    "/series-bindings": Good("as_provider", machines.series_binding_body),
    "/series-bindings/{public_id}/remove": Good("as_provider", no_body),
    "/outages/{public_id}/close": Good("as_provider", reason),
    "/instances/{public_id}/replace": Good("as_provider", reason),
    "/instances/{public_id}/retry-release": Good("as_provider", reason, _stuck),
    "/instances/{public_id}/mark-clean": Good("as_provider", reason, _stuck),
    "/manual-tasks/{public_id}/hand-over": Good("as_provider", deliveries.way_in_body),
    "/manual-tasks/{public_id}/confirm": Good("as_provider", no_body, deliveries.manual_wipe),
    "/manual-tasks/{public_id}/give-up": Good("as_provider", reason),
    "/ssh-keys": Good("as_tenant", deliveries.ssh_key_body),
    "/acceptances/{public_id}/report": Good(
        "as_provider", deliveries.report_body, deliveries.being_tested
    ),
    "/acceptances/{public_id}/sign": Good("as_tenant", no_body, deliveries.passed),
    "/leases/{public_id}/credentials/renew": Good("as_tenant", no_body, deliveries.run_by_hand),
    "/external-allocations": Good("as_provider", machines.external_body),
    "/external-allocations/{public_id}/release": Good("as_provider", reason),
    "/listings": Good("as_provider", lambda m: m.listing_body()),
    "/listings/{public_id}/reprice": Good(
        "as_provider", lambda m: {"basis": "card_hour", "amount_micro": 7_000_000}
    ),
    "/listings/{public_id}/reterm": Good("as_provider", lambda m: {"minimum_hours": 2}),
    "/listings/{public_id}/resize": Good("as_provider", lambda m: {"unit_count": 3}),
    "/approval-rules": Good("as_provider", lambda m: {"thresholds": []}),
    "/listings/{public_id}/pause": Good("as_provider", reason),
    "/listings/{public_id}/resume": Good("as_provider", reason, _paused),
    "/listings/{public_id}/withdraw": Good("as_provider", reason),
    "/offers/search": Good("as_tenant", _search),
    "/offers/calendar": Good("as_tenant", _search),
    "/reservations": Good("as_tenant", _hold),
    "/reservations/{public_id}/confirm": Good("as_tenant", no_body),
    "/reservations/{public_id}/cancel": Good("as_tenant", reason),
    "/trials": Good("as_tenant", _try),
    "/leases/{public_id}/convert": Good("as_tenant", lambda m: {"hours": 24}, running_trial),
    "/baskets": Good("as_tenant", _hold_together),
    "/baskets/{public_id}/confirm": Good("as_tenant", no_body),
    "/baskets/{public_id}/cancel": Good("as_tenant", reason),
    "/reservations/{public_id}/approve": Good(
        "as_provider", lambda m: {"document_number": "HT-2026-17"}, waiting
    ),
    "/reservations/{public_id}/received": Good(
        "as_provider",
        lambda m: {"reference": "D-1", "received_date": "2026-01-01"},
        _sold_directly,
    ),
    "/reservations/{public_id}/reject": Good("as_provider", reason, waiting),
    "/leases/{public_id}/credentials/reveal": Good("as_tenant", no_body, handed_over),
    "/leases/{public_id}/quotes": Good("as_tenant", lambda m: {"kind": "cancel"}),
    "/leases/{public_id}/amendments": Good(
        "as_tenant", lambda m: {"end_at": text(next_hour(9)), "reason": "as agreed"}
    ),
    "/quotes/{public_id}/accept": Good("as_tenant", no_body),
    "/amendments/{public_id}/sign": Good("as_provider", no_body),
    "/amendments/{public_id}/decline": Good("as_provider", reason),
    "/amendments/{public_id}/withdraw": Good("as_tenant", reason),
    "/cases": Good("as_tenant", service.case_body),
    "/cases/{public_id}/reply": Good("as_provider", lambda m: {"text": "We look at it"}),
    "/cases/{public_id}/close": Good("as_tenant", reason),
    "/cases/{public_id}/reopen": Good(
        "as_tenant", lambda m: {"text": "Still slow"}, service.closed_case
    ),
    "/cases/{public_id}/attach": Good("as_tenant", service.attachment_body),
    "/notification-channels": Good("as_tenant", service.channel_body),
    "/notification-channels/{public_id}/topics": Good(
        "as_tenant", lambda m: {"topics": ["invoices"]}
    ),
    "/notification-channels/{public_id}/test": Good("as_tenant", no_body),
    "/notification-deliveries/{public_id}/retry": Good(
        "as_tenant", no_body, service.failed_delivery
    ),
    **money_requests.GOOD,
}
# Their bodies are files.
FILES = {"/pools/{public_id}/nodes/import", "/bank-statements"}


def prepared(market: Market, path: str) -> tuple[Api, str, Any]:
    """The sender, the address with a real id, and a body that would be taken."""
    good = GOOD[path]
    body = good.body(market)
    if "{public_id}" in path:
        make = good.row or OBJECTS[path.split("/")[1]]
        path = path.replace("{public_id}", make(market))
    return getattr(market, good.who), path, body
