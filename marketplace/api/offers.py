"""What the market would sell, and when."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.requests import actor_of, instant_of, query
from inventory.api.resources import Resource
from inventory.api.serializers import PeriodQuery
from inventory.periods import Period
from marketplace import offers
from marketplace.api import offer_replies
from marketplace.api import offer_shapes as shapes
from marketplace.offers import OfferRequest

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
CALENDAR = OpenApiExample(
    "When could I get eight Ascend nodes for a week",
    request_only=True,
    value={
        "nodes": 8,
        "hours": 168,
        "earliest_start": "2026-12-01T00:00:00Z",
        "latest_end": "2027-03-01T00:00:00Z",
        "chips": ["ascend-910b-64g"],
    },
)


class Offers(Resource):
    """What the market would sell."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "search": "offers:read",
        "calendar": "offers:read",
    }
    reading = frozenset({"search", "calendar"})
    for_projects = frozenset({"search", "calendar"})
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
        until it is held. The cheapest and the earliest are marked.
        """
        results = offers.search(
            request=_wanted(request), actor=actor_of(request), at=instant_of(request)
        )
        return Response(offer_replies.results(results))

    @extend_schema(
        request=shapes.SearchIn,
        responses=shapes.CalendarOut,
        examples=[CALENDAR],
        operation_id="read_offers_calendar",
    )
    @action(detail=False, methods=["post"])
    def calendar(self, request: Request) -> Response:
        """When what a search asks for could start: listing by listing, and day by day.

        At most 186 days. Of a range of hours the shortest counts.
        """
        found = offers.calendar(
            request=_wanted(request), actor=actor_of(request), at=instant_of(request)
        )
        return Response(shapes.CalendarOut(found).data)


class OnSale(Resource):
    """What a pool has on sale, for whoever may search."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "offers:read"}
    for_projects = frozenset({"retrieve"})
    serializer_class = shapes.OnSaleOut
    pagination_class = None

    @extend_schema(
        operation_id="get_pool_on_sale",
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATETIME, required=True),
            OpenApiParameter("to", OpenApiTypes.DATETIME, required=True),
        ],
        responses=shapes.OnSaleOut,
    )
    def retrieve(self, request: Request, public_id: str) -> Response:
        """Free units of a pool's published listings, step by step, at most 400 days of them.

        A pool that has nothing on sale is not found.
        """
        given = query(request, PeriodQuery)
        found = offers.on_sale(
            pool_public_id=public_id,
            period=Period(given["from"], given["to"]),
            at=instant_of(request),
        )
        return Response(shapes.OnSaleOut(found).data)


def _wanted(request: Request) -> OfferRequest:
    """Raises ValidationError, InvalidRequest, InvalidPeriod."""
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in _search_in().run_validation(request.data).items()
    }
    return OfferRequest(**given)


@cache
def _search_in() -> shapes.SearchIn:
    """One for all requests: making its fields anew costs more than reading a body with them,
    and validating leaves nothing behind in them."""
    return shapes.SearchIn()
