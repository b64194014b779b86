"""Listings and floors, and the read-only side of deals that billing serves whole."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.requests import actor_of, body, find, instant_of
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.api.serializers import ReasonIn
from inventory.models import Pool
from inventory.periods import Period
from marketplace import listings, offers
from marketplace.api import serializers as shapes
from marketplace.asking import PriceInput, TermsInput
from marketplace.models import Lease, Listing, PriceFloor, Reservation
from marketplace.offers import OfferRequest

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
SEARCH = OpenApiExample(
    "Eight H100 nodes for a week",
    request_only=True,
    value={
        "nodes": 8,
        "hours": 168,
        "earliest_start": "2026-12-01T00:00:00Z",
        "latest_end": "2026-12-20T00:00:00Z",
        "chips": ["h100-80g"],
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
    }
    idempotent = frozenset({"create", "reprice", "pause", "resume", "withdraw"})
    serializer_class = shapes.ListingOut
    filter_shape = shapes.ListingQuery

    def rows(self) -> QuerySet[Listing]:
        rows = Listing.objects.visible_to(actor_of(self.request))
        return rows.select_related("provider", "pool", "block").prefetch_related("prices", "terms")

    @extend_schema(request=shapes.ListingIn, responses={201: shapes.ListingOut}, examples=[PUBLISH])
    def create(self, request: Request) -> Response:
        """Puts units of a pool on sale over a period, at a price and by terms."""
        given = body(request, shapes.ListingIn)
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

    @extend_schema(request=shapes.PriceIn, responses=shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def reprice(self, request: Request, public_id: str) -> Response:
        """Asks another price from now on. Leases and signed offers keep theirs."""
        price = PriceInput(**body(request, shapes.PriceIn))
        listings.reprice(
            listing_id=self.row().pk, price=price, at=instant_of(request), actor=actor_of(request)
        )
        return self.render(self.row())

    @extend_schema(request=ReasonIn, responses=shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, public_id: str) -> Response:
        """Sells nothing new until resumed."""
        return self._move(listings.pause)

    @extend_schema(request=ReasonIn, responses=shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, public_id: str) -> Response:
        """Sells again."""
        return self._move(listings.resume)

    @extend_schema(request=ReasonIn, responses=shapes.ListingOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """Sells nothing any more. Leases are untouched."""
        return self._move(listings.withdraw)

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
    serializer_class = shapes.FloorOut
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
        request=shapes.FloorIn,
        responses={201: shapes.FloorOut},
        operation_id="create_pool_floor",
    )
    def create(self, request: Request, **_: Any) -> Response:
        """Sets the components of cost from now on."""
        row = listings.set_floor(
            pool_id=self.pool().pk,
            **body(request, shapes.FloorIn),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)


class Offers(Resource):
    """What the market would sell."""

    required_scopes: ClassVar[dict[str, str | None]] = {"search": "offers:read"}
    reading = frozenset({"search"})
    for_projects = frozenset({"search"})
    serializer_class = shapes.OffersOut
    pagination_class = None

    @extend_schema(
        request=shapes.SearchIn,
        responses=shapes.OffersOut,
        examples=[SEARCH],
        operation_id="search_offers",
    )
    @action(detail=False, methods=["post"])
    def search(self, request: Request) -> Response:
        """Dated, priced and signed offers, the cheapest first; and why others did not match.

        An offer is good for minutes and can be posted back verbatim. It promises nothing
        until it is held.
        """
        given = body(request, shapes.SearchIn)
        wanted: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
        results = offers.search(
            request=OfferRequest(**wanted), actor=actor_of(request), at=instant_of(request)
        )
        return Response(shapes.OffersOut(results).data)


class ReadOnlyReservations(ReadOnlyResource):
    """Deals as they were held, whatever became of them, of the caller as tenant or provider."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "reservations:read",
        "retrieve": "reservations:read",
    }
    serializer_class = shapes.ReservationOut
    filter_shape = shapes.ReservationQuery

    def rows(self) -> QuerySet[Reservation]:
        rows = Reservation.objects.visible_to(actor_of(self.request))
        return rows.select_related("provider", "tenant", "project", "listing", "lease")


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
            "provider", "tenant", "project", "reservation", "listing", "allocation", "parent",
            "amendment",
        )  # fmt: skip
