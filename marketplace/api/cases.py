"""Cases about leases and nodes: put to the other side, answered, closed."""

from __future__ import annotations

import base64
import binascii
from typing import ClassVar

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.fields import Choice, Flag, Instant, Lines, PublicId, StrictSerializer, Text
from inventory.api.requests import actor_of, body, find, instant_of
from inventory.api.resources import ReadOnlyResource
from inventory.api.serializers import ReasonIn
from marketplace import cases
from marketplace.api.offer_shapes import SIDES
from marketplace.api.serializers import Shape
from marketplace.models import Case, CaseAttachment, CaseMessage
from marketplace.models.case import LARGEST_ATTACHMENT

MOST_LETTERS = 8000
FILE_LETTERS = (LARGEST_ATTACHMENT + 2) // 3 * 4


class CaseOut(Shape):
    id = PublicId("case", source="public_id")
    opener = PublicId("org", source="opener.public_id")
    provider = PublicId("org", source="provider.public_id")
    lease = PublicId("lse", source="lease.public_id", allow_null=True, default=None)
    node = PublicId("nod", source="node.public_id", allow_null=True, default=None)
    title = serializers.CharField()
    category = serializers.ChoiceField(Case.Category.choices)
    priority = serializers.ChoiceField(Case.Priority.choices)
    state = serializers.ChoiceField(Case.State.choices)
    assignee = serializers.ChoiceField(SIDES, help_text="Who is to answer.")
    respond_by = Instant(allow_null=True, help_text="Null while the clock stands.")
    escalated_at = Instant(allow_null=True, help_text="When nobody had answered in time.")
    created_at = Instant()
    closed_at = Instant(allow_null=True)


class CaseQuery(StrictSerializer):
    state = Choice(Case.State.choices, required=False)
    priority = Choice(Case.Priority.choices, required=False)
    category = Choice(Case.Category.choices, required=False)
    lease = PublicId("lse", source="lease__public_id", required=False)
    node = PublicId("nod", source="node__public_id", required=False)


class CaseIn(StrictSerializer):
    lease = PublicId("lse", required=False, help_text="One of the two.")
    node = PublicId("nod", required=False)
    title = Text(max_length=120)
    text = Lines(max_length=MOST_LETTERS)
    category = Choice(Case.Category.choices)
    priority = Choice(Case.Priority.choices, required=False)


class MessageIn(StrictSerializer):
    text = Lines(max_length=MOST_LETTERS)
    asks_back = Flag(required=False, help_text="An answer that waits for its opener.")


class ReopenIn(StrictSerializer):
    text = Lines(max_length=MOST_LETTERS)


class CaseMessageOut(Shape):
    id = PublicId("msg", source="public_id")
    author = PublicId("org", source="author.public_id")
    text = serializers.CharField()
    created_at = Instant()


class AttachmentIn(StrictSerializer):
    name = Text(max_length=120)
    content = serializers.CharField(
        max_length=FILE_LETTERS, trim_whitespace=False, help_text="In base64, 5 MB at the most."
    )


class AttachmentOut(Shape):
    id = PublicId("att", source="public_id")
    author = PublicId("org", source="author.public_id")
    name = serializers.CharField()
    media_type = serializers.CharField(help_text="Read from its bytes.")
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()
    created_at = Instant()


class AttachmentContentOut(AttachmentOut):
    content = serializers.SerializerMethodField(help_text="In base64.")

    def get_content(self, row: CaseAttachment) -> str:
        return base64.b64encode(bytes(row.content)).decode()


class Cases(ReadOnlyResource):
    """Questions and complaints about a lease or a node, with their response clock."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "cases:read",
        "retrieve": "cases:read",
        "create": "cases:write",
        "messages": "cases:read",
        "reply": "cases:write",
        "close": "cases:write",
        "reopen": "cases:write",
        "attachments": "cases:read",
        "attachment": "cases:read",
        "attach": "cases:write",
    }
    idempotent = frozenset({"create", "reply", "close", "reopen", "attach"})
    body_limit = FILE_LETTERS + settings.API_BODY_LIMIT
    serializer_class = CaseOut
    filter_shape = CaseQuery

    def rows(self) -> QuerySet[Case]:
        rows = Case.objects.visible_to(actor_of(self.request))
        return rows.select_related("opener", "provider", "lease", "node")

    @extend_schema(request=CaseIn, responses={201: CaseOut})
    def create(self, request: Request) -> Response:
        """Puts a case to the other side: a tenant's to the provider, a provider's to the
        operator. Its clock runs by its priority, round the clock."""
        given = body(request, CaseIn)
        row = cases.open_case(
            lease_public_id=given.get("lease", ""),
            node_public_id=given.get("node", ""),
            title=given["title"],
            text=given["text"],
            category=given["category"],
            priority=given.get("priority", Case.Priority.NORMAL),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(find(self.rows(), row.public_id), status=201)

    @extend_schema(responses=CaseMessageOut(many=True), filters=False)
    @action(detail=True, methods=["get"], serializer_class=CaseMessageOut, filter_shape=None)
    def messages(self, request: Request, public_id: str) -> Response:
        """What was written, newest first."""
        rows = CaseMessage.objects.filter(case=self.row())
        return self.page(rows.select_related("author"))

    @extend_schema(request=MessageIn, responses=CaseOut)
    @action(detail=True, methods=["post"])
    def reply(self, request: Request, public_id: str) -> Response:
        """Writes into it: the other side's answer stops the clock, its opener's starts it."""
        given = body(request, MessageIn)
        cases.reply(
            case_public_id=self.row().public_id,
            text=given["text"],
            asks_back=given.get("asks_back", False),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(request=ReasonIn, responses=CaseOut)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, public_id: str) -> Response:
        """It is done: its opener's to say, and the operator's."""
        cases.close(
            case_public_id=self.row().public_id,
            reason=body(request, ReasonIn).get("reason", ""),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(request=ReopenIn, responses=CaseOut)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, public_id: str) -> Response:
        """It is not done after all: its opener's to say. The clock runs anew."""
        cases.reopen(
            case_public_id=self.row().public_id,
            text=body(request, ReopenIn)["text"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(
        responses=AttachmentOut(many=True), operation_id="list_case_attachments", filters=False
    )
    @action(detail=True, methods=["get"], pagination_class=None, filter_shape=None)
    def attachments(self, request: Request, public_id: str) -> Response:
        """Its files, without their content."""
        rows = self.row().attachments.defer("content").select_related("author").order_by("number")
        return Response(AttachmentOut(rows, many=True).data)

    @extend_schema(
        responses=AttachmentContentOut, operation_id="get_case_attachment", filters=False
    )
    @action(
        detail=True,
        methods=["get"],
        url_path="attachments/<str:attachment_id>",
        pagination_class=None,
        filter_shape=None,
    )
    def attachment(self, request: Request, public_id: str, attachment_id: str) -> Response:
        """One of them, with its content."""
        rows = self.row().attachments.select_related("author")
        return Response(AttachmentContentOut(find(rows, attachment_id)).data)

    @extend_schema(request=AttachmentIn, responses={201: AttachmentOut})
    @action(detail=True, methods=["post"])
    def attach(self, request: Request, public_id: str) -> Response:
        """Adds a file: PNG, JPEG, PDF, text, ZIP or GZIP; twenty at the most."""
        given = body(request, AttachmentIn)
        try:
            content = base64.b64decode(given["content"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise cases.AttachmentRefused("The file is not in base64") from error
        row = cases.attach(
            case_public_id=self.row().public_id,
            name=given["name"],
            content=content,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return Response(AttachmentOut(row).data, status=201)
