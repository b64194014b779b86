"""Addresses of money, and of everything that moves it."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from billing.api import (
    bank,
    baskets,
    changes,
    closing,
    deals,
    fapiaos,
    instalments,
    invoices,
    online,
    payouts,
    reconciliation,
    refunds,
    settlements,
    trials,
    views,
    vouchers,
)

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("reservations", deals.Reservations, basename="reservation")
router.register("baskets", baskets.Baskets, basename="basket")
router.register("leases", deals.Leases, basename="lease")
router.register("quotes", changes.Quotes, basename="quote")
router.register("amendments", changes.Amendments, basename="amendment")
router.register("charges", views.Charges, basename="charge")
router.register("wallet/transactions", views.WalletTransactions, basename="wallet-transaction")
router.register("bank-receipts", views.BankReceipts, basename="bank-receipt")
router.register("instalments", instalments.Instalments, basename="instalment")
router.register("bank-accounts", bank.BankAccounts, basename="bank-account")
router.register("bank-statements", bank.BankStatements, basename="bank-statement")
router.register("bank-lines", bank.BankLines, basename="bank-line")
router.register("refunds", refunds.Refunds, basename="refund")
router.register("payment-files", refunds.PaymentFiles, basename="payment-file")
router.register("invoices", invoices.Invoices, basename="invoice")
router.register("credit-notes", invoices.CreditNotes, basename="credit-note")
router.register("statements", invoices.Statements, basename="statement")
router.register("contests", invoices.Contests, basename="contest")
router.register("fapiaos", fapiaos.Fapiaos, basename="fapiao")
router.register("topups", online.TopUps, basename="topup")
router.register("topup-refunds", online.Refunds, basename="topup-refund")
router.register("disputes", online.Disputes, basename="dispute")
router.register("payout-accounts", online.PayoutAccounts, basename="payout-account")
router.register("settlements", settlements.Settlements, basename="settlement")
router.register("payouts", payouts.Payouts, basename="payout")
router.register("payout-files", payouts.PayoutFiles, basename="payout-file")
router.register("payout-terms", payouts.TermsOfPayout, basename="payout-terms")
router.register("input-fapiaos", payouts.InputFapiaos, basename="input-fapiao")
router.register("provider-repayments", payouts.Repayments, basename="provider-repayment")
router.register("reconciliation-matches", reconciliation.Matches, basename="reconciliation-match")
router.register("vouchers", vouchers.Vouchers, basename="voucher")
router.register("accounting-periods", closing.AccountingPeriods, basename="accounting-period")

urlpatterns = [
    path(
        "reconciliation",
        reconciliation.Reconciliation.as_view({"get": "retrieve"}),
        name="reconciliation",
    ),
    path(
        "reconciliation-exceptions",
        reconciliation.ReconciliationExceptions.as_view({"get": "retrieve"}),
        name="reconciliation-exceptions",
    ),
    path(
        "trial-balance",
        closing.TrialBalances.as_view({"get": "retrieve"}),
        name="trial-balance",
    ),
    path("ledger-entries", closing.LedgerEntries.as_view({"get": "list"}), name="ledger-entries"),
    path(
        "ledger-transactions/<str:public_id>",
        closing.LedgerTransactions.as_view({"get": "retrieve"}),
        name="ledger-transaction",
    ),
    path(
        "voucher-exports",
        closing.VoucherExports.as_view({"get": "retrieve"}),
        name="voucher-export",
    ),
    path(
        "voucher-exports/layouts",
        closing.VoucherExports.as_view({"get": "layouts"}),
        name="voucher-export-layouts",
    ),
    path(
        "closing-checklist",
        closing.Checklist.as_view({"get": "retrieve"}),
        name="closing-checklist",
    ),
    path("trials", trials.Trials.as_view({"post": "create"}), name="trial-list"),
    path(
        "leases/<str:public_id>/convert",
        trials.Conversions.as_view({"post": "create"}),
        name="lease-convert",
    ),
    path(
        "leases/<str:public_id>/conversion-quote",
        trials.Conversions.as_view({"get": "quote"}),
        name="lease-conversion-quote",
    ),
    path(
        "wallet/runway",
        instalments.Runway.as_view({"get": "retrieve"}),
        name="wallet-runway",
    ),
    path(
        "billing-details",
        fapiaos.Details.as_view({"get": "retrieve", "post": "create"}),
        name="billing-details",
    ),
    path("wallet", views.Wallet.as_view({"get": "retrieve"}), name="wallet-detail"),
    path(
        "wallet/transfer",
        bank.WalletTransfer.as_view({"get": "retrieve"}),
        name="wallet-transfer",
    ),
    path(
        "wallet/credit-limit",
        views.CreditLimit.as_view({"post": "create"}),
        name="wallet-credit-limit",
    ),
    path(
        "leases/<str:public_id>/quotes",
        changes.LeaseQuotes.as_view({"post": "create"}),
        name="lease-quotes",
    ),
    path(
        "leases/<str:public_id>/amendments",
        changes.LeaseAmendments.as_view({"post": "create"}),
        name="lease-amendments",
    ),
    *router.urls,
]
