"""The books: what an accountant posts by hand, the months that close, what leaves for others."""

from __future__ import annotations

import base64
import binascii
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import Prefetch, QuerySet
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
    vouchers,
)
from billing.api import books_shapes as shapes
from billing.api.invoice_shapes import PaperOut, file_of
from billing.api.reconciliation_shapes import TRANSACTION
from billing.api.serializers import RejectIn
from billing.api.views import person_of
from billing.models import (
    AccountingPeriod,
    LedgerEntry,
    LedgerTransaction,
    Voucher,
    VoucherEntry,
)
from billing.trial_balance import TrialBalance
from billing.vouchers import Evidence
from inventory.api import opaque
from inventory.api.requests import actor_of, body, instant_of, nothing, query
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.errors import Invalid, NotFound


class Vouchers(ReadOnlyResource):
    """Correcting postings: proposed by one person, posted by another."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "file": "audit:read",
        "create": "settlements:write",
        "approve": "settlements:write",
        "reject": "settlements:write",
    }
    idempotent = frozenset({"create", "approve", "reject"})
    body_limit = shapes.FILE_LETTERS + settings.API_BODY_LIMIT
    serializer_class = shapes.VoucherOut
    filter_shape = shapes.VoucherQuery

    def rows(self) -> QuerySet[Voucher]:
        rows = Voucher.objects.visible_to(actor_of(self.request)).defer("content")
        entries = Prefetch("entries", VoucherEntry.objects.order_by("number"))
        return rows.select_related("proposed_by", "decided_by").prefetch_related(entries)

    @extend_schema(request=shapes.VoucherIn, responses={201: shapes.VoucherOut})
    def create(self, request: Request) -> Response:
        """Proposes one; nothing is posted before another person agrees."""
        given = body(request, shapes.VoucherIn)
        row = vouchers.propose(
            entries=[(entry["account"], entry["amount_minor"]) for entry in given["entries"]],
            effective_date=given["effective_date"],
            reason=given["reason"],
            evidence=_evidence(given),
            external_reference=given.get("external_reference", ""),
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(self.rows().get(pk=row.pk), status=201)

    @extend_schema(request=None, responses=shapes.VoucherOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, public_id: str) -> Response:
        """Another person agrees: it is in the ledger, for good."""
        nothing(request)
        vouchers.post(
            voucher_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(self.row())

    @extend_schema(request=RejectIn, responses=shapes.VoucherOut)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, public_id: str) -> Response:
        """Another person does not agree."""
        vouchers.reject(
            voucher_public_id=self.row().public_id,
            reason=body(request, RejectIn)["reason"],
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(self.row())

    @extend_schema(responses=PaperOut, filters=False)
    @action(detail=True, methods=["get"])
    def file(self, request: Request, public_id: str) -> Response:
        """What shows that it is right."""
        row = Voucher.objects.get(pk=self.row().pk)
        if row.content is None or row.content_sha256 is None:
            raise NotFound("This voucher has no file")
        return Response(
            file_of(
                bytes(row.content),
                media_type=row.content_type,
                sha256=bytes(row.content_sha256).hex(),
                created_at=row.created_at,
            )
        )


def _evidence(given: dict[str, Any]) -> Evidence:
    """Raises Invalid."""
    try:
        content = base64.b64decode(given.get("file_base64", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("The file is not in base64") from error
    return Evidence(given["evidence"], given.get("file_name", ""), content)


class AccountingPeriods(ReadOnlyResource):
    """The months of the books: they close in order, by two persons, for good."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "create": "settlements:write",
        "close": "settlements:write",
        "put_off": "settlements:write",
    }
    idempotent = frozenset({"create", "close", "put_off"})
    serializer_class = shapes.AccountingPeriodOut
    filter_shape = shapes.AccountingPeriodQuery

    def rows(self) -> QuerySet[AccountingPeriod]:
        if not actor_of(self.request).sees_everything:
            return AccountingPeriod.objects.none()
        return AccountingPeriod.objects.select_related("closing_by", "closed_by")

    @extend_schema(request=shapes.AccountingPeriodIn, responses={201: shapes.AccountingPeriodOut})
    def create(self, request: Request) -> Response:
        """One person asks to close a month; refused while its checklist has something open."""
        row = closing_months.ask(
            month=body(request, shapes.AccountingPeriodIn)["month"].date(),
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.AccountingPeriodOut)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, public_id: str) -> Response:
        """Another person closes it, if it is ready still: nothing is posted there any more."""
        nothing(request)
        row = closing_months.close(
            period=self.row(),
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)

    @extend_schema(request=RejectIn, responses=shapes.AccountingPeriodOut)
    @action(detail=True, methods=["post"], url_path="put-off")
    def put_off(self, request: Request, public_id: str) -> Response:
        """It stays open for now."""
        row = accounting_periods.put_off(
            period_public_id=self.row().public_id,
            reason=body(request, RejectIn)["reason"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)


class Checklist(Resource):
    """What has to be so before a month of the books may close."""

    required_scopes: ClassVar[dict[str, str | None]] = {"list": "audit:read"}
    serializer_class = shapes.ChecklistItemOut
    pagination_class = None

    @extend_schema(
        operation_id="list_closing_checklist",
        parameters=[shapes.MonthQuery],
        responses=shapes.ChecklistItemOut(many=True),
    )
    def list(self, request: Request, **_: Any) -> Response:
        """Each question, whether it is settled, and the figures it was decided by."""
        found = closing_checklist.items(
            month=query(request, shapes.MonthQuery)["month"].date(),
            at=instant_of(request),
            verify=False,  # the nightly look at the books counts
        )
        return Response(shapes.ChecklistItemOut(list(found), many=True).data)


class TrialBalances(Resource):
    """What each account began a month with, what moved, and what it ended with."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = shapes.TrialBalanceOut

    @extend_schema(
        operation_id="get_trial_balance",
        parameters=[shapes.TrialBalanceQuery],
        responses=shapes.TrialBalanceOut,
    )
    def retrieve(self, request: Request, **_: Any) -> Response:
        """By kind and purpose, and by account where asked for."""
        given = query(request, shapes.TrialBalanceQuery)
        found = trial_balance.of(
            currency=given.get("currency", "CNY"),
            period=accounting_periods.month_period(given["month"].date()),
        )
        return Response(shapes.TrialBalanceOut(_shown(found, given.get("accounts", False))).data)


def _shown(found: TrialBalance, accounts: bool) -> dict[str, Any]:
    return {
        "currency": found.currency,
        "period": found.period,
        "is_balanced": found.is_balanced,
        "levels": found.levels(),
        "rows": found.rows if accounts else [],
        "total": found.total,
    }


class LedgerEntries(Resource):
    """What moved an account in a month: the way down from its sums."""

    required_scopes: ClassVar[dict[str, str | None]] = {"list": "audit:read"}
    serializer_class = shapes.LedgerEntryOut
    query_shape = shapes.LedgerEntryQuery
    concealed = shapes.ENTRY

    def rows(self) -> QuerySet[LedgerEntry]:
        # The page's own parameters stand beside these, and are looked at by the page.
        own = {
            name: value
            for name, value in self.request.query_params.items()
            if name in ("account", "month")
        }
        asked = shapes.LedgerEntryQuery(data=own)
        asked.is_valid(raise_exception=True)
        rows = trial_balance.entries(
            code=asked.validated_data["account"],
            period=accounting_periods.month_period(asked.validated_data["month"].date()),
        )
        return rows if actor_of(self.request).sees_everything else rows.none()

    @extend_schema(operation_id="list_ledger_entries", parameters=[shapes.LedgerEntryQuery])
    def list(self, request: Request, **_: Any) -> Response:
        """Newest first."""
        return self.page(self.rows())


class LedgerTransactions(Resource):
    """One movement of money, with all its legs."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = shapes.LedgerTransactionOut

    def rows(self) -> QuerySet[LedgerTransaction]:
        if not actor_of(self.request).sees_everything:
            return LedgerTransaction.objects.none()
        legs = LedgerEntry.objects.select_related("account").order_by("pk")
        return LedgerTransaction.objects.prefetch_related(Prefetch("entries", legs))

    @extend_schema(operation_id="get_ledger_transaction")
    def retrieve(self, request: Request, public_id: str) -> Response:
        """As it was posted, for good."""
        number = opaque.reveal(TRANSACTION, public_id)
        row = self.rows().filter(pk=number).first() if number is not None else None
        if row is None:
            raise NotFound
        return self.render(row)


class VoucherExports(Resource):
    """A month of the books for another accounting system."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "audit:read"}
    serializer_class = shapes.VoucherOut

    @extend_schema(
        operation_id="export_vouchers",
        parameters=[shapes.VoucherExportQuery],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def retrieve(self, request: Request, **_: Any) -> HttpResponse:
        """As a file in its layout; the same month and layout give the same bytes."""
        given = query(request, shapes.VoucherExportQuery)
        made = voucher_export.render(
            month=given["month"].date(),
            currency=given.get("currency", "CNY"),
            layout=given["layout"],
            rate=given.get("rate"),
        )
        return HttpResponse(
            made.content,
            content_type=f"text/csv; charset={made.encoding.removesuffix('-sig')}",
            headers={
                "Content-Disposition": f'attachment; filename="{made.file_name}"',
                "X-Content-SHA256": made.sha256,
            },
        )
