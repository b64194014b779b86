"""Shapes of paying and being paid online."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.gateway import currencies
from billing.models import (
    Dispute,
    GatewayEvent,
    PayoutAccount,
    PspRequest,
    TopUp,
    WalletRefund,
)
from inventory.api.fields import Choice, Instant, Integer, PublicId, StrictSerializer, Text
from inventory.errors import Invalid
from marketplace.api.serializers import CURRENCIES

Shape = serializers.Serializer[Any]


class TopUpIn(StrictSerializer):
    amount_minor = Integer(min_value=1, max_value=currencies.LARGEST)
    currency = Choice(CURRENCIES, help_text="One in which anything is paid online.")


class TopUpOut(Shape):
    id = PublicId("top", source="public_id")
    tenant = PublicId("org", source="tenant.public_id")
    state = serializers.ChoiceField(TopUp.State.choices)
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    client_secret = serializers.SerializerMethodField(
        help_text="For Stripe's Payment Element in the payer's browser, while it is to be paid."
    )
    method = serializers.CharField(allow_blank=True)
    decline_code = serializers.CharField(allow_blank=True)
    created_at = Instant()
    succeeded_at = Instant(allow_null=True)
    cancelled_at = Instant(allow_null=True)
    failed_at = Instant(allow_null=True)

    def get_client_secret(self, row: TopUp) -> str:
        return row.client_secret if row.state == TopUp.State.OPEN else ""


class TopUpQuery(StrictSerializer):
    tenant = PublicId("org", source="tenant__public_id", required=False)
    state = Choice(TopUp.State.choices, required=False)


class TopUpRefundIn(StrictSerializer):
    topup = PublicId("top")
    amount_minor = Integer(min_value=1, max_value=currencies.LARGEST)


class TopUpRefundOut(Shape):
    id = PublicId("tur", source="public_id")
    tenant = PublicId("org", source="tenant.public_id")
    topup = PublicId("top", source="top_up.public_id")
    state = serializers.ChoiceField(WalletRefund.State.choices)
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    failure_reason = serializers.CharField(allow_blank=True)
    created_at = Instant()
    succeeded_at = Instant(allow_null=True)
    failed_at = Instant(allow_null=True)


class RefundQuery(StrictSerializer):
    topup = PublicId("top", source="top_up__public_id", required=False)
    state = Choice(WalletRefund.State.choices, required=False)


class DisputeOut(Shape):
    id = PublicId("dsp", source="public_id")
    tenant = PublicId("org", source="tenant.public_id")
    topup = PublicId("top", source="top_up.public_id")
    state = serializers.ChoiceField(Dispute.State.choices)
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    held_minor = serializers.IntegerField(help_text="Kept aside in the wallet meanwhile.")
    reason = serializers.CharField()
    created_at = Instant()
    won_at = Instant(allow_null=True)
    lost_at = Instant(allow_null=True)


class DisputeQuery(StrictSerializer):
    topup = PublicId("top", source="top_up__public_id", required=False)
    state = Choice(Dispute.State.choices, required=False)


class PayoutAccountIn(StrictSerializer):
    country = Text(max_length=2, help_text="ISO 3166, such as HK.")


class PayoutAccountOut(Shape):
    id = PublicId("pac", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    country = serializers.CharField()
    state = serializers.ChoiceField(PayoutAccount.State.choices)
    wanted = serializers.ListField(
        child=serializers.CharField(), help_text="What Stripe still has to know, in its words."
    )
    disabled_reason = serializers.CharField(allow_blank=True)
    payout_failure = serializers.CharField(allow_blank=True)
    created_at = Instant()
    enabled_at = Instant(allow_null=True)
    closed_at = Instant(allow_null=True)


class PayoutAccountQuery(StrictSerializer):
    state = Choice(PayoutAccount.State.choices, required=False)


class OnboardingIn(StrictSerializer):
    refresh_url = Text(max_length=500, help_text="Where to go when the link is stale.")
    return_url = Text(max_length=500, help_text="Where to go when it is done.")

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        for name in ("refresh_url", "return_url"):
            if not data[name].startswith(("https://", "http://localhost", "http://127.0.0.1")):
                raise Invalid("An address to come back to begins with https://")
        return data


class OnboardingOut(Shape):
    url = serializers.CharField()


class GatewayEventOut(Shape):
    """A signed message of Stripe's; what is true is fetched, not read from it."""

    id = PublicId("gev", source="public_id")
    event = serializers.CharField(source="event_id", help_text="Stripe's id of it.")
    endpoint = serializers.ChoiceField(GatewayEvent.Endpoint.choices)
    type = serializers.CharField()
    object = serializers.CharField(source="object_id", help_text="Stripe's id of what it is about.")
    state = serializers.ChoiceField(GatewayEvent.State.choices)
    attempt_count = serializers.IntegerField()
    error = serializers.CharField(source="error_text")
    sent_at = Instant()
    received_at = Instant()
    next_attempt_at = Instant()
    decided_at = Instant(allow_null=True)


class GatewayEventQuery(StrictSerializer):
    state = Choice(GatewayEvent.State.choices, required=False)
    endpoint = Choice(GatewayEvent.Endpoint.choices, required=False)


class GatewayRequestOut(Shape):
    """Something that was asked of Stripe, written down before it was sent."""

    id = PublicId("psp", source="public_id")
    operation = serializers.CharField()
    subject = serializers.CharField(help_text="The id of what it is for.")
    organisation = PublicId("org", source="organisation.public_id")
    state = serializers.ChoiceField(PspRequest.State.choices)
    object = serializers.CharField(source="object_id", help_text="Stripe's id of what it made.")
    attempt_count = serializers.IntegerField()
    error_code = serializers.CharField()
    error = serializers.CharField(source="error_text")
    created_at = Instant()
    first_sent_at = Instant(allow_null=True)
    succeeded_at = Instant(allow_null=True)
    failed_at = Instant(allow_null=True)


class GatewayRequestQuery(StrictSerializer):
    state = Choice(PspRequest.State.choices, required=False)
    organisation = PublicId("org", source="organisation__public_id", required=False)
    subject = Text(max_length=40, required=False)
