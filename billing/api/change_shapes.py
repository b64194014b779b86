"""Shapes of quotes and amendments."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import Quote
from inventory.api.fields import Choice, Flag, Instant, Integer, PublicId, StrictSerializer, Text
from marketplace.models import Amendment, PriceVersion
from marketplace.models.amendment import AskedPrice
from marketplace.money_text import LARGEST_PRICE_MICRO

Shape = serializers.Serializer[Any]


class ChangeOut(Shape):
    """The figures of a change, in minor units."""

    end_at = Instant(source="period.upper", help_text="Of the lease, after the change.")
    currency = serializers.CharField(source="lease.currency")
    gross_minor = serializers.IntegerField(help_text="The whole price of the lease after it.")
    due_minor = serializers.IntegerField(help_text="Paid ahead in all after it.")
    pay_minor = serializers.IntegerField(help_text="From the wallet, now.")
    refund_minor = serializers.IntegerField(help_text="To the wallet, now.")
    share_bps = serializers.IntegerField(
        help_text="Refunded, of what was paid for the time that is taken away."
    )
    kept_minor = serializers.IntegerField(
        source="kept_gross_minor", help_text="Kept of it, fee and VAT included."
    )
    compensation_minor = serializers.IntegerField(help_text="From the provider to the tenant.")


class QuoteIn(StrictSerializer):
    kind = Choice(Quote.Kind.choices)
    end_at = Instant(required=False, help_text="The new end; not for a cancellation.")
    reason = Text(max_length=200, required=False)


class QuoteOut(ChangeOut):
    id = PublicId("cqt", source="public_id")
    lease = PublicId("lse", source="lease.public_id")
    kind = serializers.ChoiceField(Quote.Kind.choices)
    reason = serializers.CharField()
    created_at = Instant()
    expires_at = Instant()
    accepted_at = Instant(allow_null=True)
    amendment = PublicId("amd", source="amendment.public_id", allow_null=True, default=None)


class QuoteQuery(StrictSerializer):
    lease = PublicId("lse", source="lease__public_id", required=False)
    kind = Choice(Quote.Kind.choices, required=False)


class NewPriceIn(StrictSerializer):
    basis = Choice(PriceVersion.Basis.choices)
    amount_micro = Integer(
        min_value=1,
        max_value=LARGEST_PRICE_MICRO,
        help_text="Millionths of the major unit of the lease's currency, per basis.",
    )
    tax_inclusive = Flag(required=False, help_text="Else as the price that it follows.")


class AmendmentIn(StrictSerializer):
    """Another end, more units, or another price: one of the three."""

    end_at = Instant(required=False)
    refund_bps = Integer(
        min_value=0,
        max_value=10_000,
        required=False,
        help_text="With an earlier end: refunded of what was paid for the rest; else all of it.",
    )
    added_units = Integer(min_value=1, max_value=1_000_000, required=False)
    added_from_at = Instant(required=False)
    price = NewPriceIn(required=False)
    from_at = Instant(
        required=False,
        help_text="With a price: the full UTC hour of the lease from which on it is charged.",
    )
    reason = Text(max_length=200, required=False)
    answer_hours = Integer(min_value=1, max_value=24 * 90, required=False)


class AgreedPriceOut(Shape):
    currency = serializers.CharField()
    basis = serializers.ChoiceField(PriceVersion.Basis.choices)
    amount_micro = serializers.IntegerField(help_text="Millionths of the major unit per basis.")
    tax_inclusive = serializers.BooleanField()
    discount_bps = serializers.IntegerField(help_text="Taken off that amount.")


class BeforeOut(Shape):
    start_at = Instant()
    end_at = Instant()
    gross_minor = serializers.IntegerField()
    due_minor = serializers.IntegerField()
    price = AgreedPriceOut(allow_null=True, help_text="Where another is asked: of those hours.")


class AmendmentOut(ChangeOut):
    id = PublicId("amd", source="public_id")
    lease = PublicId("lse", source="lease.public_id")
    kind = serializers.ChoiceField(Amendment.Kind.choices)
    state = serializers.ChoiceField(Amendment.State.choices)
    proposed_by = serializers.ChoiceField(Amendment.Side.choices)
    reason = serializers.CharField()
    before = serializers.SerializerMethodField(help_text="The lease as it was proposed upon.")
    added_units = serializers.IntegerField(allow_null=True)
    added_from_at = Instant(allow_null=True)
    added_gross_minor = serializers.IntegerField(allow_null=True)
    added_due_minor = serializers.IntegerField(allow_null=True)
    price = serializers.SerializerMethodField(help_text="Null unless the price changes.")
    from_at = Instant(
        source="price_from_at", allow_null=True, help_text="From this hour on, at that price."
    )
    child = PublicId("lse", source="child.public_id", allow_null=True, default=None)
    provider_signed_at = Instant(allow_null=True)
    tenant_signed_at = Instant(allow_null=True)
    created_at = Instant()
    expires_at = Instant()
    signed_at = Instant(allow_null=True)
    declined_at = Instant(allow_null=True)
    withdrawn_at = Instant(allow_null=True)
    expired_at = Instant(allow_null=True)

    @extend_schema_field(BeforeOut)
    def get_before(self, row: Amendment) -> Any:
        return BeforeOut(
            {
                "start_at": row.before_period.lower,
                "end_at": row.before_period.upper,
                "gross_minor": row.before_gross_minor,
                "due_minor": row.before_due_minor,
                "price": (
                    _price(row.replaces.price, row.replaces.discount_bps) if row.replaces else None
                ),
            }
        ).data

    @extend_schema_field(AgreedPriceOut(allow_null=True))
    def get_price(self, row: Amendment) -> Any:
        price = row.asked_price
        return AgreedPriceOut(_price(price)).data if price else None


class AmendmentQuery(StrictSerializer):
    lease = PublicId("lse", source="lease__public_id", required=False)
    kind = Choice(Amendment.Kind.choices, required=False)
    state = Choice(Amendment.State.choices, required=False)


def _price(asked: PriceVersion | AskedPrice, discount_bps: int = 0) -> dict[str, Any]:
    return {
        "currency": asked.currency,
        "basis": asked.basis,
        "amount_micro": asked.amount_micro,
        "tax_inclusive": asked.tax_inclusive,
        "discount_bps": discount_bps,
    }
