"""The operator's books over REST: reconciliation, vouchers, trial balance, export, closing."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import reconciliation
from billing.models import LedgerTransaction
from tests.api.market import Market
from tests.api.rows import books, rail

EXPORT = f"/voucher-exports?month={books.MONTH}&currency=CNY&layout="


def _now() -> datetime:
    return datetime.now(UTC)


def test_a_line_that_nobody_booked_is_an_exception_until_a_voucher_books_it(
    market: Market,
) -> None:
    operator, second = market.as_operator, market.as_second_operator
    account = rail.operators_account(market)
    raw = b"date,in,out,reference,name,text\n2026-11-20,,3.00,F1,Bank 1,fee\n"
    path = f"/bank-statements?account={account}&apply=true&reason=late"
    assert operator.send("POST", path, raw=raw, content_type="text/csv").status == 200
    (line,) = operator.get("/bank-lines").data

    found = operator.get("/reconciliation-exceptions").json
    (missing,) = found["data"]
    assert (missing["kind"], missing["line"]) == ("missing_in_books", line["id"])
    assert (missing["difference_minor"], missing["alarm_days"]) == (300, 3)
    assert operator.get("/reconciliation-exceptions?kind=unknown_type").json["count"] == 0
    (bank,) = operator.get("/reconciliation").json["accounts"]
    assert (bank["books_minor"], bank["outside_minor"], bank["is_equal"]) == (0, -300, False)
    assert bank["causes"] == [{"kind": "missing_in_books", "count": 1, "amount_minor": 300}]

    body = {**books.voucher_body(market), "external_reference": line["id"]}
    made = operator.do("/vouchers", body)
    assert operator.post(f"/vouchers/{made['id']}/approve").code == "same_person"
    posted = second.do(f"/vouchers/{made['id']}/approve")
    assert (posted["state"], posted["entries"]) == ("posted", body["entries"])
    reconciliation.match_due(at=_now())

    assert operator.get("/reconciliation-exceptions").json["count"] == 0
    (row,) = operator.get("/reconciliation-matches?account=asset:bank:CNY").data
    assert (row["line"], row["transaction"], row["matched_by"], row["net_minor"]) == (
        line["id"], posted["transaction"], "rule", -300,
    )  # fmt: skip


def test_a_match_is_undone_and_made_by_hand(market: Market) -> None:
    operator = market.as_operator
    body = books.match_body(market)
    reconciliation.match_due(at=_now())
    (row,) = operator.get("/reconciliation-matches").data

    taken = operator.post("/reconciliation-matches", body)
    assert (taken.status, taken.code) == (409, "reconciliation_already_matched")
    undone = operator.do(f"/reconciliation-matches/{row['id']}/undo", {"reason": "mistaken"})
    assert (undone["undone_reason"], bool(undone["undone_at"])) == ("mistaken", True)
    again = operator.do("/reconciliation-matches", body)
    assert (again["matched_by"], again["reason"]) == ("hand", "seen in the bank's own system")
    assert [each["undone_at"] is None for each in operator.get("/reconciliation-matches").data] == [
        True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"line": "bln_" + "0" * 32}, 404, "not_found"),
        ({"line": "txn_nothing"}, 404, "not_found"),
        ({"line": "bln_1"}, 404, "not_found"),
        ({"transaction": "ltx_" + "0" * 32}, 422, "validation_failed"),
        ({"transaction": "lse_" + "0" * 32}, 422, "validation_failed"),
        ({"reason": " "}, 422, "validation_failed"),
        ({"line": None}, 422, "validation_failed"),
    ],
)
def test_a_match_of_nothing_is_refused(
    market: Market, change: dict[str, object], status: int, code: str
) -> None:
    body = {**books.match_body(market), **change}

    reply = market.as_operator.post("/reconciliation-matches", body)

    assert (reply.status, reply.code) == (status, code), reply.json


def test_two_movements_that_cancel_each_other_are_matched_with_each_other(market: Market) -> None:
    operator, second = market.as_operator, market.as_second_operator
    ids = []
    for sign in (1, -1):
        body = books.voucher_body(market)
        for entry in body["entries"]:
            entry["amount_minor"] *= sign
        made = operator.do("/vouchers", body)
        ids.append(second.do(f"/vouchers/{made['id']}/approve")["transaction"])
    body = {"transaction": ids[0], "offset": ids[1], "reason": "booked twice"}

    assert operator.post("/reconciliation-matches", body).code == "reconciliation_no_match"
    row = operator.do("/reconciliation-matches", {**body, "account": "asset:bank:CNY"})

    assert (row["line"], {row["transaction"], row["offset"]}) == (None, set(ids))
    both = operator.post("/reconciliation-matches", {**body, "line": "txn_1"})
    assert (both.status, both.code) == (422, "validation_failed")


def test_a_voucher_keeps_its_file_and_is_rejected_with_a_reason(market: Market) -> None:
    content = b"%PDF-1.7 a letter"
    body = {
        **books.voucher_body(market),
        "file_name": "letter.pdf",
        "file_base64": base64.b64encode(content).decode(),
    }
    made = market.as_operator.do("/vouchers", body)

    reply = market.as_operator.get(f"/vouchers/{made['id']}/evidence")
    assert (reply.status, hashlib.sha256(reply.content).hexdigest()) == (
        200, hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    assert reply.headers["Content-Disposition"].startswith("attachment")
    rejected = market.as_second_operator.do(
        f"/vouchers/{made['id']}/reject", {"reason": "of another month"}
    )
    assert (rejected["state"], rejected["transaction"]) == ("rejected", None)
    late = market.as_second_operator.post(f"/vouchers/{made['id']}/approve")
    assert (late.status, late.code) == (409, "voucher_decided")
    assert not LedgerTransaction.objects.exists()
    bare = market.as_operator.do("/vouchers", books.voucher_body(market))
    assert market.as_operator.get(f"/vouchers/{bare['id']}/evidence").status == 404


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"entries": [{"account": "asset:bank:CNY", "amount_minor": 1}]}, 422, "validation_failed"),
        ({"effective_date": "2999-01-01"}, 422, "validation_failed"),
        ({"effective_date": "2199-01-01"}, 422, "validation_failed"),
        ({"evidence": ""}, 422, "validation_failed"),
        ({"file_base64": "%%%"}, 422, "validation_failed"),
        ({"file_base64": "TVo="}, 422, "validation_failed"),
    ],
)
def test_a_voucher_that_is_none_is_refused(
    market: Market, change: dict[str, object], status: int, code: str
) -> None:
    reply = market.as_operator.post("/vouchers", {**books.voucher_body(market), **change})

    assert (reply.status, reply.code) == (status, code), reply.json


def test_a_voucher_on_an_account_of_documents_names_it(market: Market) -> None:
    body = books.voucher_body(market)
    body["entries"][0]["account"] = "liability:unmatched_receipts:CNY"

    reply = market.as_operator.post("/vouchers", body)

    assert (reply.status, reply.code) == (422, "account_not_by_hand")
    assert reply.json["params"] == {"account": "liability:unmatched_receipts:CNY"}


def test_the_trial_balance_leads_down_to_every_leg(market: Market) -> None:
    books.posted_voucher(market)
    operator = market.as_operator

    found = operator.get(f"/trial-balance?month={books.MONTH}&currency=CNY").json
    assert (found["is_balanced"], found["total"]["debit_minor"]) == (True, 300)
    assert [level["name"] for level in found["levels"]] == [
        "asset", "asset:bank", "expense", "expense:bank_fee",
    ]  # fmt: skip
    assert found["accounts"][0]["sums"] == {
        "opening_minor": 0, "debit_minor": 0, "credit_minor": 300, "closing_minor": -300,
    }  # fmt: skip

    path = f"/ledger-entries?account=asset:bank:CNY&month={books.MONTH}&limit=1"
    (entry,) = operator.get(path).data
    assert (entry["amount_minor"], entry["kind"]) == (-300, "adjusted")
    whole = operator.get(f"/ledger-transactions/{entry['transaction']}").json
    assert [leg["amount_minor"] for leg in whole["entries"]] == [300, -300]
    assert operator.get(f"/trial-balance?month={books.MONTH}&currency=USD").json["accounts"] == []
    for query in ("", "?month=2026-06", "?month=2026-13&currency=CNY", "?month=2026-06&currency=X"):
        assert operator.get(f"/trial-balance{query}").status == 422
    assert operator.get("/ledger-entries?account=asset:bank:CNY").status == 422


def test_a_month_is_exported_for_each_layout(market: Market) -> None:
    books.posted_voucher(market)
    operator = market.as_operator
    layouts = operator.get("/voucher-exports/layouts").json["data"]
    assert len(layouts) == 4

    for layout in layouts:
        reply = operator.get(EXPORT + layout["name"])
        assert reply.status == 200
        assert b"3.00" in reply.content
        assert layout["name"] in reply.headers["Content-Disposition"]
    unknown = operator.get(EXPORT + "nothing")
    assert (unknown.status, unknown.code) == (422, "unknown_export_layout")
    bad = operator.get(EXPORT + "kingdee_k3&rate=NaN")
    assert (bad.status, bad.code) == (422, "validation_failed")


def test_a_month_that_is_ready_is_closed_by_two_persons(market: Market) -> None:
    operator, second = market.as_operator, market.as_second_operator
    body = books.month_body(market)
    found = operator.get(f"/closing-checklist?month={books.MONTH}").json
    assert (found["is_ready"], len(found["items"])) == (True, 10)

    asked = operator.do("/accounting-periods", body)
    assert (asked["month"], asked["state"]) == (books.MONTH, "closing")
    assert operator.post(f"/accounting-periods/{asked['id']}/close").code == "same_person"
    closed = second.do(f"/accounting-periods/{asked['id']}/close")
    assert closed["state"] == "closed"
    late = operator.post("/vouchers", books.voucher_body(market))
    assert (late.status, late.code) == (409, "period_closed")


def test_a_month_that_is_not_ready_says_what_it_lacks(market: Market) -> None:
    body = books.month_body(market)
    books.voucher(market)

    reply = market.as_operator.post("/accounting-periods", body)

    assert (reply.status, reply.code) == (409, "month_not_ready")
    assert reply.json["params"] == {"month": books.MONTH, "missing": ["vouchers_decided"]}
    assert market.as_operator.get("/accounting-periods").data == []


def test_a_month_is_put_off_for_a_reason(market: Market) -> None:
    public_id = books.asked_month(market)

    row = market.as_second_operator.do(
        f"/accounting-periods/{public_id}/put-off", {"reason": "a fapiao is missing"}
    )

    assert row["state"] == "open"


def test_the_trial_balance_costs_the_same_statements_however_much_was_posted(
    market: Market,
) -> None:
    path = f"/trial-balance?month={books.MONTH}&currency=CNY"
    counts = []
    for _ in range(2):
        for _number in range(5):
            books.posted_voucher(market)
        with CaptureQueriesContext(connection) as spent:
            assert market.as_operator.get(path).status == 200
        counts.append(len(spent))

    assert counts[0] == counts[1] <= 4
