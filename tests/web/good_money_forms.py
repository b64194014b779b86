"""Every form of the console about money, filled in so that it works."""

from __future__ import annotations

from django.urls import reverse

from billing import fapiaos, statements
from billing.fapiaos import Buyer, Part
from billing.models import InvoiceLine
from tests import world
from tests.disputes import scene as two_meters
from tests.web import money
from tests.web.conftest import Market
from tests.web.good_forms import Good


def good_money_forms(market: Market) -> dict[str, Good]:
    """Payouts, accounts, refunds and what providers hand in."""
    market.fund()
    today = market.at.date().isoformat()
    held = market.reservation(market.listing(selling="direct"))
    payout = money.planned(market)
    nobodys = money.nobodys(market)
    account = money.account(market, market.operator)
    to_send = money.let_go(market, money.refund(market))
    return {
        "payouts": Good("operator", reverse("payouts"), {"provider": "", "currency": "CNY"}),
        "payout": Good(
            "operator", reverse("payout", args=[payout.public_id]),
            {"verdict": "approve", "reason": ""},
        ),
        "payout_files": Good(
            "operator", reverse("payout_files"), {"currency": "CNY", "layout": "plain"}
        ),
        "organisation_payout_terms": Good(
            "operator", reverse("organisation_payout_terms", args=[market.provider.public_id]),
            {"currency": "CNY", "settle_after_days": "10", "minimum": "100",
             "reserve_percent": "5", "reserve_days": "30", "method": "bank",
             "needs_fapiao": "on", "reason": "r"},
        ),
        "input_fapiaos": Good(
            "provider", reverse("input_fapiaos"),
            {"number": "26112000000012345678", "issued_date": today, "currency": "CNY",
             "amount": "106", "vat": "6", "file": "%PDF-1.7"},
        ),
        "input_fapiao": Good(
            "operator", reverse("input_fapiao", args=[money.fapiao(market).public_id]),
            {"verdict": "accept", "reason": ""},
        ),
        "direct_received": Good(
            "provider", reverse("direct_received", args=[held.public_id]),
            {"reference": "D-1", "received_date": today},
        ),
        "bank_accounts": Good(
            "operator", reverse("bank_accounts"),
            {"currency": "CNY", "holder_name": "Delta", "bank_name": "B", "bank_code": "",
             "number": "0200123", "statement_layout": "", "file_layout": "",
             "virtual_prefix": "99", "virtual_digits": "4"},
        ),
        "bank_account": Good(
            "operator",
            reverse("bank_account", args=[money.proposed_account(market, market.tenant).public_id]),
            {"verdict": "check", "reason": ""},
        ),
        "refunds": Good(
            "tenant", reverse("refunds"),
            {"account": money.account(market, market.tenant).public_id, "amount": "5",
             "reason": "r"},
        ),
        "refund": Good(
            "operator", reverse("refund", args=[money.refund(market).public_id]),
            {"verdict": "check", "reason": ""},
        ),
        "payment_files": Good(
            "operator", reverse("payment_files"),
            {"account": account.public_id, "refunds": to_send.public_id},
        ),
        "receipt_send_back": Good(
            "operator", reverse("receipt_send_back", args=[nobodys.public_id]),
            {"payee_bank": "B", "reason": "r"},
        ),
    }  # fmt: skip


def good_paper_forms(market: Market) -> dict[str, Good]:
    """Invoices, their statements and contests, fapiaos."""
    invoice = money.invoiced(market)
    lines = InvoiceLine.objects.filter(invoice=invoice).order_by("pk")
    line = lines[0]
    buyer = {"title": "Borealis", "tax_number": "91350211M000100Y46"}
    rest = {"address": "A", "phone": "1", "bank_name": "B", "bank_account": "1"}
    asked = fapiaos.request(
        kind="special",
        buyer=Buyer(**buyer),
        parts=[Part(invoice.public_id, 100)],
        at=market.at,
        actor=world.actor(market.tenant),
        user=world.member(market.tenant),
    )
    contest = statements.contest(
        line_public_id=line.public_id,
        reason="slow",
        at=market.at,
        actor=world.actor(market.tenant),
        user=world.member(market.tenant),
    )
    return {
        "invoice": Good(
            "tenant", reverse("invoice", args=[invoice.public_id]),
            {"verdict": "accept", "reason": ""},
        ),
        "line_contest": Good(
            "tenant", reverse("line_contest", args=[line.public_id]), {"reason": "slow"}
        ),
        "line_credit": Good(
            "operator", reverse("line_credit", args=[line.public_id]),
            {"amount": "1", "reason": "r"},
        ),
        "contest": Good(
            "provider", reverse("contest", args=[contest.public_id]),
            {"verdict": "answer", "note": "n", "amount": ""},
        ),
        "fapiaos": Good(
            "tenant", reverse("fapiaos"),
            {"invoices": invoice.public_id, "kind": "special", **buyer, **rest},
        ),
        "fapiao": Good(
            "operator", reverse("fapiao", args=[asked.public_id]),
            {"verdict": "issue", "number": "26112000000012345678",
             "date": market.at.date().isoformat(), "reason": ""},
        ),
        "meter_dispute": Good(
            "operator",
            reverse("meter_dispute", args=[two_meters.disputed(market.provider).public_id]),
            {"upheld_for": "tenant", "reason": "r", "evidence": "e"},
        ),
        "billing_details": Good("tenant", reverse("billing_details"), {**buyer, **rest}),
    }  # fmt: skip
