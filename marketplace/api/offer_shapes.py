"""Shapes of searches and offers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from inventory.api.fields import (
    Choice,
    Flag,
    Instant,
    Integer,
    Items,
    PublicId,
    StrictSerializer,
    Text,
)
from inventory.models import HubNode, OwnerKind
from marketplace.api.serializers import CURRENCIES, LARGEST_PRICE_MICRO, Tier
from marketplace.asking import FIVE_YEARS_HOURS
from marketplace.models import Listing, PriceVersion
from marketplace.offers.model import DAY_SECONDS, MOST_OFFERS, PAYMENT_KINDS

Shape = serializers.Serializer[Any]
SIDES = [("provider", "provider"), ("operator", "operator")]


class SearchIn(StrictSerializer):
    units = Integer(min_value=1, max_value=1_000_000, required=False)
    cards = Integer(min_value=1, max_value=8_000_000, required=False)
    nodes = Integer(
        min_value=1, max_value=1_000_000, required=False, help_text="Whole nodes of one fabric."
    )
    hours = Integer(min_value=1, max_value=FIVE_YEARS_HOURS, required=False)
    minimum_hours = Integer(
        min_value=1,
        max_value=FIVE_YEARS_HOURS,
        required=False,
        help_text="Instead of `hours`: each listing offers the longest of the range that fits.",
    )
    maximum_hours = Integer(min_value=1, max_value=FIVE_YEARS_HOURS, required=False)
    earliest_start = Instant()
    latest_end = Instant()
    start_grid_seconds = Integer(
        min_value=60,
        max_value=DAY_SECONDS,
        required=False,
        help_text="Starts on this grid, counted from midnight UTC. A whole part of a day.",
    )
    chips = Items(child=Text(max_length=40), max_length=40, required=False)
    chip_class = Text(max_length=20, required=False)
    minimum_memory_gib = Integer(
        min_value=1, max_value=10_000, required=False, help_text="Of a card."
    )
    minimum_interconnect_gbps = Integer(
        min_value=1,
        max_value=100_000,
        required=False,
        help_text="GB/s of a card, both directions, as its maker publishes it.",
    )
    driver = Text(
        max_length=60,
        required=False,
        help_text="How the version begins, whole parts only. Every node of the pool has it.",
    )
    runtime = Text(max_length=60, required=False, help_text="CUDA or CANN, likewise.")
    framework = Text(max_length=60, required=False, help_text="Likewise.")
    regions = Items(child=Text(max_length=60), max_length=40, required=False)
    hubs = Items(child=Choice(HubNode.choices), max_length=9, required=False)
    owners = Items(child=Choice(OwnerKind.choices), max_length=5, required=False)
    max_card_hour_micro = Integer(min_value=1, max_value=LARGEST_PRICE_MICRO, required=False)
    currency = Choice(CURRENCIES, required=False)
    limit = Integer(min_value=1, max_value=MOST_OFFERS, required=False)
    one_fabric = Flag(
        required=False,
        help_text="True where left out. False: where no fabric has as much, parts of several"
        " fabrics with one start are shown as `split`, to be held as a basket.",
    )


class PaymentOut(Shape):
    kind = serializers.ChoiceField([(kind, kind) for kind in PAYMENT_KINDS])
    due_at = Instant(help_text="Until when; of `hourly` the first.")
    until_at = Instant(help_text="Of `hourly` the last.")
    part_count = serializers.IntegerField()
    amount_minor = serializers.IntegerField(help_text="Of all parts; negative: comes back.")
    period_start_at = Instant(allow_null=True, help_text="What an instalment pays for begins.")
    period_end_at = Instant(allow_null=True)


class CancellationStepOut(Shape):
    until_at = Instant(help_text="Cancelled before this instant, and after the step before.")
    refund_bps = serializers.IntegerField()
    refund_minor = serializers.IntegerField()
    kept_minor = serializers.IntegerField()


class PromiseOut(Shape):
    availability_bps = serializers.IntegerField(help_text="Of a month's card-seconds owed.")
    replacement_hours = serializers.IntegerField(help_text="Of a failed node; 0: no time.")
    credits = serializers.ListField(
        child=Tier(), help_text="[availability below, credit], in basis points."
    )
    cap_bps = serializers.IntegerField(help_text="Of a month's charges.")
    notice_hours = serializers.IntegerField(
        help_text="Maintenance announced so long ahead does not count; 0: all of it does."
    )


class MaintenanceOut(Shape):
    start_at = Instant()
    end_at = Instant()
    node_count = serializers.IntegerField()


class FaultsOut(Shape):
    per_million = serializers.FloatField(allow_null=True, help_text="Null: nobody knows yet.")
    low_per_million = serializers.FloatField(allow_null=True)
    high_per_million = serializers.FloatField(allow_null=True)


class OfferOut(Shape):
    token = serializers.CharField(help_text="Post it back verbatim as `offer`.")
    expires_at = Instant()
    marks = serializers.ListField(
        child=serializers.ChoiceField([("cheapest", "cheapest"), ("earliest", "earliest")])
    )
    listing = PublicId("lst", source="listing_id")
    pool = PublicId("pool", source="pool_id")
    pool_name = serializers.CharField()
    centre_name = serializers.CharField()
    centre_name_en = serializers.CharField()
    owner_kind = serializers.ChoiceField(OwnerKind.choices)
    region = serializers.CharField()
    hub = serializers.ChoiceField(HubNode.choices)
    chip = serializers.CharField()
    memory_gib = serializers.IntegerField(help_text="Of a card.")
    interconnect_gbps = serializers.IntegerField(
        allow_null=True, help_text="GB/s of a card; null where it is not published."
    )
    unit_cards = serializers.IntegerField()
    cards_per_node = serializers.IntegerField()
    unit_count = serializers.IntegerField()
    card_count = serializers.IntegerField()
    start_at = Instant()
    end_at = Instant()
    hours = serializers.IntegerField()
    currency = serializers.CharField()
    basis = serializers.ChoiceField(PriceVersion.Basis.choices)
    amount_micro = serializers.IntegerField()
    tax_inclusive = serializers.BooleanField()
    vat_bps = serializers.IntegerField()
    schedule = serializers.ChoiceField(PriceVersion.Schedule.choices)
    card_hour_micro = serializers.IntegerField(help_text="Tax included; to compare bases by.")
    list_minor = serializers.IntegerField(help_text="The whole price before the discount.")
    discount_bps = serializers.IntegerField(
        help_text="Taken off for the length and the number of cards asked for."
    )
    gross_minor = serializers.IntegerField(help_text="The whole price, tax included.")
    vat_minor = serializers.IntegerField()
    fee_minor = serializers.IntegerField()
    due_minor = serializers.IntegerField(help_text="Paid when confirmed.")
    security_minor = serializers.IntegerField(help_text="Of it kept to the end, and given back.")
    security_months = serializers.IntegerField()
    advance_months = serializers.IntegerField()
    net_days = serializers.IntegerField()
    hold_deposit_minor = serializers.IntegerField(help_text="Kept aside while held.")
    hold_seconds = serializers.IntegerField()
    selling = serializers.ChoiceField(Listing.Selling.choices)
    seller = serializers.ChoiceField(SIDES, source="parties.seller")
    issuer = serializers.ChoiceField(
        SIDES, source="parties.issuer", help_text="Of the invoice to the tenant."
    )
    payee = serializers.ChoiceField(
        SIDES,
        source="parties.payee",
        help_text="Where it is the provider, a hold is confirmed on its own receipt.",
    )
    decide_hours = serializers.IntegerField(
        allow_null=True,
        help_text="The provider decides on the hold within so long; null: it need not.",
    )
    pay_by_at = Instant(
        allow_null=True, help_text="Until when it is kept for a bank transfer, if it is."
    )
    pay_by_deposit_minor = serializers.IntegerField(
        allow_null=True, help_text="Kept aside until then."
    )
    payments = PaymentOut(many=True, help_text="What is paid when, if every hour is delivered.")
    terms = PublicId("trm", source="terms_id", help_text="The version that its deal names.")
    sla = PromiseOut(allow_null=True, help_text="The service level; null: none is promised.")
    cancellation = serializers.ListField(child=Tier())
    cancellation_steps = CancellationStepOut(
        many=True, help_text="The same with dates: what comes back of what was due."
    )
    maintenance = MaintenanceOut(
        many=True, help_text="Nodes of the pool planned out of use meanwhile, beside its units."
    )
    faults = FaultsOut(
        help_text="Failures of nodes of this chip generation in this centre over the last year, per"
        " million card-hours, with the exact 95 % interval."
    )
    software = serializers.DictField(
        child=serializers.CharField(),
        help_text='Of the pool\'s nodes: a version, "mixed" or "unknown".',
    )
    facts = serializers.DictField(
        child=serializers.JSONField(), help_text='Proved of the fabric; else "unknown".'
    )
    declared = serializers.DictField(
        child=serializers.JSONField(), help_text="What the provider says of the fabric."
    )


class RejectionOut(Shape):
    code = serializers.CharField()
    listing_count = serializers.IntegerField()
    nearest = serializers.IntegerField(
        allow_null=True,
        help_text="What the nearest allows: units, hours, GiB, GB/s, or micro-units a card-hour.",
    )


class AlternativeOut(Shape):
    changed = serializers.ListField(child=serializers.CharField())
    offer = OfferOut()


class SplitOut(Shape):
    card_count = serializers.IntegerField()
    gross_minor = serializers.IntegerField(help_text="Of all parts.")
    due_minor = serializers.IntegerField()
    offers = OfferOut(
        many=True, help_text="One chip, one start, one length; post their tokens to /baskets."
    )


class OffersOut(Shape):
    data = OfferOut(many=True, source="offers")  # type: ignore[assignment]  # a field here
    match_count = serializers.IntegerField(help_text="Listings that fit, shown or not.")
    rejections = RejectionOut(many=True, help_text="Why listings did not match, how many each.")
    alternatives = AlternativeOut(many=True, help_text="What comes near, where nothing fits.")
    split = SplitOut(
        allow_null=True, help_text="The same in several fabrics, where `one_fabric` is false."
    )


class StartWindowOut(Shape):
    first_start_at = Instant()
    last_start_at = Instant(help_text="Every start of the grid up to this one is possible.")


class CalendarListingOut(Shape):
    listing = PublicId("lst", source="stall.ware.public_id")
    pool = PublicId("pool", source="stall.pool.public_id")
    pool_name = serializers.CharField(source="stall.pool.catalogue.name")
    centre_name = serializers.CharField(source="stall.pool.catalogue.centre_name")
    centre_name_en = serializers.CharField(source="stall.pool.catalogue.centre_name_en")
    region = serializers.CharField(source="stall.pool.region")
    hub = serializers.ChoiceField(HubNode.choices, source="stall.pool.hub")
    chip = serializers.CharField(source="stall.pool.chip_code")
    unit_count = serializers.IntegerField()
    card_count = serializers.IntegerField()
    hours = serializers.IntegerField()
    start_grid_seconds = serializers.IntegerField()
    currency = serializers.CharField(source="stall.ware.price.currency")
    card_hour_micro = serializers.IntegerField(help_text="Tax included, at the first start.")
    gross_minor = serializers.IntegerField(help_text="The whole price at the first start.")
    windows = StartWindowOut(many=True, help_text="At most 50.")
    window_count = serializers.IntegerField()


class CalendarDayOut(Shape):
    date = serializers.DateField()
    earliest_start_at = Instant()
    listing = PublicId("lst", source="listing_id", help_text="Which of them starts then.")
    listing_count = serializers.IntegerField(help_text="How many could start on that day.")


class CalendarOut(Shape):
    data = CalendarListingOut(  # type: ignore[assignment]  # a field here
        many=True, source="listings", help_text="By their first start, then by price."
    )
    days = CalendarDayOut(many=True, help_text="Days of the market on which something can start.")
    match_count = serializers.IntegerField(help_text="Listings with a start, shown or not.")
    rejections = RejectionOut(many=True, help_text="Why listings have none, how many each.")


class OnSaleStepOut(Shape):
    start_at = Instant(source="start")
    end_at = Instant(source="end")
    free_units = serializers.IntegerField()


class ListingStepsOut(Shape):
    listing = PublicId("lst", source="listing_id")
    steps = OnSaleStepOut(many=True)


class OnSaleOut(Shape):
    pool = PublicId("pool", source="pool_id")
    unit_cards = serializers.IntegerField()
    steps = OnSaleStepOut(many=True, help_text="Of all its listings. No step: nothing on sale.")
    listings = ListingStepsOut(many=True, help_text="A deal takes all its units from one.")
