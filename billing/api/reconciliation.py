"""What the bank and Stripe say against what the books say. Nothing is corrected here."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import reconciliation, reconciliation_report
from billing.api import reconciliation_shapes as shapes
from billing.api.serializers import RejectIn
from billing.models import BankLine, BankStatement, PspBalanceTransaction, ReconciliationMatch
from inventory.actors import Actor
from inventory.api.requests import actor_of, body, find, instant_of, query
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.errors import NotFound

SHOWN = 500


class Reconciliation(Resource):
    """What is open: lines without a movement, movements without a line."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = shapes.ReconciliationOut

    @extend_schema(operation_id="get_reconciliation", responses=shapes.ReconciliationOut)
    def retrieve(self, request: Request, **_: Any) -> Response:
        """The oldest exceptions, and what is only on its way."""
        found = reconciliation_report.findings(at=instant_of(request))
        reply = {
            "exceptions": found.exceptions[:SHOWN],
            "exception_count": len(found.exceptions),
            "late_count": sum(each.is_late for each in found.exceptions),
            "in_flight": found.in_flight[:SHOWN],
            "in_flight_count": len(found.in_flight),
        }
        return Response(shapes.ReconciliationOut(reply).data)


class Equality(Resource):
    """The books and what is outside, at a cut."""

    required_scopes: ClassVar[dict[str, str | None]] = {"list": "audit:read"}
    serializer_class = shapes.EqualityOut
    pagination_class = None

    @extend_schema(
        operation_id="list_equality",
        parameters=[shapes.EqualityQuery],
        responses=shapes.EqualityOut(many=True),
    )
    def list(self, request: Request, **_: Any) -> Response:
        """Each account of money outside at the end of a day, the difference by its causes."""
        day = query(request, shapes.EqualityQuery)["date"]
        found = reconciliation_report.equality(day=day)
        return Response(shapes.EqualityOut(found, many=True).data)


class Matches(ReadOnlyResource):
    """Which line is which movement of the books; undone where it was a mistake."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "create": "settlements:write",
        "offset": "settlements:write",
        "undo": "settlements:write",
    }
    idempotent = frozenset({"create", "offset", "undo"})
    serializer_class = shapes.MatchOut
    filter_shape = shapes.MatchQuery

    def rows(self) -> QuerySet[ReconciliationMatch]:
        rows = ReconciliationMatch.objects.visible_to(actor_of(self.request))
        return rows.select_related("account", "bank_line", "opening", "reversal")

    @extend_schema(request=shapes.MatchIn, responses={201: shapes.MatchOut})
    def create(self, request: Request) -> Response:
        """A person says that a line is this transaction; the amounts have to be the same."""
        given = body(request, shapes.MatchIn)
        actor = actor_of(request)
        row = reconciliation.match_by_hand(
            transaction_id=given["transaction"],
            line=_line(given["line"], actor),
            reason=given["reason"],
            at=instant_of(request),
            actor=actor,
        )
        return self.render(self.rows().get(pk=row.pk), status=201)

    @extend_schema(request=shapes.OffsetIn, responses={201: shapes.MatchOut})
    @action(detail=False, methods=["post"])
    def offset(self, request: Request) -> Response:
        """A person says that two movements cancel each other, and the bank knows of neither."""
        given = body(request, shapes.OffsetIn)
        first, second = given["transactions"]
        row = reconciliation.offset_by_hand(
            transaction_ids=(first, second),
            account_code=given["account"],
            reason=given["reason"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.rows().get(pk=row.pk), status=201)

    @extend_schema(request=RejectIn, responses=shapes.MatchOut)
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, public_id: str) -> Response:
        """It was a mistake: both sides are open again."""
        reconciliation.undo(
            match_public_id=self.row().public_id,
            reason=body(request, RejectIn)["reason"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())


def _line(name: str, actor: Actor) -> BankLine | BankStatement | PspBalanceTransaction:
    """The line of that name, as exceptions give it. Raises NotFound."""
    if name.startswith("bln_"):
        return find(BankLine.objects.visible_to(actor), name)
    if name.startswith("bst_"):
        return find(BankStatement.objects.visible_to(actor).select_related("account"), name)
    row = PspBalanceTransaction.objects.filter(pk=name).first()
    if row is None:
        raise NotFound
    return row
