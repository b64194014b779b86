"""Rows of the operator's books: matches, vouchers, months, transactions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from billing import chart, reconciliation, verification
from billing.api.book_shapes import TRANSACTION
from billing.models import LedgerTransaction
from inventory.api import opaque
from tests.api.market import Market
from tests.api.rows import rail
from tests.world import T0

MONTH = "2026-06"


def voucher_body(_market: Market) -> dict[str, Any]:
    return {
        "effective_date": T0.date().isoformat(),
        "reason": "a month's account fee",
        "evidence": "statement of June, line 3",
        "entries": [
            {"account": chart.bank_fee("CNY"), "amount_minor": 300},
            {"account": chart.bank("CNY"), "amount_minor": -300},
        ],
    }


def voucher(market: Market) -> str:
    return str(market.as_operator.do("/vouchers", voucher_body(market))["id"])


def posted_voucher(market: Market) -> str:
    public_id = voucher(market)
    market.as_second_operator.do(f"/vouchers/{public_id}/approve")
    return public_id


def transaction(market: Market) -> str:
    """The id of a transaction of the ledger."""
    found = market.as_operator.get(f"/vouchers/{posted_voucher(market)}").json
    return str(found["transaction"])


def match(market: Market) -> str:
    rail.import_statement(market)
    reconciliation.match_due(at=datetime.now(UTC))
    return str(market.as_operator.get("/reconciliation-matches").data[0]["id"])


def match_body(market: Market) -> dict[str, Any]:
    """A line and its posting, which a person says are one."""
    line = rail.line(market)
    row = LedgerTransaction.objects.get(kind="bank_receipt_recorded")
    return {
        "transaction": opaque.conceal(TRANSACTION, row.pk),
        "line": line,
        "reason": "seen in the bank's own system",
    }


def month_body(_market: Market) -> dict[str, Any]:
    """A month in which nothing was, and the books were looked at tonight."""
    verification.report(at=datetime.now(UTC))
    return {"month": MONTH}


def asked_month(market: Market) -> str:
    return str(market.as_operator.do("/accounting-periods", month_body(market))["id"])
