"""Rows of documents: June's invoice, what corrects it, what is agreed to, and fapiaos."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from billing import invoices, statements
from billing.models import Invoice
from tests.api.market import Market
from tests.api.rows import earnings

FINAL = datetime(2026, 7, 3, 16, tzinfo=UTC)  # 72 hours after June in Shanghai
PAPER = base64.b64encode(b"%PDF-1.7\n...\n%%EOF\n").decode()
TAX_NUMBER = "91350211M000100Y46"


def today() -> str:
    return datetime.now(ZoneInfo(settings.BILLING_ZONE)).date().isoformat()


def invoice(market: Market) -> str:
    """Final, and all of it paid."""
    earnings.lived_in_june(market)
    invoices.finalise_due(at=FINAL, limit=10)
    return Invoice.objects.get(kind="invoice", state="finalised").public_id


def line(market: Market) -> str:
    path = f"/invoices/{invoice(market)}/lines"
    return str(market.as_tenant.get(path).data[0]["id"])


def credit_body(market: Market) -> dict[str, Any]:
    return {"line": line(market), "gross_minor": 5_440, "reason": "an hour was lost"}


def credit_note(market: Market) -> str:
    """Final: another person agreed."""
    public_id = asked_credit(market)
    market.as_second_operator.do(f"/credit-notes/{public_id}/approve")
    return public_id


def asked_credit(market: Market) -> str:
    return str(market.as_operator.do("/credit-notes", credit_body(market))["id"])


def statement(market: Market) -> str:
    """It waits for its tenant from now on."""
    invoice(market)
    statements.issue_due(at=datetime.now(UTC), limit=10)
    return str(market.as_tenant.get("/statements").data[0]["id"])


def contest_body(market: Market) -> dict[str, Any]:
    statement(market)
    (row,) = market.as_tenant.get("/invoices").data
    (only,) = market.as_tenant.get(f"/invoices/{row['id']}/lines").data
    return {"line": only["id"], "reason": "the network was down"}


def contest(market: Market) -> str:
    return str(market.as_tenant.do("/contests", contest_body(market))["id"])


def details_body(_market: Market) -> dict[str, Any]:
    return {"title": "Borealis", "tax_number": TAX_NUMBER, "address": "Xiamen"}


def fapiao_body(market: Market) -> dict[str, Any]:
    return {
        "kind": "special",
        "buyer": details_body(market),
        "parts": [{"invoice": invoice(market)}],
    }


def fapiao(market: Market) -> str:
    return str(market.as_tenant.do("/fapiaos", fapiao_body(market))["id"])


def issue_body(_market: Market) -> dict[str, Any]:
    return {"number": "26112000000012345678", "issued_date": today(), "content": PAPER}


def issued_fapiao(market: Market) -> str:
    public_id = fapiao(market)
    market.as_operator.do(f"/fapiaos/{public_id}/issue", issue_body(market))
    return public_id


def reverse_body(_market: Market) -> dict[str, Any]:
    return {
        "number": "26112000000087654321",
        "red_date": today(),
        "reason": "wrong title",
        "content": PAPER,
    }
