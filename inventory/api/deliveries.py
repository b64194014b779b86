"""What people do in a delivery: the tasks of a centre's operators."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory import manual_tasks
from inventory.api import delivery_shapes as shapes
from inventory.api.node_shapes import NeedsReason
from inventory.api.requests import actor_of, body, instant_of, nothing
from inventory.api.resources import ReadOnlyResource
from inventory.models import ManualTask


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
