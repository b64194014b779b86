"""Payouts over REST: planned by one person, approved by another, sent, paid or come back."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.api.market import Market
from tests.api.rows import earnings, rail


def test_a_settlement_names_its_charges_and_is_there_on_paper(market: Market) -> None:
    path = f"/settlements/{earnings.settlement(market)}"
    row = market.as_provider.get(path).json

    charges = market.as_provider.get(f"{path}/lines").data
    paper = market.as_provider.get(f"{path}/paper?language=zh").json

    assert len(charges) == row["line_count"]
    assert sum(each["provider_minor"] for each in charges) == row["net_minor"]
    content = base64.b64decode(paper["content"], validate=True)
    assert content.startswith(b"%PDF-")
    assert (paper["media_type"], paper["sha256"]) == (
        "application/pdf", hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    for part in ("lines", "paper"):
        assert market.as_stranger.get(f"{path}/{part}").status == 404


def test_a_payout_takes_two_persons_and_a_file(market: Market) -> None:
    body = earnings.payout_body(market)
    (settled,) = market.as_provider.get("/settlements").data
    row = market.as_operator.do("/payouts", body)
    path = f"/payouts/{row['id']}"
    assert (row["state"], row["amount_minor"]) == ("planned", settled["payable_minor"])
    assert row["lines"] == [
        {"settlement": settled["id"], "part": "net", "amount_minor": settled["payable_minor"]}
    ]
    twice = market.as_operator.post("/payouts", body)
    assert (twice.status, twice.code) == (409, "payout_under_way")

    own = market.as_operator.post(f"{path}/approve")
    assert (own.status, own.code) == (403, "same_person")
    assert market.as_operator.get(path).json["state"] == "planned"
    approved = market.as_second_operator.do(f"{path}/approve")
    assert (approved["state"], approved["approved_at"] is not None) == ("approved", True)

    no_account = market.as_operator.post("/payout-files", {"currency": "CNY", "layout": "plain"})
    assert no_account.status == 409
    rail.operators_account(market)
    file = market.as_operator.do("/payout-files", {"currency": "CNY", "layout": "plain"})
    assert (file["payout_count"], file["amount_minor"]) == (1, row["amount_minor"])
    content = market.as_operator.get(f"/payout-files/{file['id']}/content")
    assert hashlib.sha256(content.content).hexdigest() == file["sha256"]
    assert content.headers["Content-Type"].startswith("text/csv")
    assert file["file_name"] in content.headers["Content-Disposition"]
    assert "6222020200011223344" in content.content.decode("utf-8-sig")
    empty = market.as_operator.post("/payout-files", {"currency": "CNY", "layout": "plain"})
    assert (empty.status, empty.code) == (409, "nothing_to_send")

    market.as_operator.do(f"{path}/paid", {"reference": "ICBC-77"})

    mine = market.as_provider.get(path).json
    assert (mine["state"], mine["reference"]) == ("paid", "ICBC-77")
    assert market.as_provider.get(f"/settlements/{settled['id']}").json["state"] == "paid"
    assert market.as_operator.post("/payouts", body).code == "nothing_to_pay"


@pytest.mark.parametrize(("verb", "make"), [("failed", "sent_payout"), ("returned", "paid_payout")])
def test_money_that_did_not_arrive_is_paid_anew(market: Market, verb: str, make: str) -> None:
    public_id = getattr(earnings, make)(market)

    market.as_operator.do(f"/payouts/{public_id}/{verb}", {"reason": "the account is closed"})

    row = market.as_provider.get(f"/payouts/{public_id}").json
    assert (row["state"], row["failure"]) == (verb, "the account is closed")
    (settled,) = market.as_provider.get("/settlements").data
    assert settled["state"] == "settled"
    body = {"provider": market.provider.public_id, "currency": "CNY"}
    assert market.as_operator.do("/payouts", body)["amount_minor"] == row["amount_minor"]


def test_a_payout_is_given_up_until_it_is_sent(market: Market) -> None:
    public_id = earnings.approved_payout(market)
    path = f"/payouts/{public_id}"

    assert market.as_operator.do(f"{path}/cancel", {"reason": "wrong month"})["state"] == (
        "cancelled"
    )

    for verb, body in (
        ("approve", None),
        ("paid", {"reference": "R"}),
        ("failed", {"reason": "x"}),
    ):
        late = market.as_second_operator.post(f"{path}/{verb}", body)
        assert (late.status, late.code) == (409, "invalid_state"), verb


def test_a_provider_reads_its_payouts_and_moves_none(market: Market) -> None:
    public_id = earnings.payout(market)

    assert [row["id"] for row in market.as_provider.get("/payouts").data] == [public_id]
    for path, body in (
        ("/payouts", earnings.terms_body(market)),
        (f"/payouts/{public_id}/approve", None),
        (f"/payouts/{public_id}/paid", {"reference": "R"}),
        ("/payout-files", {"currency": "CNY", "layout": "plain"}),
        ("/payout-terms", earnings.terms_body(market)),
    ):
        assert market.as_provider.post(path, body).code == "scope_missing", path
    assert market.as_provider.get("/payout-files").code == "scope_missing"
    assert market.as_tenant.get("/payouts").data == []


def test_an_account_to_pay_to_is_checked_by_two_persons_and_cools(market: Market) -> None:
    row = market.as_provider.do("/bank-accounts", rail.account_body(name="Aurora"))
    path, verdict = f"/bank-accounts/{row['id']}", {"verified": True}
    assert (row["state"], row["holder_name"]) == ("proposed", "Aurora")
    foreign = market.as_provider.post("/bank-accounts", rail.account_body(name="Borealis"))
    assert (foreign.status, foreign.code) == (422, "validation_failed")
    assert market.as_second_operator.post(f"{path}/decide", verdict).code == "invalid_state"

    market.as_operator.do(f"{path}/check")
    own = market.as_operator.post(f"{path}/decide", verdict)
    assert (own.status, own.code) == (403, "same_person")
    done = market.as_second_operator.do(f"{path}/decide", verdict)

    assert (done["state"], done["usable_from"] > done["verified_at"]) == ("verified", True)
    earnings.settlement(market)
    body = {"provider": market.provider.public_id, "currency": "CNY"}
    cooling = market.as_operator.post("/payouts", body)
    assert (cooling.status, cooling.code) == (409, "no_bank_account")
    assert cooling.json["params"]["usable_from"] == done["usable_from"]


def test_terms_of_payout_are_versions(market: Market) -> None:
    terms = earnings.terms_body(market)
    first = market.as_operator.do("/payout-terms", terms)
    same = market.as_operator.do("/payout-terms", terms)
    second = market.as_operator.do("/payout-terms", {**terms, "needs_fapiao": True})

    assert (same["id"], first["version"], second["version"]) == (first["id"], 1, 2)
    rows = market.as_provider.get("/payout-terms").data
    assert [row["id"] for row in rows] == [second["id"], first["id"]]
    endless: dict[str, Any] = {**terms, "reserve_bps": 1_000, "reserve_days": 0}
    refused = market.as_operator.post("/payout-terms", endless)
    assert (refused.status, refused.code) == (422, "terms_out_of_range")


def test_where_terms_say_so_a_payout_waits_for_fapiaos(market: Market) -> None:
    terms = {**earnings.terms_body(market), "needs_fapiao": True}
    market.as_operator.do("/payout-terms", terms)
    body = earnings.payout_body(market)
    early = market.as_operator.post("/payouts", body)
    assert (early.status, early.code) == (409, "fapiao_missing")
    missing = early.json["params"]["missing_minor"]
    fapiao = {**earnings.input_fapiao_body(market), "amount_minor": missing}

    row = market.as_provider.do("/input-fapiaos", fapiao)
    again = market.as_provider.post("/input-fapiaos", fapiao)
    assert (again.status, again.code) == (409, "duplicate_fapiao")
    assert market.as_operator.post("/payouts", body).code == "fapiao_missing"
    market.as_operator.do(f"/input-fapiaos/{row['id']}/accept")

    assert market.as_operator.do("/payouts", body)["amount_minor"] == missing


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "1234567"},
        {"number": "二〇二六"},
        {"issued_date": "2099-01-01"},
        {"vat_minor": 10_600},
        {"file_base64": "JVBERi0xLjc"},  # cut off
        {"file_base64": "TVqQAAMAAAAEAAAA"},  # a program
    ],
    ids=str,
)
def test_what_is_no_fapiao_is_not_taken(market: Market, wrong: Any) -> None:
    body = {**earnings.input_fapiao_body(market), **wrong}

    reply = market.as_provider.post("/input-fapiaos", body)

    assert (reply.status, reply.code) == (422, "validation_failed")
    assert market.as_provider.get("/input-fapiaos").data == []


def test_what_a_provider_paid_back_is_recorded_and_approved(market: Market) -> None:
    body = {**earnings.repayment_body(market), "amount_minor": 40}
    row = market.as_operator.do("/provider-repayments", body)
    path = f"/provider-repayments/{row['id']}"
    again = market.as_operator.post("/provider-repayments", body)
    assert again.status == 409

    own = market.as_operator.post(f"{path}/approve")
    assert (own.status, own.code) == (403, "same_person")
    assert market.as_second_operator.do(f"{path}/approve")["state"] == "approved"

    above = {**body, "amount_minor": 61, "bank_reference": "R-2"}
    refused = market.as_operator.post("/provider-repayments", above)
    assert (refused.status, refused.code) == (409, "nothing_owed")
