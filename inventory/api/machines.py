"""What a provider has: centres, fabrics, and pools with their nodes from a file."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory import capacity, node_import, pools
from inventory.api import serializers as shapes
from inventory.api.fields import QueryFlag, StrictSerializer
from inventory.api.parsing import CsvParser
from inventory.api.requests import actor_of, body, find, instant_of, organisation_of, query
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.errors import Forbidden, Invalid
from inventory.models import Centre, Fabric, Organisation, Pool
from inventory.periods import Period


class NotAProvider(Forbidden):
    """The caller's organisation has no machines to offer."""

    code = "not_a_provider"
    title = "Only providers have machines"


class RangeTooLarge(Invalid):
    """More time was asked for than one reply holds."""

    code = "range_too_large"
    title = "The period is too long for one reply"


class Centres(ReadOnlyResource):
    """Sites of the caller's organisation; for the operator, all."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "create": "inventory:write",
    }
    serializer_class = shapes.CentreOut

    def rows(self) -> QuerySet[Centre]:
        return Centre.objects.visible_to(actor_of(self.request)).select_related("provider")

    @extend_schema(request=shapes.CentreIn, responses={201: shapes.CentreOut})
    def create(self, request: Request) -> Response:
        """Adds a site."""
        organisation = Organisation.objects.get(pk=organisation_of(request))
        if not organisation.is_provider:
            raise NotAProvider()
        row = pools.create_centre(
            provider_id=organisation.pk,
            **body(request, shapes.CentreIn),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)


class Fabrics(ReadOnlyResource):
    """Lossless networks. A training job can span nodes of one fabric only."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "create": "inventory:write",
    }
    serializer_class = shapes.FabricOut
    filter_shape = shapes.FabricQuery

    def rows(self) -> QuerySet[Fabric]:
        return Fabric.objects.visible_to(actor_of(self.request)).select_related("centre")

    @extend_schema(request=shapes.FabricIn, responses={201: shapes.FabricOut})
    def create(self, request: Request) -> Response:
        """Adds a network to a centre. What is left out reads unknown."""
        given = body(request, shapes.FabricIn)
        actor = actor_of(request)
        centre = find(Centre.objects.visible_to(actor), given.pop("centre"))
        row = pools.create_fabric(centre_id=centre.pk, **given, at=instant_of(request), actor=actor)
        return self.render(row, status=201)


class Pools(ReadOnlyResource):
    """Interchangeable nodes of one chip in one fabric, sold in one kind of unit."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "inventory:read",
        "retrieve": "inventory:read",
        "availability": "inventory:read",
        "create": "inventory:write",
        "state": "inventory:write",
    }
    idempotent = frozenset({"create", "state"})
    serializer_class = shapes.PoolOut
    filter_shape = shapes.PoolQuery

    def rows(self) -> QuerySet[Pool]:
        rows = Pool.objects.visible_to(actor_of(self.request))
        return rows.select_related("provider", "fabric__centre")

    @extend_schema(request=shapes.PoolIn, responses={201: shapes.PoolOut})
    def create(self, request: Request) -> Response:
        """Makes an empty pool. Its unit is a whole node or a slice of 1, 2 or 4 cards, for good."""
        given = body(request, shapes.PoolIn)
        actor = actor_of(request)
        fabric = find(Fabric.objects.visible_to(actor), given.pop("fabric"))
        row = pools.create_pool(
            fabric_id=fabric.pk,
            chip_code=given.pop("chip"),
            **given,
            at=instant_of(request),
            actor=actor,
        )
        return self.render(row, status=201)

    @extend_schema(request=shapes.PoolStateIn, responses=shapes.PoolOut)
    @action(detail=True, methods=["post"])
    def state(self, request: Request, public_id: str) -> Response:
        """Drains, reactivates or retires a pool. What is sold stays served."""
        given = body(request, shapes.PoolStateIn)
        capacity.turn_pool(
            pool_id=self.row().pk,
            to=given["state"],
            reason=given.get("reason", ""),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATETIME, required=True),
            OpenApiParameter("to", OpenApiTypes.DATETIME, required=True),
        ],
        responses=shapes.AvailabilityOut,
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def availability(self, request: Request, public_id: str) -> Response:
        """Units that nothing holds, step by step, at most 400 days of them."""
        given = query(request, shapes.PeriodQuery)
        period = Period(given["from"], given["to"])
        if period.hours > 400 * 24:
            raise RangeTooLarge()
        pool = self.row()
        steps = capacity.availability(pool_id=pool.pk, period=period, at=instant_of(request))
        return Response(shapes.AvailabilityOut({"pool": pool.public_id, "steps": steps}).data)


class ImportQuery(StrictSerializer):
    apply = QueryFlag(required=False)


class NodeImport(Resource):
    """A pool's nodes from a file as centres keep it."""

    required_scopes: ClassVar[dict[str, str | None]] = {"create": "inventory:write"}
    parser_classes = (CsvParser,)
    idempotent = frozenset({"create"})
    body_limit = node_import.BYTE_LIMIT
    serializer_class = shapes.ImportOut
    pagination_class = None

    @extend_schema(
        parameters=[OpenApiParameter("apply", OpenApiTypes.BOOL, required=False)],
        request={"text/csv": OpenApiTypes.STR},
        responses={200: shapes.ImportOut},
        operation_id="import_pool_nodes",
    )
    def create(self, request: Request, public_id: str) -> Response:
        """Says what a CSV file would change; with `apply=true` changes it, all rows or none.

        UTF-8 or GBK, with a header that names at least `serial` (序列号). Repeating an import
        changes nothing twice: nodes are known by their serial. A cell with a character that
        cannot be seen is refused, and the character named.
        """
        apply = query(request, ImportQuery).get("apply", False)
        actor = actor_of(request)
        pool = find(Pool.objects.visible_to(actor), public_id)
        content: Any = request.data
        if not isinstance(content, bytes):
            raise node_import.Unreadable("The body is empty")
        if apply:
            plan = node_import.apply(
                pool=pool, content=content, at=instant_of(request), actor=actor
            )
        else:
            plan = node_import.preview(pool=pool, content=content)
        reply = {
            "applied": apply,
            "new_count": plan.new_count,
            "known_count": plan.known_count,
            "cards_before": plan.cards_before,
            "cards_after": plan.cards_after,
            "error_count": len(plan.errors),
            "errors": plan.errors[:100],
        }
        return Response(shapes.ImportOut(reply).data)
