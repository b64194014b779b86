"""Single servers: what they are, what puts them out of use, what runs on them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from inventory import capacity, provisioning
from inventory.api import node_shapes as shapes
from inventory.api.health import of_node
from inventory.api.health_shapes import NodeHealthOut
from inventory.api.requests import actor_of, body, find, instant_of
from inventory.api.resources import ReadOnlyResource, made
from inventory.api.serializers import ReasonIn
from inventory.errors import Invalid
from inventory.models import Allocation, Instance, Node, Outage, Pool
from inventory.periods import Period


class Nodes(ReadOnlyResource):
    """Servers of the caller's pools; for the operator, all. They are added by file."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "fail": "inventory:write",
        "retire": "inventory:write",
        "health": "inventory:read",
    }
    idempotent = frozenset({"fail", "retire"})
    serializer_class = shapes.NodeOut
    filter_shape = shapes.NodeQuery

    def rows(self) -> QuerySet[Node]:
        return Node.objects.visible_to(actor_of(self.request)).select_related("pool")

    @extend_schema(request=shapes.FailIn, responses={201: shapes.OutageOut})
    @action(detail=True, methods=["post"])
    def fail(self, request: Request, public_id: str) -> Response:
        """Reports a broken server: what runs on it is moved, to spares first.

        It serves again once the outage that this opens is closed.
        """
        given = body(request, shapes.FailIn)
        row = provisioning.fail_node(
            node_id=self.row().pk, **given, at=instant_of(request), actor=actor_of(request)
        )
        return made(request, shapes.OutageOut(row).data, at=reverse("outage-list"))

    @extend_schema(request=shapes.NeedsReason, responses=shapes.NodeOut)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, public_id: str) -> Response:
        """Takes an empty server out for good, where the others can serve what is promised."""
        capacity.retire_node(
            node_id=self.row().pk,
            reason=body(request, shapes.NeedsReason)["reason"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(responses=NodeHealthOut)
    @action(detail=True, methods=["get"], pagination_class=None, filter_shape=None)
    def health(self, request: Request, public_id: str) -> Response:
        """How well a server and its cards are, since when, by whose word; and what they were."""
        return Response(NodeHealthOut(of_node(self.row())).data)


class Outages(ReadOnlyResource):
    """Servers out of use: planned ones as a count, failed ones by name."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "create": "inventory:write",
        "close": "inventory:write",
    }
    idempotent = frozenset({"create", "close"})
    serializer_class = shapes.OutageOut
    filter_shape = shapes.OutageQuery

    def rows(self) -> QuerySet[Any]:
        return Outage.objects.visible_to(actor_of(self.request)).select_related("pool", "node")

    @extend_schema(request=shapes.OutageIn, responses={201: shapes.OutageOut})
    def create(self, request: Request) -> Response:
        """Plans maintenance of some servers. Which ones is decided when it begins."""
        given = body(request, shapes.OutageIn)
        actor = actor_of(request)
        pool = find(Pool.objects.visible_to(actor), given["pool"])
        row = capacity.set_outage(
            pool_id=pool.pk,
            kind=Outage.Kind.PLANNED,
            period=Period(given["start_at"], given["end_at"]),
            node_count=given["node_count"],
            reason=given["reason"],
            at=instant_of(request),
            actor=actor,
        )
        return self.render(row, status=201)

    @extend_schema(request=ReasonIn, responses=shapes.OutageOut)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, public_id: str) -> Response:
        """Says that it is over or called off: a failed server serves again, once it is clean."""
        capacity.close_outage(
            outage_id=self.row().pk,
            reason=body(request, ReasonIn).get("reason", ""),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())


class Instances(ReadOnlyResource):
    """What was made on the caller's servers, and what a person does where it went wrong."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "replace": "inventory:write",
        "retry_release": "inventory:write",
        "mark_clean": "inventory:write",
    }
    idempotent = frozenset({"replace", "retry_release", "mark_clean"})
    serializer_class = shapes.InstanceOut
    filter_shape = shapes.InstanceQuery

    def rows(self) -> QuerySet[Instance]:
        rows = Instance.objects.visible_to(actor_of(self.request))
        return rows.select_related("allocation__pool", "binding__node")

    @extend_schema(request=shapes.NeedsReason, responses=shapes.InstanceOut)
    @action(detail=True, methods=["post"])
    def replace(self, request: Request, public_id: str) -> Response:
        """Takes a broken one down and puts another in its place; its server is quarantined."""
        return self._remedy(provisioning.replace)

    @extend_schema(request=shapes.NeedsReason, responses=shapes.InstanceOut)
    @action(detail=True, methods=["post"], url_path="retry-release")
    def retry_release(self, request: Request, public_id: str) -> Response:
        """Tries once more to wipe one whose release failed."""
        return self._remedy(provisioning.retry_release)

    @extend_schema(request=shapes.NeedsReason, responses=shapes.InstanceOut)
    @action(detail=True, methods=["post"], url_path="mark-clean")
    def mark_clean(self, request: Request, public_id: str) -> Response:
        """Says that a person has wiped one whose release failed."""
        return self._remedy(provisioning.mark_clean)

    def _remedy(self, verb: Any) -> Response:
        verb(
            instance_id=self.row().pk,
            reason=body(self.request, shapes.NeedsReason)["reason"],
            at=instant_of(self.request),
            actor=actor_of(self.request),
        )
        return self.render(self.row())


class ExternalAllocations(ReadOnlyResource):
    """The centre's own use and contracts made elsewhere, so that nothing is sold twice."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "create": "inventory:write",
        "release": "inventory:write",
    }
    idempotent = frozenset({"create", "release"})
    serializer_class = shapes.ExternalAllocationOut
    filter_shape = shapes.ExternalAllocationQuery

    def rows(self) -> QuerySet[Any]:
        rows = Allocation.objects.visible_to(actor_of(self.request))
        external = rows.exclude(kind=Allocation.Kind.SALE).select_related("pool")
        return external.prefetch_related("bindings__node")

    @extend_schema(
        request=shapes.ExternalAllocationIn, responses={201: shapes.ExternalAllocationOut}
    )
    def create(self, request: Request) -> Response:
        """Takes units of a pool out of the market. One that already runs names its nodes."""
        given = body(request, shapes.ExternalAllocationIn)
        actor = actor_of(request)
        pool = find(Pool.objects.visible_to(actor), given["pool"])
        names = given.get("nodes", [])
        rows = Node.objects.filter(pool=pool, public_id__in=names)
        nodes = list(rows.values_list("pk", flat=True))
        if len(nodes) != len(names):
            raise Invalid("A node is named twice or is not in this pool")
        row = capacity.claim_external(
            pool_id=pool.pk,
            kind=given["kind"],
            unit_count=given["unit_count"],
            period=Period(given["start_at"], given["end_at"]),
            node_ids=nodes,
            note=given.get("note", ""),
            at=instant_of(request),
            actor=actor,
        )
        return self.render(find(self.rows(), row.public_id), status=201)

    @extend_schema(request=ReasonIn, responses=shapes.ExternalAllocationOut)
    @action(detail=True, methods=["post"])
    def release(self, request: Request, public_id: str) -> Response:
        """Gives the units back before they are in use, or ends their use now."""
        capacity.end_external(
            allocation_id=self.row().pk,
            reason=body(request, ReasonIn).get("reason", "released"),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())
