"""How well nodes are, what people say of them, and how often cards fail."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory import health
from inventory.api import health_shapes as shapes
from inventory.api.requests import actor_of, body, find, instant_of, query
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.api.serializers import ReasonIn
from inventory.models import Centre, HealthReport, HealthState, Node, NodeHealth

HISTORY = 100


def of_node(node: Node) -> dict[str, Any]:
    """A node's condition and its last changes; before the first look what its engine says."""
    row = NodeHealth.objects.filter(node=node).first() or NodeHealth(
        state=HealthState.DOWN if node.state == Node.State.BROKEN else HealthState.HEALTHY,
        since=node.installed_at,
        checked_at=None,  # type: ignore[misc]
    )
    row.node = node
    fields = ("node", "state", "source", "evidence", "since", "checked_at", "cards")
    return {
        **{name: getattr(row, name) for name in fields},
        "clock_error_seconds": int(health.CLOCK_ERROR.total_seconds()),
        "history": node.health_entries.order_by("-at", "-pk")[:HISTORY],
    }


class HealthReports(ReadOnlyResource):
    """What people say of the caller's nodes; each stands until it is withdrawn."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "create": "inventory:write",
        "withdraw": "inventory:write",
    }
    idempotent = frozenset({"create", "withdraw"})
    serializer_class = shapes.HealthReportOut
    filter_shape = shapes.HealthReportQuery

    def rows(self) -> QuerySet[HealthReport]:
        return HealthReport.objects.visible_to(actor_of(self.request)).select_related("node")

    @extend_schema(request=shapes.HealthReportIn, responses={201: shapes.HealthReportOut})
    def create(self, request: Request) -> Response:
        """Says that a node or one of its cards is not well. Its condition follows shortly."""
        given = body(request, shapes.HealthReportIn)
        actor = actor_of(request)
        node = find(Node.objects.visible_to(actor), given.pop("node"))
        row = health.report(node_id=node.pk, **given, at=instant_of(request), actor=actor)
        return self.render(row, status=201)

    @extend_schema(request=ReasonIn, responses=shapes.HealthReportOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """Takes it back: it was mended, or a mistake."""
        row = health.withdraw(
            report_public_id=self.row().public_id,
            reason=body(request, ReasonIn).get("reason", ""),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)


class FaultRates(Resource):
    """How often nodes fail, by centre and chip generation, over the last year."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "offers:read",
        "estimate": "offers:read",
    }
    serializer_class = shapes.FaultRateOut
    pagination_class = None

    @extend_schema(operation_id="list_fault_rates", responses=shapes.FaultRateOut(many=True))
    def list(self, request: Request, **_: Any) -> Response:
        """Faults per million card-hours with the exact 95 % interval of a Poisson count."""
        found = health.rates(at=instant_of(request))
        centres = Centre.objects.in_bulk({key.centre_id for key in found})
        rows = [
            {
                "centre": centres[key.centre_id].public_id,
                "centre_name": centres[key.centre_id].name,
                "generation": key.generation,
                **_figures(rate),
            }
            for key, rate in found.items()
        ]
        return Response(shapes.FaultRateOut(rows, many=True).data)

    @extend_schema(
        operation_id="estimate_faults",
        parameters=[
            OpenApiParameter("cards", OpenApiTypes.INT, required=True),
            OpenApiParameter("hours", OpenApiTypes.INT, required=True),
            OpenApiParameter("centre", OpenApiTypes.STR),
            OpenApiParameter("generation", OpenApiTypes.STR),
            OpenApiParameter("repair_hours", OpenApiTypes.INT),
        ],
        responses=shapes.EstimateOut,
    )
    @action(detail=False, methods=["get"])
    def estimate(self, request: Request) -> Response:
        """What a job of so many cards and hours is to expect: faults, and nodes to keep spare."""
        given = query(request, shapes.EstimateQuery)
        centre_ids = None
        if "centre" in given:
            centre_ids = [find(Centre.objects.all(), given["centre"]).pk]
        rate = health.Rate(0, 0)
        for key, each in health.rates(at=instant_of(request), centre_ids=centre_ids).items():
            if given.get("generation", key.generation) == key.generation:
                rate += each
        found = health.estimate(
            rate,
            cards=given["cards"],
            hours=given["hours"],
            repair_hours=given.get("repair_hours", health.REPAIR_HOURS),
        )
        reply = {**_figures(rate), **asdict(found), **{n: given[n] for n in ("cards", "hours")}}
        return Response(shapes.EstimateOut(reply).data)


def _figures(rate: health.Rate) -> dict[str, Any]:
    names = ("fault_count", "card_hours", "per_million", "low_per_million", "high_per_million")
    return {name: getattr(rate, name) for name in names}
