"""Months of leases held against their service level, and what they gave back."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from billing.models import SlaMonth
from inventory.api.fields import Instant, PublicId, StrictSerializer
from inventory.api.requests import actor_of
from inventory.api.resources import ReadOnlyResource
from marketplace.api.serializers import Shape


class SlaMonthOut(Shape):
    id = PublicId("slm", source="public_id")
    lease = PublicId("lse", source="lease.public_id")
    terms = PublicId("trm", source="terms.public_id")
    provider = PublicId("org", source="provider.public_id")
    tenant = PublicId("org", source="tenant.public_id")
    month = serializers.DateField(help_text="Its first day, in the billing zone.")
    revision = serializers.IntegerField(help_text="The highest of a month counts.")
    delivered_card_seconds = serializers.IntegerField()
    missing_card_seconds = serializers.IntegerField()
    excluded_card_seconds = serializers.IntegerField(
        help_text="Not delivered, and by the terms nobody's failure."
    )
    availability_bps = serializers.IntegerField(help_text="Rounded down; steps compare exactly.")
    credit_bps = serializers.IntegerField(help_text="Of the month's charges.")
    currency = serializers.CharField()
    charged_minor = serializers.IntegerField(help_text="Of usage, tax included.")
    credit_minor = serializers.IntegerField(help_text="Of the whole month, tax included.")
    charge = PublicId(
        "chg",
        source="charge.public_id",
        allow_null=True,
        default=None,
        help_text="What this revision moved; null: nothing.",
    )
    created_at = Instant()


class SlaMonthQuery(StrictSerializer):
    lease = PublicId("lse", source="lease__public_id", required=False)


class SlaMonths(ReadOnlyResource):
    """Each month of a lease with a service level: what was delivered, and its credit."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "leases:read",
        "retrieve": "leases:read",
    }
    serializer_class = SlaMonthOut
    filter_shape = SlaMonthQuery

    def rows(self) -> QuerySet[SlaMonth]:
        rows = SlaMonth.objects.visible_to(actor_of(self.request))
        return rows.select_related("lease", "terms", "provider", "tenant", "charge")
