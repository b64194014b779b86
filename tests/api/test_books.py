"""The books over REST: vouchers by two persons, months that close, figures that agree."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import reconciliation
from tests.api.market import Market
from tests.api.rows import accounting, earnings


def _sums(market: Market, month: str, **given: str) -> dict[str, Any]:
    asked = "&".join(f"{name}={value}" for name, value in given.items())
    return dict(market.as_operator.get(f"/audit/trial-balance?month={month}&{asked}").json)


def _closing(found: dict[str, Any], account: str) -> int:
    (sums,) = [each["sums"] for each in found["accounts"] if each["account"] == account]
    return int(sums["closing_minor"])


def test_a_voucher_is_posted_by_another_person_than_proposed_it(market: Market) -> None:
    body = accounting.voucher_body(market)
    row = market.as_operator.do("/vouchers", body)
    assert (row["state"], row["entries"]) == ("proposed", body["entries"])
    month = body["effective_date"][:7]
    assert _sums(market, month, accounts="true")["accounts"] == []

    path = f"/vouchers/{row['id']}"
    own = market.as_operator.post(f"{path}/approve")
    assert (own.status, own.code) == (403, "same_person")
    done = market.as_second_operator.do(f"{path}/approve")

    assert (done["state"], done["decided_by"] != done["proposed_by"]) == ("posted", True)
    found = _sums(market, month, accounts="true")
    assert (_closing(found, "expense:bank_fee:CNY"), found["is_balanced"]) == (1_500, True)
    again = market.as_second_operator.post(f"{path}/reject", {"reason": "no"})
    assert (again.status, again.code) == (409, "voucher_decided")
    file = market.as_operator.get(f"{path}/file").json
    assert file["sha256"] == hashlib.sha256(b"%PDF-1.7").hexdigest()
    for api in (market.as_tenant, market.as_provider):
        assert api.get("/vouchers").code == api.post("/vouchers", body).code == "scope_missing"


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"entries": [("asset:bank:CNY", 5), ("expense:bank_fee:CNY", -4)]}, 422, "unbalanced"),
        ({"entries": [("asset:bank:CNY", 0), ("expense:bank_fee:CNY", 0)]}, 422, None),
        (
            {"entries": [("asset:bank:CNY", 9 * 10**18), ("asset:bank:CNY", -(9 * 10**18))]},
            422,
            None,
        ),
        ({"entries": [("asset:gold:CNY", 5), ("asset:bank:CNY", -5)]}, 422, "account_not_by_hand"),
        (
            {"entries": [("liability:deposit:CNY", 5), ("asset:bank:CNY", -5)]},
            422,
            "account_not_by_hand",
        ),
        ({"effective_date": "2099-01-01"}, 422, "validation_failed"),
        ({"file_base64": "JVBERi0xLjc"}, 422, "validation_failed"),
        ({"file_base64": "TVqQAAMAAAAEAAAA"}, 422, "validation_failed"),
    ],
    ids=str,
)
def test_what_is_no_voucher_is_refused(
    market: Market, wrong: dict[str, Any], status: int, code: str | None
) -> None:
    if "entries" in wrong:
        legs = [{"account": code, "amount_minor": minor} for code, minor in wrong["entries"]]
        wrong = {"entries": legs}

    reply = market.as_operator.post("/vouchers", {**accounting.voucher_body(market), **wrong})

    assert reply.status == status, reply
    assert code is None or reply.code == code
    assert market.as_operator.get("/vouchers").data == []


def _missing(market: Market) -> list[str]:
    rows = market.as_operator.get("/audit/closing-checklist?month=2026-06").json
    return [row["name"] for row in rows if not row["is_done"]]


def test_a_month_closes_by_two_persons_and_nothing_is_posted_there(market: Market) -> None:
    voucher = {**accounting.voucher_body(market), "effective_date": "2026-06-30"}
    waiting = market.as_operator.do("/vouchers", voucher)["id"]
    june = accounting.june(market)
    assert _missing(market) == ["vouchers_decided"]
    early = market.as_operator.post("/accounting-periods", june)
    assert (early.status, early.code) == (409, "month_not_ready")
    assert early.json["params"]["missing"] == ["vouchers_decided"]
    market.as_second_operator.do(f"/vouchers/{waiting}/reject", {"reason": "of July"})
    assert _missing(market) == []
    path = f"/accounting-periods/{market.as_operator.do('/accounting-periods', june)['id']}"

    own = market.as_operator.post(f"{path}/close")
    assert (own.status, own.code) == (403, "same_person")
    assert market.as_operator.do(f"{path}/put-off", {"reason": "one more"})["state"] == "open"
    market.as_operator.do("/accounting-periods", june)
    row = market.as_second_operator.do(f"{path}/close")

    assert (row["state"], row["month"], row["closed_at"] is not None) == ("closed", "2026-06", True)
    late = market.as_operator.post("/vouchers", voucher)
    assert (late.status, late.code) == (409, "period_closed")
    again = market.as_operator.post("/accounting-periods", june)
    assert (again.status, again.code) == (409, "period_already_closed")
    gap = market.as_operator.post("/accounting-periods", {"month": "2026-08"})
    assert (gap.status, gap.code) == (409, "earlier_month_open")
    present = {"month": f"{datetime.now(UTC):%Y-%m}"}
    assert market.as_operator.post("/accounting-periods", present).code == "month_not_ready"


def test_the_trial_balance_of_a_month_is_balanced(market: Market) -> None:
    earnings.lived_in_june(market)

    found = _sums(market, "2026-06", accounts="true")

    assert (found["is_balanced"], found["total"]["closing_minor"]) == (True, 0)
    assert found["total"]["debit_minor"] == found["total"]["credit_minor"] > 0
    assert _closing(found, "asset:bank:CNY") == 10_000_000
    kinds = [level["name"] for level in found["levels"] if level["is_kind"]]
    assert kinds == ["asset", "liability", "revenue"]
    assert _sums(market, "2026-05")["levels"] == []
    assert market.as_provider.get("/audit/trial-balance?month=2026-06").code == "scope_missing"


def test_a_sum_leads_down_to_its_transactions(market: Market) -> None:
    earnings.lived_in_june(market)
    asked = "/ledger-entries?account=asset:bank:CNY&month=2026-06"

    (entry,) = market.as_operator.get(asked).data
    whole = market.as_operator.get(f"/ledger-transactions/{entry['transaction']}").json

    assert (entry["kind"], entry["amount_minor"]) == ("bank_receipt_recorded", 10_000_000)
    legs = {leg["account"]: leg["amount_minor"] for leg in whole["entries"]}
    assert legs == {
        "asset:bank:CNY": 10_000_000,
        "liability:unmatched_receipts:CNY": -10_000_000,
    }
    assert market.as_operator.get(asked.replace("2026-06", "2026-05")).data == []
    for wrong in ("/ledger-entries?month=2026-06", f"{asked}&page=2", f"{asked}&month=2026-05"):
        assert market.as_operator.get(wrong).status == 422, wrong
    for name in ("1", "ltr_" + "0" * 32, entry["id"]):
        assert market.as_operator.get(f"/ledger-transactions/{name}").status == 404, name
    assert market.as_provider.get(asked).code == "scope_missing"


def test_a_month_leaves_for_another_system(market: Market) -> None:
    earnings.lived_in_june(market)
    path = "/audit/voucher-export?month=2026-06&layout=yonyou_u8"

    first, again = market.as_operator.get(path), market.as_operator.get(path)

    assert first.status == 200, first
    assert first.content == again.content
    assert first.headers["X-Content-SHA256"] == hashlib.sha256(first.content).hexdigest()
    for wrong, code in (
        ("month=2026-06&layout=nobody", "unknown_export_layout"),
        ("month=2026-06&layout=yonyou_u8&currency=USD", "export_rate_needed"),
        ("month=2026-13&layout=yonyou_u8", "validation_failed"),
        ("month=2026-06&layout=yonyou_u8&rate=NaN", "validation_failed"),
        ("month=2026-06", "validation_failed"),
    ):
        reply = market.as_operator.get(f"/audit/voucher-export?{wrong}")
        assert (reply.status, reply.code) == (422, code), wrong


def test_what_does_not_agree_is_shown_with_its_age(market: Market) -> None:
    accounting.long_ago(market)
    market.fund(500)

    found = market.as_operator.get("/audit/reconciliation").json

    (only,) = found["exceptions"]
    assert (only["kind"], only["books_minor"], only["outside_minor"]) == (
        "missing_outside", 10_000, 0,
    )  # fmt: skip
    assert (only["is_late"], found["late_count"], only["line"]) == (True, 1, None)
    (moving,) = found["in_flight"]
    assert (moving["amount_minor"], moving["account"]) == (500, "asset:bank:CNY")
    day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    (equal,) = market.as_operator.get(f"/audit/equality?date={day}").json
    assert (equal["account"], equal["difference_minor"], equal["unexplained_minor"]) == (
        "asset:bank:CNY", 10_000, 0,
    )  # fmt: skip
    assert equal["causes"] == [{"kind": "missing_outside", "count": 1, "amount_minor": 10_000}]


def test_a_person_matches_and_undoes(market: Market) -> None:
    body = accounting.match_body(market)
    row = market.as_operator.do("/reconciliation-matches", body)
    assert (row["bank_line"], row["transaction"]) == (body["line"], body["transaction"])
    assert (row["matched_by"], row["amount_minor"]) == ("hand", 1_200)
    again = market.as_operator.post("/reconciliation-matches", body)
    assert (again.status, again.code) == (409, "reconciliation_already_matched")

    path = f"/reconciliation-matches/{row['id']}/undo"
    undone = market.as_operator.do(path, {"reason": "another slip"})
    assert undone["undone_at"] is not None
    late = market.as_operator.post(path, {"reason": "again"})
    assert (late.status, late.code) == (409, "reconciliation_already_undone")
    assert reconciliation.match_due(at=datetime.now(UTC)) == 0  # a person has said that it is none
    assert market.as_operator.do("/reconciliation-matches", body)["undone_at"] is None


def test_only_what_is_the_same_is_matched(market: Market) -> None:
    body = accounting.match_body(market)
    market.fund(500)
    other = market.as_operator.get("/audit/reconciliation").json["in_flight"][-1]["transaction"]

    differs = market.as_operator.post("/reconciliation-matches", {**body, "transaction": other})
    assert (differs.status, differs.code) == (409, "reconciliation_amounts_differ")
    for name in ("txn_nothing", "bln_1", "bst_" + "0" * 32):
        reply = market.as_operator.post("/reconciliation-matches", {**body, "line": name})
        assert reply.status == 404, name
    unknown = {**body, "transaction": "ltr_" + "0" * 32}
    assert market.as_operator.post("/reconciliation-matches", unknown).status in (404, 422)


def test_movements_that_the_bank_never_knew_cancel_each_other(market: Market) -> None:
    body = accounting.offset_body(market)

    row = market.as_operator.do("/reconciliation-matches/offset", body)

    assert {row["transaction"], row["offset"]} == set(body["transactions"])
    assert market.as_operator.get("/audit/reconciliation").json["in_flight"] == []
    twice = {**body, "transactions": body["transactions"][:1] * 2}
    refused = market.as_operator.post("/reconciliation-matches/offset", twice)
    assert (refused.status, refused.code) == (409, "reconciliation_no_match")
