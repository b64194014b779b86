"""Troubles of pools: the provider's own, and those that touch a lease of the tenant."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.fields import Choice, Instant, PublicId, StrictSerializer
from inventory.api.requests import actor_of
from inventory.api.resources import ReadOnlyResource
from marketplace import incidents
from marketplace.api.serializers import Shape
from marketplace.models import Incident, IncidentEntry, IncidentLease


class IncidentOut(Shape):
    id = PublicId("inc", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    pool = PublicId("pool", source="pool.public_id")
    state = serializers.ChoiceField(Incident.State.choices)
    cause = serializers.CharField(help_text="As the provider found it; empty until then.")
    opened_at = Instant()
    mitigated_at = Instant(allow_null=True, help_text="No lease lacks nodes since then.")
    resolved_at = Instant(allow_null=True)


class IncidentQuery(StrictSerializer):
    state = Choice(Incident.State.choices, required=False)
    pool = PublicId("pool", source="pool__public_id", required=False)
    lease = PublicId("lse", source="leases__lease__public_id", required=False)


class IncidentEntryOut(Shape):
    kind = serializers.ChoiceField(IncidentEntry.Kind.choices)
    at = Instant()
    lease = PublicId("lse", source="lease.public_id", allow_null=True, default=None)
    outage = PublicId("out", source="outage.public_id", allow_null=True, default=None)
    node = PublicId("nod", source="outage.node.public_id", allow_null=True, default=None)
    author = PublicId("org", source="author.public_id", allow_null=True, default=None)
    text = serializers.CharField()


class TouchedLeaseOut(Shape):
    lease = PublicId("lse", source="lease.public_id")
    tenant = PublicId("org", source="lease.tenant.public_id")
    touched_at = Instant()


class Incidents(ReadOnlyResource):
    """Failed nodes of a pool, the leases they touched, and what was done."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "leases:read",
        "retrieve": "leases:read",
        "timeline": "leases:read",
        "leases": "leases:read",
    }
    serializer_class = IncidentOut
    filter_shape = IncidentQuery

    def rows(self) -> QuerySet[Incident]:
        return Incident.objects.visible_to(actor_of(self.request)).select_related(
            "provider", "pool"
        )

    @extend_schema(
        responses=IncidentEntryOut(many=True), operation_id="list_incident_timeline", filters=False
    )
    @action(detail=True, methods=["get"], pagination_class=None, filter_shape=None)
    def timeline(self, request: Request, public_id: str) -> Response:
        """What happened, in its order; of leases and nodes only what the caller may know."""
        rows = incidents.timeline(self.row(), actor_of(request))
        return Response(IncidentEntryOut(rows, many=True).data)

    @extend_schema(
        responses=TouchedLeaseOut(many=True), operation_id="list_incident_leases", filters=False
    )
    @action(detail=True, methods=["get"], pagination_class=None, filter_shape=None)
    def leases(self, request: Request, public_id: str) -> Response:
        """The leases it touched, of a tenant its own."""
        rows: QuerySet[IncidentLease] = incidents.leases_of(self.row(), actor_of(request))
        data: Any = TouchedLeaseOut(rows, many=True).data
        return Response(data)
