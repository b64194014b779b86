"""The bank rail: accounts, instructions, statements and their lines."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import bank_accounts, bank_statements, instructions, statement_files
from billing.api import bank_shapes as shapes
from billing.api import serializers as money_shapes
from billing.api.views import owner_of, person_of
from billing.models import BankAccount, BankLine, BankStatement
from inventory.api.parsing import CsvParser
from inventory.api.requests import actor_of, body, find, instant_of, nothing, organisation_of, query
from inventory.api.resources import ReadOnlyResource, Resource
from inventory.models import Organisation


class BankAccounts(ReadOnlyResource):
    """Accounts at banks: the caller's own; the operator sees everybody's."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "wallet:read",
        "retrieve": "wallet:read",
        "create": "wallet:write",
        "check": "receipts:approve",
        "decide": "receipts:approve",
        "close": "wallet:write",
    }
    idempotent = frozenset({"create", "check", "decide", "close"})
    serializer_class = shapes.BankAccountOut
    filter_shape = shapes.BankAccountQuery

    def rows(self) -> QuerySet[BankAccount]:
        return BankAccount.objects.visible_to(actor_of(self.request)).select_related("owner")

    @extend_schema(request=shapes.BankAccountIn, responses={201: shapes.BankAccountOut})
    def create(self, request: Request) -> Response:
        """Enters an account of the caller's own; two persons of the operator look at it."""
        owner = Organisation.objects.get(pk=organisation_of(request))
        row = bank_accounts.propose(
            owner=owner,
            **body(request, shapes.BankAccountIn),
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.BankAccountOut)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, public_id: str) -> Response:
        """A first person of the operator has seen that it is its owner's."""
        nothing(request)
        row = bank_accounts.check(
            account_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)

    @extend_schema(request=shapes.DecideAccountIn, responses=shapes.BankAccountOut)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, public_id: str) -> Response:
        """Verifies or rejects it. Operator only, and not who entered or checked it."""
        row = bank_accounts.decide(
            account_public_id=self.row().public_id,
            **body(request, shapes.DecideAccountIn),
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)

    @extend_schema(request=None, responses=shapes.BankAccountOut)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, public_id: str) -> Response:
        """No money goes there any more."""
        nothing(request)
        row = bank_accounts.close(
            account_public_id=self.row().public_id, at=instant_of(request), actor=actor_of(request)
        )
        return self.render(row)


class WalletTransfer(Resource):
    """How to top up a wallet by bank."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "wallet:read"}
    serializer_class = shapes.InstructionsOut

    @extend_schema(
        operation_id="get_wallet_transfer",
        parameters=[money_shapes.WalletQuery],
        responses=shapes.InstructionsOut,
    )
    def retrieve(self, request: Request, **_: Any) -> Response:
        """Where to transfer money to, and the reference that brings it into this wallet."""
        given = query(request, money_shapes.WalletQuery)
        found = instructions.for_wallet(owner_of(request, given), given.get("currency", "CNY"))
        return Response(shapes.InstructionsOut(found).data)


class BankStatements(ReadOnlyResource):
    """Statements of the operator's accounts that were imported."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
        "create": "receipts:record",
    }
    parser_classes = (CsvParser,)
    idempotent = frozenset({"create"})
    body_limit = statement_files.BYTE_LIMIT
    serializer_class = shapes.StatementOut
    filter_shape = shapes.StatementQuery

    def rows(self) -> QuerySet[BankStatement]:
        return BankStatement.objects.visible_to(actor_of(self.request)).select_related("account")

    @extend_schema(
        parameters=[
            OpenApiParameter("account", OpenApiTypes.STR, required=True),
            OpenApiParameter("apply", OpenApiTypes.BOOL, required=False),
            OpenApiParameter("file_name", OpenApiTypes.STR, required=False),
            OpenApiParameter("reason", OpenApiTypes.STR, required=False),
        ],
        request={"text/csv": OpenApiTypes.STR},
        responses={200: shapes.StatementImportOut},
        operation_id="import_bank_statement",
    )
    def create(self, request: Request) -> Response:
        """Says what a statement has; with `apply=true` imports it, each movement once.

        UTF-8 or GBK, in the layout of the account's bank. The same file again changes nothing.
        """
        given = query(request, shapes.ImportQuery)
        accounts = BankAccount.objects.visible_to(actor_of(request)).select_related("owner")
        account = find(accounts, given["account"])
        content: Any = request.data
        if not isinstance(content, bytes):
            raise statement_files.StatementUnreadable("The body is empty")
        made: BankStatement | None = None
        plan = bank_statements.preview(account=account, content=content)
        new_count = plan.new_count
        if given.get("apply", False):
            done = bank_statements.bring_in(
                account_public_id=account.public_id,
                content=content,
                file_name=given.get("file_name", ""),
                late_reason=given.get("reason", ""),
                at=instant_of(request),
                actor=actor_of(request),
                user=person_of(request),
            )
            made, new_count = done.statement, 0 if done.was_known else done.statement.new_count
        reply = {
            "applied": made is not None,
            "statement": made,
            "line_count": len(plan.statement.lines),
            "new_count": new_count,
            "in_minor": plan.statement.in_minor,
            "out_minor": plan.statement.out_minor,
            "opening_minor": plan.statement.opening_minor,
            "closing_minor": plan.statement.closing_minor,
            "error_count": len(plan.errors),
            "errors": plan.errors[:100],
        }
        return Response(shapes.StatementImportOut(reply).data)


class BankLines(ReadOnlyResource):
    """Movements on the operator's accounts, as their banks say them."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "audit:read",
        "retrieve": "audit:read",
    }
    serializer_class = shapes.LineOut
    filter_shape = shapes.LineQuery

    def rows(self) -> QuerySet[BankLine]:
        rows = BankLine.objects.visible_to(actor_of(self.request))
        return rows.select_related("statement", "account", "receipt", "refund")
