"""Payouts, their files, and what providers hand in to be paid."""

from __future__ import annotations

import base64
import binascii
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import input_fapiaos, payout_files, payout_terms, payouts, receivables
from billing.api import payout_shapes as shapes
from billing.api.views import person_of
from billing.models import InputFapiao, Payout, PayoutFile, PayoutTerms, Repayment
from billing.payout_terms import Terms
from inventory.api.requests import actor_of, body, find, instant_of, nothing, organisation_of
from inventory.api.resources import ReadOnlyResource
from inventory.errors import Invalid
from inventory.models import Organisation


def stamp(request: Request) -> dict[str, Any]:
    """When, and for whom."""
    return {"at": instant_of(request), "actor": actor_of(request)}


def provider_of(request: Request, public_id: str) -> Organisation:
    rows = Organisation.objects.visible_to(actor_of(request)).filter(is_provider=True)
    return find(rows, public_id)


class Payouts(ReadOnlyResource):
    """Money moved to providers: planned by one person, approved by another."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "settlements:read",
        "retrieve": "settlements:read",
        "create": "settlements:write",
        "approve": "settlements:write",
        "cancel": "settlements:write",
        "paid": "settlements:write",
        "failed": "settlements:write",
        "returned": "settlements:write",
    }
    idempotent = frozenset({"create", "approve", "cancel", "paid", "failed", "returned"})
    serializer_class = shapes.PayoutOut
    filter_shape = shapes.PayoutQuery

    def rows(self) -> QuerySet[Payout]:
        rows = Payout.objects.visible_to(actor_of(self.request))
        return rows.select_related("provider", "terms").prefetch_related("lines__settlement")

    @extend_schema(request=shapes.PayoutIn, responses={201: shapes.PayoutOut})
    def create(self, request: Request) -> Response:
        """Plans a payout of everything settled. Operator only; another person approves it."""
        given = body(request, shapes.PayoutIn)
        row = payouts.plan(
            provider_id=provider_of(request, given["provider"]).pk,
            currency=given["currency"],
            user=person_of(request),
            **stamp(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.PayoutOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, public_id: str) -> Response:
        """Holds the money; by another person than the planner."""
        nothing(request)
        row = payouts.approve(
            payout_public_id=self.row().public_id, user=person_of(request), **stamp(request)
        )
        return self.render(row)

    @extend_schema(request=shapes.WhyIn, responses=shapes.PayoutOut)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Gives it up before it is sent."""
        return self._end(request, payouts.cancel)

    @extend_schema(request=shapes.PaidIn, responses=shapes.PayoutOut)
    @action(detail=True, methods=["post"])
    def paid(self, request: Request, public_id: str) -> Response:
        """The bank's statement shows that it has left."""
        row = payouts.mark_paid(
            payout_public_id=self.row().public_id,
            reference=body(request, shapes.PaidIn)["reference"],
            **stamp(request),
        )
        return self.render(row)

    @extend_schema(request=shapes.WhyIn, responses=shapes.PayoutOut)
    @action(detail=True, methods=["post"])
    def failed(self, request: Request, public_id: str) -> Response:
        """The bank did not take it; the money is the provider's to be paid anew."""
        return self._end(request, payouts.mark_failed)

    @extend_schema(request=shapes.WhyIn, responses=shapes.PayoutOut)
    @action(detail=True, methods=["post"])
    def returned(self, request: Request, public_id: str) -> Response:
        """It had left and came back."""
        return self._end(request, payouts.mark_returned)

    def _end(self, request: Request, verb: Any) -> Response:
        row = verb(
            payout_public_id=self.row().public_id,
            reason=body(request, shapes.WhyIn)["reason"],
            **stamp(request),
        )
        return self.render(row)


class PayoutFiles(ReadOnlyResource):
    """Payment orders for the bank, as they were handed over. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "create": "settlements:write",
        "content": "settlements:write",
    }
    idempotent = frozenset({"create"})
    serializer_class = shapes.PayoutFileOut

    def rows(self) -> QuerySet[PayoutFile]:
        if not actor_of(self.request).sees_everything:
            return PayoutFile.objects.none()
        return PayoutFile.objects.defer("content")

    @extend_schema(request=shapes.PayoutFileIn, responses={201: shapes.PayoutFileOut})
    def create(self, request: Request) -> Response:
        """Puts every approved payout by bank into a file."""
        row = payout_files.make(
            **body(request, shapes.PayoutFileIn), user=person_of(request), **stamp(request)
        )
        return self.render(row, status=201)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], pagination_class=None)
    def content(self, request: Request, public_id: str) -> HttpResponse:
        """The file itself, the same bytes every time."""
        row = self.row()
        reply = HttpResponse(bytes(row.content), content_type=row.content_type)
        reply["Content-Disposition"] = f'attachment; filename="{row.file_name}"'
        return reply


class TermsOfPayout(ReadOnlyResource):
    """When and how providers are paid; versions, never edited."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "settlements:read",
        "retrieve": "settlements:read",
        "create": "settlements:write",
    }
    idempotent = frozenset({"create"})
    serializer_class = shapes.PayoutTermsOut
    filter_shape = shapes.OfProviderQuery

    def rows(self) -> QuerySet[PayoutTerms]:
        rows = PayoutTerms.objects.visible_to(actor_of(self.request))
        return rows.select_related("provider")

    @extend_schema(request=shapes.PayoutTermsIn, responses={201: shapes.PayoutTermsOut})
    def create(self, request: Request) -> Response:
        """A new version, for settlements made from now on. Operator only."""
        given = body(request, shapes.PayoutTermsIn)
        row = payout_terms.put(
            provider_id=provider_of(request, given.pop("provider")).pk,
            currency=given.pop("currency"),
            reason=given.pop("reason"),
            terms=Terms(**given),
            **stamp(request),
        )
        return self.render(row, status=201)


class InputFapiaos(ReadOnlyResource):
    """Fapiaos that providers issued to the operator."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "settlements:read",
        "retrieve": "settlements:read",
        "create": "payees:write",
        "accept": "settlements:write",
        "reject": "settlements:write",
    }
    idempotent = frozenset({"create", "accept", "reject"})
    body_limit = shapes.FILE_LETTERS + settings.API_BODY_LIMIT
    serializer_class = shapes.InputFapiaoOut
    filter_shape = shapes.OfProviderQuery

    def rows(self) -> QuerySet[InputFapiao]:
        rows = InputFapiao.objects.visible_to(actor_of(self.request))
        return rows.select_related("provider").defer("content")

    @extend_schema(request=shapes.InputFapiaoIn, responses={201: shapes.InputFapiaoOut})
    def create(self, request: Request) -> Response:
        """Hands one in, with its file."""
        given = body(request, shapes.InputFapiaoIn)
        try:
            content = base64.b64decode(given.pop("file_base64"), validate=True)
        except (binascii.Error, ValueError) as error:
            raise Invalid("The file is not in base 64") from error
        row = input_fapiaos.hand_in(
            provider_id=organisation_of(request),
            content=content,
            user=person_of(request),
            **given,
            **stamp(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.InputFapiaoOut)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, public_id: str) -> Response:
        """It is genuine: payouts up to its amount are covered."""
        nothing(request)
        row = input_fapiaos.accept(
            fapiao_public_id=self.row().public_id, user=person_of(request), **stamp(request)
        )
        return self.render(row)

    @extend_schema(request=shapes.WhyIn, responses=shapes.InputFapiaoOut)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, public_id: str) -> Response:
        """It is not."""
        row = input_fapiaos.reject(
            fapiao_public_id=self.row().public_id,
            user=person_of(request),
            **body(request, shapes.WhyIn),
            **stamp(request),
        )
        return self.render(row)


class Repayments(ReadOnlyResource):
    """What providers owed and paid."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "settlements:read",
        "retrieve": "settlements:read",
        "create": "settlements:write",
        "approve": "settlements:write",
        "reject": "settlements:write",
    }
    idempotent = frozenset({"create", "approve", "reject"})
    serializer_class = shapes.RepaymentOut
    filter_shape = shapes.OfProviderQuery

    def rows(self) -> QuerySet[Repayment]:
        rows = Repayment.objects.visible_to(actor_of(self.request))
        return rows.select_related("provider", "settlement")

    @extend_schema(request=shapes.RepaymentIn, responses={201: shapes.RepaymentOut})
    def create(self, request: Request) -> Response:
        """Records a provider's transfer seen on the statement. Operator only."""
        given = body(request, shapes.RepaymentIn)
        row = receivables.record_repayment(
            provider_id=provider_of(request, given.pop("provider")).pk,
            user=person_of(request),
            **given,
            **stamp(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.RepaymentOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, public_id: str) -> Response:
        """By another person: the provider owes so much less."""
        nothing(request)
        row = receivables.approve_repayment(
            repayment_public_id=self.row().public_id, user=person_of(request), **stamp(request)
        )
        return self.render(row)

    @extend_schema(request=shapes.WhyIn, responses=shapes.RepaymentOut)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, public_id: str) -> Response:
        """It was not the provider's."""
        row = receivables.reject_repayment(
            repayment_public_id=self.row().public_id,
            user=person_of(request),
            **body(request, shapes.WhyIn),
            **stamp(request),
        )
        return self.render(row)
