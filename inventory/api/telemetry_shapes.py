"""Shapes of telemetry: a centre's feeds, and whose their series are."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from inventory.api.fields import Choice, Instant, Integer, PublicId, StrictSerializer, Text
from inventory.models import SeriesIdentity, TelemetrySource

Shape = serializers.Serializer[Any]
MOST_CARDS = 63


class TelemetrySourceOut(Shape):
    id = PublicId("tms", source="public_id")
    centre = PublicId("ctr", source="centre.public_id")
    name = serializers.CharField()
    kind = serializers.ChoiceField(
        TelemetrySource.Kind.choices, help_text="`push`: the centre sends; `pull`: we query it."
    )
    replica_label = serializers.CharField(help_text="What tells the members of an HA pair apart.")
    query_url = serializers.CharField(help_text="Empty where the centre sends.")
    samples_per_second = serializers.IntegerField(help_text="More is asked to wait.")
    stored_count = serializers.IntegerField(help_text="Of samples, since the feed was opened.")
    repeated_count = serializers.IntegerField()
    unused_count = serializers.IntegerField()
    unknown_count = serializers.IntegerField(help_text="Of series bound to no card.")
    late_count = serializers.IntegerField(help_text="Of hours that are sealed.")
    early_count = serializers.IntegerField()
    void_count = serializers.IntegerField()
    last_seen_at = Instant(allow_null=True)
    last_error = serializers.CharField(help_text="Of the last query; empty where it went well.")
    created_at = Instant()
    closed_at = Instant(allow_null=True)


class TelemetrySourceQuery(StrictSerializer):
    centre = PublicId("ctr", source="centre__public_id", required=False)


class TelemetrySourceIn(StrictSerializer):
    centre = PublicId("ctr")
    name = Text(max_length=80)
    replica_label = serializers.RegexField(
        r"^[A-Za-z_][A-Za-z0-9_]{0,79}$", max_length=80, required=False
    )
    query_url = Text(
        max_length=300, required=False, help_text="Of a store to query, where none can send."
    )
    query_secret = Text(max_length=500, required=False, help_text="Bearer token for it.")


class TelemetrySecretOut(TelemetrySourceOut):
    key = serializers.CharField(
        help_text="What remote write sends as its bearer token. Shown once; empty for a query."
    )


class UnmatchedOut(Shape):
    identity = serializers.ChoiceField(SeriesIdentity.choices, source="row.identity")
    value = serializers.CharField(source="row.value")
    card = serializers.CharField(source="row.card", help_text="The series' own index label.")
    sample_count = serializers.IntegerField(source="row.sample_count")
    last_seen_at = Instant(source="row.last_seen_at")
    guess = PublicId(
        "nod",
        source="guess.public_id",
        allow_null=True,
        default=None,
        help_text="A node that may be meant. Never used before somebody binds it.",
    )


class SeriesBindingOut(Shape):
    id = PublicId("tsb", source="public_id")
    telemetry_source = PublicId("tms", source="source.public_id")
    identity = serializers.ChoiceField(SeriesIdentity.choices)
    value = serializers.CharField()
    node = PublicId("nod", source="node.public_id")
    card_index = serializers.IntegerField(
        allow_null=True, help_text="Null: the series' own label says which."
    )
    created_at = Instant()
    removed_at = Instant(allow_null=True)


class SeriesBindingQuery(StrictSerializer):
    telemetry_source = PublicId("tms", source="source__public_id", required=False)


class SeriesBindingIn(StrictSerializer):
    telemetry_source = PublicId("tms")
    identity = Choice(SeriesIdentity.choices)
    value = Text(max_length=200)
    node = PublicId("nod")
    card_index = Integer(min_value=0, max_value=MOST_CARDS, required=False)
