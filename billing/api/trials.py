"""Trials of listings, and the leases they become."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from billing import trials
from billing.api import serializers as shapes
from billing.api.deals import project_of
from inventory.api.requests import actor_of, body, instant_of, query
from inventory.api.resources import Resource, made
from marketplace.api.serializers import ReservationOut

TRY = OpenApiExample(
    "Two nodes for a day",
    request_only=True,
    value={"listing": "lst_01975e1b7d3c7a51b2f03f0d8a6c4e21", "unit_count": 2, "hours": 24},
)


class Trials(Resource):
    """A few units of a listing for a few hours, where its terms allow it."""

    required_scopes: ClassVar[dict[str, str | None]] = {"create": "reservations:write"}
    idempotent = frozenset({"create"})
    for_projects = frozenset({"create"})
    serializer_class = ReservationOut

    @extend_schema(request=shapes.TrialIn, responses={201: ReservationOut}, examples=[TRY])
    def create(self, request: Request) -> Response:
        """Holds a trial by the listing's trial terms, once per tenant and pool.

        It is confirmed and given back like any other reservation.
        """
        given = body(request, shapes.TrialIn)
        row = trials.hold(
            listing_public_id=given["listing"],
            unit_count=given.get("unit_count"),
            hours=given.get("hours"),
            start_at=given.get("start_at"),
            project_id=project_of(request, given),
            ssh_keys=given.get("ssh_keys", ()),
            at=instant_of(request),
            actor=actor_of(request),
        )
        data = ReservationOut(row).data
        return made(request, data, at=reverse("reservation-list"))


class Conversions(Resource):
    """A running trial becomes a lease on the same nodes. For the tenant."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "quote": "leases:read",
        "create": "reservations:write",
    }
    idempotent = frozenset({"create"})
    for_projects = frozenset(required_scopes)
    serializer_class = shapes.LeaseOut
    pagination_class = None

    @extend_schema(
        parameters=[shapes.ConversionQuery],
        responses=shapes.ConversionOut,
        operation_id="quote_lease_conversion",
        extensions={"x-also-refuses": ["409"]},
    )
    def quote(self, request: Request, public_id: str) -> Response:
        """What converting the trial now would make. Changes nothing."""
        given = query(request, shapes.ConversionQuery)
        found = trials.quote_conversion(
            lease_public_id=public_id,
            hours=given["hours"],
            from_at=given.get("from_at"),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return Response(shapes.ConversionOut(found).data)

    @extend_schema(
        request=shapes.ConversionIn,
        responses={201: shapes.LeaseOut},
        operation_id="convert_lease",
    )
    def create(self, request: Request, public_id: str) -> Response:
        """Pays what is due; the lease begins where the trial ends, without a wipe between."""
        given = body(request, shapes.ConversionIn)
        lease = trials.convert(
            lease_public_id=public_id,
            hours=given["hours"],
            from_at=given.get("from_at"),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return made(request, shapes.LeaseOut(lease).data, at=reverse("lease-list"))
