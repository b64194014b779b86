"""Shapes of machines and their owners, as the API reads and writes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from inventory.api import opaque
from inventory.api.fields import (
    Choice,
    DecimalText,
    Flag,
    Instant,
    Integer,
    Items,
    PublicId,
    StrictSerializer,
    Text,
)
from inventory.models import (
    HubNode,
    OwnerKind,
    Pool,
    Verification,
)
from inventory.organisations import SCOPES

Shape = serializers.Serializer[Any]


class CallerOut(Shape):
    kind = serializers.ChoiceField(["user", "key"])
    id = PublicId("key", help_text="The key's or the person's public id.")
    role = serializers.CharField(allow_null=True)
    organisation = PublicId("org")
    organisation_name = serializers.CharField()
    project = PublicId("prj", allow_null=True)
    scopes = serializers.ListField(child=serializers.CharField())


class OrganisationOut(Shape):
    id = PublicId("org", source="public_id")
    name = serializers.CharField()
    name_en = serializers.CharField()
    credit_code = serializers.CharField(allow_null=True)
    is_provider = serializers.BooleanField()
    is_tenant = serializers.BooleanField()
    is_reseller = serializers.BooleanField()
    is_operator = serializers.BooleanField()
    state = serializers.ChoiceField(Verification.choices)
    created_at = Instant()


class OrganisationIn(StrictSerializer):
    name = Text(max_length=200)
    name_en = Text(max_length=200, required=False)
    credit_code = Text(max_length=18, min_length=18, required=False)
    is_provider = Flag(required=False)
    is_tenant = Flag(required=False)
    is_reseller = Flag(required=False)


class DecisionIn(StrictSerializer):
    verified = Flag()
    reason = Text(max_length=500, required=False, help_text="Needed to reject.")


class ProjectOut(Shape):
    id = PublicId("prj", source="public_id")
    name = serializers.CharField()
    created_at = Instant()


class ProjectIn(StrictSerializer):
    name = Text(max_length=100)


class ApiKeyOut(Shape):
    id = PublicId("key", source="public_id")
    name = serializers.CharField()
    hint = serializers.SerializerMethodField(help_text="The key's beginning, to tell it by.")
    project = PublicId("prj", source="project.public_id", allow_null=True, default=None)
    scopes = serializers.ListField(child=serializers.CharField())
    ip_allow = serializers.ListField(child=serializers.CharField())
    created_at = Instant()
    expires_at = Instant(allow_null=True)
    revoked_at = Instant(allow_null=True)
    last_used_at = Instant(allow_null=True, help_text="To the minute.")

    def get_hint(self, row: Any) -> str:
        return f"ck_live_{row.lookup}_"


class ApiKeySecretOut(ApiKeyOut):
    secret = serializers.CharField(help_text="The whole key. Shown once and kept nowhere.")


class ApiKeyIn(StrictSerializer):
    name = Text(max_length=100)
    scopes = Items(child=Choice([(scope, scope) for scope in SCOPES]), max_length=40, min_length=1)
    project = PublicId("prj", required=False)
    expires_at = Instant(required=False)
    ip_allow = Items(child=Text(max_length=43), max_length=32, required=False)


class ChipOut(Shape):
    code = serializers.CharField()
    vendor = serializers.CharField()
    model = serializers.CharField()
    generation = serializers.CharField()
    memory_gib = serializers.IntegerField()
    memory_bandwidth_gbps = serializers.IntegerField(allow_null=True)
    interconnect = serializers.CharField()
    interconnect_gbps = serializers.IntegerField(allow_null=True)
    bf16_tflops = DecimalText(allow_null=True)
    origin = serializers.ChoiceField(["domestic", "imported"])
    chip_class = serializers.CharField()
    cards_per_node = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]  # a reply's word, not DRF's


class CentreOut(Shape):
    id = PublicId("ctr", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    name = serializers.CharField()
    name_en = serializers.CharField()
    region = serializers.CharField()
    hub = serializers.ChoiceField(HubNode.choices)
    owner_kind = serializers.ChoiceField(OwnerKind.choices)
    timezone = serializers.CharField()
    pue = DecimalText(allow_null=True)
    energy_approval = serializers.CharField()
    built_racks = serializers.IntegerField(allow_null=True)
    occupied_racks = serializers.IntegerField(allow_null=True)
    created_at = Instant()


class CentreIn(StrictSerializer):
    name = Text(max_length=120)
    name_en = Text(max_length=120, required=False)
    region = Text(max_length=60)
    hub = Choice(HubNode.choices, required=False)
    owner_kind = Choice(OwnerKind.choices)
    pue = DecimalText(required=False)
    energy_approval = Text(max_length=120, required=False)
    built_racks = Integer(min_value=0, max_value=1_000_000, required=False)
    occupied_racks = Integer(min_value=0, max_value=1_000_000, required=False)


class FabricOut(Shape):
    id = PublicId("fab", source="public_id")
    centre = PublicId("ctr", source="centre.public_id")
    name = serializers.CharField()
    technology = serializers.CharField()
    site_count = serializers.IntegerField(allow_null=True)
    proved_node_count = serializers.IntegerField(allow_null=True)
    proved_on_date = serializers.DateField(allow_null=True)
    oversubscription = DecimalText(allow_null=True)
    created_at = Instant()


class FabricQuery(StrictSerializer):
    centre = PublicId("ctr", source="centre__public_id", required=False)


class FabricIn(StrictSerializer):
    centre = PublicId("ctr")
    name = Text(max_length=80)
    technology = Text(max_length=40)
    site_count = Integer(min_value=1, max_value=100, required=False)
    oversubscription = DecimalText(required=False)


class PoolOut(Shape):
    id = PublicId("pool", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    fabric = PublicId("fab", source="fabric.public_id")
    centre = PublicId("ctr", source="fabric.centre.public_id")
    chip = serializers.CharField(source="chip_id")
    name = serializers.CharField()
    state = serializers.ChoiceField(Pool.State.choices)
    cards_per_node = serializers.IntegerField()
    unit_cards = serializers.IntegerField()
    spare_count = serializers.IntegerField()
    lead_seconds = serializers.IntegerField()
    turnaround_seconds = serializers.IntegerField()
    maintenance_notice_seconds = serializers.IntegerField(
        help_text="Maintenance that needs nodes in use is planned so long ahead."
    )
    driver = serializers.CharField()
    created_at = Instant()


class PoolQuery(StrictSerializer):
    fabric = PublicId("fab", source="fabric__public_id", required=False)
    chip = Text(max_length=40, source="chip_id", required=False)
    state = Choice(Pool.State.choices, required=False)


class PoolIn(StrictSerializer):
    fabric = PublicId("fab")
    chip = Text(max_length=40)
    name = Text(max_length=80)
    cards_per_node = Integer(min_value=1, max_value=64, required=False)
    unit_cards = Integer(min_value=1, max_value=64, required=False)
    spare_count = Integer(min_value=0, max_value=100_000, required=False)
    lead_seconds = Integer(min_value=0, max_value=30 * 86_400, required=False)
    turnaround_seconds = Integer(min_value=0, max_value=30 * 86_400, required=False)
    maintenance_notice_seconds = Integer(min_value=0, max_value=90 * 86_400, required=False)


class PoolStateIn(StrictSerializer):
    state = Choice(Pool.State.choices)
    reason = Text(max_length=200, required=False)


class RowErrorOut(Shape):
    line = serializers.IntegerField()
    column = serializers.CharField()
    code = serializers.CharField()
    value = serializers.CharField()


class ImportOut(Shape):
    applied = serializers.BooleanField()
    new_count = serializers.IntegerField()
    known_count = serializers.IntegerField()
    cards_before = serializers.IntegerField()
    cards_after = serializers.IntegerField()
    error_count = serializers.IntegerField()
    errors = RowErrorOut(many=True, help_text="The first hundred.")  # type: ignore[assignment]


class PeriodQuery(StrictSerializer):
    """`from` and `to`: a half-open period."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["from"] = Instant()
        fields["to"] = Instant()
        return fields


class StepOut(Shape):
    start = Instant()
    end = Instant()
    free_units = serializers.IntegerField()


class AvailabilityOut(Shape):
    pool = PublicId("pool")
    steps = StepOut(many=True)


class ReasonIn(StrictSerializer):
    reason = Text(max_length=200, required=False)


class JournalQuery(StrictSerializer):
    object = Text(max_length=60, source="object_id", required=False)
    event = Text(max_length=60, required=False)


class JournalOut(Shape):
    id = serializers.SerializerMethodField()
    at = Instant()
    event = serializers.CharField()
    object = serializers.CharField(source="object_id")
    from_state = serializers.CharField()
    to_state = serializers.CharField()
    actor_kind = serializers.CharField()
    actor = serializers.CharField()
    reason = serializers.CharField()
    data = serializers.JSONField()  # type: ignore[assignment]

    def get_id(self, row: Any) -> str:
        return opaque.conceal(opaque.JOURNAL, row.id)
