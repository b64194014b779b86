"""Fapiaos over REST: asked for, issued, taken back by a red note, asked for again."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.api.market import Market
from tests.api.rows import documents

TOTAL = 10 * 5_440


def _ask(market: Market, invoice: str, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "general",
        "buyer": {"title": "Borealis"},
        "parts": [{"invoice": invoice}],
        **changes,
    }


def test_from_request_to_red_note_and_again(market: Market) -> None:
    body = documents.fapiao_body(market)
    row = market.as_tenant.do("/fapiaos", body)
    assert (row["state"], row["amount_minor"], row["currency"]) == ("requested", TOTAL, "CNY")
    assert (row["title"], row["tax_number"]) == ("Borealis", documents.TAX_NUMBER)
    assert row["parts"] == [{"invoice": body["parts"][0]["invoice"], "amount_minor": TOTAL}]

    path = f"/fapiaos/{row['id']}"
    assert market.as_tenant.get(f"{path}/file").status == 404
    assert market.as_tenant.post(f"{path}/issue", documents.issue_body(market)).code == (
        "scope_missing"
    )
    issued = market.as_operator.do(f"{path}/issue", documents.issue_body(market))
    assert (issued["state"], issued["number"]) == ("issued", "26112000000012345678")
    file = market.as_tenant.get(f"{path}/file").json
    content = base64.b64decode(file["content"], validate=True)
    assert file["media_type"] == "application/pdf"
    assert (file["content"], file["sha256"]) == (
        documents.PAPER, hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    late = market.as_tenant.post(f"{path}/withdraw")
    assert (late.status, late.code) == (409, "invalid_state")

    red = market.as_operator.do(f"{path}/reverse", documents.reverse_body(market))
    assert (red["state"], red["red_number"]) == ("reversed", "26112000000087654321")
    assert market.as_tenant.get(f"{path}/file?role=red").status == 200
    again = market.as_tenant.do("/fapiaos", {**body, "replaces": row["id"]})
    assert (again["replaces"], again["state"]) == (row["id"], "requested")
    same = market.as_operator.post(f"/fapiaos/{again['id']}/issue", documents.issue_body(market))
    assert (same.status, same.code) == (409, "duplicate_fapiao")


def test_no_more_is_asked_for_than_the_invoice_says(market: Market) -> None:
    invoice = documents.invoice(market)
    first = market.as_tenant.do(
        "/fapiaos", _ask(market, invoice, parts=[{"invoice": invoice, "amount_minor": 1_000}])
    )

    above = market.as_tenant.post(
        "/fapiaos", _ask(market, invoice, parts=[{"invoice": invoice, "amount_minor": TOTAL}])
    )
    assert (above.status, above.code) == (409, "amount_not_left")
    assert above.json["params"]["left_minor"] == TOTAL - 1_000
    rest = market.as_tenant.do("/fapiaos", _ask(market, invoice))
    assert (first["amount_minor"], rest["amount_minor"]) == (1_000, TOTAL - 1_000)
    assert market.as_tenant.post("/fapiaos", _ask(market, invoice)).code == "amount_not_left"

    withdrawn = market.as_tenant.do(f"/fapiaos/{first['id']}/withdraw")
    assert withdrawn["state"] == "withdrawn"
    assert market.as_tenant.do("/fapiaos", _ask(market, invoice))["amount_minor"] == 1_000


def test_the_operator_refuses_with_a_reason_that_the_buyer_reads(market: Market) -> None:
    public_id = documents.fapiao(market)

    market.as_operator.do(f"/fapiaos/{public_id}/refuse", {"reason": "the title is not yours"})

    row = market.as_tenant.get(f"/fapiaos/{public_id}").json
    assert (row["state"], row["reason"]) == ("withdrawn", "the title is not yours")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "special"},  # which needs a tax number
        {"buyer": {"title": "Borealis", "tax_number": "91350211M000100Y47"}},  # its check digit
        {"parts": []},
        {"kind": "proforma"},
    ],
    ids=str,
)
def test_what_cannot_be_issued_is_not_asked_for(market: Market, wrong: Any) -> None:
    invoice = documents.invoice(market)

    reply = market.as_tenant.post("/fapiaos", _ask(market, invoice, **wrong))

    assert (reply.status, reply.code) == (422, "validation_failed")
    twice = _ask(market, invoice, parts=[{"invoice": invoice}] * 2)
    assert market.as_tenant.post("/fapiaos", twice).status == 422
    assert market.as_tenant.get("/fapiaos").data == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"number": "１２"}, "validation_failed"),
        ({"issued_date": "2099-01-01"}, "validation_failed"),
        ({"issued_date": "2026-01-01"}, "validation_failed"),  # before it was asked for
        ({"content": "%PDF"}, "file_refused"),
        ({"content": "TVqQAAMAAAAEAAAA"}, "file_refused"),  # a program
    ],
    ids=str,
)
def test_what_was_not_issued_so_is_not_recorded(market: Market, wrong: Any, code: str) -> None:
    public_id = documents.fapiao(market)

    body = {**documents.issue_body(market), **wrong}
    reply = market.as_operator.post(f"/fapiaos/{public_id}/issue", body)

    assert (reply.status, reply.code) == (422, code)
    assert market.as_tenant.get(f"/fapiaos/{public_id}").json["state"] == "requested"


def test_a_file_of_megabytes_is_taken_and_a_larger_one_is_not(market: Market) -> None:
    public_id = documents.fapiao(market)
    paper = b"%PDF-1.7\n" + b"\n" * (4 * 2**20) + b"%%EOF\n"
    body = documents.issue_body(market)

    content = base64.b64encode(paper).decode()
    issued = market.as_operator.do(f"/fapiaos/{public_id}/issue", {**body, "content": content})
    assert issued["state"] == "issued"

    large = {**documents.reverse_body(market), "content": content * 2}
    reply = market.as_operator.post(f"/fapiaos/{public_id}/reverse", large)
    assert (reply.status, reply.code) == (413, "too_large")


def test_how_an_organisation_stands_on_documents(market: Market) -> None:
    none = market.as_tenant.get("/billing-details")
    assert (none.status, none.code) == (404, "not_found")

    market.as_tenant.do("/billing-details", documents.details_body(market))
    row = market.as_tenant.do("/billing-details", {"title": "Borealis Ltd"})

    assert market.as_tenant.get("/billing-details").json == row
    assert (row["title"], row["address"], row["tax_number"]) == ("Borealis Ltd", "", "")
    assert market.as_stranger.get("/billing-details").status == 404
