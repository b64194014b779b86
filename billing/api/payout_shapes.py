"""Shapes of payouts and of what they need."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.input_fapiaos import LARGEST_FILE, LARGEST_MINOR
from billing.models import InputFapiao, Payout, PayoutLine, PayoutTerms, Repayment
from billing.payout_terms import (
    LARGEST_MINIMUM_MINOR,
    LARGEST_RESERVE_BPS,
    LATEST_DAYS,
    LONGEST_RESERVE_DAYS,
)
from inventory.api.fields import (
    Choice,
    Day,
    Flag,
    Instant,
    Integer,
    PublicId,
    StrictSerializer,
    Text,
)
from marketplace.api.serializers import CURRENCIES

Shape = serializers.Serializer[Any]
FILE_LETTERS = (LARGEST_FILE + 2) // 3 * 4  # in base64


class PayoutLineOut(Shape):
    settlement = PublicId("stl", source="settlement.public_id")
    part = serializers.ChoiceField(PayoutLine.Part.choices)
    amount_minor = serializers.IntegerField()


class PayoutOut(Shape):
    id = PublicId("pay", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    state = serializers.ChoiceField(Payout.State.choices)
    method = serializers.ChoiceField(PayoutTerms.Method.choices)
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField()
    terms = PublicId("ptm", source="terms.public_id")
    payee_name = serializers.CharField()
    payee_bank = serializers.CharField()
    payee_account = serializers.CharField()
    reference = serializers.CharField(source="rail_reference", help_text="The bank's or rail's.")
    failure = serializers.CharField(source="last_error")
    lines = PayoutLineOut(many=True)
    created_at = Instant()
    approved_at = Instant(allow_null=True)
    sent_at = Instant(allow_null=True)
    paid_at = Instant(allow_null=True)
    failed_at = Instant(allow_null=True)
    returned_at = Instant(allow_null=True)
    cancelled_at = Instant(allow_null=True)


class PayoutQuery(StrictSerializer):
    provider = PublicId("org", source="provider__public_id", required=False)
    state = Choice(Payout.State.choices, required=False)
    currency = Choice(CURRENCIES, required=False)
    method = Choice(PayoutTerms.Method.choices, required=False)


class PayoutIn(StrictSerializer):
    provider = PublicId("org")
    currency = Choice(CURRENCIES)


class WhyIn(StrictSerializer):
    reason = Text(max_length=300)


class PaidIn(StrictSerializer):
    reference = Text(max_length=120, help_text="Of the line of the bank's statement.")


class PayoutFileOut(Shape):
    id = PublicId("pof", source="public_id")
    currency = serializers.CharField()
    payout_count = serializers.IntegerField()
    amount_minor = serializers.IntegerField()
    file_name = serializers.CharField()
    sha256 = serializers.SerializerMethodField()
    created_at = Instant()

    def get_sha256(self, row: Any) -> str:
        return bytes(row.content_sha256).hex()


class PayoutFileIn(StrictSerializer):
    currency = Choice(CURRENCIES)
    layout = Text(max_length=40, help_text="The bank's layout, such as icbc; plain for none.")


class PayoutTermsOut(Shape):
    id = PublicId("ptm", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    currency = serializers.CharField()
    version = serializers.IntegerField()
    settle_after_days = serializers.IntegerField(help_text="T+n after a month's end.")
    minimum_minor = serializers.IntegerField()
    reserve_bps = serializers.IntegerField()
    reserve_days = serializers.IntegerField()
    needs_fapiao = serializers.BooleanField()
    method = serializers.ChoiceField(PayoutTerms.Method.choices)
    reason = serializers.CharField()
    created_at = Instant()


class PayoutTermsIn(StrictSerializer):
    provider = PublicId("org")
    currency = Choice(CURRENCIES)
    settle_after_days = Integer(min_value=0, max_value=LATEST_DAYS)
    minimum_minor = Integer(min_value=0, max_value=LARGEST_MINIMUM_MINOR)
    reserve_bps = Integer(min_value=0, max_value=LARGEST_RESERVE_BPS)
    reserve_days = Integer(min_value=0, max_value=LONGEST_RESERVE_DAYS)
    needs_fapiao = Flag()
    method = Choice(PayoutTerms.Method.choices)
    reason = Text(max_length=200)


class OfProviderQuery(StrictSerializer):
    provider = PublicId("org", source="provider__public_id", required=False)
    currency = Choice(CURRENCIES, required=False)


class InputFapiaoOut(Shape):
    id = PublicId("ifp", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    state = serializers.ChoiceField(InputFapiao.State.choices)
    number = serializers.CharField()
    issued_date = serializers.DateField()
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField()
    vat_minor = serializers.IntegerField()
    file_name = serializers.CharField()
    created_at = Instant()
    accepted_at = Instant(allow_null=True)
    rejected_at = Instant(allow_null=True)


class InputFapiaoIn(StrictSerializer):
    number = Text(max_length=20)
    issued_date = Day()
    currency = Choice(CURRENCIES)
    amount_minor = Integer(min_value=1, max_value=LARGEST_MINOR, help_text="With its tax.")
    vat_minor = Integer(min_value=0, max_value=LARGEST_MINOR)
    file_name = Text(max_length=200)
    file_base64 = Text(max_length=FILE_LETTERS, help_text="PDF, OFD, XML or a picture.")


class RepaymentOut(Shape):
    id = PublicId("rpm", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    state = serializers.ChoiceField(Repayment.State.choices)
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField()
    settlement = serializers.SerializerMethodField(help_text="It was taken out of this one.")
    bank_reference = serializers.CharField()
    created_at = Instant()
    approved_at = Instant(allow_null=True)
    rejected_at = Instant(allow_null=True)

    def get_settlement(self, row: Any) -> str | None:
        return row.settlement.public_id if row.settlement else None


class RepaymentIn(StrictSerializer):
    provider = PublicId("org")
    currency = Choice(CURRENCIES)
    amount_minor = Integer(min_value=1, max_value=LARGEST_MINOR)
    bank_reference = Text(max_length=80)
