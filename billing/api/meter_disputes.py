"""Hours that the two meters count differently: seen by both sides, decided by the operator."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.views import person_of
from inventory import disputes
from inventory.api.fields import Choice, Instant, PublicId, StrictSerializer, Text
from inventory.api.requests import actor_of, body, instant_of
from inventory.api.resources import ReadOnlyResource
from inventory.models import MeterDispute
from marketplace.models import Amendment


class MeterDisputeOut(serializers.Serializer[Any]):
    id = PublicId("mdp", source="public_id")
    allocation = PublicId("alc", source="allocation.public_id")
    lease = PublicId("lse", source="allocation.lease.public_id", allow_null=True, default=None)
    provider = PublicId("org", source="provider.public_id")
    tenant = PublicId("org", source="tenant.public_id")
    hour = Instant(help_text="Its start.")
    state = serializers.ChoiceField(MeterDispute.State.choices)
    owed_card_seconds = serializers.IntegerField()
    history_card_seconds = serializers.IntegerField(help_text="By the history of its machines.")
    telemetry_card_seconds = serializers.IntegerField(help_text="By the exporters on its nodes.")
    tolerance_card_seconds = serializers.IntegerField()
    lower_card_seconds = serializers.IntegerField(help_text="Billed while nobody has decided.")
    reason = serializers.CharField()
    evidence = serializers.CharField()
    created_at = Instant()
    for_tenant_at = Instant(allow_null=True)
    for_provider_at = Instant(allow_null=True)


class MeterDisputeQuery(StrictSerializer):
    state = Choice(MeterDispute.State.choices, required=False)
    allocation = PublicId("alc", source="allocation__public_id", required=False)


class DecideIn(StrictSerializer):
    upheld_for = Choice(Amendment.Side.choices, help_text="For the tenant the lower count stands.")
    reason = Text(max_length=500)
    evidence = Text(max_length=500, help_text="What the decision rests on.")


class MeterDisputes(ReadOnlyResource):
    """Hours whose two meters differ by more than the tolerance. They open by themselves; until
    one is decided the lower count is billed and its charges are out of payout."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "usage:read",
        "retrieve": "usage:read",
        "decide": "settlements:write",
    }
    idempotent = frozenset({"decide"})
    serializer_class = MeterDisputeOut
    filter_shape = MeterDisputeQuery

    def rows(self) -> QuerySet[MeterDispute]:
        rows = MeterDispute.objects.visible_to(actor_of(self.request))
        return rows.select_related("allocation__lease", "provider", "tenant")

    @extend_schema(request=DecideIn, responses=MeterDisputeOut)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, public_id: str) -> Response:
        """Closes it for one side; its charges are settled from now on. Operator only."""
        disputes.decide(
            dispute_public_id=self.row().public_id,
            **body(request, DecideIn),
            at=instant_of(request),
            actor=actor_of(request),
            user=person_of(request),
        )
        return self.render(self.row())
