"""The card-hour funnel, for the operator and its auditors."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.fields import Choice, Instant
from inventory.api.requests import actor_of, query
from inventory.api.resources import Resource
from inventory.api.serializers import PeriodQuery
from inventory.errors import Invalid
from inventory.periods import Period
from marketplace import utilisation

GROUPS = ("centre", "chip", "region", "hub", "pool", "provider")
LONGEST_HOURS = 366 * 24


class FunnelTooLong(Invalid):
    """More time was asked for than one reply sums up."""

    code = "range_too_large"
    title = "The period is too long for one reply"


class FunnelQuery(PeriodQuery):
    group_by = Choice([(group, group) for group in GROUPS], required=False)


class FunnelRowOut(serializers.Serializer[Any]):
    """Card-hours, each stage intersected with the one before."""

    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    installed = serializers.FloatField()
    serviceable = serializers.FloatField()
    listed = serializers.FloatField()
    sold = serializers.FloatField()
    delivered = serializers.FloatField()
    busy = serializers.FloatField(allow_null=True, help_text="Null: not measured.")
    listed_down = serializers.FloatField(help_text="On sale while out of use.")
    sold_down = serializers.FloatField(help_text="Sold while out of use.")
    undelivered = serializers.FloatField()
    listed_rate = serializers.FloatField(allow_null=True)
    sold_rate = serializers.FloatField(allow_null=True)
    delivered_rate = serializers.FloatField(allow_null=True)
    busy_rate = serializers.FloatField(allow_null=True)


class FunnelOut(serializers.Serializer[Any]):
    start_at = Instant()
    end_at = Instant()
    group_by = serializers.CharField()
    rows = FunnelRowOut(many=True)
    total = FunnelRowOut()


class Funnel(Resource):
    """From installed to busy."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = FunnelOut

    @extend_schema(
        operation_id="get_funnel",
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATETIME, required=True),
            OpenApiParameter("to", OpenApiTypes.DATETIME, required=True),
            OpenApiParameter("group_by", OpenApiTypes.STR, enum=GROUPS),
        ],
        responses=FunnelOut,
    )
    def retrieve(self, request: Request, **_: Any) -> Response:
        """The funnel of a period by centre, chip, region, hub, pool or provider."""
        given = query(request, FunnelQuery)
        period = Period(given["from"], given["to"])
        if period.hours > LONGEST_HOURS:
            raise FunnelTooLong()
        group = given.get("group_by", "centre")
        rows = utilisation.funnel(period=period, group_by=group, actor=actor_of(request))
        reply = {
            "start_at": period.start,
            "end_at": period.end,
            "group_by": group,
            "rows": rows,
            "total": utilisation.total(rows),
        }
        return Response(FunnelOut(reply).data)
