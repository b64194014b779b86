"""Shapes of the market: listings, offers, reservations and leases."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inventory.api.fields import (
    Choice,
    Instant,
    PublicId,
    StrictSerializer,
)
from marketplace import ending
from marketplace.asking import FIVE_YEARS_HOURS
from marketplace.models import Lease, Listing, Reservation

Shape = serializers.Serializer[Any]

LARGEST_PRICE_MICRO = 10**15  # a billion a unit
CURRENCIES = [(code, code) for code in ("CNY", "USD", "EUR", "HKD")]


@extend_schema_field({"type": "array", "items": {"type": "integer"}})
class Tier(serializers.Field[Any, Any, Any, Any]):
    """[hours before an instant, share in basis points]."""

    default_error_messages = {"invalid": "[hours, basis points] was expected."}

    def to_internal_value(self, data: Any) -> tuple[int, int]:
        if not isinstance(data, list) or [type(item) for item in data] != [int, int]:
            self.fail("invalid")
        hours, share = data
        if not (0 <= hours <= FIVE_YEARS_HOURS and 0 <= share <= 10_000):
            self.fail("invalid")
        return hours, share

    def to_representation(self, value: Any) -> list[int]:
        return list(value)


class ReservationOut(Shape):
    id = PublicId("rsv", source="public_id")
    state = serializers.ChoiceField(Reservation.State.choices)
    provider = PublicId("org", source="provider.public_id")
    tenant = PublicId("org", source="tenant.public_id")
    project = PublicId("prj", source="project.public_id", allow_null=True, default=None)
    listing = PublicId("lst", source="listing.public_id")
    basket = PublicId("bsk", source="basket.public_id", allow_null=True, default=None)
    kind = serializers.ChoiceField(Reservation.Kind.choices, help_text="Trials count apart.")
    selling = serializers.ChoiceField(
        Listing.Selling.choices,
        help_text="By agency the operator is paid and invoices for the provider; by resale it"
        " sells itself; direct: the provider sells, invoices and is paid.",
    )
    unit_count = serializers.IntegerField()
    start_at = Instant(source="period.lower")
    end_at = Instant(source="period.upper")
    expires_at = Instant()
    pay_by = serializers.ChoiceField(
        Reservation.PayBy.choices, help_text="Held for minutes, or until a pay-by date."
    )
    currency = serializers.CharField()
    gross_minor = serializers.IntegerField(help_text="The whole price, tax included.")
    vat_minor = serializers.IntegerField()
    due_minor = serializers.IntegerField(help_text="Paid when confirmed.")
    hold_deposit_minor = serializers.IntegerField(help_text="Kept aside while held.")
    discount_bps = serializers.IntegerField(help_text="Taken off the listed price.")
    decide_by = Instant(
        allow_null=True, help_text="Until when the provider decides; null where it need not."
    )
    decision = serializers.ChoiceField(
        [("", ""), *Reservation.Decision.choices], help_text="Empty until the provider decided."
    )
    decided_at = Instant(allow_null=True)
    approvals_needed = serializers.IntegerField(help_text="Of different members of the provider.")
    lease = serializers.SerializerMethodField()
    created_at = Instant()
    confirmed_at = Instant(allow_null=True)
    expired_at = Instant(allow_null=True)
    cancelled_at = Instant(allow_null=True)

    @extend_schema_field({"type": ["string", "null"]})
    def get_lease(self, row: Reservation) -> str | None:
        # A held one has none, and looking would cost a statement.
        lease = None if row.state == Reservation.State.HELD else getattr(row, "lease", None)
        return lease.public_id if lease else None


class ReservationQuery(StrictSerializer):
    listing = PublicId("lst", source="listing__public_id", required=False)
    project = PublicId("prj", source="project__public_id", required=False)
    state = Choice(Reservation.State.choices, required=False)
    decision = Choice(
        [("pending", "pending"), *Reservation.Decision.choices],
        source="decision_state",
        required=False,
    )


class ApprovalOut(Shape):
    id = PublicId("apv", source="public_id")
    member = PublicId("usr", source="member.public_id", allow_null=True, default=None)
    actor = serializers.CharField()
    document_number = serializers.CharField()
    created_at = Instant()


class LeaseOut(Shape):
    id = PublicId("lse", source="public_id")
    state = serializers.ChoiceField(Lease.State.choices)
    kind = serializers.ChoiceField(Reservation.Kind.choices, help_text="Trials count apart.")
    selling = serializers.ChoiceField(Listing.Selling.choices)
    parent = PublicId(  # type: ignore[assignment]  # a field here
        "lse",
        source="parent.public_id",
        allow_null=True,
        default=None,
        help_text="The lease this one adds units to, or the trial it was.",
    )
    provider = PublicId("org", source="provider.public_id")
    tenant = PublicId("org", source="tenant.public_id")
    project = PublicId("prj", source="project.public_id", allow_null=True, default=None)
    reservation = PublicId("rsv", source="reservation.public_id")
    listing = PublicId("lst", source="listing.public_id")
    unit_count = serializers.IntegerField()
    card_count = serializers.IntegerField()
    start_at = Instant(source="period.lower")
    end_at = Instant(source="period.upper")
    currency = serializers.CharField()
    gross_minor = serializers.IntegerField()
    due_minor = serializers.IntegerField(help_text="Paid ahead, refunds of changes taken off.")
    amendment = PublicId("amd", source="amendment.public_id", allow_null=True, default=None)
    warns_at = serializers.SerializerMethodField(help_text="Both sides are warned of the end.")
    torn_down_at = serializers.SerializerMethodField(help_text="Access is shut.")
    wiped_by = serializers.SerializerMethodField(help_text="Its nodes are clean by then.")
    discount_bps = serializers.IntegerField(help_text="Taken off the listed price.")
    terms = PublicId("trm", source="terms.public_id", help_text="The version it was made by.")
    end_reason = serializers.ChoiceField(
        [("", ""), *Lease.EndReason.choices], help_text="Why it is over; empty until then."
    )
    end_evidence = serializers.CharField(
        help_text="Public id of what proves it: amendment, instalment, charge, allocation …"
    )
    failure_code = serializers.CharField(
        source="allocation.failure_code", help_text="Why delivery failed, for programs."
    )
    created_at = Instant()
    active_at = Instant(allow_null=True)
    ending_at = Instant(allow_null=True)
    ended_at = Instant(allow_null=True)
    failed_at = Instant(allow_null=True)
    cancelled_at = Instant(allow_null=True)

    @extend_schema_field(Instant)
    def get_warns_at(self, row: Lease) -> str:
        return Instant().to_representation(ending.of(row).warns_at)

    @extend_schema_field(Instant)
    def get_torn_down_at(self, row: Lease) -> str:
        return Instant().to_representation(ending.of(row).torn_down_at)

    @extend_schema_field(Instant)
    def get_wiped_by(self, row: Lease) -> str:
        return Instant().to_representation(ending.of(row).wiped_by)


class LeaseQuery(StrictSerializer):
    listing = PublicId("lst", source="listing__public_id", required=False)
    project = PublicId("prj", source="project__public_id", required=False)
    tenant = PublicId("org", source="tenant__public_id", required=False)
    provider = PublicId("org", source="provider__public_id", required=False)
    state = Choice(Lease.State.choices, required=False)
    kind = Choice(Reservation.Kind.choices, required=False)


class CredentialOut(Shape):
    id = PublicId("crd", source="public_id")
    kind = serializers.CharField()
    fingerprint = serializers.CharField()
    created_at = Instant()
    revealed_at = Instant(allow_null=True)


class MachineOut(Shape):
    hostname = serializers.CharField()
    address = serializers.CharField()
    port = serializers.IntegerField()
    user = serializers.CharField()
    secret = serializers.CharField(help_text="A private key or a password; empty with own keys.")
    host_fingerprints = serializers.ListField(child=serializers.CharField())


class AccessOut(Shape):
    kind = serializers.CharField()
    fingerprint = serializers.CharField()
    machines = MachineOut(many=True)


class RenewalOut(Shape):
    machine_count = serializers.IntegerField(help_text="That are to get another way in.")
