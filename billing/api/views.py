"""Charges, wallets and bank receipts."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from billing import chart, ledger, receipts, refunds
from billing.api import bank_shapes
from billing.api import serializers as shapes
from billing.models import BankAccount, BankReceipt, Charge, LedgerEntry
from inventory.api.requests import actor_of, body, find, instant_of, nothing, organisation_of, query
from inventory.api.resources import ReadOnlyResource, Resource, made
from inventory.errors import Forbidden
from inventory.models import Organisation, User
from marketplace.models import Basket, Reservation


class PersonNeeded(Forbidden):
    """Two persons decide about money; a key that no person made stands for none."""

    code = "person_needed"
    title = "A person has to do this"


def person_of(request: Request) -> User:
    """The signed-in person, or the one who made the key. Raises PersonNeeded."""
    if isinstance(request.user, User):
        return request.user
    maker: Any = request.user.pk
    person = User.objects.filter(pk=maker, is_active=True).first()
    if person is None:
        raise PersonNeeded()
    return person


class Charges(ReadOnlyResource):
    """Rated usage hours and the kept shares of cancellations."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "usage:read",
        "retrieve": "usage:read",
    }
    for_projects = frozenset(required_scopes)
    serializer_class = shapes.ChargeOut
    filter_shape = shapes.ChargeQuery

    def rows(self) -> QuerySet[Charge]:
        actor = actor_of(self.request)
        rows = Charge.objects.visible_to(actor).select_related("lease")
        if actor.project_id is not None:
            rows = rows.filter(lease__project_id=actor.project_id)
        return rows


class Wallet(Resource):
    """The caller's money. The operator names the organisation it looks at."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "wallet:read"}
    serializer_class = shapes.WalletOut

    @extend_schema(
        operation_id="get_wallet", parameters=[shapes.WalletQuery], responses=shapes.WalletOut
    )
    def retrieve(self, request: Request, **_: Any) -> Response:
        """What is there, what is kept aside for holds, and what can be spent."""
        given = query(request, shapes.WalletQuery)
        balance = ledger.balance(owner_of(request, given), currency=given.get("currency", "CNY"))
        return Response(shapes.WalletOut(balance).data)


class CreditLimit(Resource):
    """How far below zero a tenant's wallet may go."""

    required_scopes: ClassVar[dict[str, str | None]] = {"create": "credit:write"}
    idempotent = frozenset({"create"})
    serializer_class = shapes.WalletOut

    @extend_schema(
        operation_id="set_credit_limit",
        request=shapes.CreditLimitIn,
        responses={200: shapes.WalletOut},
    )
    def create(self, request: Request, **_: Any) -> Response:
        """Sets it, for one currency. Operator only; refused where more is owed already."""
        given = body(request, shapes.CreditLimitIn)
        actor, currency = actor_of(request), given.get("currency", "CNY")
        tenants = Organisation.objects.visible_to(actor).filter(is_tenant=True)
        organisation = find(tenants, given["organisation"])
        ledger.set_credit_limit(
            organisation,
            currency=currency,
            limit_minor=given["limit_minor"],
            reason=given["reason"],
            at=instant_of(request),
            actor=actor,
        )
        balance = ledger.balance(organisation, currency=currency)
        return Response(shapes.WalletOut(balance).data)


class WalletTransactions(Resource):
    """What moved into and out of a wallet."""

    required_scopes: ClassVar[dict[str, str | None]] = {"list": "wallet:read"}
    serializer_class = shapes.WalletEntryOut
    query_shape = shapes.WalletQuery
    concealed = shapes.WALLET

    def rows(self) -> QuerySet[LedgerEntry]:
        given: dict[str, Any] = {
            name: value
            for name, value in self.request.query_params.items()
            if name in ("currency", "organisation")
        }
        owner = owner_of(self.request, given)
        code = chart.wallet(owner, given.get("currency", "CNY"))
        return LedgerEntry.objects.filter(account__code=code).select_related("transaction")

    @extend_schema(operation_id="list_wallet_transactions", parameters=[shapes.WalletQuery])
    def list(self, request: Request, **_: Any) -> Response:
        """Newest first."""
        return self.page(self.rows())


def owner_of(request: Request, given: dict[str, Any]) -> Organisation:
    """Whose wallet is meant: the caller's own unless it may see another's."""
    rows = Organisation.objects.visible_to(actor_of(request))
    if "organisation" in given:
        return find(rows, given["organisation"])
    return rows.get(pk=organisation_of(request))


class BankReceipts(ReadOnlyResource):
    """Bank transfers to the operator: recorded by one person, decided by another."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "wallet:read",
        "retrieve": "wallet:read",
        "create": "receipts:record",
        "approve": "receipts:approve",
        "reject": "receipts:approve",
        "attribute": "receipts:record",
        "send_back": "receipts:record",
    }
    idempotent = frozenset({"create", "approve", "reject", "attribute", "send_back"})
    serializer_class = shapes.ReceiptOut
    filter_shape = shapes.ReceiptQuery

    def rows(self) -> QuerySet[BankReceipt]:
        return BankReceipt.objects.visible_to(actor_of(self.request)).select_related(
            "tenant", "account", "reservation", "basket"
        )

    @extend_schema(request=shapes.ReceiptIn, responses={201: shapes.ReceiptOut})
    def create(self, request: Request) -> Response:
        """Records a transfer seen on the bank's statement. Operator only."""
        given = body(request, shapes.ReceiptIn)
        actor = actor_of(request)
        tenant = account = None
        if "tenant" in given:
            tenant = find(Organisation.objects.visible_to(actor), given.pop("tenant"))
        if "account" in given:
            account = find(BankAccount.objects.of_operator(), given.pop("account"))
        row = receipts.record(
            tenant_id=tenant.pk if tenant else None,
            account=account,
            **given,
            at=instant_of(request),
            actor=actor,
            user=person_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses=shapes.ReceiptOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, public_id: str) -> Response:
        """Puts the money into the tenant's wallet. By another person than the recorder."""
        nothing(request)
        row = receipts.approve(
            receipt_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)

    @extend_schema(request=shapes.RejectIn, responses=shapes.ReceiptOut)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, public_id: str) -> Response:
        """It was not what it seemed; nothing reaches the wallet."""
        row = receipts.reject(
            receipt_public_id=self.row().public_id,
            reason=body(request, shapes.RejectIn)["reason"],
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)

    @extend_schema(request=bank_shapes.AttributeIn, responses=shapes.ReceiptOut)
    @action(detail=True, methods=["post"])
    def attribute(self, request: Request, public_id: str) -> Response:
        """Says whose money it is, and for which deal; another person still approves."""
        given = body(request, bank_shapes.AttributeIn)
        actor = actor_of(request)
        tenant = find(Organisation.objects.visible_to(actor), given["tenant"])
        deals: dict[str, Any] = {}
        if "reservation" in given:
            rows = Reservation.objects.visible_to(actor).select_related("basket")
            deals["reservation"] = find(rows, given["reservation"])
        if "basket" in given:
            deals["basket"] = find(Basket.objects.visible_to(actor), given["basket"])
        receipts.attribute(
            receipt_public_id=self.row().public_id,
            whose=receipts.Whose(tenant, **deals),
            reason=given["reason"],
            at=instant_of(request),
            actor=actor,
            user=person_of(request),
        )
        return self.render(self.row())

    @extend_schema(
        request=bank_shapes.SendBackIn,
        responses={201: bank_shapes.RefundOut},
    )
    @action(detail=True, methods=["post"], url_path="send-back")
    def send_back(self, request: Request, public_id: str) -> Response:
        """Orders a transfer back to its sender; another person approves the refund."""
        row = refunds.send_back(
            receipt_public_id=self.row().public_id,
            **body(request, bank_shapes.SendBackIn),
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return made(request, bank_shapes.RefundOut(row).data, at=reverse("refund-list"))
