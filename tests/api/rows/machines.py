"""Rows of those who have machines, and of every organisation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from inventory.models import TelemetrySource, UnknownSeries
from tests.api.market import Market, next_hour, text


def centre(market: Market) -> str:
    return str(market.pool.fabric.centre.public_id)


def node(market: Market) -> str:
    return str(market.pool.nodes.order_by("-pk")[0].public_id)


def external_body(market: Market) -> dict[str, Any]:
    return {
        "pool": market.pool.public_id,
        "kind": "own_use",
        "unit_count": 1,
        "start_at": text(next_hour(48)),
        "end_at": text(next_hour(96)),
    }


def external(market: Market) -> str:
    reply = market.as_provider.do("/external-allocations", external_body(market))
    return str(reply["id"])


def outage_body(market: Market) -> dict[str, Any]:
    return {
        "pool": market.pool.public_id,
        "node_count": 1,
        "start_at": text(next_hour(48)),
        "end_at": text(next_hour(96)),
        "reason": "new switches",
    }


def outage(market: Market) -> str:
    return str(market.as_provider.do("/outages", outage_body(market))["id"])


def project(market: Market) -> str:
    return str(market.as_tenant.do("/projects", {"name": "Pre-training"})["id"])


def quota_body(_market: Market) -> dict[str, Any]:
    return {"measure": "spend", "window": "month", "currency": "CNY", "limit_minor": 10**9}


def quota(market: Market) -> str:
    return str(market.as_tenant.do("/quotas", quota_body(market))["id"])


def key(market: Market) -> str:
    body = {"name": "ci", "scopes": ["leases:read"]}
    return str(market.as_tenant.do("/api-keys", body)["id"])


def telemetry_source_body(market: Market) -> dict[str, Any]:
    return {"centre": market.pool.fabric.centre.public_id, "name": "prometheus-1"}


def telemetry_source(market: Market) -> str:
    return str(market.as_provider.do("/telemetry-sources", telemetry_source_body(market))["id"])


def source_of_strangers(market: Market) -> str:
    """One that brought series of a host nobody knows."""
    public_id = telemetry_source(market)
    at = datetime.now(UTC)
    UnknownSeries.objects.create(
        source=TelemetrySource.objects.get(public_id=public_id),
        identity="hostname",
        value="gpu-999",
        sample_count=4,
        first_seen_at=at,
        last_seen_at=at,
    )
    return public_id


def series_binding_body(market: Market) -> dict[str, Any]:
    return {
        "telemetry_source": telemetry_source(market),
        "identity": "hostname",
        "value": "gpu-017.dc1",
        "node": node(market),
    }


def series_binding(market: Market) -> str:
    return str(market.as_provider.do("/series-bindings", series_binding_body(market))["id"])


def health_report_body(market: Market) -> dict[str, Any]:
    return {"node": node(market), "card_index": 3, "state": "degraded", "reason": "fan"}


def health_report(market: Market) -> str:
    return str(market.as_provider.do("/health-reports", health_report_body(market))["id"])
