"""What people do in a delivery: tasks of a centre's operators, keys of a tenant."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory import manual_tasks, ssh_keys
from inventory.api import delivery_shapes as shapes
from inventory.api.node_shapes import NeedsReason
from inventory.api.requests import actor_of, body, instant_of, nothing, organisation_of
from inventory.api.resources import ReadOnlyResource
from inventory.models import ManualTask, SshKey


class ManualTasks(ReadOnlyResource):
    """What the people of the caller's centre are to do, where no engine does it."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "hand_over": "inventory:write",
        "confirm": "inventory:write",
        "give_up": "inventory:write",
    }
    idempotent = frozenset({"hand_over", "confirm", "give_up"})
    serializer_class = shapes.ManualTaskOut
    filter_shape = shapes.ManualTaskQuery

    def rows(self) -> QuerySet[ManualTask]:
        rows = ManualTask.objects.visible_to(actor_of(self.request))
        return rows.select_related("allocation", "node")

    @extend_schema(request=shapes.WayInIn, responses=shapes.ManualTaskOut)
    @action(detail=True, methods=["post"], url_path="hand-over")
    def hand_over(self, request: Request, public_id: str) -> Response:
        """Says that a machine is set up, and how its customer gets in."""
        way_in = manual_tasks.WayIn(**body(request, shapes.WayInIn))
        return self._answer(manual_tasks.hand_over, way_in=way_in)

    @extend_schema(request=None, responses=shapes.ManualTaskOut)
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, public_id: str) -> Response:
        """Says that it is done: shut, opened again, or wiped."""
        nothing(request)
        return self._answer(manual_tasks.confirm)

    @extend_schema(request=NeedsReason, responses=shapes.ManualTaskOut)
    @action(detail=True, methods=["post"], url_path="give-up")
    def give_up(self, request: Request, public_id: str) -> Response:
        """Says that it cannot be done; the machine counts as failed."""
        return self._answer(manual_tasks.give_up, reason=body(request, NeedsReason)["reason"])

    def _answer(self, verb: Any, **facts: Any) -> Response:
        verb(
            task_public_id=self.row().public_id,
            at=instant_of(self.request),
            actor=actor_of(self.request),
            **facts,
        )
        return self.render(self.row())


class SshKeys(ReadOnlyResource):
    """Public keys of the caller's organisation; a deal freezes those it is made with."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "leases:read",
        "retrieve": "leases:read",
        "create": "leases:write",
        "destroy": "leases:write",
    }
    idempotent = frozenset({"create"})
    serializer_class = shapes.SshKeyOut

    def rows(self) -> QuerySet[SshKey]:
        return SshKey.objects.visible_to(actor_of(self.request)).filter(removed_at=None)

    @extend_schema(request=shapes.SshKeyIn, responses={201: shapes.SshKeyOut})
    def create(self, request: Request) -> Response:
        """Adds a public key. Private ones are refused, and nothing of them is kept."""
        given = body(request, shapes.SshKeyIn)
        row = ssh_keys.add(
            organisation_id=organisation_of(request),
            name=given["name"],
            text=given["public_key"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Later deals do not let it in; those that are made keep it."""
        ssh_keys.remove(
            key_public_id=self.row().public_id, at=instant_of(request), actor=actor_of(request)
        )
        return Response(status=204)
