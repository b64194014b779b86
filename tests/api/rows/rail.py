"""Rows of the bank rail: accounts, receipts, statements and their lines, refunds and files."""

from __future__ import annotations

from typing import Any

from billing.models import BankAccount
from tests.api.market import Market
from tests.world import T0

STATEMENT = b"date,amount,reference,name,account,text\n2026-11-20,12.00,S1,Stray,555501,?\n"


def receipt(market: Market) -> str:
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


def import_statement(market: Market) -> dict[str, Any]:
    path = f"/bank-statements?account={operators_account(market)}&apply=true"
    reason = "&reason=late"
    reply = market.as_operator.send("POST", path + reason, raw=STATEMENT, content_type="text/csv")
    assert reply.status == 200, reply
    return dict(reply.json)


def statement(market: Market) -> str:
    return str(import_statement(market)["statement"]["id"])


def line(market: Market) -> str:
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


def file(market: Market) -> str:
    return str(market.as_operator.do("/payment-files", file_body(market))["id"])
