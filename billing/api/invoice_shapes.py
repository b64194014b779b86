"""Shapes of documents: invoices, credit notes, statements, contests, fapiaos."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from rest_framework import serializers

from billing.models import Contest, Fapiao, FapiaoFile, Invoice, Statement
from billing.receipts import LARGEST_RECEIPT_MINOR
from inventory.api.fields import (
    Choice,
    Day,
    Instant,
    Integer,
    Items,
    PublicId,
    StrictSerializer,
    Text,
)
from marketplace.api.serializers import CURRENCIES

Shape = serializers.Serializer[Any]
LANGUAGES = [("zh", "zh"), ("en", "en")]
FILE_LETTERS = 7_000_000  # five MiB in base64


class PartyOut(Shape):
    """As it stood when the document became final; empty in a draft."""

    name = serializers.CharField(default="")
    name_en = serializers.CharField(default="")
    tax_number = serializers.CharField(default="")
    address = serializers.CharField(default="")
    phone = serializers.CharField(default="")
    bank_name = serializers.CharField(default="")
    bank_account = serializers.CharField(default="")
    account_name = serializers.CharField(default="")


class InvoiceOut(Shape):
    id = PublicId("inv", source="public_id")
    kind = serializers.ChoiceField(Invoice.Kind.choices)
    subject = serializers.ChoiceField(Invoice.Subject.choices)
    state = serializers.ChoiceField(Invoice.State.choices)
    issuer = PublicId("org", source="issuer.public_id")
    party = PublicId("org", source="party.public_id")
    currency = serializers.CharField()
    start_at = Instant(source="period.lower")
    end_at = Instant(source="period.upper")
    number = serializers.CharField(source="label", help_text="Empty in a draft.")
    card_seconds = serializers.IntegerField()
    net_minor = serializers.IntegerField()
    vat_minor = serializers.IntegerField()
    total_minor = serializers.IntegerField(help_text="Negative on a credit note.")
    unpaid_minor = serializers.IntegerField(
        help_text="Of it, what was not paid ahead when it was charged."
    )
    payment_status = serializers.ChoiceField(
        Invoice.PaymentStatus.choices, allow_blank=True, help_text="Empty in a draft."
    )
    due_at = Instant(allow_null=True)
    paid_at = Instant(allow_null=True)
    reason = serializers.CharField()
    seller = PartyOut()
    buyer = PartyOut()
    created_at = Instant()
    finalised_at = Instant(allow_null=True)


class InvoiceQuery(StrictSerializer):
    party = PublicId("org", source="party__public_id", required=False)
    state = Choice(Invoice.State.choices, required=False)
    payment_status = Choice(Invoice.PaymentStatus.choices, required=False)
    currency = Choice(CURRENCIES, required=False)


class InvoiceLineOut(Shape):
    id = PublicId("ivl", source="public_id")
    lease = PublicId("lse", source="lease.public_id")
    price = PublicId("prv", source="price.public_id")
    kind = serializers.CharField(help_text="Of its charges.")
    month = serializers.DateField(help_text="When it was used; its first day.")
    corrects = PublicId("ivl", source="corrects.public_id", allow_null=True, default=None)
    from_at = Instant()
    until_at = Instant()
    card_seconds = serializers.IntegerField()
    vat_code = serializers.CharField()
    vat_bps = serializers.IntegerField()
    net_minor = serializers.IntegerField()
    vat_minor = serializers.IntegerField()
    gross_minor = serializers.IntegerField()


class PaperQuery(StrictSerializer):
    language = Choice(LANGUAGES, required=False)


class PaperOut(Shape):
    media_type = serializers.CharField()
    sha256 = serializers.CharField()
    content = serializers.CharField(help_text="Base64 (RFC 4648 §4).")
    created_at = Instant()


def file_of(content: bytes, *, media_type: str, sha256: str, created_at: datetime) -> Any:
    """A file as it travels in a document."""
    return PaperOut(
        {
            "media_type": media_type,
            "sha256": sha256,
            "content": base64.b64encode(content).decode(),
            "created_at": created_at,
        }
    ).data


class CreditIn(StrictSerializer):
    line = PublicId("ivl")
    gross_minor = Integer(
        min_value=1, max_value=LARGEST_RECEIPT_MINOR, help_text="To give back, VAT included."
    )
    reason = Text(max_length=200)


class AccountStatementOut(Shape):
    id = PublicId("stm", source="public_id")
    invoice = PublicId("inv", source="invoice.public_id")
    tenant = PublicId("org", source="tenant.public_id")
    state = serializers.ChoiceField(Statement.State.choices)
    currency = serializers.CharField(source="invoice.currency")
    total_minor = serializers.IntegerField(source="invoice.total_minor")
    created_at = Instant()
    due_at = Instant(help_text="From then on it is deemed accepted.")
    accepted_at = Instant(allow_null=True)
    deemed_at = Instant(allow_null=True)


class StatementQuery(StrictSerializer):
    tenant = PublicId("org", source="tenant__public_id", required=False)
    state = Choice(Statement.State.choices, required=False)


class ContestOut(Shape):
    id = PublicId("cst", source="public_id")
    line = PublicId("ivl", source="line.public_id")
    invoice = PublicId("inv", source="line.invoice.public_id")
    lease = PublicId("lse", source="line.lease.public_id")
    tenant = PublicId("org", source="tenant.public_id")
    provider = PublicId("org", source="provider.public_id")
    state = serializers.ChoiceField(Contest.State.choices)
    reason = serializers.CharField()
    provider_note = serializers.CharField()
    operator_note = serializers.CharField()
    credit_note = PublicId("inv", source="credit_note.public_id", allow_null=True, default=None)
    created_at = Instant()
    upheld_at = Instant(allow_null=True)
    dismissed_at = Instant(allow_null=True)


class ContestQuery(StrictSerializer):
    state = Choice(Contest.State.choices, required=False)
    tenant = PublicId("org", source="tenant__public_id", required=False)


class ContestIn(StrictSerializer):
    line = PublicId("ivl")
    reason = Text(max_length=500)


class NoteIn(StrictSerializer):
    note = Text(max_length=500)


class UpholdIn(NoteIn):
    gross_minor = Integer(min_value=1, max_value=LARGEST_RECEIPT_MINOR)


class BuyerIn(StrictSerializer):
    """What stands on documents about their receiver."""

    title = Text(max_length=200)
    tax_number = Text(max_length=20, required=False)
    address = Text(max_length=300, required=False)
    phone = Text(max_length=40, required=False)
    bank_name = Text(max_length=200, required=False)
    bank_account = Text(max_length=64, required=False)


class DetailsOut(Shape):
    organisation = PublicId("org", source="organisation.public_id")
    title = serializers.CharField()
    tax_number = serializers.CharField()
    address = serializers.CharField()
    phone = serializers.CharField()
    bank_name = serializers.CharField()
    bank_account = serializers.CharField()
    updated_at = Instant()


class FapiaoPartIn(StrictSerializer):
    invoice = PublicId("inv")
    amount_minor = Integer(
        min_value=1,
        max_value=LARGEST_RECEIPT_MINOR,
        required=False,
        help_text="All that is left of it where none is said.",
    )


class FapiaoIn(StrictSerializer):
    kind = Choice(Fapiao.Kind.choices)
    buyer = BuyerIn()
    parts = Items(child=FapiaoPartIn(), min_length=1, max_length=100)
    replaces = PublicId("fpo", required=False)


class FapiaoPartOut(Shape):
    invoice = PublicId("inv", source="invoice.public_id")
    amount_minor = serializers.IntegerField()


class FapiaoOut(Shape):
    id = PublicId("fpo", source="public_id")
    buyer = PublicId("org", source="buyer.public_id")
    kind = serializers.ChoiceField(Fapiao.Kind.choices)
    state = serializers.ChoiceField(Fapiao.State.choices)
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField()
    parts = FapiaoPartOut(many=True)
    title = serializers.CharField()
    tax_number = serializers.CharField()
    address = serializers.CharField()
    phone = serializers.CharField()
    bank_name = serializers.CharField()
    bank_account = serializers.CharField()
    number = serializers.CharField()
    issued_date = serializers.DateField(allow_null=True)
    red_number = serializers.CharField()
    red_date = serializers.DateField(allow_null=True)
    reason = serializers.CharField()
    replaces = PublicId("fpo", source="replaces.public_id", allow_null=True, default=None)
    created_at = Instant()
    issued_at = Instant(allow_null=True)
    withdrawn_at = Instant(allow_null=True)
    reversed_at = Instant(allow_null=True)


class FapiaoQuery(StrictSerializer):
    buyer = PublicId("org", source="buyer__public_id", required=False)
    state = Choice(Fapiao.State.choices, required=False)


class FileQuery(StrictSerializer):
    role = Choice(FapiaoFile.Role.choices, required=False)


class IssueIn(StrictSerializer):
    number = Text(max_length=40)
    issued_date = Day()
    content = Text(
        max_length=FILE_LETTERS,
        required=False,
        help_text="PDF, OFD or XML in base64 (RFC 4648 §4).",
    )


class ReverseIn(StrictSerializer):
    number = Text(max_length=40)
    red_date = Day()
    reason = Text(max_length=200)
    content = Text(max_length=FILE_LETTERS, required=False)
