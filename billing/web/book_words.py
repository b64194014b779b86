"""What accounts, causes and checks are called on the operator's pages."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

ACCOUNTS: Mapping[str, object] = {
    "asset": _("Assets"),
    "liability": _("Liabilities"),
    "equity": _("Equity"),
    "revenue": _("Revenue"),
    "expense": _("Expenses"),
    "asset:bank": _("At the bank"),
    "asset:stripe": _("At Stripe"),
    "asset:transit": _("On the way from Stripe to the bank"),
    "asset:tenant_arrears": _("Used by tenants, not due yet"),
    "asset:tenant_receivable": _("Owed by tenants"),
    "asset:provider_receivable": _("Owed by providers"),
    "asset:dispute_receivable": _("Taken by Stripe in disputes"),
    "asset:fx": _("Currency exchange"),
    "asset:input_vat": _("Input VAT"),
    "liability:wallet": _("Wallets of tenants"),
    "liability:deposit": _("Paid ahead for leases"),
    "liability:security": _("Securities of leases"),
    "liability:provider_accrued": _("Earned by providers"),
    "liability:provider_settling": _("Settled, to be paid out"),
    "liability:provider_reserve": _("Kept back of settlements"),
    "liability:unmatched_receipts": _("Receipts in nobody's wallet"),
    "liability:vat": _("VAT charged"),
    "equity:adjustment": _("Adjustments"),
    "revenue:fee": _("Fees"),
    "revenue:sales": _("Resale"),
    "revenue:forfeit": _("Forfeited deposits"),
    "expense:cost_of_sales": _("Cost of resale"),
    "expense:psp_fee": _("Fees of Stripe"),
    "expense:bank_fee": _("Fees of the bank"),
    "expense:sla_credit": _("Credits for quality"),
    "expense:bad_debt": _("Bad debt"),
    "expense:fx_difference": _("Exchange differences"),
}
CAUSES: Mapping[str, object] = {
    "missing_in_books": _("missing in the books"),
    "missing_outside": _("missing at the bank or Stripe"),
    "booked_later": _("booked on a later day"),
    "outside_later": _("came on a later day"),
    "offset_later": _("taken back on a later day"),
    "opening_superseded": _("matched with an opening that is none any more"),
    "lines_not_imported": _("lines that were not imported"),
}
CHECKS: Mapping[str, object] = {
    "month_over": _("The month is over"),
    "usage_rated": _("Every lease is metered and charged up to the end"),
    "service_levels_credited": _("Every lease is held against its service level"),
    "invoices_finalised": _("Every charge is on a final invoice"),
    "settlements_run": _("Every provider is settled"),
    "reconciled": _("The books are the bank and Stripe at the month's end"),
    "no_late_exceptions": _("No exception is too old"),
    "clearing_accounts": _("Nothing lies on a clearing account for too long"),
    "vouchers_decided": _("No voucher waits for a second person"),
    "trial_balance": _("The trial balance sums to zero"),
    "books_verified": _("The books agree with their documents"),
}


def account(code: str) -> object:
    """The words for an account, by its code or by the first two parts of it."""
    return ACCOUNTS.get(":".join(code.split(":")[:2]), code)
