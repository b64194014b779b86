"""Listings and floors, and the read-only side of deals that billing serves whole."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.requests import actor_of, body, find, instant_of, organisation_of
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.api.serializers import ReasonIn
from inventory.models import Pool
from inventory.periods import Period
from marketplace import approvals, floors, listings
from marketplace.api import listing_shapes
from marketplace.api import serializers as shapes
from marketplace.asking import PriceInput, TermsInput
from marketplace.models import ApprovalRule, Lease, Listing, PriceFloor, Reservation

PUBLISH = OpenApiExample(
    "Forty nodes for a month",
    request_only=True,
    value={
        "pool": "pool_01975e1b7d3c7a51b2f03f0d8a6c4e21",
        "unit_count": 40,
        "start_at": "2026-12-01T00:00:00Z",
        "end_at": "2027-01-01T00:00:00Z",
        "price": {"basis": "card_hour", "amount_micro": 6_800_000, "currency": "CNY"},
        "terms": {"minimum_hours": 24, "cancellation": [[168, 10000], [72, 5000]]},
    },
)


class Listings(ReadOnlyResource):
    """Blocks on sale: the caller's own; for the operator, all."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "listings:read",
        "retrieve": "listings:read",
        "create": "listings:write",
        "reprice": "listings:write",
        "pause": "listings:write",
        "resume": "listings:write",
        "withdraw": "listings:write",
        "reterm": "listings:write",
        "resize": "listings:write",
        "touched_deals": "listings:read",
    }
    idempotent = frozenset({"create", "reprice", "reterm", "resize", "pause", "resume", "withdraw"})
    serializer_class = listing_shapes.ListingOut
    filter_shape = listing_shapes.ListingQuery

    def rows(self) -> QuerySet[Listing]:
        rows = Listing.objects.visible_to(actor_of(self.request))
        return rows.select_related("provider", "pool", "block").prefetch_related("prices", "terms")

    @extend_schema(
        request=listing_shapes.ListingIn,
        responses={201: listing_shapes.ListingOut},
        examples=[PUBLISH],
    )
    def create(self, request: Request) -> Response:
        """Puts units of a pool on sale over a period, at a price and by terms."""
        given = body(request, listing_shapes.ListingIn)
        actor = actor_of(request)
        pool = find(Pool.objects.visible_to(actor), given["pool"])
        chosen = {name: given[name] for name in ("mode", "selling") if name in given}
        row = listings.publish(
            pool_id=pool.pk,
            unit_count=given["unit_count"],
            sellable=Period(given["start_at"], given["end_at"]),
            price=PriceInput(**given["price"]),
            terms=TermsInput(**given.get("terms", {})),
            **chosen,
            at=instant_of(request),
            actor=actor,
        )
        return self.render(find(self.rows(), row.public_id), status=201)

    @extend_schema(request=listing_shapes.PriceIn, responses=listing_shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def reprice(self, request: Request, public_id: str) -> Response:
        """Asks another price from now on. Leases and signed offers keep theirs."""
        price = PriceInput(**body(request, listing_shapes.PriceIn))
        listings.reprice(
            listing_id=self.row().pk, price=price, at=instant_of(request), actor=actor_of(request)
        )
        return self.render(self.row())

    @extend_schema(request=ReasonIn, responses=listing_shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, public_id: str) -> Response:
        """Sells nothing new until resumed."""
        return self._move(listings.pause)

    @extend_schema(request=ReasonIn, responses=listing_shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, public_id: str) -> Response:
        """Sells again."""
        return self._move(listings.resume)

    @extend_schema(request=ReasonIn, responses=listing_shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """Sells nothing any more. Leases are untouched."""
        return self._move(listings.withdraw)

    @extend_schema(request=listing_shapes.TermsIn, responses=listing_shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def reterm(self, request: Request, public_id: str) -> Response:
        """Sells by other terms from now on, all of them given anew. Deals keep theirs."""
        terms = TermsInput(**body(request, listing_shapes.TermsIn))
        listings.reterm(
            listing_id=self.row().pk, terms=terms, at=instant_of(request), actor=actor_of(request)
        )
        return self.render(self.row())

    @extend_schema(request=listing_shapes.ResizeIn, responses=listing_shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def resize(self, request: Request, public_id: str) -> Response:
        """Sells more units, or fewer, down to those that are sold."""
        listings.resize(
            listing_id=self.row().pk,
            **body(request, listing_shapes.ResizeIn),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(
        responses=listing_shapes.TouchedDealOut(many=True),
        operation_id="list_listing_touched_deals",
    )
    @action(detail=True, methods=["get"], url_path="touched-deals", pagination_class=None)
    def touched_deals(self, request: Request, public_id: str) -> Response:
        """What is held or leased and not over: it stays, whatever becomes of the listing."""
        deals = listings.touched_deals(self.row())
        return Response(listing_shapes.TouchedDealOut(deals, many=True).data)

    def _move(self, verb: Any) -> Response:
        verb(
            listing_id=self.row().pk,
            at=instant_of(self.request),
            actor=actor_of(self.request),
            reason=body(self.request, ReasonIn).get("reason", ""),
        )
        return self.render(self.row())


class Floors(Resource):
    """What a card-hour of a pool costs its provider: nothing sells below it."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "listings:read",
        "create": "listings:write",
    }
    idempotent = frozenset({"create"})
    serializer_class = listing_shapes.FloorOut
    concealed = "flr"

    def rows(self) -> QuerySet[PriceFloor]:
        return PriceFloor.objects.filter(pool=self.pool())

    def pool(self) -> Pool:
        return find(Pool.objects.visible_to(actor_of(self.request)), self.kwargs["public_id"])

    @extend_schema(operation_id="list_pool_floors")
    def list(self, request: Request, **_: Any) -> Response:
        """Every version, newest first. The newest counts."""
        return self.page(self.rows())

    @extend_schema(
        request=listing_shapes.FloorIn,
        responses={201: listing_shapes.FloorOut},
        operation_id="create_pool_floor",
    )
    def create(self, request: Request, **_: Any) -> Response:
        """Sets the components of cost from now on."""
        row = floors.set_floor(
            pool_id=self.pool().pk,
            **body(request, listing_shapes.FloorIn),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)


class ApprovalRules(Resource):
    """How many members of the caller's organisation have to approve a deal, by its amount."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "listings:read",
        "create": "members:write",
    }
    idempotent = frozenset({"create"})
    serializer_class = listing_shapes.ApprovalRuleOut
    concealed = "apr"

    def rows(self) -> QuerySet[ApprovalRule]:
        return ApprovalRule.objects.filter(provider_id=organisation_of(self.request))

    def list(self, request: Request) -> Response:
        """Every version, newest first. The newest counts, for holds made from then on."""
        return self.page(self.rows())

    @extend_schema(
        request=listing_shapes.ApprovalRuleIn, responses={201: listing_shapes.ApprovalRuleOut}
    )
    def create(self, request: Request) -> Response:
        """Sets the thresholds from now on, for every listing that sells by approval."""
        row = approvals.set_rule(
            provider_id=organisation_of(request),
            **body(request, listing_shapes.ApprovalRuleIn),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)


class ReadOnlyReservations(ReadOnlyResource):
    """Deals as they were held, whatever became of them, of the caller as tenant or provider."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "reservations:read",
        "retrieve": "reservations:read",
    }
    serializer_class = shapes.ReservationOut
    filter_shape = shapes.ReservationQuery

    def rows(self) -> QuerySet[Reservation]:
        rows = Reservation.objects.visible_to(actor_of(self.request)).by_decision()
        return rows.select_related("provider", "tenant", "project", "listing", "lease", "basket")


class ReadOnlyLeases(ReadOnlyResource):
    """Confirmed contracts of the caller as tenant or provider."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "leases:read",
        "retrieve": "leases:read",
    }
    serializer_class = shapes.LeaseOut
    filter_shape = shapes.LeaseQuery

    def rows(self) -> QuerySet[Lease]:
        rows = Lease.objects.visible_to(actor_of(self.request))
        return rows.select_related(
            "provider",
            "tenant",
            "project",
            "reservation",
            "listing",
            "terms",
            "allocation",
            "parent",
            "amendment",
        )
