"""Nobody sees that another's row exists: every route, enumerated from the URL resolver.

A route without a line in the tables below fails the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inventory.models import Node
from tests.api.client import Api
from tests.api.market import Market, next_hour, text
from tests.api.routes import Route, routes
from tests.api.rows import (
    OBJECTS,
    Maker,
    deals,
    deliveries,
    documents,
    earnings,
    machines,
    online,
    rail,
    service,
)
from tests.delivery.test_acceptance import nccl


def _unknown_listing(market: Market) -> dict[str, Any]:
    """A listing that sells nothing exists for nobody but its provider."""
    public_id = str(market.listing(terms=deals.trial_terms())["id"])
    market.as_provider.do(f"/listings/{public_id}/pause", {})
    return {"listing": public_id}


# Lists of the caller's own rows, by who sees something in them once the maker has run.
OWN_LISTS: dict[str, tuple[Maker, str]] = {
    "/organisations": (OBJECTS["organisations"], "as_provider"),
    "/projects": (machines.project, "as_tenant"),
    "/api-keys": (machines.key, "as_tenant"),
    "/quotas": (machines.quota, "as_tenant"),
    "/centres": (machines.centre, "as_provider"),
    "/fabrics": (OBJECTS["fabrics"], "as_provider"),
    "/pools": (OBJECTS["pools"], "as_provider"),
    "/nodes": (machines.node, "as_provider"),
    "/outages": (machines.outage, "as_provider"),
    "/instances": (OBJECTS["instances"], "as_provider"),
    "/external-allocations": (machines.external, "as_provider"),
    "/health-reports": (machines.health_report, "as_provider"),
    "/telemetry-sources": (machines.telemetry_source, "as_provider"),
    "/series-bindings": (machines.series_binding, "as_provider"),
    "/manual-tasks": (deliveries.manual_task, "as_provider"),
    "/ssh-keys": (deliveries.ssh_key, "as_tenant"),
    "/acceptances": (deliveries.being_tested, "as_tenant"),
    "/meter-disputes": (earnings.meter_dispute, "as_tenant"),
    "/listings": (OBJECTS["listings"], "as_provider"),
    "/reservations": (deals.reservation, "as_tenant"),
    "/leases": (deals.lease, "as_tenant"),
    "/baskets": (deals.basket, "as_tenant"),
    "/quotes": (deals.quote, "as_tenant"),
    "/amendments": (deals.amendment, "as_provider"),
    "/charges": (deals.charge, "as_tenant"),
    "/bank-receipts": (rail.receipt, "as_tenant"),
    "/settlements": (earnings.settlement, "as_provider"),
    "/instalments": (deals.instalment, "as_tenant"),
    "/bank-accounts": (rail.proposed_account, "as_tenant"),
    "/refunds": (rail.asked_refund, "as_tenant"),
    "/invoices": (documents.invoice, "as_tenant"),
    "/credit-notes": (documents.credit_note, "as_tenant"),
    "/statements": (documents.statement, "as_tenant"),
    "/contests": (documents.contest, "as_provider"),
    "/fapiaos": (documents.fapiao, "as_tenant"),
    "/payouts": (earnings.payout, "as_provider"),
    "/payout-terms": (earnings.terms, "as_provider"),
    "/input-fapiaos": (earnings.input_fapiao, "as_provider"),
    "/provider-repayments": (earnings.repayment, "as_provider"),
    "/topups": (online.top_up, "as_tenant"),
    "/topup-refunds": (online.refund, "as_tenant"),
    "/disputes": (online.dispute, "as_tenant"),
    "/payout-accounts": (online.payout_account, "as_provider"),
    "/sla-months": (service.sla_month, "as_tenant"),
    "/incidents": (service.incident, "as_provider"),
    "/cases": (service.case, "as_tenant"),
    "/notification-channels": (service.channel, "as_tenant"),
    "/notification-deliveries": (service.delivery, "as_tenant"),
}
# Bodies that name another's row.
FOREIGN_BODIES: dict[str, Callable[[Market], dict[str, Any]]] = {
    "/api-keys": lambda market: {
        "name": "x",
        "scopes": ["leases:read"],
        "project": machines.project(market),
    },
    "/quotas": lambda market: {**machines.quota_body(market), "project": machines.project(market)},
    "/fabrics": lambda market: {
        "centre": machines.centre(market),
        "name": "IB-2",
        "technology": "RoCE v2",
    },
    "/pools": lambda market: {
        "fabric": market.pool.fabric.public_id,
        "chip": "h100-80g",
        "name": "P",
    },
    "/external-allocations": machines.external_body,
    "/outages": machines.outage_body,
    "/health-reports": machines.health_report_body,
    "/telemetry-sources": machines.telemetry_source_body,
    "/series-bindings": machines.series_binding_body,
    "/listings": lambda market: market.listing_body(),
    "/refunds": rail.refund_body,
    "/reservations": lambda market: _foreign_project(market),
    "/trials": _unknown_listing,
    "/baskets": lambda market: _in_basket(_foreign_project(market)),
    "/topup-refunds": online.refund_body,
    "/contests": documents.contest_body,
    "/fapiaos": documents.fapiao_body,
    "/cases": service.case_body,
}
# Routes that name no row of anybody's: what they show is tested elsewhere.
NAMELESS = {
    "GET /me",
    "GET /chips",
    "GET /holds/terms",
    "GET /journal",
    "GET /fault-rates",
    "GET /fault-rates/estimate",
    "GET /wallet",
    "GET /wallet/transactions",
    "GET /wallet/runway",
    "POST /organisations",
    "POST /projects",
    "POST /centres",
    "POST /offers/search",
    "POST /offers/calendar",
    "POST /bank-receipts",
    "POST /settlements",
    "GET /wallet/transfer",
    "GET /bank-statements",
    "GET /bank-lines",
    "GET /payment-files",
    "POST /bank-accounts",
    "POST /bank-statements",
    "POST /payment-files",
    "POST /payouts",
    "GET /payout-files",
    "POST /payout-files",
    "POST /payout-terms",
    "POST /input-fapiaos",
    "POST /provider-repayments",
    "GET /ledger-entries",
    "GET /gateway-events",
    "GET /gateway-requests",
    "GET /vouchers",
    "POST /vouchers",
    "GET /accounting-periods",
    "POST /accounting-periods",
    "GET /reconciliation-matches",
    "POST /reconciliation-matches",
    "POST /reconciliation-matches/offset",
    "GET /audit/trial-balance",
    "GET /audit/voucher-export",
    "GET /audit/reconciliation",
    "GET /audit/equality",
    "GET /audit/closing-checklist",
    "POST /credit-notes",
    "GET /billing-details",
    "POST /billing-details",
    "POST /wallet/credit-limit",
    "POST /topups",
    "POST /payout-accounts",
    "GET /approval-rules",
    "POST /approval-rules",
    "POST /notification-channels",
    "POST /ssh-keys",
    "GET /audit/funnel",
}


def _foreign_project(market: Market) -> dict[str, Any]:
    market.listing()
    offer = market.as_stranger.do(
        "/offers/search",
        {
            "units": 1,
            "hours": 2,
            "earliest_start": text(next_hour(1)),
            "latest_end": text(next_hour(100)),
        },
    )["data"][0]
    return {"offer": offer["token"], "project": machines.project(market)}


def _in_basket(body: dict[str, Any]) -> dict[str, Any]:
    return {"offers": [body["offer"]], "project": body["project"]}


def _is_detail(route: Route) -> bool:
    return "{public_id}" in route.path


ROUTES = routes()


def test_every_route_is_listed() -> None:
    unlisted = [
        str(route)
        for route in ROUTES
        if not (
            (_is_detail(route) and route.path.split("/")[1] in OBJECTS)
            or (route.method == "GET" and route.path in OWN_LISTS)
            or (route.method == "POST" and route.path in FOREIGN_BODIES)
            or str(route) in NAMELESS
        )
    ]

    assert unlisted == []


def _strange(market: Market, route: Route, path: str, body: Any = None) -> Any:
    content_type, raw, query = "application/json", None, ""
    if route.path.endswith("/nodes/import"):
        content_type, raw = "text/csv", b"serial\nA1\n"
    if route.path.endswith(("/availability", "/on-sale", "/usage", "/utilisation")):
        query = f"?from={text(next_hour())}&to={text(next_hour(2))}"
    if route.path.endswith("/conversion-quote"):
        query = "?hours=24"
    return market.as_stranger.send(
        route.method, path + query, body, raw=raw, content_type=content_type
    )


BODIES: dict[str, Any] = {
    "state": {"state": "draining"},
    "reprice": {"basis": "card_hour", "amount_micro": 1_000_000},
    "verify": {"verified": True},
    "decide": {"verified": True},
    "refuse": {"reason": "no"},
    "reject": {"reason": "no"},
    "quotes": {"kind": "cancel"},
    "write-off": {"reason": "gone"},
    "amendments": {"end_at": text(next_hour(9))},
    "approve": {"document_number": "HT-2026-17"},
    "resize": {"unit_count": 1},
    "fail": {"reason": "no", "expected_back_at": text(next_hour(10))},
    **{verb: {"reason": "no"} for verb in ("retire", "replace", "retry-release", "mark-clean")},
    "convert": {"hours": 24},
    "hand-over": deliveries.way_in_body(None),  # type: ignore[arg-type]
    "give-up": {"reason": "no"},
    "report": {"tool": "nccl", "report": nccl(["a", "b"])},
    "reply": {"text": "x"},
    "reopen": {"text": "x"},
    "attach": {"name": "a", "content": "YQ=="},
    "topics": {"topics": []},
    "paid": {"reference": "R-1"},
    **{verb: {"reason": "no"} for verb in ("cancel", "failed", "returned")},
    "onboarding-link": {"refresh_url": "https://a.example", "return_url": "https://a.example"},
    "/topups/{public_id}/cancel": {},
    "floors": {
        "power_micro": 1,
        "depreciation_micro": 1,
        "network_micro": 1,
        "operations_micro": 1,
    },
}


@pytest.mark.parametrize("route", [r for r in ROUTES if _is_detail(r)], ids=str)
def test_another_organisations_row_does_not_exist(market: Market, route: Route) -> None:
    public_id = OBJECTS[route.path.split("/")[1]](market)
    last = route.path.split("/")[-1]
    body = BODIES.get(route.path, BODIES.get(last, {})) if route.method == "POST" else None

    foreign = _strange(market, route, route.path.replace("{public_id}", public_id), body)
    absent_id = public_id[:-12] + "0" * 12
    absent = _strange(market, route, route.path.replace("{public_id}", absent_id), body)
    malformed = _strange(market, route, route.path.replace("{public_id}", "1"), body)

    if route.scope and not _strangers_may(market.as_stranger, route.scope):
        assert foreign.code == absent.code == "scope_missing"
        return
    assert (foreign.status, absent.status, malformed.status) == (404, 404, 404)
    hidden = ("request_id", "instance")
    said = [{k: v for k, v in reply.json.items() if k not in hidden} for reply in (foreign, absent)]
    assert said[0] == said[1]


def _strangers_may(api: Api, scope: str) -> bool:
    return scope in api.get("/me").json["scopes"]


@pytest.mark.parametrize("path", OWN_LISTS)
def test_lists_show_only_the_callers_own_rows(market: Market, path: str) -> None:
    maker, owner = OWN_LISTS[path]
    public_id = maker(market)

    mine = [row["id"] for row in getattr(market, owner).get(path).data]
    theirs = [row["id"] for row in market.as_stranger.get(path).data]

    assert public_id in mine
    assert public_id not in theirs


@pytest.mark.parametrize("path", FOREIGN_BODIES)
def test_a_body_cannot_name_anothers_row(market: Market, path: str) -> None:
    body = FOREIGN_BODIES[path](market)

    reply = market.as_stranger.post(path, body)

    assert (reply.status, reply.code) == (404, "not_found")


def test_another_pools_nodes_do_not_exist_for_an_external_allocation(market: Market) -> None:
    other = Node.objects.filter(pool=market.pool).first()
    assert other is not None

    reply = market.as_stranger.post(
        "/external-allocations", {**machines.external_body(market), "nodes": [other.public_id]}
    )

    assert reply.status == 404


def test_a_wallet_shows_only_its_owners_money(market: Market) -> None:
    market.fund()

    assert market.as_stranger.get("/wallet").json["posted_minor"] == 0
    assert market.as_stranger.get("/wallet/transactions").data == []
    name = market.tenant.public_id
    for path in ("/wallet", "/wallet/transactions"):
        assert market.as_stranger.get(f"{path}?organisation={name}").status == 404
        assert market.as_operator.get(f"{path}?organisation={name}").status == 200


def test_the_journal_shows_only_the_callers_own_rows(market: Market) -> None:
    market.listing()

    mine = market.as_provider.get("/journal").data
    theirs = market.as_stranger.get("/journal").data

    assert "listing.published" in [row["event"] for row in mine]
    assert "listing.published" not in [row["event"] for row in theirs]


def test_a_provider_sees_a_lease_but_not_the_way_into_it(market: Market) -> None:
    lease = deals.lease(market)

    assert market.as_provider.get(f"/leases/{lease}").status == 200
    assert market.as_provider.get(f"/leases/{lease}/credentials").status == 404
    assert market.as_provider.post(f"/leases/{lease}/credentials/reveal").status == 404
    assert market.as_operator.get(f"/leases/{lease}/credentials").status == 404
