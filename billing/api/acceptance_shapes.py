"""Shapes of acceptance: the gate, its runs, a report."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from inventory.acceptance import LARGEST_REPORT
from inventory.api.fields import Choice, Instant, PublicId, StrictSerializer
from inventory.models import Acceptance, AcceptanceRun

Shape = serializers.Serializer[Any]
_NO_LOG = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


class Log(serializers.CharField):
    """What a program printed, as it stands: blanks at its ends belong to it."""

    default_error_messages = {"bad_text": _("A log says something, and has no control characters.")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if not data.strip() or _NO_LOG.search(data):
            self.fail("bad_text")
        return super().to_internal_value(data)


class AcceptanceOut(Shape):
    id = PublicId("acc", source="public_id")
    lease = PublicId("lse", source="allocation.lease.public_id")
    provider = PublicId("org", source="provider.public_id")
    tenant = PublicId("org", source="tenant.public_id")
    state = serializers.ChoiceField(Acceptance.State.choices)
    threshold_mb_per_second = serializers.IntegerField(
        help_text="Bus bandwidth of an all-reduce over everything delivered."
    )
    patience_hours = serializers.IntegerField()
    due_at = Instant(
        allow_null=True,
        help_text="Being tested: a run has to pass by then. Passed: signed or taken as accepted.",
    )
    signed_by = serializers.CharField(help_text="Id of the person or key; empty: nobody did.")
    testing_at = Instant(allow_null=True)
    passed_at = Instant(allow_null=True)
    accepted_at = Instant(allow_null=True)
    deemed_at = Instant(allow_null=True)
    lapsed_at = Instant(allow_null=True)


class AcceptanceQuery(StrictSerializer):
    state = Choice(Acceptance.State.choices, required=False)
    lease = PublicId("lse", source="allocation__lease__public_id", required=False)


class AcceptanceRunOut(Shape):
    id = PublicId("arn", source="public_id")
    tool = serializers.ChoiceField(AcceptanceRun.Tool.choices)
    passed = serializers.BooleanField()
    is_correct = serializers.BooleanField(help_text="Values were checked and none was wrong.")
    busbw_mb_per_second = serializers.IntegerField(help_text="At the largest message.")
    size_bytes = serializers.IntegerField()
    node_count = serializers.IntegerField()
    rank_count = serializers.IntegerField()
    report_sha256 = serializers.CharField()
    posted_by = PublicId("org", source="posted_by.public_id")
    at = Instant()


class ReportIn(StrictSerializer):
    tool = Choice(AcceptanceRun.Tool.choices)
    report = Log(max_length=LARGEST_REPORT, help_text="What the test printed, whole.")
    hosts = Log(
        max_length=LARGEST_REPORT // 4,
        required=False,
        help_text="HCCL's hostfile: a line `node-1:8` for each machine.",
    )
