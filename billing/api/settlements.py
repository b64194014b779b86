"""What providers earned."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import settlement, settlement_paper
from billing.api import serializers as shapes
from billing.api.invoice_shapes import PaperOut, PaperQuery, file_of
from billing.models import Charge, Settlement
from inventory.api.requests import actor_of, body, find, instant_of, query
from inventory.api.resources import ReadOnlyResource
from inventory.errors import DomainError
from inventory.models import Organisation
from marketplace import money


class NothingToSettle(DomainError):
    """No unsettled charge lies in the period, or their sum is not positive and is carried."""

    code = "nothing_to_settle"
    title = "There is nothing to settle in this period"


class Settlements(ReadOnlyResource):
    """What a provider earned in a period."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "settlements:read",
        "retrieve": "settlements:read",
        "lines": "settlements:read",
        "paper": "settlements:read",
        "create": "settlements:write",
    }
    idempotent = frozenset({"create"})
    serializer_class = shapes.SettlementOut
    filter_shape = shapes.SettlementQuery

    def rows(self) -> QuerySet[Settlement]:
        return Settlement.objects.visible_to(actor_of(self.request)).select_related("provider")

    @extend_schema(request=shapes.SettleIn, responses={201: shapes.SettlementOut})
    def create(self, request: Request) -> Response:
        """Settles a provider's charges up to a month's end, each once. Operator only."""
        given = body(request, shapes.SettleIn)
        actor = actor_of(request)
        provider = find(Organisation.objects.visible_to(actor), given["provider"])
        row = settlement.settle(
            provider_id=provider.pk,
            period=money.month_of(given["month"], settings.BILLING_ZONE),
            currency=given["currency"],
            at=instant_of(request),
            actor=actor,
        )
        if row is None:
            raise NothingToSettle()
        return self.render(row, status=201)

    @extend_schema(responses=shapes.ChargeOut(many=True), filters=False)
    @action(detail=True, methods=["get"], serializer_class=shapes.ChargeOut, filter_shape=None)
    def lines(self, request: Request, public_id: str) -> Response:
        """Its charges, each in no other settlement, newest first."""
        rows = Charge.objects.filter(settlement_line__settlement=self.row())
        return self.page(rows.select_related("lease"))

    @extend_schema(parameters=[PaperQuery], responses=PaperOut, filters=False)
    @action(detail=True, methods=["get"])
    def paper(self, request: Request, public_id: str) -> Response:
        """As PDF, in Chinese or English: it says which payouts there are by now."""
        language = query(request, PaperQuery).get("language", "zh")
        content = settlement_paper.pdf(self.row(), language=language)
        return Response(
            file_of(
                content,
                media_type="application/pdf",
                sha256=hashlib.sha256(content).hexdigest(),
                created_at=instant_of(request),
            )
        )
