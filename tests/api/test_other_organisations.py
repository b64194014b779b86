"""Nobody sees that another's row exists: every route, enumerated from the URL resolver.

A route without a line in the tables below fails the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from billing.models import BankAccount, Dispute
from inventory.models import Node
from tests.api.client import Api
from tests.api.market import Market, next_hour, text
from tests.api.routes import Route, routes
from tests.billing import books, online, paying
from tests.marketplace import scene
from tests.world import T0

Maker = Callable[[Market], str]


def _centre(market: Market) -> str:
    return str(market.pool.fabric.centre.public_id)


def _receipt(market: Market) -> str:
    return str(market.as_operator.do("/bank-receipts", market.receipt_body())["id"])


def account_body(number: str = "7777701", name: str = "Borealis") -> dict[str, Any]:
    return {"currency": "CNY", "holder_name": name, "bank_name": "Bank 1", "number": number}


def proposed_account(market: Market) -> str:
    return str(market.as_tenant.do("/bank-accounts", account_body())["id"])


def checked_account(market: Market) -> str:
    public_id = proposed_account(market)
    market.as_second_operator.do(f"/bank-accounts/{public_id}/check")
    return public_id


def verified_account(market: Market) -> str:
    """Long enough ago to be paid to."""
    public_id = checked_account(market)
    market.as_operator.do(f"/bank-accounts/{public_id}/decide", {"verified": True})
    BankAccount.objects.update(usable_from=T0)
    return public_id


def operators_account(market: Market) -> str:
    body = account_body("0200001", "Delta")
    public_id = str(market.as_operator.do("/bank-accounts", body)["id"])
    market.as_second_operator.do(f"/bank-accounts/{public_id}/decide", {"verified": True})
    return public_id


STATEMENT = b"date,amount,reference,name,account,text\n2026-11-20,12.00,S1,Stray,555501,?\n"


def import_statement(market: Market) -> dict[str, Any]:
    path = f"/bank-statements?account={operators_account(market)}&apply=true"
    reason = "&reason=late"
    reply = market.as_operator.send("POST", path + reason, raw=STATEMENT, content_type="text/csv")
    assert reply.status == 200, reply
    return dict(reply.json)


def _line(market: Market) -> str:
    import_statement(market)
    return str(market.as_operator.get("/bank-lines").data[0]["id"])


def refund_body(market: Market) -> dict[str, Any]:
    market.fund()
    account = verified_account(market)
    return {"account": account, "amount_minor": 500, "currency": "CNY", "reason": "unused"}


def asked_refund(market: Market) -> str:
    return str(market.as_tenant.do("/refunds", refund_body(market))["id"])


def checked_refund(market: Market) -> str:
    public_id = asked_refund(market)
    market.as_operator.do(f"/refunds/{public_id}/check")
    return public_id


def approved_refund(market: Market) -> str:
    public_id = checked_refund(market)
    market.as_second_operator.do(f"/refunds/{public_id}/approve")
    return public_id


def sent_refund(market: Market) -> str:
    public_id = approved_refund(market)
    market.as_operator.do(f"/refunds/{public_id}/send", {"bank_reference": "X1"})
    return public_id


def file_body(market: Market) -> dict[str, Any]:
    return {"account": operators_account(market), "refunds": [approved_refund(market)]}


def _file(market: Market) -> str:
    return str(market.as_operator.do("/payment-files", file_body(market))["id"])


def _reservation(market: Market) -> str:
    market.listing()
    market.fund()
    return str(market.reservation()["id"])


def _basket(market: Market) -> str:
    market.listing()
    market.fund()
    return str(market.as_tenant.do("/baskets", {"offers": [market.offer()["token"]]})["id"])


def trial_terms() -> dict[str, Any]:
    return {"trial_units": 1, "trial_hours": 4, "trial_convertible": True}


def _unknown_listing(market: Market) -> dict[str, Any]:
    """A listing that sells nothing exists for nobody but its provider."""
    public_id = str(market.listing(terms=trial_terms())["id"])
    market.as_provider.do(f"/listings/{public_id}/pause", {})
    return {"listing": public_id}


def _lease(market: Market) -> str:
    market.listing()
    market.fund()
    return str(market.lease()["id"])


def _quote(market: Market) -> str:
    lease = _lease(market)
    return str(market.as_tenant.do(f"/leases/{lease}/quotes", {"kind": "cancel"})["id"])


def _amendment(market: Market) -> str:
    body = {"end_at": text(next_hour(9))}
    return str(market.as_tenant.do(f"/leases/{_lease(market)}/amendments", body)["id"])


def _charge(market: Market) -> str:
    """The kept share of a deal cancelled late."""
    market.listing()
    market.fund()
    held = market.reservation(start=3, hours=30)
    market.as_tenant.do(f"/reservations/{held['id']}/confirm")
    market.as_tenant.do(f"/reservations/{held['id']}/cancel", {"reason": "test"})
    return str(market.as_tenant.get("/charges").data[0]["id"])


def lived_in_june(market: Market) -> None:
    """Something to settle: a lease of the small world, long over and paid for."""
    books.top_up(market.tenant, 10_000_000)
    books.live(books.lease(scene.listing()))


def _topup(_market: Market) -> str:
    return online.start().public_id


def _refund(_market: Market) -> str:
    return online.refund(online.paid(), 10_000).public_id


def _dispute(_market: Market) -> str:
    online.hands.dispute(str(online.paid().intent_id))
    online.deliver()
    return Dispute.objects.get().public_id


def _payout_account(_market: Market) -> str:
    return online.account().public_id


def _settlement(market: Market) -> str:
    lived_in_june(market)
    return str(market.as_operator.do("/settlements", settle_body(market))["id"])


def _instalment(market: Market) -> str:
    _lease(market)
    return str(market.as_tenant.get("/instalments").data[0]["id"])


def settle_body(market: Market) -> dict[str, Any]:
    return {
        "provider": market.provider.public_id,
        "month": "2026-06",
        "currency": "CNY",
    }


def fapiao_body(_market: Market) -> dict[str, Any]:
    return {
        "number": "12345678",
        "issued_date": "2026-06-30",
        "currency": "CNY",
        "amount_minor": 10_600,
        "vat_minor": 600,
        "file_name": "f.pdf",
        "file_base64": "JVBERi0xLjc=",
    }


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


def _fapiao(market: Market) -> str:
    return str(market.as_provider.do("/input-fapiaos", fapiao_body(market))["id"])


def _terms(market: Market) -> str:
    return str(market.as_operator.do("/payout-terms", terms_body(market))["id"])


def payout_body(market: Market) -> dict[str, Any]:
    return {"provider": market.provider.public_id, "currency": "CNY"}


def _payout(market: Market) -> str:
    _settlement(market)
    paying.payee(provider=market.provider)
    return str(market.as_operator.do("/payouts", payout_body(market))["id"])


def _payout_file(market: Market) -> str:
    payout = _payout(market)
    market.as_second_operator.do(f"/payouts/{payout}/approve")
    body = {"currency": "CNY", "layout": "plain"}
    return str(market.as_operator.do("/payout-files", body)["id"])


def _repayment(market: Market) -> str:
    paying.owing(market.provider)
    body = {**payout_body(market), "amount_minor": 1, "bank_reference": "R-1"}
    return str(market.as_operator.do("/provider-repayments", body)["id"])


def external_body(market: Market) -> dict[str, Any]:
    return {
        "pool": market.pool.public_id,
        "kind": "own_use",
        "unit_count": 1,
        "start_at": text(next_hour(48)),
        "end_at": text(next_hour(96)),
    }


def _external(market: Market) -> str:
    reply = market.as_provider.do("/external-allocations", external_body(market))
    return str(reply["id"])


def _node(market: Market) -> str:
    return str(market.pool.nodes.order_by("-pk")[0].public_id)


def _outage(market: Market) -> str:
    return str(market.as_provider.do("/outages", outage_body(market))["id"])


def outage_body(market: Market) -> dict[str, Any]:
    return {
        "pool": market.pool.public_id,
        "node_count": 1,
        "start_at": text(next_hour(48)),
        "end_at": text(next_hour(96)),
        "reason": "new switches",
    }


def _project(market: Market) -> str:
    return str(market.as_tenant.do("/projects", {"name": "Pre-training"})["id"])


def _quota(market: Market) -> str:
    return str(market.as_tenant.do("/quotas", quota_body(market))["id"])


def quota_body(_market: Market) -> dict[str, Any]:
    return {"measure": "spend", "window": "month", "currency": "CNY", "limit_minor": 10**9}


def _key(market: Market) -> str:
    body = {"name": "ci", "scopes": ["leases:read"]}
    return str(market.as_tenant.do("/api-keys", body)["id"])


# How to make the object of each collection, whose it is, and for whom it does not exist.
OBJECTS: dict[str, Maker] = {
    "organisations": lambda market: market.provider.public_id,
    "projects": _project,
    "api-keys": _key,
    "quotas": _quota,
    "centres": _centre,
    "fabrics": lambda market: market.pool.fabric.public_id,
    "pools": lambda market: market.pool.public_id,
    "nodes": _node,
    "outages": _outage,
    "instances": lambda market: market.instance().public_id,
    "external-allocations": _external,
    "listings": lambda market: str(market.listing()["id"]),
    "reservations": _reservation,
    "baskets": _basket,
    "leases": _lease,
    "quotes": _quote,
    "amendments": _amendment,
    "charges": _charge,
    "bank-receipts": _receipt,
    "settlements": _settlement,
    "instalments": _instalment,
    "bank-accounts": proposed_account,
    "bank-statements": lambda market: str(import_statement(market)["statement"]["id"]),
    "bank-lines": _line,
    "refunds": asked_refund,
    "payment-files": _file,
    "payouts": _payout,
    "payout-files": _payout_file,
    "payout-terms": _terms,
    "input-fapiaos": _fapiao,
    "provider-repayments": _repayment,
    "topups": _topup,
    "topup-refunds": _refund,
    "disputes": _dispute,
    "payout-accounts": _payout_account,
}
# Lists of the caller's own rows, by who sees something in them once the maker has run.
OWN_LISTS: dict[str, tuple[Maker, str]] = {
    "/organisations": (OBJECTS["organisations"], "as_provider"),
    "/projects": (_project, "as_tenant"),
    "/api-keys": (_key, "as_tenant"),
    "/quotas": (_quota, "as_tenant"),
    "/centres": (_centre, "as_provider"),
    "/fabrics": (OBJECTS["fabrics"], "as_provider"),
    "/pools": (OBJECTS["pools"], "as_provider"),
    "/nodes": (_node, "as_provider"),
    "/outages": (_outage, "as_provider"),
    "/instances": (OBJECTS["instances"], "as_provider"),
    "/external-allocations": (_external, "as_provider"),
    "/listings": (OBJECTS["listings"], "as_provider"),
    "/reservations": (_reservation, "as_tenant"),
    "/leases": (_lease, "as_tenant"),
    "/baskets": (_basket, "as_tenant"),
    "/quotes": (_quote, "as_tenant"),
    "/amendments": (_amendment, "as_provider"),
    "/charges": (_charge, "as_tenant"),
    "/bank-receipts": (_receipt, "as_tenant"),
    "/settlements": (_settlement, "as_provider"),
    "/instalments": (_instalment, "as_tenant"),
    "/bank-accounts": (proposed_account, "as_tenant"),
    "/refunds": (asked_refund, "as_tenant"),
    "/payouts": (_payout, "as_provider"),
    "/payout-terms": (_terms, "as_provider"),
    "/input-fapiaos": (_fapiao, "as_provider"),
    "/provider-repayments": (_repayment, "as_provider"),
    "/topups": (_topup, "as_tenant"),
    "/topup-refunds": (_refund, "as_tenant"),
    "/disputes": (_dispute, "as_tenant"),
    "/payout-accounts": (_payout_account, "as_provider"),
}
# Bodies that name another's row.
FOREIGN_BODIES: dict[str, Callable[[Market], dict[str, Any]]] = {
    "/api-keys": lambda market: {
        "name": "x",
        "scopes": ["leases:read"],
        "project": _project(market),
    },
    "/quotas": lambda market: {**quota_body(market), "project": _project(market)},
    "/fabrics": lambda market: {
        "centre": _centre(market),
        "name": "IB-2",
        "technology": "RoCE v2",
    },
    "/pools": lambda market: {
        "fabric": market.pool.fabric.public_id,
        "chip": "h100-80g",
        "name": "P",
    },
    "/external-allocations": external_body,
    "/outages": outage_body,
    "/listings": lambda market: market.listing_body(),
    "/refunds": refund_body,
    "/reservations": lambda market: _foreign_project(market),
    "/trials": _unknown_listing,
    "/baskets": lambda market: _in_basket(_foreign_project(market)),
    "/topup-refunds": lambda market: {"topup": online.paid().public_id, "amount_minor": 1_000},
}
# Routes that name no row of anybody's: what they show is tested elsewhere.
NAMELESS = {
    "GET /me",
    "GET /chips",
    "GET /holds/terms",
    "GET /journal",
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
    "POST /wallet/credit-limit",
    "POST /topups",
    "POST /payout-accounts",
    "GET /approval-rules",
    "POST /approval-rules",
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
    return {"offer": offer["token"], "project": _project(market)}


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
    if route.path.endswith(("/availability", "/on-sale", "/usage")):
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
    "paid": {"reference": "R-1"},
    **{verb: {"reason": "no"} for verb in ("cancel", "failed", "returned")},
    "onboarding-link": {"refresh_url": "https://a.example", "return_url": "https://a.example"},
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
    body = BODIES.get(route.path.split("/")[-1], {}) if route.method == "POST" else None

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
        "/external-allocations", {**external_body(market), "nodes": [other.public_id]}
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
    lease = _lease(market)

    assert market.as_provider.get(f"/leases/{lease}").status == 200
    assert market.as_provider.get(f"/leases/{lease}/credentials").status == 404
    assert market.as_provider.post(f"/leases/{lease}/credentials/reveal").status == 404
    assert market.as_operator.get(f"/leases/{lease}/credentials").status == 404
