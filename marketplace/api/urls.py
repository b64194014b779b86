"""Addresses of the market."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from marketplace.api import audit, cases, incidents, notifications, offers, quotas, views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("listings", views.Listings, basename="listing")
router.register("approval-rules", views.ApprovalRules, basename="approval-rule")
router.register("offers", offers.Offers, basename="offer")
router.register("quotas", quotas.Quotas, basename="quota")
router.register("incidents", incidents.Incidents, basename="incident")
router.register("cases", cases.Cases, basename="case")
router.register("notification-channels", notifications.Channels, basename="notification-channel")
router.register(
    "notification-deliveries", notifications.Deliveries, basename="notification-delivery"
)

urlpatterns = [
    path("audit/funnel", audit.Funnel.as_view({"get": "retrieve"}), name="audit-funnel"),
    path("holds/terms", quotas.HoldTerms.as_view({"get": "retrieve"}), name="hold-terms"),
    path(
        "pools/<str:public_id>/floors",
        views.Floors.as_view({"get": "list", "post": "create"}),
        name="pool-floors",
    ),
    path(
        "pools/<str:public_id>/on-sale",
        offers.OnSale.as_view({"get": "retrieve"}),
        name="pool-on-sale",
    ),
    *router.urls,
]
