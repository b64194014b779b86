"""Months of the books: trial balance, vouchers for other systems, and their closing."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import (
    accounting_periods,
    closing_checklist,
    closing_months,
    trial_balance,
    voucher_export,
)
from billing.api import book_shapes as shapes
from billing.api.payouts import stamp
from billing.api.reconciliation import require_operator
from billing.api.views import person_of
from billing.models import AccountingPeriod, LedgerEntry, LedgerTransaction
from inventory.api.requests import actor_of, body, instant_of, nothing, query
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.errors import NotFound
from marketplace import money


def day_of(middle: datetime) -> date:
    """The first day of the month that a `Month` names by an instant in its middle."""
    return middle.date().replace(day=1)


class TrialBalances(Resource):
    """What each account began with, what moved, and what it ended with. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = shapes.TrialBalanceOut

    @extend_schema(
        operation_id="get_trial_balance",
        parameters=[shapes.TrialBalanceQuery],
        responses=shapes.TrialBalanceOut,
    )
    def retrieve(self, request: Request, **_: Any) -> Response:
        """Of a month and a currency, by account, by purpose and by kind."""
        require_operator(request)
        given = query(request, shapes.TrialBalanceQuery)
        month = day_of(given["month"])
        found = trial_balance.of(
            currency=given["currency"], period=accounting_periods.month_period(month)
        )
        reply = {
            "month": f"{month:%Y-%m}",
            "currency": found.currency,
            "is_balanced": found.is_balanced,
            "total": found.total,
            "levels": found.levels(),
            "accounts": found.rows,
        }
        return Response(shapes.TrialBalanceOut(reply).data)


class LedgerEntries(Resource):
    """What moved an account in a month. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {"list": "audit:read"}
    serializer_class = shapes.LedgerEntryOut
    query_shape = shapes.EntriesQuery
    concealed = shapes.ENTRY

    def rows(self) -> QuerySet[LedgerEntry]:
        # The page's own parameters stand beside these, and are looked at by the page.
        own = {
            name: value
            for name, value in self.request.query_params.items()
            if name in ("account", "month")
        }
        shape = shapes.EntriesQuery(data=own)
        shape.is_valid(raise_exception=True)
        given = dict(shape.validated_data)
        period = money.month_of(given["month"], settings.BILLING_ZONE)
        return trial_balance.entries(code=given["account"], period=period)

    @extend_schema(operation_id="list_ledger_entries", parameters=[shapes.EntriesQuery])
    def list(self, request: Request, **_: Any) -> Response:
        """Newest first."""
        require_operator(request)
        return self.page(self.rows())


class LedgerTransactions(Resource):
    """One movement of money, with all its legs. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = shapes.LedgerTransactionOut

    def rows(self) -> QuerySet[LedgerTransaction]:
        if not actor_of(self.request).sees_everything:
            return LedgerTransaction.objects.none()
        return LedgerTransaction.objects.prefetch_related("entries__account")

    def retrieve(self, request: Request, public_id: str) -> Response:
        """As it was posted."""
        number = shapes.number_of(public_id)
        row = self.rows().filter(pk=number).first() if number is not None else None
        if row is None:
            raise NotFound()
        return Response(shapes.LedgerTransactionOut(row).data)


class VoucherExports(Resource):
    """A month of the books as a file for another accounting system. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "retrieve": "audit:read",
        "layouts": "audit:read",
    }
    serializer_class = shapes.LayoutsOut

    @extend_schema(
        operation_id="get_voucher_export",
        parameters=[shapes.ExportQuery],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def retrieve(self, request: Request, **_: Any) -> HttpResponse:
        """The file; its totals are those of the trial balance. An unmapped account is refused."""
        require_operator(request)
        given = query(request, shapes.ExportQuery)
        made = voucher_export.render(
            month=day_of(given["month"]),
            currency=given["currency"],
            layout=given["layout"],
            rate=voucher_export.rate_of(given.get("rate", "")),
        )
        reply = HttpResponse(made.content, content_type=made.content_type)
        reply["Content-Disposition"] = f'attachment; filename="{made.file_name}"'
        return reply

    @extend_schema(operation_id="list_voucher_export_layouts", responses=shapes.LayoutsOut)
    def layouts(self, request: Request, **_: Any) -> Response:
        """The accounting systems there is a layout for."""
        require_operator(request)
        reply = {"data": [{"name": name} for name in voucher_export.layouts()]}
        return Response(shapes.LayoutsOut(reply).data)


class AccountingPeriods(ReadOnlyResource):
    """Months of the books, open until two persons close them. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "create": "receipts:approve",
        "close": "receipts:approve",
        "put_off": "receipts:approve",
    }
    idempotent = frozenset({"create", "close", "put_off"})
    serializer_class = shapes.PeriodOut
    filter_shape = shapes.PeriodQuery

    def rows(self) -> QuerySet[AccountingPeriod]:
        if not actor_of(self.request).sees_everything:
            return AccountingPeriod.objects.none()
        return AccountingPeriod.objects.all()

    @extend_schema(request=shapes.PeriodIn, responses={201: shapes.PeriodOut})
    def create(self, request: Request) -> Response:
        """Asks to close a month; refused where its checklist is not done."""
        require_operator(request)
        row = closing_months.ask(
            month=day_of(body(request, shapes.PeriodIn)["month"]),
            user=person_of(request),
            **stamp(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.PeriodOut)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, public_id: str) -> Response:
        """Closes it, for good. By another person than who asked."""
        nothing(request)
        row = closing_months.close(period=self.row(), user=person_of(request), **stamp(request))
        return self.render(row)

    @extend_schema(request=shapes.WhyPutOffIn, responses=shapes.PeriodOut)
    @action(detail=True, methods=["post"], url_path="put-off")
    def put_off(self, request: Request, public_id: str) -> Response:
        """It stays open for now."""
        row = accounting_periods.put_off(
            period_public_id=self.row().public_id,
            reason=body(request, shapes.WhyPutOffIn)["reason"],
            **stamp(request),
        )
        return self.render(row)


class Checklist(Resource):
    """What has to be so before a month may close. Operator only."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = shapes.ChecklistOut

    @extend_schema(
        operation_id="get_closing_checklist",
        parameters=[shapes.ChecklistQuery],
        responses=shapes.ChecklistOut,
    )
    def retrieve(self, request: Request, **_: Any) -> Response:
        """Each item, and what it lacks. The books count as verified by the nightly look."""
        require_operator(request)
        month = day_of(query(request, shapes.ChecklistQuery)["month"])
        items = list(closing_checklist.items(month=month, at=instant_of(request), verify=False))
        reply = {
            "month": f"{month:%Y-%m}",
            "is_ready": all(item.is_done for item in items),
            "items": items,
        }
        return Response(shapes.ChecklistOut(reply).data)
