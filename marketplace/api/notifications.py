"""Where the caller's organisation hears what happened, and what was sent there."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.fields import Choice, Instant, Items, PublicId, StrictSerializer, Text
from inventory.api.requests import actor_of, body, find, instant_of, nothing, organisation_of
from inventory.api.resources import ReadOnlyResource
from marketplace import notifications
from marketplace.api.serializers import Shape
from marketplace.models import Channel, Delivery

TOPICS = [(name, name) for name in notifications.TOPICS]


class ChannelOut(Shape):
    id = PublicId("chn", source="public_id")
    kind = serializers.ChoiceField(Channel.Kind.choices)
    name = serializers.CharField()
    hint = serializers.CharField(help_text="Of the address, what may be shown.")
    language = serializers.CharField()
    topics = serializers.ListField(child=serializers.ChoiceField(TOPICS))
    state = serializers.ChoiceField(Channel.State.choices)
    created_at = Instant()
    removed_at = Instant(allow_null=True)


class ChannelQuery(StrictSerializer):
    kind = Choice(Channel.Kind.choices, required=False)
    state = Choice(Channel.State.choices, required=False)


class ChannelIn(StrictSerializer):
    kind = Choice(Channel.Kind.choices)
    name = Text(max_length=60)
    address = Text(
        max_length=400, help_text="E-mail address, telephone number, or a robot's web hook."
    )
    secret = Text(max_length=128, required=False, help_text="Of a signed robot (加签, 签名校验).")
    topics = Items(child=Choice(TOPICS), max_length=len(TOPICS))
    language = Choice([("zh-hans", "zh-hans"), ("en", "en")], required=False)


class TopicsIn(StrictSerializer):
    topics = Items(child=Choice(TOPICS), max_length=len(TOPICS))


class DeliveryOut(Shape):
    id = PublicId("ntf", source="public_id")
    channel = PublicId("chn", source="channel.public_id")
    event = serializers.CharField()
    object = serializers.CharField(source="object_id", help_text="Public id; empty for a test.")
    title = serializers.CharField()
    text = serializers.CharField()
    state = serializers.ChoiceField(Delivery.State.choices)
    attempt_count = serializers.IntegerField()
    next_at = Instant(allow_null=True)
    last_error = serializers.CharField(help_text="What the other side said last.")
    created_at = Instant()
    sent_at = Instant(allow_null=True)


class DeliveryQuery(StrictSerializer):
    channel = PublicId("chn", source="channel__public_id", required=False)
    state = Choice(Delivery.State.choices, required=False)


class Channels(ReadOnlyResource):
    """E-mail, text messages and robots of 企业微信, 钉钉 and 飞书 that hear of chosen topics."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "journal:read",
        "retrieve": "journal:read",
        "create": "members:write",
        "destroy": "members:write",
        "choose": "members:write",
        "test": "members:write",
    }
    idempotent = frozenset({"create", "choose", "test"})
    serializer_class = ChannelOut
    filter_shape = ChannelQuery

    def rows(self) -> QuerySet[Channel]:
        return Channel.objects.visible_to(actor_of(self.request))

    @extend_schema(request=ChannelIn, responses={201: ChannelOut})
    def create(self, request: Request) -> Response:
        """Adds a channel. A robot's web hook lies on a host of its kind, and is kept encrypted."""
        given = body(request, ChannelIn)
        row = notifications.add(
            organisation_id=organisation_of(request),
            **given,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, public_id: str) -> Response:
        """It hears nothing any more. What was sent stays in the log."""
        notifications.remove(
            channel_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return Response(status=204)

    @extend_schema(request=TopicsIn, responses=ChannelOut)
    @action(detail=True, methods=["post"], url_path="topics")
    def choose(self, request: Request, public_id: str) -> Response:
        """It hears of these topics from now on."""
        notifications.choose(
            channel_public_id=self.row().public_id,
            topics=body(request, TopicsIn)["topics"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(request=None, responses={201: DeliveryOut})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, public_id: str) -> Response:
        """Sends a message that says only that the channel works; the delivery tells."""
        nothing(request)
        row = notifications.send_test(
            channel_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return Response(DeliveryOut(row).data, status=201)


class Deliveries(ReadOnlyResource):
    """What was sent to the organisation's channels, and what came of it."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "journal:read",
        "retrieve": "journal:read",
        "retry": "members:write",
    }
    idempotent = frozenset({"retry"})
    serializer_class = DeliveryOut
    filter_shape = DeliveryQuery

    def rows(self) -> QuerySet[Delivery]:
        return Delivery.objects.visible_to(actor_of(self.request)).select_related("channel")

    @extend_schema(request=None, responses=DeliveryOut)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, public_id: str) -> Response:
        """Sends one that was given up again."""
        nothing(request)
        row = notifications.retry(
            delivery_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
        )
        rows: Any = self.rows()
        return self.render(find(rows, row.public_id))
