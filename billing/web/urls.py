"""The console's addresses that show or move money."""

from django.urls import path

from billing.web import (
    approving,
    changes,
    checkout,
    earnings,
    leases,
    organisations,
    overview,
    receipts,
    settlements,
    trials,
    wallet,
)

urlpatterns = [
    path("overview/", overview.index, name="overview"),
    path("search/trial/<str:listing_id>/", trials.start, name="trial"),
    path("reservations/hold/", checkout.hold, name="hold"),
    path("baskets/hold/", checkout.hold_basket, name="basket_hold"),
    path(
        "reservations/<str:reservation_id>/confirm/", checkout.confirm, name="reservation_confirm"
    ),
    path("reservations/<str:reservation_id>/cancel/", checkout.cancel, name="reservation_cancel"),
    path("baskets/<str:basket_id>/confirm/", checkout.confirm_basket, name="basket_confirm"),
    path("baskets/<str:basket_id>/cancel/", checkout.cancel_basket, name="basket_cancel"),
    path("reservations/<str:reservation_id>/reject/", approving.reject, name="reservation_reject"),
    path("leases/<str:lease_id>/", leases.detail, name="lease"),
    path("leases/<str:lease_id>/reveal/", leases.reveal, name="lease_reveal"),
    path("leases/<str:lease_id>/charges.csv", leases.charges_csv, name="lease_charges_csv"),
    path("leases/<str:lease_id>/change/<str:kind>/", changes.ask, name="lease_change"),
    path("leases/<str:lease_id>/propose/", changes.propose, name="lease_propose"),
    path("leases/<str:lease_id>/convert/", trials.go_on, name="lease_convert"),
    path("leases/quotes/<str:quote_id>/", changes.quote, name="quote"),
    path("leases/amendments/<str:amendment_id>/", changes.amendment, name="amendment"),
    path("leases/amendments/<str:amendment_id>/sign/", changes.sign, name="amendment_sign"),
    path(
        "leases/amendments/<str:amendment_id>/decline/", changes.decline, name="amendment_decline"
    ),
    path(
        "leases/amendments/<str:amendment_id>/withdraw/",
        changes.withdraw,
        name="amendment_withdraw",
    ),
    path("wallet/", wallet.index, name="wallet"),
    path("wallet/movements.csv", wallet.index_csv, name="wallet_csv"),
    path("earnings/", earnings.index, name="earnings"),
    path("earnings/months.csv", earnings.index_csv, name="earnings_csv"),
    path("settlements/", settlements.index, name="settlements"),
    path("settlements/all.csv", settlements.index_csv, name="settlements_csv"),
    path("settlements/<str:settlement_id>/", settlements.statement, name="settlement"),
    path(
        "settlements/<str:settlement_id>/charges.csv",
        settlements.statement_csv,
        name="settlement_csv",
    ),
    path("receipts/", receipts.index, name="receipts"),
    path("receipts/all.csv", receipts.index_csv, name="receipts_csv"),
    path("receipts/<str:receipt_id>/", receipts.detail, name="receipt"),
    path("organisations/<str:organisation_id>/", organisations.detail, name="organisation"),
    path(
        "organisations/<str:organisation_id>/credit/",
        organisations.credit,
        name="organisation_credit",
    ),
]
