"""Shapes of nodes, of what puts them out of use, and of what runs on them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inventory.api.fields import (
    Choice,
    Instant,
    Integer,
    Items,
    PublicId,
    StrictSerializer,
    Text,
)
from inventory.models import Allocation, Instance, Node, Outage

Shape = serializers.Serializer[Any]


class NodeOut(Shape):
    id = PublicId("nod", source="public_id")
    pool = PublicId("pool", source="pool.public_id")
    state = serializers.ChoiceField(Node.State.choices)
    serial = serializers.CharField()
    hostname = serializers.CharField()
    rack = serializers.CharField()
    leaf = serializers.CharField()
    card_uuids = serializers.ListField(child=serializers.CharField())
    driver_version = serializers.CharField()
    runtime_version = serializers.CharField()
    framework_version = serializers.CharField()
    firmware_version = serializers.CharField()
    installed_at = Instant()
    retired_at = Instant(allow_null=True)


class NodeQuery(StrictSerializer):
    pool = PublicId("pool", source="pool__public_id", required=False)
    state = Choice(Node.State.choices, required=False)
    serial = Text(max_length=80, required=False)
    hostname = Text(max_length=80, required=False)


class FailIn(StrictSerializer):
    expected_back_at = Instant(help_text="Until then it counts as failed.")
    reason = Text(max_length=200)


class NeedsReason(StrictSerializer):
    reason = Text(max_length=200)


class OutageOut(Shape):
    id = PublicId("out", source="public_id")
    pool = PublicId("pool", source="pool.public_id")
    kind = serializers.ChoiceField(Outage.Kind.choices)
    state = serializers.ChoiceField(Outage.State.choices)
    node = PublicId(
        "nod",
        source="node.public_id",
        allow_null=True,
        default=None,
        help_text="Null until a planned one begins.",
    )
    node_count = serializers.IntegerField()
    start_at = Instant(source="period.lower")
    end_at = Instant(source="period.upper", help_text="Of a failure: when it is expected back.")
    reason = serializers.CharField()
    created_at = Instant()
    closed_at = Instant(allow_null=True)


class OutageQuery(StrictSerializer):
    pool = PublicId("pool", source="pool__public_id", required=False)
    node = PublicId("nod", source="node__public_id", required=False)
    kind = Choice(Outage.Kind.choices, required=False)
    state = Choice(Outage.State.choices, required=False)


class OutageIn(StrictSerializer):
    pool = PublicId("pool")
    node_count = Integer(min_value=1, max_value=1_000_000)
    start_at = Instant()
    end_at = Instant()
    reason = Text(max_length=200)


class InstanceOut(Shape):
    id = PublicId("ins", source="public_id")
    state = serializers.ChoiceField(Instance.State.choices)
    allocation = PublicId("alc", source="allocation.public_id")
    pool = PublicId("pool", source="allocation.pool.public_id")
    node = PublicId("nod", source="binding.node.public_id")
    driver = serializers.CharField()
    card_count = serializers.IntegerField()
    attempt_count = serializers.IntegerField(help_text="Failed steps in this state.")
    last_error = serializers.CharField(help_text="What the engine said.")
    created_at = Instant()
    active_at = Instant(allow_null=True)
    releasing_at = Instant(allow_null=True)
    released_at = Instant(allow_null=True)


class InstanceQuery(StrictSerializer):
    pool = PublicId("pool", source="allocation__pool__public_id", required=False)
    node = PublicId("nod", source="binding__node__public_id", required=False)
    allocation = PublicId("alc", source="allocation__public_id", required=False)
    state = Choice(Instance.State.choices, required=False)


class ExternalAllocationOut(Shape):
    id = PublicId("alc", source="public_id")
    pool = PublicId("pool", source="pool.public_id")
    kind = serializers.ChoiceField(Allocation.Kind.choices)
    state = serializers.ChoiceField(Allocation.State.choices)
    unit_count = serializers.IntegerField()
    start_at = Instant(source="period.lower")
    end_at = Instant(source="period.upper")
    nodes = serializers.SerializerMethodField(help_text="That serve it now, or served it.")
    note = serializers.CharField()
    created_at = Instant()

    @extend_schema_field(serializers.ListField(child=PublicId("nod")))
    def get_nodes(self, row: Allocation) -> list[str]:
        return sorted({binding.node.public_id for binding in row.bindings.all()})


class ExternalAllocationQuery(StrictSerializer):
    pool = PublicId("pool", source="pool__public_id", required=False)
    kind = Choice([("own_use", "own use"), ("elsewhere", "elsewhere")], required=False)
    state = Choice(Allocation.State.choices, required=False)


class ExternalAllocationIn(StrictSerializer):
    pool = PublicId("pool")
    kind = Choice([("own_use", "own use"), ("elsewhere", "contract made elsewhere")])
    unit_count = Integer(min_value=1, max_value=1_000_000)
    start_at = Instant()
    end_at = Instant()
    nodes = Items(
        child=PublicId("nod"),
        max_length=10_000,
        required=False,
        help_text="Where it runs, if it has begun; a future one's are picked at its start.",
    )
    note = Text(max_length=200, required=False)
