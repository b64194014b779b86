"""The bank rail over REST: from a line of the statement to the wallet, and out again."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.market import Market
from tests.api.rows import deals, rail


def _statement(*lines: str) -> bytes:
    day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    head = "date,amount,reference,name,account,text\n"
    return (head + "".join(f"{day},{line}\n" for line in lines)).encode()


def _bring_in(market: Market, account: str, raw: bytes, apply: str = "true") -> dict[str, Any]:
    reply = market.as_operator.send(
        "POST",
        f"/bank-statements?account={account}&apply={apply}&file_name=nov.csv",
        raw=raw,
        content_type="text/csv",
    )
    assert reply.status == 200, reply
    return dict(reply.json)


def test_a_transfer_with_its_reference_reaches_its_wallet(market: Market) -> None:
    account = rail.operators_account(market)
    told = market.as_tenant.get("/wallet/transfer").json
    assert (told["destinations"][0]["number"], told["amount_minor"]) == ("0200001", None)
    raw = _statement(f"1234567.89,S1,Borealis,6201,{told['reference']}", "12.00,S2,Stray,5555,?")

    look = _bring_in(market, account, raw, apply="false")
    assert (look["applied"], look["new_count"], look["in_minor"]) == (False, 2, 123_457_989)
    assert market.as_operator.get("/bank-lines").data == []
    done = _bring_in(market, account, raw)
    assert (done["applied"], done["new_count"], done["error_count"]) == (True, 2, 0)
    again = _bring_in(market, account, raw)
    assert (again["statement"]["id"], again["new_count"]) == (done["statement"]["id"], 0)
    assert done["statement"]["sha256"] == hashlib.sha256(raw).hexdigest()

    stray, ours = market.as_operator.get("/bank-receipts?state=recorded").data
    if ours["doubt"]:
        stray, ours = ours, stray
    assert (ours["tenant"], ours["matched_by"], ours["amount_minor"]) == (
        market.tenant.public_id, "reference", 123_456_789,
    )  # fmt: skip
    assert (stray["tenant"], bool(stray["doubt"])) == (None, True)
    assert market.as_operator.post(f"/bank-receipts/{ours['id']}/approve").code == "same_person"
    market.as_second_operator.do(f"/bank-receipts/{ours['id']}/approve")
    assert market.as_tenant.get("/wallet").json["available_minor"] == 123_456_789
    lines = market.as_operator.get(f"/bank-lines?account={account}").data
    assert {row["receipt"] for row in lines} == {ours["id"], stray["id"]}


def test_what_nobody_sent_is_attributed_or_goes_back(market: Market) -> None:
    account = rail.operators_account(market)
    raw = _statement("12.00,S1,Stray,5555,?", "34.00,S2,Nobody,66666,?")
    _bring_in(market, account, raw)
    rows = {r["amount_minor"]: r["id"] for r in market.as_operator.get("/bank-receipts").data}
    assert market.as_second_operator.post(f"/bank-receipts/{rows[1200]}/approve").code == (
        "receipt_unattributed"
    )

    whose = {"tenant": market.tenant.public_id, "reason": "their letter"}
    named = market.as_operator.do(f"/bank-receipts/{rows[1200]}/attribute", whose)
    assert (named["tenant"], named["state"]) == (market.tenant.public_id, "recorded")
    market.as_second_operator.do(f"/bank-receipts/{rows[1200]}/approve")
    assert market.as_tenant.get("/wallet").json["available_minor"] == 1_200

    back = {"payee_bank": "Bank 5", "reason": "nobody's"}
    refund = market.as_operator.do(f"/bank-receipts/{rows[3400]}/send-back", back)
    assert (refund["receipt"], refund["amount_minor"]) == (rows[3400], 3_400)
    assert (refund["payee_name"], refund["payee_account"]) == ("Nobody", "66666")


def test_an_account_that_the_statement_masks_is_said_by_who_sends_back(market: Market) -> None:
    _bring_in(market, rail.operators_account(market), _statement("5.00,S1,Stray,62****17,?"))
    path = f"/bank-receipts/{market.as_operator.get('/bank-receipts').data[0]['id']}/send-back"
    body = {"payee_bank": "Bank 5", "reason": "nobody's"}
    unsaid = market.as_operator.post(path, body)
    assert (unsaid.status, unsaid.code) == (422, "validation_failed")

    refund = market.as_operator.do(path, {**body, "payee_account": "6222 0017"})

    assert refund["payee_account"] == "62220017"


def test_a_refund_goes_by_file_and_is_done_when_the_statement_shows_it(market: Market) -> None:
    body = rail.file_body(market)
    (public_id,) = body["refunds"]
    file = market.as_operator.do("/payment-files", body)
    assert (file["line_count"], file["total_minor"]) == (1, 500)
    content = market.as_operator.get(f"/payment-files/{file['id']}/content")
    assert hashlib.sha256(content.content).hexdigest() == file["sha256"]
    assert content.headers["X-Content-SHA256"] == file["sha256"]
    refund = market.as_tenant.get(f"/refunds/{public_id}").json
    assert (refund["state"], refund["file"]) == ("sent", file["id"])
    assert refund["reference"] in content.content.decode("utf-8-sig")

    raw = _statement(f"-5.00,S9,Borealis,7777701,{refund['reference']}")
    _bring_in(market, body["account"], raw)

    assert market.as_tenant.get(f"/refunds/{public_id}").json["state"] == "done"
    (line,) = market.as_operator.get("/bank-lines").data
    assert (line["refund"], line["amount_minor"]) == (public_id, -500)


def test_a_refund_needs_two_persons(market: Market) -> None:
    public_id = rail.checked_refund(market)

    own = market.as_operator.post(f"/refunds/{public_id}/approve")

    assert (own.status, own.code) == (403, "same_person")
    assert market.as_tenant.get("/wallet").json["held_minor"] == 500
    market.as_second_operator.do(f"/refunds/{public_id}/refuse", {"reason": "wrong account"})
    row = market.as_tenant.get(f"/refunds/{public_id}").json
    assert (row["state"], market.as_tenant.get("/wallet").json["held_minor"]) == ("refused", 0)


def test_a_debt_is_given_up_by_two_persons(market: Market) -> None:
    public_id = deals.debt(market)
    path = f"/instalments/{public_id}"
    owed = market.as_tenant.get(path).json
    assert (owed["state"], owed["open_minor"] > 0) == ("overdue", True)
    assert market.as_tenant.post(f"{path}/write-off", {"reason": "x"}).code == "scope_missing"
    assert market.as_operator.post(f"{path}/approve-write-off").code == "no_debt"

    asked = market.as_operator.do(f"{path}/write-off", {"reason": "insolvent"})
    assert asked["state"] == "overdue"
    twice = market.as_second_operator.post(f"{path}/write-off", {"reason": "gone"})
    assert (twice.status, twice.code) == (409, "write_off_asked")
    own = market.as_operator.post(f"{path}/approve-write-off")
    assert (own.status, own.code) == (403, "same_person")
    done = market.as_second_operator.do(f"{path}/approve-write-off")

    assert (done["state"], done["open_minor"]) == ("written_off", 0)
    rows = market.as_tenant.get("/instalments?state=written_off").data
    assert [row["id"] for row in rows] == [public_id]
