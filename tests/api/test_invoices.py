"""Invoices, what corrects them, and the month a tenant agrees to, over REST."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from billing import invoices
from tests.api.market import Market
from tests.api.rows import documents, earnings

GROSS = 10 * 5_440  # ten hours of eight cards in June


def _line(market: Market) -> dict[str, Any]:
    (row,) = market.as_tenant.get("/invoices").data
    (line,) = market.as_tenant.get(f"/invoices/{row['id']}/lines").data
    return dict(line)


def test_a_final_invoice_is_listed_and_read_by_both_its_sides(market: Market) -> None:
    public_id = documents.invoice(market)

    row = market.as_tenant.get(f"/invoices/{public_id}").json
    assert (row["kind"], row["subject"], row["state"]) == ("invoice", "compute", "finalised")
    assert (row["number"], row["payment_status"]) == ("INV-00000001", "prepaid")
    assert (row["issuer"], row["party"]) == (market.operator.public_id, market.tenant.public_id)
    assert (row["total_minor"], row["net_minor"] + row["vat_minor"]) == (GROSS, GROSS)
    assert (row["buyer"]["name"], row["seller"]["name"]) == ("Borealis", "Delta")
    for api in (market.as_tenant, market.as_operator):
        assert api.get("/invoices").data == [row]
    assert market.as_provider.get("/invoices").data == []

    line = _line(market)
    assert (line["gross_minor"], line["card_seconds"]) == (GROSS, 8 * 10 * 3600)
    assert (line["vat_code"], line["vat_bps"], line["month"]) == ("cn-6", 600, "2026-06-01")


def test_invoices_are_narrowed_down(market: Market) -> None:
    public_id = documents.invoice(market)
    asked = {
        f"state=finalised&party={market.tenant.public_id}": [public_id],
        "payment_status=prepaid&currency=CNY": [public_id],
        "state=draft": [],
        f"party={market.stranger.public_id}": [],
    }

    for given, expected in asked.items():
        rows = market.as_operator.get(f"/invoices?{given}").data
        assert [row["id"] for row in rows] == expected, given
    assert market.as_tenant.get("/invoices?state=paid").status == 422
    # Lines are narrowed down by nothing, least of all by what their documents are.
    assert market.as_tenant.get(f"/invoices/{public_id}/lines?currency=CNY").status == 422


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_paper_is_the_same_pdf_every_time(market: Market, language: str) -> None:
    path = f"/invoices/{documents.invoice(market)}/paper?language={language}"

    first, again = (market.as_tenant.get(path).json for _ in range(2))

    content = base64.b64decode(first["content"], validate=True)
    assert content.startswith(b"%PDF-")
    assert first["media_type"] == "application/pdf"
    assert first["sha256"] == hashlib.sha256(content).hexdigest()
    assert again == first
    assert market.as_tenant.get(path.replace(language, "fr")).status == 422


def test_a_draft_has_no_paper_yet(market: Market) -> None:
    earnings.lived_in_june(market)
    invoices.refresh(at=documents.FINAL, limit=1000)
    (row,) = market.as_tenant.get("/invoices").data

    assert (row["state"], row["number"], row["buyer"]["name"]) == ("draft", "", "")
    paper = market.as_tenant.get(f"/invoices/{row['id']}/paper")
    assert (paper.status, paper.code) == (409, "invoice_not_final")
    # Its lines may still change: nobody contests them.
    line = market.as_tenant.get(f"/invoices/{row['id']}/lines").data[0]["id"]
    early = market.as_tenant.post("/contests", {"line": line, "reason": "too much"})
    assert (early.status, early.code) == (404, "not_found")


def test_a_statement_is_accepted_once(market: Market) -> None:
    public_id = documents.statement(market)
    waiting = market.as_tenant.get(f"/statements/{public_id}").json
    assert (waiting["state"], waiting["total_minor"]) == ("issued", GROSS)
    assert waiting["due_at"] > waiting["created_at"]

    for api in (market.as_operator, market.as_provider, market.as_stranger):
        assert api.post(f"/statements/{public_id}/accept").status in (403, 404)
    row = market.as_tenant.do(f"/statements/{public_id}/accept")

    assert (row["state"], row["accepted_at"] is not None) == ("accepted", True)
    again = market.as_tenant.post(f"/statements/{public_id}/accept")
    assert (again.status, again.code) == (409, "statement_closed")
    late = market.as_tenant.post("/contests", {"line": _line(market)["id"], "reason": "no"})
    assert (late.status, late.code) == (409, "statement_closed")


def test_a_contested_line_is_not_settled_until_it_is_decided(market: Market) -> None:
    documents.statement(market)
    body = {"line": _line(market)["id"], "reason": "the network was down"}
    row = market.as_tenant.do("/contests", body)
    again = market.as_tenant.post("/contests", body)
    assert (again.status, again.code) == (409, "already_contested")
    settle = earnings.settle_body(market)
    frozen = market.as_operator.post("/settlements", settle)
    assert (frozen.status, frozen.code) == (409, "nothing_to_settle")

    path, note = f"/contests/{row['id']}", {"note": "the switch logs say otherwise"}
    assert market.as_tenant.post(f"{path}/answer", note).status == 404
    assert market.as_provider.do(f"{path}/answer", note)["provider_note"] == note["note"]
    assert market.as_provider.post(f"{path}/dismiss", note).code == "scope_missing"
    row = market.as_operator.do(f"{path}/dismiss", {"note": "the logs convince"})

    assert (row["state"], row["operator_note"]) == ("dismissed", "the logs convince")
    assert market.as_operator.do("/settlements", settle)["gross_minor"] == GROSS
    late = market.as_operator.post(f"{path}/dismiss", note)
    assert (late.status, late.code) == (409, "contest_decided")


def test_upholding_a_contest_takes_two_persons_and_pays_back(market: Market) -> None:
    documents.statement(market)
    body = {"line": _line(market)["id"], "reason": "the network was down"}
    contest = market.as_tenant.do("/contests", body)
    before = market.as_tenant.get("/wallet").json["posted_minor"]

    uphold = {"note": "an hour was lost", "gross_minor": 5_440}
    row = market.as_operator.do(f"/contests/{contest['id']}/uphold", uphold)
    note = row["credit_note"]
    assert row["state"] == "open"
    assert market.as_tenant.get(f"/credit-notes/{note}").status == 404  # a draft of the operator's
    own = market.as_operator.post(f"/credit-notes/{note}/approve")
    assert (own.status, own.code) == (403, "same_person")
    assert market.as_tenant.get("/wallet").json["posted_minor"] == before

    done = market.as_second_operator.do(f"/credit-notes/{note}/approve")
    assert (done["state"], done["number"], done["total_minor"]) == (
        "finalised", "CN-00000001", -5_440,
    )  # fmt: skip
    assert market.as_tenant.get("/wallet").json["posted_minor"] == before + 5_440
    assert market.as_tenant.get(f"/contests/{contest['id']}").json["state"] == "upheld"
    assert [row["id"] for row in market.as_tenant.get("/credit-notes").data] == [note]
    (line,) = market.as_tenant.get(f"/credit-notes/{note}/lines").data
    assert (line["corrects"], line["gross_minor"]) == (body["line"], -5_440)
    paper = market.as_tenant.get(f"/credit-notes/{note}/paper?language=en").json
    assert base64.b64decode(paper["content"]).startswith(b"%PDF-")


def test_a_credit_note_that_is_not_approved_gives_nothing_back(market: Market) -> None:
    public_id = documents.asked_credit(market)
    before = market.as_tenant.get("/wallet").json["posted_minor"]
    body = {"line": _line(market)["id"], "reason": "more", "gross_minor": GROSS - 5_440 + 1}
    above = market.as_operator.post("/credit-notes", body)
    assert (above.status, above.code) == (409, "credit_too_large")

    path = f"/credit-notes/{public_id}/reject"
    assert market.as_operator.post(path, {"reason": "no"}).code == "same_person"
    row = market.as_second_operator.do(path, {"reason": "no such loss"})

    assert (row["state"], row["number"]) == ("discarded", "")
    assert market.as_tenant.get("/wallet").json["posted_minor"] == before
    assert market.as_tenant.get("/credit-notes").data == []
    late = market.as_second_operator.post(f"/credit-notes/{public_id}/approve")
    assert late.status == 409
    assert market.as_operator.do("/credit-notes", body)["total_minor"] == -body["gross_minor"]


def test_only_final_invoices_are_corrected(market: Market) -> None:
    earnings.lived_in_june(market)
    invoices.refresh(at=datetime.now(UTC), limit=1000)
    (row,) = market.as_operator.get("/invoices").data
    (line,) = market.as_operator.get(f"/invoices/{row['id']}/lines").data

    body = {"line": line["id"], "gross_minor": 1, "reason": "x"}
    reply = market.as_operator.post("/credit-notes", body)

    assert (reply.status, reply.code) == (409, "invoice_not_final")
    assert market.as_tenant.post("/credit-notes", body).code == "scope_missing"
