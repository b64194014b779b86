"""Addresses of money, and of everything that moves it."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from billing.api import baskets, changes, deals, settlements, trials, views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("reservations", deals.Reservations, basename="reservation")
router.register("baskets", baskets.Baskets, basename="basket")
router.register("leases", deals.Leases, basename="lease")
router.register("quotes", changes.Quotes, basename="quote")
router.register("amendments", changes.Amendments, basename="amendment")
router.register("charges", views.Charges, basename="charge")
router.register("wallet/transactions", views.WalletTransactions, basename="wallet-transaction")
router.register("bank-receipts", views.BankReceipts, basename="bank-receipt")
router.register("settlements", settlements.Settlements, basename="settlement")

urlpatterns = [
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
    path("wallet", views.Wallet.as_view({"get": "retrieve"}), name="wallet-detail"),
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
