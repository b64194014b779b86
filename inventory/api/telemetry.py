"""A centre's feeds of telemetry, for who sets up many of them by program."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory import telemetry
from inventory.api import telemetry_shapes as shapes
from inventory.api.requests import actor_of, body, find, instant_of, nothing
from inventory.api.resources import ReadOnlyResource, made
from inventory.api.serializers import ReasonIn
from inventory.models import Centre, Node, SeriesBinding, TelemetrySource


class TelemetrySources(ReadOnlyResource):
    """The caller's feeds. A reply with a key is never stored: it would keep the secret."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "create": "inventory:write",
        "rotate_key": "inventory:write",
        "revoke_keys": "inventory:write",
        "close": "inventory:write",
        "unmatched": "inventory:read",
    }
    serializer_class = shapes.TelemetrySourceOut
    filter_shape = shapes.TelemetrySourceQuery

    def rows(self) -> QuerySet[TelemetrySource]:
        return TelemetrySource.objects.visible_to(actor_of(self.request)).select_related("centre")

    @extend_schema(request=shapes.TelemetrySourceIn, responses={201: shapes.TelemetrySecretOut})
    def create(self, request: Request) -> Response:
        """Opens a feed of a centre; with an address it is queried, without one it sends."""
        given = body(request, shapes.TelemetrySourceIn)
        actor = actor_of(request)
        centre = find(Centre.objects.visible_to(actor), given.pop("centre"))
        source, text = telemetry.open_source(
            centre_id=centre.pk, at=instant_of(request), actor=actor, **given
        )
        return self._with_key(source, text, status=201)

    @extend_schema(request=None, responses=shapes.TelemetrySecretOut)
    @action(detail=True, methods=["post"], url_path="rotate-key")
    def rotate_key(self, request: Request, public_id: str) -> Response:
        """Makes another key; the present one goes on for 24 hours."""
        return self._new_key(request, telemetry.rotate_key)

    @extend_schema(request=None, responses=shapes.TelemetrySecretOut)
    @action(detail=True, methods=["post"], url_path="revoke-keys")
    def revoke_keys(self, request: Request, public_id: str) -> Response:
        """Makes another key; the present ones open nothing from now on."""
        return self._new_key(request, telemetry.revoke_keys)

    @extend_schema(request=ReasonIn, responses=shapes.TelemetrySourceOut)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, public_id: str) -> Response:
        """It takes nothing any more, and its keys open nothing; what it brought stays."""
        row = self.row()
        telemetry.close_source(
            source_id=row.pk,
            at=instant_of(request),
            actor=actor_of(request),
            reason=body(request, ReasonIn).get("reason", ""),
        )
        row.refresh_from_db()
        return self.render(row)

    @extend_schema(
        operation_id="list_telemetry_source_unmatched",
        filters=False,
        responses=shapes.UnmatchedOut(many=True),
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def unmatched(self, request: Request, public_id: str) -> Response:
        """What came lately and is bound to no node, most samples first; a hundred at most."""
        found = telemetry.unmatched(source=self.row())
        return Response(shapes.UnmatchedOut(found, many=True).data)

    def _new_key(self, request: Request, verb: Any) -> Response:
        nothing(request)
        row = self.row()
        text = verb(source_id=row.pk, at=instant_of(request), actor=actor_of(request))
        return self._with_key(row, text)

    def _with_key(self, row: Any, text: str, status: int = 200) -> Response:
        row.key = text
        return made(self.request, shapes.TelemetrySecretOut(row).data, status=status)


class SeriesBindings(ReadOnlyResource):
    """People's word whose the series of the caller's feeds are; removed ones stay to be read."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "create": "inventory:write",
        "remove": "inventory:write",
    }
    idempotent = frozenset({"create", "remove"})
    serializer_class = shapes.SeriesBindingOut
    filter_shape = shapes.SeriesBindingQuery

    def rows(self) -> QuerySet[SeriesBinding]:
        own = TelemetrySource.objects.visible_to(actor_of(self.request))
        return SeriesBinding.objects.filter(source__in=own).select_related("source", "node")

    @extend_schema(request=shapes.SeriesBindingIn, responses={201: shapes.SeriesBindingOut})
    def create(self, request: Request) -> Response:
        """Says that series with an identity are of a node, or of one card of it."""
        given = body(request, shapes.SeriesBindingIn)
        actor = actor_of(request)
        source = find(TelemetrySource.objects.visible_to(actor), given.pop("telemetry_source"))
        node = find(Node.objects.visible_to(actor), given.pop("node"))
        row = telemetry.bind(
            source_id=source.pk, node_id=node.pk, at=instant_of(request), actor=actor, **given
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.SeriesBindingOut)
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, public_id: str) -> Response:
        """The register alone says again whose these series are."""
        nothing(request)
        row = self.row()
        telemetry.unbind(binding_id=row.pk, at=instant_of(request), actor=actor_of(request))
        row.refresh_from_db()
        return self.render(row)
