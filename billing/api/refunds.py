"""Money that goes back by bank, and the files that order it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import refunds
from billing.api import bank_shapes as shapes
from billing.api import serializers as money_shapes
from billing.api.views import person_of
from billing.models import PaymentFile, Refund
from inventory.api.requests import actor_of, body, instant_of, nothing, organisation_of
from inventory.api.resources import ReadOnlyResource
from inventory.errors import Forbidden
from inventory.models import Organisation


class Refunds(ReadOnlyResource):
    """Unused money of a wallet on its way to the tenant's own account; for the operator also
    transfers that go back to their sender."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "wallet:read",
        "retrieve": "wallet:read",
        "create": "wallet:write",
        "withdraw": "wallet:write",
        "check": "receipts:approve",
        "approve": "receipts:approve",
        "refuse": "receipts:approve",
        "send": "receipts:approve",
        "complete": "receipts:approve",
        "fail": "receipts:approve",
    }
    idempotent = frozenset(required_scopes) - {"list", "retrieve"}
    serializer_class = shapes.RefundOut
    filter_shape = shapes.RefundQuery

    def rows(self) -> QuerySet[Refund]:
        rows = Refund.objects.visible_to(actor_of(self.request))
        return rows.select_related("tenant", "receipt", "file")

    def _done(self, request: Request, verb: Callable[..., Refund], **given: Any) -> Response:
        verb(
            refund_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
            **given,
        )
        return self.render(self.row())

    @extend_schema(request=shapes.RefundIn, responses={201: shapes.RefundOut})
    def create(self, request: Request) -> Response:
        """Asks for unused money back; it is kept aside in the wallet until it has left."""
        given = body(request, shapes.RefundIn)
        tenant = Organisation.objects.get(pk=organisation_of(request))
        if not tenant.is_tenant:
            raise Forbidden("This organisation is not registered as a tenant")
        row = refunds.ask(
            tenant=tenant,
            account_public_id=given.pop("account"),
            **given,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.RefundOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """Takes the request back before it is approved; the money is free again."""
        nothing(request)
        return self._done(request, refunds.withdraw)

    @extend_schema(request=None, responses=shapes.RefundOut)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, public_id: str) -> Response:
        """The first person of the operator has looked."""
        nothing(request)
        return self._done(request, refunds.check, user=person_of(request))

    @extend_schema(request=None, responses=shapes.RefundOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, public_id: str) -> Response:
        """The second person lets it go."""
        nothing(request)
        return self._done(request, refunds.approve, user=person_of(request))

    @extend_schema(request=money_shapes.RejectIn, responses=shapes.RefundOut)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, public_id: str) -> Response:
        """Declines it before it is sent; the money is free again."""
        given = body(request, money_shapes.RejectIn)
        return self._done(request, refunds.refuse, **given)

    @extend_schema(request=shapes.SendIn, responses=shapes.RefundOut)
    @action(detail=True, methods=["post"])
    def send(self, request: Request, public_id: str) -> Response:
        """It was entered at the bank by hand; a payment file does this for many."""
        return self._done(request, refunds.send_by_hand, **body(request, shapes.SendIn))

    @extend_schema(request=None, responses=shapes.RefundOut)
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, public_id: str) -> Response:
        """It has left. The import of a statement does this by its reference."""
        nothing(request)
        return self._done(request, refunds.complete)

    @extend_schema(request=money_shapes.RejectIn, responses=shapes.RefundOut)
    @action(detail=True, methods=["post"])
    def fail(self, request: Request, public_id: str) -> Response:
        """The bank did not carry it out; the money is free again."""
        return self._done(request, refunds.fail, **body(request, money_shapes.RejectIn))


class PaymentFiles(ReadOnlyResource):
    """Files of outgoing payments, as they were given to the bank."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "create": "receipts:approve",
        "content": "audit:read",
    }
    idempotent = frozenset({"create"})
    serializer_class = shapes.PaymentFileOut

    def rows(self) -> QuerySet[PaymentFile]:
        rows = PaymentFile.objects.visible_to(actor_of(self.request))
        return rows.select_related("account").defer("content")

    @extend_schema(request=shapes.PaymentFileIn, responses={201: shapes.PaymentFileOut})
    def create(self, request: Request) -> Response:
        """Writes approved refunds into a file for the bank; they count as sent."""
        given = body(request, shapes.PaymentFileIn)
        row = refunds.make_file(
            refund_public_ids=given["refunds"],
            account_public_id=given["account"],
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=True, methods=["get"], pagination_class=None)
    def content(self, request: Request, public_id: str) -> HttpResponse:
        """The file itself, the same bytes every time."""
        return download(self.row())


def download(row: PaymentFile) -> HttpResponse:
    """The file, with its digest beside it."""
    charset = row.encoding.removesuffix("-sig")
    return HttpResponse(
        bytes(row.content),
        content_type=f"text/csv; charset={charset}",
        headers={
            "Content-Disposition": f'attachment; filename="{row.file_name}"',
            "X-Content-SHA256": row.sha256,
        },
    )
