"""Vouchers: proposed by one person, posted by another."""

from __future__ import annotations

import base64
import binascii
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import vouchers
from billing.api import book_shapes as shapes
from billing.api.payouts import stamp
from billing.api.reconciliation import require_operator
from billing.api.views import person_of
from billing.models import Voucher
from billing.vouchers import Evidence
from inventory.api.requests import actor_of, body, find, nothing
from inventory.api.resources import ReadOnlyResource
from inventory.errors import Invalid, NotFound


class Vouchers(ReadOnlyResource):
    """What an accountant posts by hand, with a reason and evidence. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "evidence": "audit:read",
        "create": "receipts:record",
        "approve": "receipts:approve",
        "reject": "receipts:approve",
    }
    idempotent = frozenset({"create", "approve", "reject"})
    # The file comes in base 64, within the body.
    body_limit = shapes.FILE_LETTERS + 256 * 1024
    serializer_class = shapes.VoucherOut
    filter_shape = shapes.VoucherQuery

    def rows(self) -> QuerySet[Voucher]:
        rows = Voucher.objects.visible_to(actor_of(self.request))
        return rows.defer("content").prefetch_related("entries")

    @extend_schema(request=shapes.VoucherIn, responses={201: shapes.VoucherOut})
    def create(self, request: Request) -> Response:
        """Proposes one; nothing is in the books before another person agrees."""
        require_operator(request)
        given = body(request, shapes.VoucherIn)
        try:
            content = base64.b64decode(given.get("file_base64", ""), validate=True)
        except (binascii.Error, ValueError) as error:
            raise Invalid("The file is not in base 64") from error
        row = vouchers.propose(
            entries=[(entry["account"], entry["amount_minor"]) for entry in given["entries"]],
            effective_date=given["effective_date"],
            reason=given["reason"],
            evidence=Evidence(given["evidence"], given.get("file_name", ""), content),
            external_reference=given.get("external_reference", ""),
            user=person_of(request),
            **stamp(request),
        )
        return self.render(find(self.rows(), row.public_id), status=201)

    @extend_schema(request=None, responses=shapes.VoucherOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, public_id: str) -> Response:
        """Posts it, on its day. By another person than who proposed it."""
        nothing(request)
        vouchers.post(
            voucher_public_id=self.row().public_id, user=person_of(request), **stamp(request)
        )
        return self.render(self.row())

    @extend_schema(request=shapes.WhyRejectedIn, responses=shapes.VoucherOut)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, public_id: str) -> Response:
        """It is not posted. By another person than who proposed it."""
        vouchers.reject(
            voucher_public_id=self.row().public_id,
            user=person_of(request),
            **body(request, shapes.WhyRejectedIn),
            **stamp(request),
        )
        return self.render(self.row())

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], pagination_class=None)
    def evidence(self, request: Request, public_id: str) -> HttpResponse:
        """The file that was handed in with it."""
        row: Any = find(Voucher.objects.visible_to(actor_of(request)), public_id)
        if row.content is None:
            raise NotFound("No such file")
        reply = HttpResponse(bytes(row.content), content_type=row.content_type)
        # Downloaded, never shown: what it claims to be is its sender's word.
        reply["Content-Disposition"] = f'attachment; filename="{row.public_id}"'
        reply["X-Content-Type-Options"] = "nosniff"
        return reply
