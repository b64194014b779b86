"""Fapiaos, and how an organisation stands on documents."""

from __future__ import annotations

import base64
import binascii
from io import BytesIO
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import fapiaos
from billing.api import invoice_shapes as shapes
from billing.api.serializers import RejectIn
from billing.api.views import person_of
from billing.fapiaos import FileRefused
from billing.fapiaos.files import Upload
from billing.models import BillingDetails, Fapiao, FapiaoFile
from inventory.api.requests import (
    actor_of,
    body,
    instant_of,
    nothing,
    organisation_of,
    query,
)
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.errors import NotFound


class Details(Resource):
    """How the caller's organisation stands on invoices and fapiaos."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "retrieve": "invoices:read",
        "create": "invoices:write",
    }
    idempotent = frozenset({"create"})
    serializer_class = shapes.DetailsOut

    @extend_schema(
        operation_id="get_billing_details",
        responses=shapes.DetailsOut,
        extensions={"x-also-refuses": ["404"]},
    )
    def retrieve(self, request: Request, **_: Any) -> Response:
        """What was entered last."""
        row = (
            BillingDetails.objects.select_related("organisation")
            .filter(organisation_id=organisation_of(request))
            .first()
        )
        if row is None:
            raise NotFound("Nothing was entered yet")
        return Response(shapes.DetailsOut(row).data)

    @extend_schema(
        operation_id="set_billing_details",
        request=shapes.BuyerIn,
        responses={200: shapes.DetailsOut},
    )
    def create(self, request: Request, **_: Any) -> Response:
        """From now on; documents that are final keep what they say."""
        row = fapiaos.put_details(
            organisation_id=organisation_of(request),
            details=fapiaos.Buyer(**body(request, shapes.BuyerIn)),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return Response(shapes.DetailsOut(row).data)


class Fapiaos(ReadOnlyResource):
    """Tax documents over parts of invoices: asked for, issued, taken back by red notes."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "invoices:read",
        "retrieve": "invoices:read",
        "file": "invoices:read",
        "create": "invoices:write",
        "withdraw": "invoices:write",
        "issue": "settlements:write",
        "refuse": "settlements:write",
        "reverse": "settlements:write",
    }
    idempotent = frozenset({"create", "withdraw", "issue", "refuse", "reverse"})
    body_limit = shapes.FILE_LETTERS + settings.API_BODY_LIMIT
    serializer_class = shapes.FapiaoOut
    filter_shape = shapes.FapiaoQuery

    def rows(self) -> QuerySet[Fapiao]:
        rows = Fapiao.objects.visible_to(actor_of(self.request))
        return rows.select_related("buyer", "replaces").prefetch_related("parts__invoice")

    @extend_schema(request=shapes.FapiaoIn, responses={201: shapes.FapiaoOut})
    def create(self, request: Request) -> Response:
        """Asks for one over final invoices of the caller's organisation."""
        given = body(request, shapes.FapiaoIn)
        row = fapiaos.request(
            kind=given["kind"],
            buyer=fapiaos.Buyer(**given["buyer"]),
            parts=[fapiaos.Part(**part) for part in given["parts"]],
            replaces=given.get("replaces"),
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(parameters=[shapes.FileQuery], responses=shapes.PaperOut, filters=False)
    @action(detail=True, methods=["get"])
    def file(self, request: Request, public_id: str) -> Response:
        """The file itself, or that of its red note."""
        role = query(request, shapes.FileQuery).get("role", FapiaoFile.Role.ISSUED)
        found = FapiaoFile.objects.filter(fapiao=self.row(), role=role).first()
        if found is None:
            raise NotFound("No such file")
        return Response(
            shapes.file_of(
                bytes(found.content),
                media_type=found.media_type,
                sha256=found.sha256,
                created_at=found.created_at,
            )
        )

    @extend_schema(request=None, responses=shapes.FapiaoOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """No longer wanted. The buyer only, before it is issued."""
        nothing(request)
        row = fapiaos.withdraw(
            fapiao_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)

    @extend_schema(request=shapes.IssueIn, responses=shapes.FapiaoOut)
    @action(detail=True, methods=["post"])
    def issue(self, request: Request, public_id: str) -> Response:
        """It was issued: its number, date and file. Operator only."""
        given = body(request, shapes.IssueIn)
        row = fapiaos.issue(
            fapiao_public_id=self.row().public_id,
            number=given["number"],
            issued_date=given["issued_date"],
            upload=_upload(given.get("content")),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)

    @extend_schema(request=RejectIn, responses=shapes.FapiaoOut)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, public_id: str) -> Response:
        """It cannot be issued so. Operator only."""
        row = fapiaos.refuse(
            fapiao_public_id=self.row().public_id,
            reason=body(request, RejectIn)["reason"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)

    @extend_schema(request=shapes.ReverseIn, responses=shapes.FapiaoOut)
    @action(detail=True, methods=["post"])
    def reverse(self, request: Request, public_id: str) -> Response:
        """A red note has taken it back. Operator only."""
        given = body(request, shapes.ReverseIn)
        row = fapiaos.reverse(
            fapiao_public_id=self.row().public_id,
            number=given["number"],
            red_date=given["red_date"],
            reason=given["reason"],
            upload=_upload(given.get("content")),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)


def _upload(text: str | None) -> Upload | None:
    """Raises FileRefused."""
    if text is None:
        return None
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FileRefused("The file is not in base64") from error
    return fapiaos.read_upload(BytesIO(content))
