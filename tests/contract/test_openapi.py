"""The API against its own document: every operation has a request that succeeds as documented."""

from __future__ import annotations

from typing import Any

import pytest

from billing import invoices
from tests.api.market import Market
from tests.api.rows import OBJECTS, Maker, documents, earnings
from tests.contract.operations import CHECKS, IDS, OPERATIONS, call, good, headers


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_a_good_request_succeeds_as_documented(market: Market, operation: Any) -> None:
    sent = good(market, operation)
    optional = {"media_type": "application/json"} if isinstance(sent.body, dict) else {}
    if isinstance(sent.body, str):
        optional = {"media_type": "text/csv"}
    if sent.body is not None:
        optional["body"] = sent.body
    case = operation.Case(
        method=operation.method.upper(),
        path_parameters=sent.path,
        query=sent.query,
        **optional,
    )

    response = call(case, headers(sent.api, operation, "good"), CHECKS)

    assert 200 <= response.status_code < 300, response.text
    if operation.method == "get" and "application/json" in response.headers["content-type"][0]:
        data = response.json()
        rows = data.get("data") if isinstance(data, dict) else data
        assert rows != [], "nothing to read"


def _draft(market: Market) -> str:
    earnings.lived_in_june(market)
    invoices.refresh(at=documents.FINAL, limit=100)
    return str(market.as_tenant.get("/invoices").data[0]["id"])


def _given_back(market: Market) -> str:
    public_id = OBJECTS["reservations"](market)
    market.as_tenant.do(f"/reservations/{public_id}/cancel", {"reason": "test"})
    return public_id


# Reads of what is there and cannot be answered: who is refused, and with what.
REFUSED: dict[str, tuple[Maker, str, int]] = {
    "/invoices/{public_id}/paper": (_draft, "as_tenant", 409),
    "/credit-notes/{public_id}/paper": (documents.asked_credit, "as_operator", 409),
    "/reservations/{public_id}/cancellation-quote": (_given_back, "as_tenant", 409),
    "/leases/{public_id}/conversion-quote": (OBJECTS["leases"], "as_tenant", 409),
    "/fapiaos/{public_id}/file": (documents.fapiao, "as_tenant", 404),
    "/billing-details": (lambda market: "", "as_tenant", 404),
}


@pytest.mark.parametrize("path", REFUSED)
def test_a_read_is_refused_as_documented(market: Market, path: str) -> None:
    (operation,) = [o for o in OPERATIONS if o.label == f"GET /api/v1{path}"]
    make, who, status = REFUSED[path]
    row = make(market)
    case = operation.Case(
        method="GET",
        path_parameters={"public_id": row} if row else {},
        query={"hours": 24} if path.endswith("/conversion-quote") else {},
    )

    response = call(case, headers(getattr(market, who), operation, ""), CHECKS)

    assert response.status_code == status, response.text
