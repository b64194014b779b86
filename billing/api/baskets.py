"""Several deals at once, all or none."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import baskets, instructions
from billing.api import serializers as shapes
from billing.api.bank_shapes import InstructionsOut
from billing.api.deals import project_of
from inventory.api.requests import actor_of, body, find, instant_of, nothing
from inventory.api.resources import ReadOnlyResource
from inventory.api.serializers import ReasonIn
from marketplace.models import Basket, Reservation

HOLD = OpenApiExample(
    "Hold two offers, or neither",
    request_only=True,
    value={"offers": ["…a token, verbatim…", "…another…"], "ssh_keys": ["ssh-ed25519 AAAA… me"]},
)


class Baskets(ReadOnlyResource):
    """Reservations that are held, confirmed and given back together. The tenant's alone."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "reservations:read",
        "retrieve": "reservations:read",
        "create": "reservations:write",
        "confirm": "reservations:write",
        "cancel": "reservations:write",
        "transfer": "reservations:read",
    }
    idempotent = frozenset({"create", "confirm", "cancel"})
    for_projects = frozenset(required_scopes)
    serializer_class = shapes.BasketOut
    filter_shape = shapes.BasketQuery

    def rows(self) -> QuerySet[Basket]:
        lying = Reservation.objects.select_related(
            "provider", "tenant", "project", "listing", "lease", "basket"
        ).order_by("pk")
        rows = Basket.objects.visible_to(actor_of(self.request))
        return rows.select_related("tenant", "project").prefetch_related(
            Prefetch("reservations", lying)
        )

    @extend_schema(request=shapes.BasketIn, responses={201: shapes.BasketOut}, examples=[HOLD])
    def create(self, request: Request) -> Response:
        """Holds everything the offers promise, or nothing: then `offer_index` says which failed.

        All of it is held until the first would lapse, for one deposit on the sum.
        """
        given = body(request, shapes.BasketIn)
        row = baskets.hold(
            offer_tokens=given["offers"],
            project_id=project_of(request, given),
            ssh_keys=given.get("ssh_keys", ()),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(find(self.rows(), row.public_id), status=201)

    @extend_schema(request=None, responses=shapes.BasketOut)
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, public_id: str) -> Response:
        """Pays what is due for all of it; every reservation is a lease from now on, or none."""
        nothing(request)
        baskets.confirm(basket_public_id=public_id, at=instant_of(request), actor=actor_of(request))
        return self.render(self.row())

    @extend_schema(request=ReasonIn, responses=shapes.BasketOut)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Gives all of a held basket back, for nothing."""
        baskets.cancel(
            basket_public_id=public_id,
            reason=body(request, ReasonIn).get("reason", ""),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(responses=InstructionsOut, operation_id="get_basket_transfer")
    @action(detail=True, methods=["get"], pagination_class=None)
    def transfer(self, request: Request, public_id: str) -> Response:
        """How to pay all of it by bank: how much, where to, by when, and its reference."""
        found = instructions.for_deal(find(self.rows(), public_id))
        return Response(InstructionsOut(found).data)
