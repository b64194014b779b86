"""A good request for every POST that moves money, or says how it is to move."""

from __future__ import annotations

from typing import Any

from tests.api.good import Good, no_body, reason
from tests.api.market import Market
from tests.api.rows import accounting, deals, documents, earnings, online, rail


def _settle(market: Market) -> Any:
    earnings.lived_in_june(market)
    return earnings.settle_body(market)


def _note(market: Market) -> Any:
    return {"note": "the switch logs say otherwise"}


BANK: dict[str, Good] = {
    "/bank-receipts": Good("as_operator", lambda m: m.receipt_body()),
    "/bank-receipts/{public_id}/approve": Good("as_second_operator", no_body),
    "/bank-receipts/{public_id}/reject": Good("as_second_operator", reason),
    "/bank-receipts/{public_id}/attribute": Good(
        "as_operator", lambda m: {"tenant": m.tenant.public_id, "reason": "a letter"}
    ),
    "/bank-receipts/{public_id}/send-back": Good(
        "as_operator",
        lambda m: {"payee_bank": "Bank 5", "payee_account": "555501", "reason": "nobody's"},
    ),
    "/bank-accounts": Good("as_tenant", lambda m: rail.account_body()),
    "/bank-accounts/{public_id}/check": Good("as_operator", no_body),
    "/bank-accounts/{public_id}/decide": Good(
        "as_operator", lambda m: {"verified": True}, rail.checked_account
    ),
    "/bank-accounts/{public_id}/close": Good("as_tenant", no_body, rail.verified_account),
    "/refunds": Good("as_tenant", rail.refund_body),
    "/refunds/{public_id}/withdraw": Good("as_tenant", no_body),
    "/refunds/{public_id}/check": Good("as_operator", no_body),
    "/refunds/{public_id}/approve": Good("as_second_operator", no_body, rail.checked_refund),
    "/refunds/{public_id}/refuse": Good("as_operator", reason),
    "/refunds/{public_id}/send": Good(
        "as_operator", lambda m: {"bank_reference": "X1"}, rail.approved_refund
    ),
    "/refunds/{public_id}/complete": Good("as_operator", no_body, rail.sent_refund),
    "/refunds/{public_id}/fail": Good("as_operator", reason, rail.sent_refund),
    "/payment-files": Good("as_operator", rail.file_body),
    "/wallet/credit-limit": Good(
        "as_operator",
        lambda m: {
            "organisation": m.tenant.public_id,
            "limit_minor": 5_000_000,
            "reason": "audited accounts",
        },
    ),
    "/instalments/{public_id}/write-off": Good("as_operator", reason, deals.debt),
    "/instalments/{public_id}/approve-write-off": Good(
        "as_second_operator", no_body, deals.asked_write_off
    ),
}
DOCUMENTS: dict[str, Good] = {
    "/billing-details": Good("as_tenant", documents.details_body),
    "/credit-notes": Good("as_operator", documents.credit_body),
    "/credit-notes/{public_id}/approve": Good("as_second_operator", no_body),
    "/credit-notes/{public_id}/reject": Good("as_second_operator", reason),
    "/statements/{public_id}/accept": Good("as_tenant", no_body),
    "/meter-disputes/{public_id}/decide": Good(
        "as_operator",
        lambda m: {"upheld_for": "tenant", "reason": "so", "evidence": "the switch log"},
    ),
    "/contests": Good("as_tenant", documents.contest_body),
    "/contests/{public_id}/answer": Good("as_provider", _note),
    "/contests/{public_id}/dismiss": Good("as_operator", _note),
    "/contests/{public_id}/uphold": Good(
        "as_operator", lambda m: {**_note(m), "gross_minor": 5_440}
    ),
    "/fapiaos": Good("as_tenant", documents.fapiao_body),
    "/fapiaos/{public_id}/withdraw": Good("as_tenant", no_body),
    "/fapiaos/{public_id}/issue": Good("as_operator", documents.issue_body),
    "/fapiaos/{public_id}/refuse": Good("as_operator", reason),
    "/fapiaos/{public_id}/reverse": Good(
        "as_operator", documents.reverse_body, documents.issued_fapiao
    ),
}
EARNINGS: dict[str, Good] = {
    "/settlements": Good("as_operator", _settle),
    "/payouts": Good("as_operator", earnings.payout_body),
    "/payouts/{public_id}/approve": Good("as_second_operator", no_body),
    "/payouts/{public_id}/cancel": Good("as_operator", reason),
    "/payouts/{public_id}/paid": Good(
        "as_operator", lambda m: {"reference": "ICBC-1"}, earnings.sent_payout
    ),
    "/payouts/{public_id}/failed": Good("as_operator", reason, earnings.sent_payout),
    "/payouts/{public_id}/returned": Good("as_operator", reason, earnings.paid_payout),
    "/payout-files": Good("as_operator", earnings.file_body),
    "/payout-terms": Good("as_operator", earnings.terms_body),
    "/input-fapiaos": Good("as_provider", earnings.input_fapiao_body),
    "/input-fapiaos/{public_id}/accept": Good("as_operator", no_body),
    "/input-fapiaos/{public_id}/reject": Good("as_operator", reason),
    "/provider-repayments": Good("as_operator", earnings.repayment_body),
    "/provider-repayments/{public_id}/approve": Good("as_second_operator", no_body),
    "/provider-repayments/{public_id}/reject": Good("as_second_operator", reason),
}
ONLINE: dict[str, Good] = {
    "/topups": Good("as_tenant", lambda m: {"amount_minor": 10_000, "currency": "CNY"}),
    "/topups/{public_id}/cancel": Good("as_tenant", no_body),
    "/topup-refunds": Good("as_tenant", online.refund_body),
    "/gateway-events/{public_id}/retry": Good("as_operator", no_body, online.parked_event),
    "/payout-accounts": Good("as_provider", lambda m: {"country": "HK"}),
    "/payout-accounts/{public_id}/onboarding-link": Good("as_provider", online.link_body),
}
BOOKS: dict[str, Good] = {
    "/vouchers": Good("as_operator", accounting.voucher_body),
    "/vouchers/{public_id}/approve": Good("as_second_operator", no_body),
    "/vouchers/{public_id}/reject": Good("as_second_operator", reason),
    "/accounting-periods": Good("as_operator", accounting.june),
    "/accounting-periods/{public_id}/close": Good("as_second_operator", no_body),
    "/accounting-periods/{public_id}/put-off": Good("as_operator", reason),
    "/reconciliation-matches": Good("as_operator", accounting.match_body),
    "/reconciliation-matches/offset": Good("as_operator", accounting.offset_body),
    "/reconciliation-matches/{public_id}/undo": Good("as_operator", reason),
}
GOOD = {**BANK, **DOCUMENTS, **EARNINGS, **ONLINE, **BOOKS}
