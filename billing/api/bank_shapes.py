"""Shapes of the bank rail: accounts, instructions, statements, refunds."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.models import BankAccount, BankDeal, Refund
from billing.receipts import LARGEST_RECEIPT_MINOR
from inventory.api.fields import (
    Choice,
    Flag,
    Instant,
    Integer,
    Items,
    PublicId,
    QueryFlag,
    StrictSerializer,
    Text,
)
from marketplace.api.serializers import CURRENCIES

Shape = serializers.Serializer[Any]


class BankAccountOut(Shape):
    id = PublicId("bnk", source="public_id")
    organisation = PublicId("org", source="owner.public_id")
    state = serializers.ChoiceField(BankAccount.State.choices)
    currency = serializers.CharField()
    holder_name = serializers.CharField()
    bank_name = serializers.CharField()
    bank_code = serializers.CharField()
    number = serializers.CharField()
    statement_layout = serializers.CharField()
    file_layout = serializers.CharField()
    virtual_prefix = serializers.CharField()
    virtual_digits = serializers.IntegerField()
    usable_from = Instant(allow_null=True, help_text="It is paid to from then on.")
    created_at = Instant()
    checked_at = Instant(allow_null=True)
    verified_at = Instant(allow_null=True)
    rejected_at = Instant(allow_null=True)
    closed_at = Instant(allow_null=True)


class BankAccountQuery(StrictSerializer):
    organisation = PublicId("org", source="owner__public_id", required=False)
    state = Choice(BankAccount.State.choices, required=False)
    currency = Choice(CURRENCIES, required=False)


class BankAccountIn(StrictSerializer):
    currency = Choice(CURRENCIES)
    holder_name = Text(max_length=200, help_text="The organisation's own name.")
    bank_name = Text(max_length=200)
    bank_code = Text(max_length=14, required=False)
    number = Text(max_length=60)
    statement_layout = Text(max_length=40, required=False, help_text="Of the operator's.")
    file_layout = Text(max_length=40, required=False, help_text="Of the operator's.")
    virtual_prefix = Text(max_length=30, required=False, help_text="Of the operator's.")
    virtual_digits = Integer(min_value=2, max_value=10, required=False)


class DecideAccountIn(StrictSerializer):
    verified = Flag()
    reason = Text(max_length=200, required=False)


class DestinationOut(Shape):
    holder_name = serializers.CharField(source="account.holder_name")
    bank_name = serializers.CharField(source="account.bank_name")
    bank_code = serializers.CharField(source="account.bank_code")
    number = serializers.CharField(source="account.number")
    virtual_number = serializers.CharField(
        help_text="The tenant's own number of this account; empty where there is none."
    )


class BankDealOut(Shape):
    """A deal that approved transfers name, and what became of it."""

    state = serializers.ChoiceField(BankDeal.State.choices)
    waits_for = serializers.CharField(help_text="The code of what the deal lacks.")
    again_reservation = PublicId(
        "rsv", source="again_reservation.public_id", allow_null=True, default=None
    )
    again_basket = PublicId("bsk", source="again_basket.public_id", allow_null=True, default=None)


class InstructionsOut(Shape):
    """A transfer to make, and what to write beside it."""

    reference = serializers.CharField(help_text="Has to stand in the transfer's purpose.")
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField(
        allow_null=True, help_text="Still to be transferred; null where any amount will do."
    )
    due_minor = serializers.IntegerField()
    kept_aside_minor = serializers.IntegerField(help_text="Counts towards what is due.")
    received_minor = serializers.IntegerField(help_text="Approved for this deal so far.")
    pay_by = Instant(allow_null=True)
    destinations = DestinationOut(many=True)
    deal = BankDealOut(allow_null=True)


class LineErrorOut(Shape):
    line = serializers.IntegerField()
    column = serializers.CharField()
    code = serializers.CharField()
    value = serializers.CharField()


class StatementOut(Shape):
    id = PublicId("bst", source="public_id")
    account = PublicId("bnk", source="account.public_id")
    file_name = serializers.CharField()
    sha256 = serializers.CharField()
    line_count = serializers.IntegerField()
    new_count = serializers.IntegerField(help_text="Not imported before.")
    in_minor = serializers.IntegerField(help_text="Of the new lines.")
    out_minor = serializers.IntegerField(help_text="Of the new lines.")
    opening_minor = serializers.IntegerField(allow_null=True)
    closing_minor = serializers.IntegerField(allow_null=True)
    first_date = serializers.DateField()
    last_date = serializers.DateField()
    created_at = Instant()


class StatementQuery(StrictSerializer):
    account = PublicId("bnk", source="account__public_id", required=False)


class ImportQuery(StrictSerializer):
    account = PublicId("bnk")
    apply = QueryFlag(required=False)
    file_name = Text(max_length=200, required=False)
    reason = Text(max_length=200, required=False, help_text="Why old lines come only now.")


class StatementImportOut(Shape):
    """What a statement says, and what its import did or would do."""

    applied = serializers.BooleanField()
    statement = StatementOut(allow_null=True)
    line_count = serializers.IntegerField()
    new_count = serializers.IntegerField()
    in_minor = serializers.IntegerField(help_text="Of all lines.")
    out_minor = serializers.IntegerField(help_text="Of all lines.")
    opening_minor = serializers.IntegerField(allow_null=True)
    closing_minor = serializers.IntegerField(allow_null=True)
    error_count = serializers.IntegerField()
    errors = LineErrorOut(many=True)  # type: ignore[assignment]


class LineOut(Shape):
    id = PublicId("bln", source="public_id")
    statement = PublicId("bst", source="statement.public_id")
    account = PublicId("bnk", source="account.public_id")
    booked_date = serializers.DateField()
    amount_minor = serializers.IntegerField(help_text="Money in if positive.")
    currency = serializers.CharField()
    balance_minor = serializers.IntegerField(allow_null=True)
    bank_reference = serializers.CharField()
    counterparty_name = serializers.CharField()
    counterparty_account = serializers.CharField()
    virtual_number = serializers.CharField()
    text = serializers.CharField()
    own_reference = serializers.CharField()
    receipt = serializers.SerializerMethodField(help_text="Made of it, where money came in.")
    refund = serializers.SerializerMethodField(help_text="That it paid.")

    def get_receipt(self, row: Any) -> str | None:
        found = getattr(row, "receipt", None)
        return found.public_id if found else None

    def get_refund(self, row: Any) -> str | None:
        found = getattr(row, "refund", None)
        return found.public_id if found else None


class LineQuery(StrictSerializer):
    statement = PublicId("bst", source="statement__public_id", required=False)
    account = PublicId("bnk", source="account__public_id", required=False)
    own_reference = Text(max_length=20, required=False)


class AttributeIn(StrictSerializer):
    tenant = PublicId("org")
    reservation = PublicId("rsv", required=False)
    basket = PublicId("bsk", required=False)
    reason = Text(max_length=200, help_text="How it is known whose money this is.")


class SendBackIn(StrictSerializer):
    payee_bank = Text(max_length=200)
    payee_account = Text(
        max_length=60, required=False, help_text="Where the statement does not say it in full."
    )
    reason = Text(max_length=200)


class RefundOut(Shape):
    id = PublicId("rfd", source="public_id")
    reference = serializers.CharField()
    tenant = PublicId("org", source="tenant.public_id", allow_null=True, default=None)
    receipt = PublicId("rcp", source="receipt.public_id", allow_null=True, default=None)
    state = serializers.ChoiceField(Refund.State.choices)
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    payee_name = serializers.CharField()
    payee_account = serializers.CharField()
    payee_bank = serializers.CharField()
    reason = serializers.CharField()
    file = PublicId("pfl", source="file.public_id", allow_null=True, default=None)
    created_at = Instant()
    approved_at = Instant(allow_null=True)
    sent_at = Instant(allow_null=True)
    done_at = Instant(allow_null=True)
    failed_at = Instant(allow_null=True)
    came_back_at = Instant(allow_null=True)
    refused_at = Instant(allow_null=True)
    withdrawn_at = Instant(allow_null=True)


class RefundQuery(StrictSerializer):
    tenant = PublicId("org", source="tenant__public_id", required=False)
    state = Choice(Refund.State.choices, required=False)


class RefundIn(StrictSerializer):
    account = PublicId("bnk", help_text="A verified account of the tenant's own.")
    amount_minor = Integer(min_value=1, max_value=LARGEST_RECEIPT_MINOR)
    currency = Choice(CURRENCIES)
    reason = Text(max_length=200)


class SendIn(StrictSerializer):
    bank_reference = Text(max_length=80, help_text="Of the order that was entered at the bank.")


class PaymentFileIn(StrictSerializer):
    account = PublicId("bnk", help_text="Of the operator; it is debited.")
    refunds = Items(child=PublicId("rfd"), max_length=5000, min_length=1)


class PaymentFileOut(Shape):
    id = PublicId("pfl", source="public_id")
    account = PublicId("bnk", source="account.public_id")
    layout = serializers.CharField()
    encoding = serializers.CharField()
    file_name = serializers.CharField()
    sha256 = serializers.CharField()
    line_count = serializers.IntegerField()
    total_minor = serializers.IntegerField()
    currency = serializers.CharField()
    created_at = Instant()
