"""Shapes of what people do in a delivery: tasks, keys, acceptance."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inventory.api.fields import (
    Choice,
    Instant,
    Integer,
    Items,
    Lines,
    PublicId,
    StrictSerializer,
    Text,
)
from inventory.manual_tasks import MOST_FINGERPRINTS, MOST_SECRET_LETTERS
from inventory.models import ManualTask
from inventory.ssh_keys import MOST_LETTERS

Shape = serializers.Serializer[Any]


class ManualTaskOut(Shape):
    id = PublicId("mtk", source="public_id")
    kind = serializers.ChoiceField(ManualTask.Kind.choices)
    state = serializers.ChoiceField(ManualTask.State.choices)
    allocation = PublicId("alc", source="allocation.public_id")
    node = PublicId("nod", source="node.public_id")
    serial = serializers.CharField(source="node.serial")
    hostname = serializers.CharField(source="node.hostname")
    first_card = serializers.IntegerField(help_text="Of the cards it is about, from 0.")
    card_count = serializers.IntegerField()
    due_at = Instant()
    overdue_at = Instant(allow_null=True, help_text="When its being late was told.")
    ssh_keys = serializers.SerializerMethodField(
        help_text="To be let in; a hand-over without any needs a secret."
    )
    reason = serializers.CharField(help_text="Why it cannot be done.")
    address = serializers.CharField(help_text="As handed over; the secret is never read back.")
    port = serializers.IntegerField(allow_null=True)
    user = serializers.CharField()
    host_fingerprints = serializers.ListField(child=serializers.CharField())
    created_at = Instant()
    done_at = Instant(allow_null=True)
    given_up_at = Instant(allow_null=True)
    dropped_at = Instant(allow_null=True)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_ssh_keys(self, row: ManualTask) -> list[str]:
        return list(row.allocation.ssh_keys)


class ManualTaskQuery(StrictSerializer):
    kind = Choice(ManualTask.Kind.choices, required=False)
    state = Choice(ManualTask.State.choices, required=False)
    node = PublicId("nod", source="node__public_id", required=False)
    allocation = PublicId("alc", source="allocation__public_id", required=False)


class WayInIn(StrictSerializer):
    address = Text(max_length=253, help_text="An IP address or a host name.")
    user = Text(max_length=32)
    port = Integer(min_value=1, max_value=65_535, required=False)
    host_fingerprints = Items(
        child=Text(max_length=60),
        max_length=MOST_FINGERPRINTS,
        min_length=1,
        help_text="SHA256:…, as `ssh-keygen -l` prints them.",
    )
    secret = Lines(
        max_length=MOST_SECRET_LETTERS,
        required=False,
        help_text="A password or a private key, where the tenant named no keys.",
    )


class SshKeyOut(Shape):
    id = PublicId("ssh", source="public_id")
    name = serializers.CharField()
    algorithm = serializers.CharField()
    public_key = serializers.CharField(source="line")
    fingerprint = serializers.CharField(help_text="As `ssh-keygen -l` prints it.")
    created_at = Instant()


class SshKeyIn(StrictSerializer):
    name = Text(max_length=80)
    public_key = Text(
        max_length=MOST_LETTERS,
        help_text="A line of `id_….pub`. Deals that name no keys let in those that are here.",
    )
