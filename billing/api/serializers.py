"""Shapes of money: checkout, wallet, charges, receipts and settlements."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.models import BankReceipt, Charge, LedgerTransaction, Settlement
from billing.receipts import LARGEST_RECEIPT_MINOR
from inventory.api import opaque
from inventory.api.fields import (
    Choice,
    Day,
    Instant,
    Integer,
    Items,
    Month,
    PublicId,
    QueryInteger,
    StrictSerializer,
    Text,
)
from marketplace.api.serializers import CURRENCIES, ReservationOut
from marketplace.api.serializers import LeaseOut as MarketLeaseOut
from marketplace.asking import FIVE_YEARS_HOURS
from marketplace.baskets import MOST_OFFERS
from marketplace.models import Basket, Reservation

Shape = serializers.Serializer[Any]
WALLET = "ltx"


class HoldIn(StrictSerializer):
    offer = Text(max_length=2000, help_text="An offer's token, as it came.")
    project = PublicId("prj", required=False)
    ssh_keys = Items(child=Text(max_length=1000), max_length=20, required=False)
    pay_by = Choice(
        Reservation.PayBy.choices,
        required=False,
        help_text="`bank`: kept for days, until a pay-by date, for a larger deposit.",
    )


class BasketIn(StrictSerializer):
    offers = Items(
        child=Text(max_length=2000), max_length=MOST_OFFERS, min_length=1, help_text="Their tokens."
    )
    project = PublicId("prj", required=False)
    ssh_keys = Items(child=Text(max_length=1000), max_length=20, required=False)


class BasketOut(Shape):
    """Several reservations that are held and confirmed together."""

    id = PublicId("bsk", source="public_id")
    state = serializers.ChoiceField(Basket.State.choices)
    tenant = PublicId("org", source="tenant.public_id")
    project = PublicId("prj", source="project.public_id", allow_null=True, default=None)
    expires_at = Instant()
    currency = serializers.CharField()
    gross_minor = serializers.IntegerField(help_text="Of all of it, tax included.")
    due_minor = serializers.IntegerField(help_text="Paid when confirmed.")
    hold_deposit_minor = serializers.IntegerField(help_text="Kept aside while held.")
    reservations = ReservationOut(many=True)
    created_at = Instant()
    confirmed_at = Instant(allow_null=True)
    expired_at = Instant(allow_null=True)
    cancelled_at = Instant(allow_null=True)


class BasketQuery(StrictSerializer):
    project = PublicId("prj", source="project__public_id", required=False)
    state = Choice(Basket.State.choices, required=False)


class TrialIn(StrictSerializer):
    listing = PublicId("lst")
    unit_count = Integer(
        min_value=1, max_value=1_000_000, required=False, help_text="As many as the terms allow."
    )
    hours = Integer(
        min_value=1, max_value=24 * 30, required=False, help_text="As long as the terms allow."
    )
    start_at = Instant(required=False, help_text="The next start on the listing's grid.")
    project = PublicId("prj", required=False)
    ssh_keys = Items(child=Text(max_length=1000), max_length=20, required=False)


class ConversionIn(StrictSerializer):
    hours = Integer(min_value=1, max_value=FIVE_YEARS_HOURS)
    from_at = Instant(required=False, help_text="A full hour (UTC); else the trial's end.")


class ConversionQuery(ConversionIn):
    hours = QueryInteger(min_value=1, max_value=FIVE_YEARS_HOURS)


class ConversionOut(Shape):
    """What a trial would become, on the same nodes."""

    start_at = Instant(source="period.start")
    end_at = Instant(source="period.end")
    currency = serializers.CharField(source="quote.currency")
    gross_minor = serializers.IntegerField(source="quote.gross_minor")
    vat_minor = serializers.IntegerField(source="quote.vat_minor")
    due_minor = serializers.IntegerField(
        source="quote.due_minor", help_text="Paid at once from the wallet."
    )
    discount_bps = serializers.IntegerField(source="quote.discount_bps")


class CancelQuoteOut(Shape):
    currency = serializers.CharField()
    share_bps = serializers.IntegerField(help_text="Refunded, of what was paid.")
    refund_minor = serializers.IntegerField()
    kept_minor = serializers.IntegerField(source="kept.gross_minor")
    pays_back = serializers.ChoiceField(
        [("operator", "operator"), ("provider", "provider")],
        help_text="To the wallet, or from the centre to the tenant itself.",
    )


class LeaseOut(MarketLeaseOut):
    """With what its tally says; both sides see it."""

    charged_minor = serializers.IntegerField(
        source="tally.gross_minor", help_text="Of the hours delivered so far, tax included."
    )
    deposit_left_minor = serializers.IntegerField(
        source="tally.deposit_left_minor", help_text="Paid and not yet charged or given back."
    )
    security_minor = serializers.IntegerField(
        source="tally.security_minor", help_text="Kept now; comes back when it is closed."
    )
    arrears_minor = serializers.IntegerField(
        source="tally.arrears_minor", help_text="Used, and not to be paid yet."
    )
    suspended_at = Instant(
        source="allocation.suspended_at", allow_null=True, help_text="Shut out: not paid when due."
    )
    charged_until = Instant(source="tally.rated_until", allow_null=True)


class UsageHourOut(Shape):
    hour = Instant()
    revision = serializers.IntegerField(help_text="0 is the first count, later ones are deltas.")
    card_seconds = serializers.IntegerField(help_text="Delivered.")
    gap_card_seconds = serializers.IntegerField(help_text="Owed and not delivered.")


class UtilisationTotalOut(Shape):
    seen_card_seconds = serializers.IntegerField(
        help_text="In slots of 30 seconds with a sample of utilisation or health."
    )
    healthy_card_seconds = serializers.IntegerField(help_text="Of the seen.")
    measured_card_seconds = serializers.IntegerField(
        help_text="In slots with a sample of utilisation."
    )
    busy_card_seconds = serializers.IntegerField(help_text="Of the measured.")
    busy_share = serializers.FloatField(
        allow_null=True, help_text="busy / measured; null where nothing was measured."
    )


class UtilisationHourOut(UtilisationTotalOut):
    hour = Instant()
    card_count = serializers.IntegerField(help_text="Cards that were seen.")
    memory_share = serializers.FloatField(allow_null=True)
    power_watts = serializers.FloatField(allow_null=True, help_text="Of one card, on average.")
    temperature_celsius = serializers.IntegerField(allow_null=True, help_text="The highest.")
    last_error = serializers.IntegerField(allow_null=True, help_text="The vendor's own code.")


class UtilisationOut(Shape):
    total = UtilisationTotalOut()
    hours = UtilisationHourOut(many=True)


class ChargeOut(Shape):
    id = PublicId("chg", source="public_id")
    lease = PublicId("lse", source="lease.public_id")
    kind = serializers.ChoiceField(Charge.Kind.choices)
    hour = Instant(help_text="The hour that was used, or the instant of the cancellation.")
    revision = serializers.IntegerField()
    card_seconds = serializers.IntegerField()
    currency = serializers.CharField()
    gross_minor = serializers.IntegerField()
    vat_minor = serializers.IntegerField()
    fee_minor = serializers.IntegerField()
    provider_minor = serializers.IntegerField()
    created_at = Instant()


class ChargeQuery(StrictSerializer):
    lease = PublicId("lse", source="lease__public_id", required=False)
    kind = Choice(Charge.Kind.choices, required=False)


class WalletQuery(StrictSerializer):
    currency = Choice(CURRENCIES, required=False)
    organisation = PublicId("org", required=False)


class WalletOut(Shape):
    currency = serializers.CharField()
    posted_minor = serializers.IntegerField()
    held_minor = serializers.IntegerField(help_text="Kept aside for holds.")
    deposit_minor = serializers.IntegerField(help_text="Paid ahead for leases; not in the wallet.")
    owed_minor = serializers.IntegerField(help_text="Used and not paid; no deal until it is.")
    credit_minor = serializers.IntegerField(help_text="How far below zero it may go.")
    available_minor = serializers.IntegerField()


class CreditLimitIn(StrictSerializer):
    organisation = PublicId("org")
    currency = Choice(CURRENCIES, required=False)
    limit_minor = Integer(min_value=0, max_value=LARGEST_RECEIPT_MINOR)
    reason = Text(max_length=200)


class WalletEntryOut(Shape):
    id = serializers.SerializerMethodField()
    kind = serializers.ChoiceField(LedgerTransaction.Kind.choices, source="transaction.kind")
    amount_minor = serializers.SerializerMethodField(help_text="Into the wallet if positive.")
    currency = serializers.CharField()
    reason = serializers.CharField(source="transaction.reason")
    external_reference = serializers.CharField(source="transaction.external_reference")
    effective_at = Instant(source="transaction.effective_at")
    created_at = Instant(source="transaction.created_at")

    def get_id(self, row: Any) -> str:
        return opaque.conceal(WALLET, row.id)

    def get_amount_minor(self, row: Any) -> int:
        return -int(row.amount_minor)  # a wallet is owed to its tenant: credits add to it


class ReceiptOut(Shape):
    id = PublicId("rcp", source="public_id")
    tenant = PublicId("org", source="tenant.public_id", allow_null=True, default=None)
    account = PublicId("bnk", source="account.public_id", allow_null=True, default=None)
    reservation = PublicId("rsv", source="reservation.public_id", allow_null=True, default=None)
    basket = PublicId("bsk", source="basket.public_id", allow_null=True, default=None)
    matched_by = serializers.ChoiceField(BankReceipt.Match.choices, allow_blank=True)
    doubt = serializers.ChoiceField(
        BankReceipt.Doubt.choices, allow_blank=True, help_text="Why nobody's wallet was proposed."
    )
    state = serializers.ChoiceField(BankReceipt.State.choices)
    bank_reference = serializers.CharField()
    payer_name = serializers.CharField()
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    received_date = Day()
    created_at = Instant()
    approved_at = Instant(allow_null=True)
    rejected_at = Instant(allow_null=True)


class ReceiptQuery(StrictSerializer):
    tenant = PublicId("org", source="tenant__public_id", required=False)
    state = Choice(BankReceipt.State.choices, required=False)
    bank_reference = Text(max_length=80, required=False)
    doubt = Choice(BankReceipt.Doubt.choices, required=False)


class ReceiptIn(StrictSerializer):
    tenant = PublicId("org", required=False, help_text="Where it is known.")
    account = PublicId("bnk", required=False, help_text="Of the operator; that it came in on.")
    text = Text(max_length=500, required=False, help_text="What the payer wrote.")
    late_reason = Text(max_length=200, required=False, help_text="Why one so old comes now.")
    bank_reference = Text(max_length=80)
    payer_name = Text(max_length=200)
    payer_account = Text(max_length=64, required=False)
    amount_minor = Integer(min_value=1, max_value=LARGEST_RECEIPT_MINOR)
    currency = Choice(CURRENCIES)
    received_date = Day()


class RejectIn(StrictSerializer):
    reason = Text(max_length=500)


class ReceivedIn(StrictSerializer):
    reference = Text(max_length=80, help_text="Of the payment, on the centre's own statement.")
    received_date = Day()


class ApproveIn(StrictSerializer):
    document_number = Text(max_length=80, help_text="Of the document that allows the deal.")


class SettlementOut(Shape):
    id = PublicId("stl", source="public_id")
    provider = PublicId("org", source="provider.public_id")
    state = serializers.ChoiceField(Settlement.State.choices)
    start_at = Instant(source="period.lower")
    end_at = Instant(source="period.upper")
    currency = serializers.CharField()
    line_count = serializers.IntegerField()
    card_seconds = serializers.IntegerField()
    gross_minor = serializers.IntegerField()
    vat_minor = serializers.IntegerField()
    fee_minor = serializers.IntegerField()
    net_minor = serializers.IntegerField(
        help_text="The provider's share. Negative: it is demanded back."
    )
    reserve_minor = serializers.IntegerField(help_text="Kept back until reserve_until.")
    reserve_until = Instant(allow_null=True)
    reserve_released_at = Instant(allow_null=True)
    paid_back_minor = serializers.IntegerField(help_text="Taken for what the provider owed.")
    payable_minor = serializers.IntegerField()
    due_date = serializers.DateField(allow_null=True, help_text="Of a demand.")
    created_at = Instant()
    paid_at = Instant(allow_null=True)


class SettlementQuery(StrictSerializer):
    provider = PublicId("org", source="provider__public_id", required=False)
    state = Choice(Settlement.State.choices, required=False)
    currency = Choice(CURRENCIES, required=False)


class SettleIn(StrictSerializer):
    provider = PublicId("org")
    month = Month(help_text="A month that is over, in the billing zone.")
    currency = Choice(CURRENCIES)
