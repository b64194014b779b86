"""Addresses of money, and of everything that moves it."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from billing.api import (
    acceptances,
    bank,
    baskets,
    books,
    changes,
    deals,
    fapiaos,
    instalments,
    invoices,
    meter_disputes,
    online,
    payouts,
    reconciliation,
    refunds,
    settlements,
    sla_months,
    trials,
    views,
)

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("reservations", deals.Reservations, basename="reservation")
router.register("baskets", baskets.Baskets, basename="basket")
router.register("leases", deals.Leases, basename="lease")
router.register("acceptances", acceptances.Acceptances, basename="acceptance")
router.register("quotes", changes.Quotes, basename="quote")
router.register("amendments", changes.Amendments, basename="amendment")
router.register("charges", views.Charges, basename="charge")
router.register("wallet/transactions", views.WalletTransactions, basename="wallet-transaction")
router.register("bank-receipts", views.BankReceipts, basename="bank-receipt")
router.register("sla-months", sla_months.SlaMonths, basename="sla-month")
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
router.register("meter-disputes", meter_disputes.MeterDisputes, basename="meter-dispute")
router.register("fapiaos", fapiaos.Fapiaos, basename="fapiao")
router.register("topups", online.TopUps, basename="topup")
router.register("topup-refunds", online.Refunds, basename="topup-refund")
router.register("disputes", online.Disputes, basename="dispute")
router.register("payout-accounts", online.PayoutAccounts, basename="payout-account")
router.register("gateway-events", online.GatewayEvents, basename="gateway-event")
router.register("gateway-requests", online.GatewayRequests, basename="gateway-request")
router.register("settlements", settlements.Settlements, basename="settlement")
router.register("payouts", payouts.Payouts, basename="payout")
router.register("payout-files", payouts.PayoutFiles, basename="payout-file")
router.register("payout-terms", payouts.TermsOfPayout, basename="payout-terms")
router.register("input-fapiaos", payouts.InputFapiaos, basename="input-fapiao")
router.register("provider-repayments", payouts.Repayments, basename="provider-repayment")
router.register("vouchers", books.Vouchers, basename="voucher")
router.register("accounting-periods", books.AccountingPeriods, basename="accounting-period")
router.register("reconciliation-matches", reconciliation.Matches, basename="reconciliation-match")

urlpatterns = [
    path(
        "ledger-entries",
        books.LedgerEntries.as_view({"get": "list"}),
        name="ledger-entries",
    ),
    path(
        "ledger-transactions/<str:public_id>",
        books.LedgerTransactions.as_view({"get": "retrieve"}),
        name="ledger-transaction",
    ),
    path(
        "audit/trial-balance",
        books.TrialBalances.as_view({"get": "retrieve"}),
        name="trial-balance",
    ),
    path(
        "audit/voucher-export",
        books.VoucherExports.as_view({"get": "retrieve"}),
        name="voucher-export",
    ),
    path(
        "audit/closing-checklist",
        books.Checklist.as_view({"get": "list"}),
        name="closing-checklist",
    ),
    path(
        "audit/reconciliation",
        reconciliation.Reconciliation.as_view({"get": "retrieve"}),
        name="audit-reconciliation",
    ),
    path("audit/equality", reconciliation.Equality.as_view({"get": "list"}), name="audit-equality"),
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
