"""Shapes of how well nodes are, what people say of them, and how often cards fail."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from inventory.api.fields import (
    Choice,
    Instant,
    Integer,
    PublicId,
    QueryInteger,
    StrictSerializer,
    Text,
)
from inventory.models import HealthSource, HealthState

Shape = serializers.Serializer[Any]
TELLABLE = [("jittering", "jittering"), ("degraded", "degraded"), ("down", "down")]
LARGEST_JOB_CARDS = 1_000_000
FIVE_YEARS_HOURS = 5 * 366 * 24


class HealthEntryOut(Shape):
    card_index = serializers.IntegerField(allow_null=True, help_text="Null: the node as a whole.")
    from_state = serializers.CharField(help_text="As `state`; empty at the first.")
    state = serializers.ChoiceField(HealthState.choices)
    source = serializers.ChoiceField(HealthSource.choices)  # type: ignore[assignment]
    evidence = serializers.CharField()
    at = Instant(help_text="When it began, true to `clock_error_seconds`.")
    recorded_at = Instant(help_text="When it was known.")


class NodeHealthOut(Shape):
    node = PublicId("nod", source="node.public_id")
    state = serializers.ChoiceField(HealthState.choices)
    source = serializers.ChoiceField(HealthSource.choices)  # type: ignore[assignment]
    evidence = serializers.CharField()
    since = Instant()
    checked_at = Instant(allow_null=True)
    cards = serializers.ListField(
        child=serializers.ChoiceField(HealthState.choices),
        help_text="In the order of card indexes; empty without telemetry.",
    )
    clock_error_seconds = serializers.IntegerField()
    history = HealthEntryOut(many=True, help_text="The last hundred changes, newest first.")


class HealthReportOut(Shape):
    id = PublicId("hrp", source="public_id")
    node = PublicId("nod", source="node.public_id")
    card_index = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(HealthState.choices)
    reason = serializers.CharField()
    created_at = Instant()
    withdrawn_at = Instant(allow_null=True)


class HealthReportQuery(StrictSerializer):
    node = PublicId("nod", source="node__public_id", required=False)


class HealthReportIn(StrictSerializer):
    node = PublicId("nod")
    card_index = Integer(min_value=0, max_value=63, required=False)
    state = Choice(TELLABLE)
    reason = Text(max_length=200)


class FaultRateOut(Shape):
    """Faults of nodes in so many hours of their cards, with the exact 95 % Poisson interval."""

    centre = PublicId("ctr")
    centre_name = serializers.CharField()
    generation = serializers.CharField()
    fault_count = serializers.IntegerField()
    card_hours = serializers.FloatField()
    per_million = serializers.FloatField(
        allow_null=True, help_text="Faults per million card-hours. Null: unknown."
    )
    low_per_million = serializers.FloatField(allow_null=True)
    high_per_million = serializers.FloatField(allow_null=True)


class EstimateQuery(StrictSerializer):
    cards = QueryInteger(min_value=1, max_value=LARGEST_JOB_CARDS)
    hours = QueryInteger(min_value=1, max_value=FIVE_YEARS_HOURS)
    centre = PublicId("ctr", required=False)
    generation = Text(max_length=40, required=False)
    repair_hours = QueryInteger(min_value=1, max_value=8784, required=False)


class EstimateOut(Shape):
    """What a job is to expect at the rate seen, and at both ends of its interval."""

    cards = serializers.IntegerField()
    hours = serializers.IntegerField()
    fault_count = serializers.IntegerField(help_text="Seen in the last year.")
    card_hours = serializers.FloatField(help_text="In which they were seen.")
    per_million = serializers.FloatField(allow_null=True)
    expected_faults = serializers.FloatField(allow_null=True)
    expected_faults_low = serializers.FloatField(allow_null=True)
    expected_faults_high = serializers.FloatField(allow_null=True)
    suggested_spares = serializers.IntegerField(
        allow_null=True,
        help_text="Whole nodes, so that one is free 95 times of 100 when one fails.",
    )
