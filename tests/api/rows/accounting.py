"""Rows of the books: vouchers, months that close, matches with the bank's lines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from billing import verification
from billing.models import BankLine, LedgerTransaction
from inventory.api import opaque
from tests.api.market import Market
from tests.api.rows import rail
from tests.billing import books


def voucher_body(_market: Market) -> dict[str, Any]:
    return {
        "effective_date": datetime.now(ZoneInfo(settings.BILLING_ZONE)).date().isoformat(),
        "entries": [
            {"account": "expense:bank_fee:CNY", "amount_minor": 1_500},
            {"account": "asset:bank:CNY", "amount_minor": -1_500},
        ],
        "reason": "the bank's fee of November",
        "evidence": "bank slip 77",
        "file_name": "slip.pdf",
        "file_base64": "JVBERi0xLjc=",
    }


def voucher(market: Market) -> str:
    return str(market.as_operator.do("/vouchers", voucher_body(market))["id"])


def june(_market: Market) -> dict[str, Any]:
    """A month in which nothing was posted; the books were looked at since."""
    verification.report(at=datetime.now(UTC))
    return {"month": "2026-06"}


def closing_month(market: Market) -> str:
    return str(market.as_operator.do("/accounting-periods", june(market))["id"])


def transaction_id(row: LedgerTransaction) -> str:
    return opaque.conceal("ltr", row.pk)


def match_body(market: Market) -> dict[str, Any]:
    """A line of the statement, and the posting of the receipt that was made of it."""
    rail.import_statement(market)
    line = BankLine.objects.get()
    booked = LedgerTransaction.objects.get(kind="bank_receipt_recorded")
    return {"transaction": transaction_id(booked), "line": line.public_id, "reason": "the slip"}


def match(market: Market) -> str:
    return str(market.as_operator.do("/reconciliation-matches", match_body(market))["id"])


def offset_body(market: Market) -> dict[str, Any]:
    """A receipt that was recorded by hand and rejected: the bank never knew of it."""
    receipt = rail.receipt(market)
    market.as_second_operator.do(f"/bank-receipts/{receipt}/reject", {"reason": "a mistake"})
    rows = LedgerTransaction.objects.filter(kind__startswith="bank_receipt_").order_by("pk")
    return {
        "transactions": [transaction_id(row) for row in rows],
        "account": "asset:bank:CNY",
        "reason": "typed twice",
    }


def posted(market: Market) -> str:
    long_ago(market)
    return transaction_id(LedgerTransaction.objects.latest("pk"))


def long_ago(market: Market) -> None:
    """Money recorded by hand in June that no statement ever showed."""
    books.top_up(market.tenant, 10_000)
