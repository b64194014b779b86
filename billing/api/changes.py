"""Quotes and amendments: how a lease is extended, left, withdrawn or changed by both."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from billing import amending, quotes
from billing.amending import Proposal
from billing.api import change_shapes as shapes
from billing.models import Quote
from inventory.api.requests import actor_of, body, instant_of, nothing
from inventory.api.resources import ReadOnlyResource, Resource, made
from inventory.api.serializers import ReasonIn
from marketplace import amendments
from marketplace.models import Amendment
from marketplace.repricings import NewPrice

EXTEND = OpenApiExample(
    "A day longer", request_only=True, value={"kind": "extend", "end_at": "2026-12-09T00:00:00Z"}
)
WITHDRAW = OpenApiExample(
    "The provider takes it back",
    request_only=True,
    value={
        "kind": "withdraw",
        "end_at": "2027-01-01T00:00:00Z",
        "reason": "the building is closed",
    },
)
ANOTHER_END = OpenApiExample(
    "Another end, all of the rest refunded",
    request_only=True,
    value={"end_at": "2026-12-06T00:00:00Z", "refund_bps": 10_000, "reason": "as agreed"},
)
MORE_UNITS = OpenApiExample(
    "Four more units",
    request_only=True,
    value={"added_units": 4, "added_from_at": "2026-12-03T00:00:00Z"},
)


ANOTHER_PRICE = OpenApiExample(
    "Another price from an hour on",
    request_only=True,
    value={
        "price": {"basis": "card_hour", "amount_micro": 5_900_000},
        "from_at": "2027-01-01T00:00:00Z",
        "reason": "as agreed for the second year",
    },
)


class LeaseQuotes(Resource):
    """What changing one lease by its frozen terms would come to."""

    required_scopes: ClassVar[dict[str, str | None]] = {"create": "leases:write"}
    idempotent = frozenset({"create"})
    for_projects = frozenset({"create"})
    serializer_class = shapes.QuoteOut

    @extend_schema(
        request=shapes.QuoteIn,
        responses={201: shapes.QuoteOut},
        examples=[EXTEND, WITHDRAW],
        operation_id="create_lease_quote",
    )
    def create(self, request: Request, public_id: str) -> Response:
        """Promises the figures for some minutes; changes nothing until it is accepted.

        The tenant cancels, extends and leaves; the provider withdraws, with a reason.
        """
        given = body(request, shapes.QuoteIn)
        row = quotes.ask(
            lease_public_id=public_id,
            kind=given["kind"],
            end=given.get("end_at"),
            reason=given.get("reason", ""),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return made(request, shapes.QuoteOut(row).data, at=reverse("quote-list"))


class Quotes(ReadOnlyResource):
    """Quotes of the caller's own side; the other side does not see them."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "leases:read",
        "retrieve": "leases:read",
        "accept": "leases:write",
    }
    idempotent = frozenset({"accept"})
    for_projects = frozenset(required_scopes)
    serializer_class = shapes.QuoteOut
    filter_shape = shapes.QuoteQuery

    def rows(self) -> QuerySet[Quote]:
        rows = Quote.objects.visible_to(actor_of(self.request))
        return rows.select_related("lease", "amendment")

    @extend_schema(request=None, responses=shapes.QuoteOut)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, public_id: str) -> Response:
        """Does exactly what was quoted, or refuses because the lease has changed since."""
        nothing(request)
        quotes.accept(quote_public_id=public_id, at=instant_of(request), actor=actor_of(request))
        return self.render(self.row())


class LeaseAmendments(Resource):
    """Proposals to change one lease."""

    required_scopes: ClassVar[dict[str, str | None]] = {"create": "leases:write"}
    idempotent = frozenset({"create"})
    for_projects = frozenset({"create"})
    serializer_class = shapes.AmendmentOut

    @extend_schema(
        request=shapes.AmendmentIn,
        responses={201: shapes.AmendmentOut},
        examples=[ANOTHER_END, MORE_UNITS, ANOTHER_PRICE],
        operation_id="create_lease_amendment",
    )
    def create(self, request: Request, public_id: str) -> Response:
        """Proposes another end, more units, or another price from an hour on.

        The lease stays as it is until both have signed. Currency, payment schedule, VAT rate and
        fee never change; what a price makes dearer or cheaper moves between wallet and deposit
        when it is signed.
        """
        given = body(request, shapes.AmendmentIn)
        price = given.get("price")
        row = amending.propose(
            lease_public_id=public_id,
            proposal=Proposal(
                end=given.get("end_at"),
                refund_bps=given.get("refund_bps", 10_000),
                added_units=given.get("added_units"),
                added_from=given.get("added_from_at"),
                price=NewPrice(**price) if price else None,
                price_from=given.get("from_at"),
            ),
            reason=given.get("reason", ""),
            answer_hours=given.get("answer_hours"),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return made(request, shapes.AmendmentOut(row).data, at=reverse("amendment-list"))


class Amendments(ReadOnlyResource):
    """Changes of leases of the caller as tenant or provider: proposed, signed, or turned down."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "leases:read",
        "retrieve": "leases:read",
        "sign": "leases:write",
        "decline": "leases:write",
        "withdraw": "leases:write",
    }
    idempotent = frozenset({"sign", "decline", "withdraw"})
    for_projects = frozenset(required_scopes)
    serializer_class = shapes.AmendmentOut
    filter_shape = shapes.AmendmentQuery

    def rows(self) -> QuerySet[Amendment]:
        rows = Amendment.objects.visible_to(actor_of(self.request))
        return rows.select_related("lease", "child", "replaces__price")

    @extend_schema(request=None, responses=shapes.AmendmentOut)
    @action(detail=True, methods=["post"])
    def sign(self, request: Request, public_id: str) -> Response:
        """Signs for the other side: lease, money and machines change at once."""
        nothing(request)
        amending.sign(
            amendment_public_id=public_id, at=instant_of(request), actor=actor_of(request)
        )
        return self.render(self.row())

    @extend_schema(request=ReasonIn, responses=shapes.AmendmentOut)
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, public_id: str) -> Response:
        """Says no to what the other side proposed."""
        amendments.decline(amendment_public_id=public_id, **self._said(request))
        return self.render(self.row())

    @extend_schema(request=ReasonIn, responses=shapes.AmendmentOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """Takes back what the caller's own side proposed."""
        amendments.withdraw(amendment_public_id=public_id, **self._said(request))
        return self.render(self.row())

    def _said(self, request: Request) -> dict[str, Any]:
        return {
            "reason": body(request, ReasonIn).get("reason", ""),
            "at": instant_of(request),
            "actor": actor_of(request),
        }
