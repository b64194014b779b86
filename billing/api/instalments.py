"""What leases pay and when, and how long a wallet lasts."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import runway, write_offs
from billing.api.serializers import RejectIn, WalletQuery
from billing.api.views import owner_of, person_of
from billing.models import Instalment
from inventory.api.fields import Choice, Instant, PublicId, StrictSerializer
from inventory.api.requests import actor_of, body, instant_of, nothing, query
from inventory.api.resources import ReadOnlyResource, Resource

Shape = serializers.Serializer[Any]


class InstalmentOut(Shape):
    """One payment of a lease by its schedule."""

    id = PublicId("ist", source="public_id")
    lease = PublicId("lse", source="lease.public_id")
    kind = serializers.ChoiceField(Instalment.Kind.choices)
    state = serializers.ChoiceField(Instalment.State.choices)
    start_at = Instant(source="period.lower", help_text="What it pays for begins.")
    end_at = Instant(source="period.upper")
    due_at = Instant()
    grace_until = Instant(help_text="Unpaid until then it is overdue.")
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField(
        help_text="In arrears an estimate until it is due: the price of all hours."
    )
    open_minor = serializers.IntegerField(help_text="Still to be paid.")
    collected_at = Instant(allow_null=True)
    overdue_at = Instant(allow_null=True)
    waived_at = Instant(allow_null=True)
    written_off_at = Instant(allow_null=True)


class InstalmentQuery(StrictSerializer):
    lease = PublicId("lse", source="lease__public_id", required=False)
    tenant = PublicId("org", source="tenant__public_id", required=False)
    state = Choice(Instalment.State.choices, required=False)
    kind = Choice(Instalment.Kind.choices, required=False)


class RunwayOut(Shape):
    """How long a wallet lasts at what its hourly leases draw now."""

    currency = serializers.CharField()
    lease_count = serializers.IntegerField(help_text="Running leases paid by the hour.")
    hourly_minor = serializers.IntegerField(help_text="What they draw in an hour, rounded up.")
    available_minor = serializers.IntegerField()
    hours = serializers.IntegerField(allow_null=True, help_text="Null: nothing is drawn.")
    level = serializers.IntegerField(
        allow_null=True, help_text="24, 4 or 1: the tenant is warned at each."
    )


class Instalments(ReadOnlyResource):
    """What leases pay and when, the caller's as tenant or provider."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "leases:read",
        "retrieve": "leases:read",
        "write_off": "receipts:record",
        "approve_write_off": "receipts:approve",
    }
    idempotent = frozenset({"write_off", "approve_write_off"})
    for_projects = frozenset({"list", "retrieve"})
    serializer_class = InstalmentOut
    filter_shape = InstalmentQuery

    def rows(self) -> QuerySet[Instalment]:
        return Instalment.objects.visible_to(actor_of(self.request)).select_related("lease")

    @extend_schema(request=RejectIn, responses=InstalmentOut)
    @action(detail=True, methods=["post"], url_path="write-off")
    def write_off(self, request: Request, public_id: str) -> Response:
        """One person of the operator asks to give an overdue debt up."""
        row = write_offs.ask(
            instalment_public_id=self.row().public_id,
            reason=body(request, RejectIn)["reason"],
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)

    @extend_schema(request=None, responses=InstalmentOut)
    @action(detail=True, methods=["post"], url_path="approve-write-off")
    def approve_write_off(self, request: Request, public_id: str) -> Response:
        """Another person agrees: the rest of the debt is an expense."""
        nothing(request)
        row = write_offs.approve(
            instalment_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(row)


class Runway(Resource):
    """How long the caller's wallet lasts. The operator names the organisation it looks at."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "wallet:read"}
    serializer_class = RunwayOut

    @extend_schema(operation_id="get_runway", parameters=[WalletQuery], responses=RunwayOut)
    def retrieve(self, request: Request, **_: Any) -> Response:
        """Of leases paid by the hour alone: the others are paid for as long as they are paid."""
        given = query(request, WalletQuery)
        found = runway.of(
            owner_of(request, given),
            currency=given.get("currency", "CNY"),
            at=instant_of(request),
        )
        return Response(RunwayOut(found).data)
