"""The books beside the bank and Stripe: both figures, exceptions, matches."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import reconciliation, reconciliation_report, reconciliation_sides
from billing.api import book_shapes as shapes
from billing.api.payouts import stamp
from billing.models import (
    BankLine,
    BankStatement,
    PspBalanceTransaction,
    ReconciliationMatch,
)
from inventory.api.requests import actor_of, body, find, instant_of, query
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.errors import Forbidden, Invalid, NotFound


def require_operator(request: Request) -> None:
    """The books are the operator's alone. Raises Forbidden."""
    if not actor_of(request).sees_everything:
        raise Forbidden("Only the operator looks into the books")


class Reconciliation(Resource):
    """The books and what is outside, at the end of a day. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = shapes.ReconciliationOut

    @extend_schema(
        operation_id="get_reconciliation",
        parameters=[shapes.ReconciliationQuery],
        responses=shapes.ReconciliationOut,
    )
    def retrieve(self, request: Request, **_: Any) -> Response:
        """Each account of money outside: both figures, and the difference by its causes."""
        require_operator(request)
        given = query(request, shapes.ReconciliationQuery)
        today = instant_of(request).astimezone(reconciliation_sides.zone()).date()
        day = given.get("day", today)
        reply = {"day": day, "accounts": reconciliation_report.equality(day=day)}
        return Response(shapes.ReconciliationOut(reply).data)


class ReconciliationExceptions(Resource):
    """What bank, Stripe and books do not agree on. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = shapes.ExceptionsOut

    @extend_schema(
        operation_id="list_reconciliation_exceptions",
        parameters=[shapes.ExceptionQuery],
        responses=shapes.ExceptionsOut,
    )
    def retrieve(self, request: Request, **_: Any) -> Response:
        """The oldest first, a thousand at most; `count` is of all."""
        require_operator(request)
        given = query(request, shapes.ExceptionQuery)
        found = reconciliation_report.findings(at=instant_of(request))
        rows = [
            each
            for each in found.exceptions
            if given.get("kind", each.kind) == each.kind
            and given.get("account", each.code) == each.code
        ]
        reply = {
            "data": rows[:1000],
            "count": len(rows),
            "in_flight_count": len(found.in_flight),
        }
        return Response(shapes.ExceptionsOut(reply).data)


class Matches(ReadOnlyResource):
    """Lines of the bank's and of Stripe's, and the movement of the books each of them is."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "create": "receipts:approve",
        "undo": "receipts:approve",
    }
    idempotent = frozenset({"create", "undo"})
    serializer_class = shapes.MatchOut
    filter_shape = shapes.MatchQuery

    def rows(self) -> QuerySet[ReconciliationMatch]:
        rows = ReconciliationMatch.objects.visible_to(actor_of(self.request))
        return rows.select_related("account", "bank_line", "opening", "reversal")

    @extend_schema(request=shapes.MatchIn, responses={201: shapes.MatchOut})
    def create(self, request: Request) -> Response:
        """Says that a line and a transaction are one; their amounts have to be the same."""
        require_operator(request)
        given = body(request, shapes.MatchIn)
        if ("line" in given) == ("offset" in given):
            raise Invalid("Name a line, or the movement that this one cancels")
        number = _number(given["transaction"])
        if "line" in given:
            row = reconciliation.match_by_hand(
                transaction_id=number,
                line=_line(given["line"]),
                reason=given["reason"],
                **stamp(request),
            )
        else:
            row = reconciliation.offset_by_hand(
                transaction_ids=(number, _number(given["offset"])),
                account_code=given.get("account", ""),
                reason=given["reason"],
                **stamp(request),
            )
        return self.render(find(self.rows(), row.public_id), status=201)

    @extend_schema(request=shapes.WhyUndoneIn, responses=shapes.MatchOut)
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, public_id: str) -> Response:
        """It was a mistake: both sides are open again."""
        reconciliation.undo(
            match_public_id=self.row().public_id,
            **body(request, shapes.WhyUndoneIn),
            **stamp(request),
        )
        return self.render(self.row())


def _number(name: str) -> int:
    number = shapes.number_of(name)
    assert number is not None  # its shape was looked at
    return number


def _line(name: str) -> BankLine | BankStatement | PspBalanceTransaction:
    if name.startswith("bln_"):
        return find(BankLine.objects.all(), name)
    if name.startswith("bst_"):
        return find(BankStatement.objects.select_related("account"), name)
    row = PspBalanceTransaction.objects.filter(pk=name).first()
    if row is None:
        raise NotFound("No such line")
    return row
