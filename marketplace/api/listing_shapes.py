"""Shapes of what a provider sells: listings, prices, terms, floors and approval rules."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inventory.api.fields import (
    Choice,
    Flag,
    Instant,
    Integer,
    Items,
    PublicId,
    StrictSerializer,
)
from marketplace import discounts
from marketplace.api.serializers import CURRENCIES, LARGEST_PRICE_MICRO, Shape, Tier
from marketplace.approvals import MOST_THRESHOLDS
from marketplace.asking import (
    FIVE_YEARS_HOURS,
    MOST_ADVANCE_MONTHS,
    MOST_GRACE_DAYS,
    MOST_MB_PER_SECOND,
    MOST_NET_DAYS,
    MOST_SECURITY_MONTHS,
    MOST_SUSPENSION_DAYS,
    THIRTY_DAYS_HOURS,
)
from marketplace.models import Lease, Listing, PriceVersion, Reservation
from marketplace.money import LARGEST_MINOR, VAT_BPS
from marketplace.sla import MOST_STEPS

ZONES = [(zone, zone) for zone in ("Asia/Shanghai", "UTC")]


@extend_schema_field(
    {
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"oneOf": [{"type": "string", "enum": ["hours", "cards"]}, {"type": "integer"}]},
        "example": ["hours", 720, 500],
    }
)
class DiscountTier(serializers.Field[Any, Any, Any, Any]):
    """["hours" or "cards", from, share taken off in basis points]."""

    default_error_messages = {"invalid": '["hours" or "cards", from, basis points] was expected.'}

    def to_internal_value(self, data: Any) -> tuple[str, int, int]:
        if not isinstance(data, list) or [type(item) for item in data] != [str, int, int]:
            self.fail("invalid")
        kind, least, bps = data
        if kind not in discounts.KINDS or not (0 < least <= 10**9 and 0 < bps <= 10_000):
            self.fail("invalid")
        return kind, least, bps

    def to_representation(self, value: Any) -> list[Any]:
        return list(value)


@extend_schema_field(
    {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {"type": "integer"},
        "example": [100_000_000, 2],
    }
)
class Threshold(serializers.Field[Any, Any, Any, Any]):
    """[minor units from which on, members who have to approve]."""

    default_error_messages = {"invalid": "[minor units, members] was expected."}

    def to_internal_value(self, data: Any) -> tuple[int, int]:
        if not isinstance(data, list) or [type(item) for item in data] != [int, int]:
            self.fail("invalid")
        amount, members = data
        if not (0 <= amount <= LARGEST_MINOR and 1 <= members <= 1000):
            self.fail("invalid")
        return amount, members

    def to_representation(self, value: Any) -> list[int]:
        return list(value)


class PriceOut(Shape):
    id = PublicId("prv", source="public_id")
    version = serializers.IntegerField()
    currency = serializers.CharField()
    basis = serializers.ChoiceField(PriceVersion.Basis.choices)
    amount_micro = serializers.IntegerField(help_text="Millionths of the major unit per basis.")
    tax_inclusive = serializers.BooleanField()
    vat_code = serializers.CharField()
    vat_bps = serializers.IntegerField()
    schedule = serializers.ChoiceField(PriceVersion.Schedule.choices)
    deposit_bps = serializers.IntegerField()
    security_months = serializers.IntegerField(help_text="Of its price, kept to the end.")
    advance_months = serializers.IntegerField(help_text="Paid ahead at a time.")
    net_days = serializers.IntegerField(help_text="In arrears, after the month.")
    grace_days = serializers.IntegerField(help_text="From due to overdue.")
    notice_days = serializers.IntegerField(help_text="From overdue until access is shut.")
    suspension_days = serializers.IntegerField(help_text="Shut so long, the lease is ended.")
    pro_rata = serializers.ChoiceField(
        PriceVersion.ProRata.choices, help_text="What a part of a month costs, by node_month."
    )
    billing_zone = serializers.CharField()
    discounts = serializers.ListField(child=DiscountTier())
    created_at = Instant()


class PriceIn(StrictSerializer):
    basis = Choice(PriceVersion.Basis.choices)
    amount_micro = Integer(min_value=1, max_value=LARGEST_PRICE_MICRO)
    currency = Choice(CURRENCIES, required=False)
    tax_inclusive = Flag(required=False)
    vat_code = Choice([(code, code) for code in VAT_BPS], required=False)
    schedule = Choice(PriceVersion.Schedule.choices, required=False)
    deposit_bps = Integer(min_value=0, max_value=10_000, required=False)
    security_months = Integer(min_value=0, max_value=MOST_SECURITY_MONTHS, required=False)
    advance_months = Integer(min_value=0, max_value=MOST_ADVANCE_MONTHS, required=False)
    net_days = Integer(min_value=0, max_value=MOST_NET_DAYS, required=False)
    grace_days = Integer(min_value=0, max_value=MOST_GRACE_DAYS, required=False)
    notice_days = Integer(min_value=0, max_value=MOST_GRACE_DAYS, required=False)
    suspension_days = Integer(min_value=1, max_value=MOST_SUSPENSION_DAYS, required=False)
    pro_rata = Choice(PriceVersion.ProRata.choices, required=False)
    billing_zone = Choice(ZONES, required=False)
    discounts = Items(child=DiscountTier(), max_length=discounts.MOST_TIERS, required=False)


class TermsOut(Shape):
    id = PublicId("trm", source="public_id")
    version = serializers.IntegerField()
    minimum_hours = serializers.IntegerField()
    hour_step = serializers.IntegerField(help_text="Lengths are the minimum and whole steps more.")
    maximum_hours = serializers.IntegerField()
    minimum_units = serializers.IntegerField()
    unit_step = serializers.IntegerField(help_text="Counts are the minimum and whole steps more.")
    maximum_units = serializers.IntegerField(
        allow_null=True, help_text="In one lease; null: all of the listing."
    )
    start_grid_seconds = serializers.IntegerField()
    cancellation = serializers.ListField(child=Tier())
    leaving = serializers.ListField(
        child=Tier(), help_text="Left so many hours ahead, this share of the rest comes back."
    )
    withdrawal = serializers.ListField(
        child=Tier(), help_text="Notice the provider gives, and its compensation, of the rest."
    )
    decide_hours = serializers.IntegerField(help_text="Counts where `mode` is approval.")
    trial_units = serializers.IntegerField(help_text="Zero: no trial.")
    trial_hours = serializers.IntegerField()
    trial_amount_micro = serializers.IntegerField(help_text="Per basis; may be zero.")
    trial_convertible = serializers.BooleanField()
    sla_availability_bps = serializers.IntegerField(help_text="Of a month; 0: no service level.")
    sla_replacement_hours = serializers.IntegerField(help_text="Of a failed node; 0: no time.")
    sla_credits = serializers.ListField(
        child=Tier(), help_text="[availability below, credit of the month's charges], in bps."
    )
    sla_cap_bps = serializers.IntegerField(help_text="Of the month's charges.")
    sla_notice_hours = serializers.IntegerField(
        help_text="Maintenance announced so long ahead does not count; 0: all of it does."
    )
    acceptance_mb_per_second = serializers.IntegerField(
        help_text="Bus bandwidth that a test of everything delivered has to show before time"
        " counts; 0: no test."
    )
    acceptance_hours = serializers.IntegerField(help_text="To pass it, and to sign for it.")
    created_at = Instant()


class TermsIn(StrictSerializer):
    minimum_hours = Integer(min_value=1, max_value=FIVE_YEARS_HOURS, required=False)
    hour_step = Integer(min_value=1, max_value=FIVE_YEARS_HOURS, required=False)
    maximum_hours = Integer(min_value=1, max_value=FIVE_YEARS_HOURS, required=False)
    minimum_units = Integer(min_value=1, max_value=1_000_000, required=False)
    unit_step = Integer(min_value=1, max_value=1_000_000, required=False)
    maximum_units = Integer(min_value=1, max_value=1_000_000, required=False)
    start_grid_seconds = Integer(
        min_value=60, max_value=86_400, required=False, help_text="A whole part of a day."
    )
    cancellation = Items(child=Tier(), max_length=20, required=False)
    leaving = Items(child=Tier(), max_length=20, required=False)
    withdrawal = Items(child=Tier(), max_length=20, required=False)
    decide_hours = Integer(min_value=1, max_value=THIRTY_DAYS_HOURS, required=False)
    trial_units = Integer(min_value=0, max_value=1_000_000, required=False)
    trial_hours = Integer(min_value=0, max_value=THIRTY_DAYS_HOURS, required=False)
    trial_amount_micro = Integer(min_value=0, max_value=LARGEST_PRICE_MICRO, required=False)
    trial_convertible = Flag(required=False)
    sla_availability_bps = Integer(min_value=0, max_value=10_000, required=False)
    sla_replacement_hours = Integer(min_value=0, max_value=THIRTY_DAYS_HOURS, required=False)
    sla_credits = Items(child=Tier(), max_length=MOST_STEPS, required=False)
    sla_cap_bps = Integer(min_value=0, max_value=10_000, required=False)
    sla_notice_hours = Integer(min_value=0, max_value=THIRTY_DAYS_HOURS, required=False)
    acceptance_mb_per_second = Integer(min_value=0, max_value=MOST_MB_PER_SECOND, required=False)
    acceptance_hours = Integer(min_value=0, max_value=THIRTY_DAYS_HOURS, required=False)


class ListingOut(Shape):
    id = PublicId("lst", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    pool = PublicId("pool", source="pool.public_id")
    state = serializers.ChoiceField(Listing.State.choices)
    mode = serializers.ChoiceField(Listing.Mode.choices)
    selling = serializers.ChoiceField(Listing.Selling.choices)
    unit_count = serializers.IntegerField(source="block.unit_count")
    unit_cards = serializers.IntegerField(source="pool.unit_cards")
    start_at = Instant(source="block.sellable.lower")
    end_at = Instant(source="block.sellable.upper")
    price = serializers.SerializerMethodField()
    terms = serializers.SerializerMethodField()
    created_at = Instant()

    @extend_schema_field(PriceOut)
    def get_price(self, row: Listing) -> Any:
        return PriceOut(max(row.prices.all(), key=lambda price: price.version)).data

    @extend_schema_field(TermsOut)
    def get_terms(self, row: Listing) -> Any:
        return TermsOut(max(row.terms.all(), key=lambda terms: terms.version)).data


class ListingQuery(StrictSerializer):
    pool = PublicId("pool", source="pool__public_id", required=False)
    state = Choice(Listing.State.choices, required=False)


class ListingIn(StrictSerializer):
    pool = PublicId("pool")
    unit_count = Integer(min_value=1, max_value=1_000_000)
    start_at = Instant()
    end_at = Instant()
    price = PriceIn()
    terms = TermsIn(required=False)
    mode = Choice(Listing.Mode.choices, required=False)
    selling = Choice(Listing.Selling.choices, required=False)


class ResizeIn(StrictSerializer):
    unit_count = Integer(min_value=1, max_value=1_000_000)


class TouchedDealOut(Shape):
    """A reservation or a lease that is not over; `id` says which."""

    id = serializers.CharField(source="public_id")
    kind = serializers.SerializerMethodField()
    state = serializers.CharField()
    tenant = PublicId("org", source="tenant.public_id")
    unit_count = serializers.IntegerField()
    start_at = Instant(source="period.lower")
    end_at = Instant(source="period.upper")
    currency = serializers.CharField()
    gross_minor = serializers.IntegerField()

    @extend_schema_field({"type": "string", "enum": ["reservation", "lease"]})
    def get_kind(self, row: Reservation | Lease) -> str:
        return "lease" if isinstance(row, Lease) else "reservation"


class FloorOut(Shape):
    version = serializers.IntegerField()
    currency = serializers.CharField()
    power_micro = serializers.IntegerField()
    depreciation_micro = serializers.IntegerField()
    network_micro = serializers.IntegerField()
    operations_micro = serializers.IntegerField()
    card_hour_micro = serializers.IntegerField(help_text="The sum: nothing sells below it.")
    created_at = Instant()


class FloorIn(StrictSerializer):
    power_micro = Integer(min_value=0, max_value=LARGEST_PRICE_MICRO)
    depreciation_micro = Integer(min_value=0, max_value=LARGEST_PRICE_MICRO)
    network_micro = Integer(min_value=0, max_value=LARGEST_PRICE_MICRO)
    operations_micro = Integer(min_value=0, max_value=LARGEST_PRICE_MICRO)
    currency = Choice(CURRENCIES, required=False)


class ApprovalRuleOut(Shape):
    version = serializers.IntegerField()
    currency = serializers.CharField()
    thresholds = serializers.ListField(child=Threshold())
    created_at = Instant()


class ApprovalRuleIn(StrictSerializer):
    thresholds = Items(
        child=Threshold(),
        max_length=MOST_THRESHOLDS,
        help_text="Ascending in both; none: one member decides on everything.",
    )
    currency = Choice(CURRENCIES, required=False)
