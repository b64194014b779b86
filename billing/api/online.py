"""Paying and being paid online."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import online_shapes as shapes
from billing.models import (
    Dispute,
    GatewayEvent,
    PayoutAccount,
    PspRequest,
    TopUp,
    WalletRefund,
)
from billing.psp import accounts, events, refunds, topups
from inventory.api.requests import actor_of, body, find, instant_of, nothing, organisation_of
from inventory.api.resources import ReadOnlyResource


class TopUps(ReadOnlyResource):
    """Payments by card, Alipay or WeChat Pay into a wallet."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "wallet:read",
        "retrieve": "wallet:read",
        "create": "wallet:write",
        "cancel": "wallet:write",
    }
    idempotent = frozenset({"create", "cancel"})
    serializer_class = shapes.TopUpOut
    filter_shape = shapes.TopUpQuery

    def rows(self) -> QuerySet[TopUp]:
        return TopUp.objects.visible_to(actor_of(self.request)).select_related("tenant")

    @extend_schema(request=shapes.TopUpIn, responses={201: shapes.TopUpOut})
    def create(self, request: Request) -> Response:
        """Begins a payment. Its `client_secret` is there a moment later: read it again."""
        given = body(request, shapes.TopUpIn)
        row = topups.start(
            tenant_id=organisation_of(request),
            amount_minor=given["amount_minor"],
            currency=given["currency"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.TopUpOut)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Asks Stripe to give it up; one that is paid meanwhile stays paid."""
        nothing(request)
        row = topups.cancel(
            top_up_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)


class Refunds(ReadOnlyResource):
    """Unused wallet money on its way back to what it was paid with."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "wallet:read",
        "retrieve": "wallet:read",
        "create": "wallet:write",
    }
    idempotent = frozenset({"create"})
    serializer_class = shapes.TopUpRefundOut
    filter_shape = shapes.RefundQuery

    def rows(self) -> QuerySet[WalletRefund]:
        rows = WalletRefund.objects.visible_to(actor_of(self.request))
        return rows.select_related("tenant", "top_up")

    @extend_schema(request=shapes.TopUpRefundIn, responses={201: shapes.TopUpRefundOut})
    def create(self, request: Request) -> Response:
        """Keeps the amount aside in the wallet and asks for it to be given back."""
        given = body(request, shapes.TopUpRefundIn)
        actor = actor_of(request)
        own = TopUp.objects.visible_to(actor)
        row = refunds.ask(
            top_up_public_id=find(own, given["topup"]).public_id,
            amount_minor=given["amount_minor"],
            at=instant_of(request),
            actor=actor,
        )
        return self.render(row, status=201)


class Disputes(ReadOnlyResource):
    """Payments that a payer's bank took back."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "wallet:read",
        "retrieve": "wallet:read",
    }
    serializer_class = shapes.DisputeOut
    filter_shape = shapes.DisputeQuery

    def rows(self) -> QuerySet[Dispute]:
        rows = Dispute.objects.visible_to(actor_of(self.request))
        return rows.select_related("tenant", "top_up")


class PayoutAccounts(ReadOnlyResource):
    """Where a provider is paid over Stripe."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "settlements:read",
        "retrieve": "settlements:read",
        "create": "payouts:write",
        "onboarding_link": "payouts:write",
    }
    idempotent = frozenset({"create"})
    reading = frozenset({"onboarding_link"})  # Stripe is asked: not in a transaction
    serializer_class = shapes.PayoutAccountOut
    filter_shape = shapes.PayoutAccountQuery

    def rows(self) -> QuerySet[PayoutAccount]:
        return PayoutAccount.objects.visible_to(actor_of(self.request)).select_related("provider")

    @extend_schema(request=shapes.PayoutAccountIn, responses={201: shapes.PayoutAccountOut})
    def create(self, request: Request) -> Response:
        """Asks Stripe to open an account for the caller."""
        given = body(request, shapes.PayoutAccountIn)
        row = accounts.open_account(
            provider_id=organisation_of(request),
            country=given["country"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=shapes.OnboardingIn, responses=shapes.OnboardingOut)
    @action(detail=True, methods=["post"], url_path="onboarding-link")
    def onboarding_link(self, request: Request, public_id: str) -> Response:
        """A page of Stripe's, open once and for minutes, that asks what Stripe has to know."""
        given: dict[str, Any] = body(request, shapes.OnboardingIn)
        url = accounts.onboarding_link(
            self.row(), refresh_url=given["refresh_url"], return_url=given["return_url"]
        )
        return Response({"url": url})


class GatewayEvents(ReadOnlyResource):
    """What Stripe told, and whether it was followed. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "retry": "settlements:write",
    }
    idempotent = frozenset({"retry"})
    serializer_class = shapes.GatewayEventOut
    filter_shape = shapes.GatewayEventQuery

    def rows(self) -> QuerySet[GatewayEvent]:
        if not actor_of(self.request).sees_everything:
            return GatewayEvent.objects.none()
        return GatewayEvent.objects.all()

    @extend_schema(request=None, responses=shapes.GatewayEventOut)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, public_id: str) -> Response:
        """One that could not be followed many times in a row is tried again; others stay."""
        nothing(request)
        events.retry(event_id=self.row().event_id, at=instant_of(request))
        return self.render(self.row())


class GatewayRequests(ReadOnlyResource):
    """What was asked of Stripe, and what came of it. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
    }
    serializer_class = shapes.GatewayRequestOut
    filter_shape = shapes.GatewayRequestQuery

    def rows(self) -> QuerySet[PspRequest]:
        if not actor_of(self.request).sees_everything:
            return PspRequest.objects.none()
        return PspRequest.objects.select_related("organisation")
