"""Invoices, credit notes, statements and contests."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import invoices, statements
from billing.api import invoice_shapes as shapes
from billing.api.serializers import RejectIn
from billing.api.views import person_of
from billing.models import Contest, Invoice, InvoiceLine, Statement
from inventory.api.requests import actor_of, body, find, instant_of, nothing, query
from inventory.api.resources import ReadOnlyResource


class Invoices(ReadOnlyResource):
    """The month's documents, drafts included: those one issues and those one gets."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "invoices:read",
        "retrieve": "invoices:read",
        "lines": "invoices:read",
        "paper": "invoices:read",
    }
    serializer_class = shapes.InvoiceOut
    filter_shape = shapes.InvoiceQuery
    kind = Invoice.Kind.INVOICE

    def rows(self) -> QuerySet[Invoice]:
        rows = Invoice.objects.visible_to(actor_of(self.request)).filter(kind=self.kind)
        return rows.select_related("issuer", "party")

    @extend_schema(responses=shapes.InvoiceLineOut(many=True), filters=False)
    @action(detail=True, methods=["get"], serializer_class=shapes.InvoiceLineOut, filter_shape=None)
    def lines(self, request: Request, public_id: str) -> Response:
        """Lease by lease and price by price, newest first."""
        rows = InvoiceLine.objects.filter(invoice=self.row())
        return self.page(rows.select_related("lease", "price", "corrects"))

    @extend_schema(
        parameters=[shapes.PaperQuery],
        responses=shapes.PaperOut,
        filters=False,
        extensions={"x-also-refuses": ["409"]},
    )
    @action(detail=True, methods=["get"])
    def paper(self, request: Request, public_id: str) -> Response:
        """The final document as PDF, in Chinese or English, with its hash."""
        given = query(request, shapes.PaperQuery)
        row = self.row()
        if not row.is_final:
            raise invoices.NotFinal
        made = invoices.paper(
            invoice=row, language=given.get("language", "zh"), at=instant_of(request)
        )
        return Response(
            shapes.file_of(
                bytes(made.content),
                media_type="application/pdf",
                sha256=made.sha256,
                created_at=made.created_at,
            )
        )


class CreditNotes(Invoices):
    """What takes back a part of a final invoice; asked for by one person, approved by another."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        **Invoices.required_scopes,
        "create": "settlements:write",
        "approve": "settlements:write",
        "reject": "settlements:write",
    }
    idempotent = frozenset({"create", "approve", "reject"})
    kind = Invoice.Kind.CREDIT_NOTE

    @extend_schema(request=shapes.CreditIn, responses={201: shapes.InvoiceOut})
    def create(self, request: Request) -> Response:
        """Asks for one over a part of a line. Operator only; nothing is given back yet."""
        given = body(request, shapes.CreditIn)
        row = invoices.request_credit(
            line_public_id=given["line"],
            gross_minor=given["gross_minor"],
            reason=given["reason"],
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.InvoiceOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, public_id: str) -> Response:
        """Gives the money back. By another person than the one who asked."""
        nothing(request)
        row = invoices.approve_credit(
            invoice_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)

    @extend_schema(request=RejectIn, responses=shapes.InvoiceOut)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, public_id: str) -> Response:
        """Discards it. By another person than the one who asked."""
        row = invoices.discard_credit(
            invoice_public_id=self.row().public_id,
            reason=body(request, RejectIn)["reason"],
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)


class Statements(ReadOnlyResource):
    """A tenant's month to agree to. Its lines are those of its invoice."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "invoices:read",
        "retrieve": "invoices:read",
        "accept": "invoices:write",
    }
    idempotent = frozenset({"accept"})
    serializer_class = shapes.AccountStatementOut
    filter_shape = shapes.StatementQuery

    def rows(self) -> QuerySet[Statement]:
        rows = Statement.objects.visible_to(actor_of(self.request))
        return rows.select_related("invoice", "tenant")

    @extend_schema(request=None, responses=shapes.AccountStatementOut)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, public_id: str) -> Response:
        """Agrees to every line that is not contested."""
        nothing(request)
        row = statements.accept(
            statement_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)


class Contests(ReadOnlyResource):
    """Objections to lines of statements; what they are about is out of payout meanwhile."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "invoices:read",
        "retrieve": "invoices:read",
        "create": "invoices:write",
        "answer": "invoices:write",
        "dismiss": "settlements:write",
        "uphold": "settlements:write",
    }
    idempotent = frozenset({"create", "answer", "dismiss", "uphold"})
    serializer_class = shapes.ContestOut
    filter_shape = shapes.ContestQuery

    def rows(self) -> QuerySet[Contest]:
        rows = Contest.objects.visible_to(actor_of(self.request))
        return rows.select_related(
            "line__invoice", "line__lease", "tenant", "provider", "credit_note"
        )

    @extend_schema(request=shapes.ContestIn, responses={201: shapes.ContestOut})
    def create(self, request: Request) -> Response:
        """Objects to one line, before the statement's deadline. The tenant only."""
        given = body(request, shapes.ContestIn)
        lines = InvoiceLine.objects.visible_to(actor_of(request))
        row = statements.contest(
            line_public_id=find(lines, given["line"]).public_id,
            reason=given["reason"],
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=shapes.NoteIn, responses=shapes.ContestOut)
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, public_id: str) -> Response:
        """The provider's side of it. The provider only."""
        row = statements.answer(
            contest_public_id=self.row().public_id,
            note=body(request, shapes.NoteIn)["note"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)

    @extend_schema(request=shapes.NoteIn, responses=shapes.ContestOut)
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, public_id: str) -> Response:
        """The line stands. Operator only."""
        row = statements.dismiss(
            contest_public_id=self.row().public_id,
            **self._decision(request, shapes.NoteIn),
        )
        return self.render(row)

    @extend_schema(request=shapes.UpholdIn, responses=shapes.ContestOut)
    @action(detail=True, methods=["post"])
    def uphold(self, request: Request, public_id: str) -> Response:
        """Asks for a credit note; upheld once another person approves that. Operator only."""
        row = statements.uphold(
            contest_public_id=self.row().public_id,
            **self._decision(request, shapes.UpholdIn),
        )
        return self.render(row)

    def _decision(self, request: Request, shape: type[shapes.NoteIn]) -> dict[str, Any]:
        return {
            **body(request, shape),
            "at": instant_of(request),
            "actor": actor_of(request),
            "user": person_of(request),
        }
