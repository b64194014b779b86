"""Shapes of reconciliation: what does not agree, and what was matched with what."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import ReconciliationMatch
from billing.reconciliation_report import Disagreement
from inventory.api import opaque
from inventory.api.fields import Choice, Day, Instant, Items, PublicId, StrictSerializer, Text

Shape = serializers.Serializer[Any]
TRANSACTION = "ltr"


@extend_schema_field({"type": "string", "pattern": f"^{TRANSACTION}_[0-9a-f]{{32}}$"})
class TransactionId(serializers.CharField):
    """A transaction of the ledger, by a number that says nothing."""

    default_error_messages = {"invalid": _("Not an id of the right kind.")}

    def to_internal_value(self, data: Any) -> Any:
        number = opaque.reveal(TRANSACTION, data) if isinstance(data, str) else None
        if number is None:
            self.fail("invalid")
        return number

    def to_representation(self, value: Any) -> str:
        return opaque.conceal(TRANSACTION, int(value))


class OpenLineOut(Shape):
    """Of the bank's or of Stripe's."""

    name = serializers.CharField(help_text="Its id here, or Stripe's; a match names it.")
    amount_minor = serializers.IntegerField(source="net_minor")
    since = Instant()
    text = serializers.CharField()
    type = serializers.CharField(help_text="Stripe's; empty for the bank.")


class MovementOut(Shape):
    """What a transaction moved an account of money outside by."""

    transaction = TransactionId(source="transaction_id")
    account = serializers.CharField(source="code")
    amount_minor = serializers.IntegerField(source="net_minor", help_text="Debit positive.")
    kind = serializers.CharField()
    references = serializers.ListField(child=serializers.CharField())
    effective_at = Instant()
    created_at = Instant()


class ExceptionOut(Shape):
    kind = serializers.ChoiceField(Disagreement.choices)
    account = serializers.CharField(source="code")
    currency = serializers.CharField()
    books_minor = serializers.IntegerField()
    outside_minor = serializers.IntegerField()
    difference_minor = serializers.IntegerField(help_text="So much more in the books.")
    since = Instant()
    is_late = serializers.BooleanField(help_text="Older than it may be: an alarm.")
    line = OpenLineOut(allow_null=True)
    movement = MovementOut(allow_null=True)


class ReconciliationOut(Shape):
    """What is open now, the oldest first, as many as are shown."""

    exceptions = ExceptionOut(many=True)
    exception_count = serializers.IntegerField()
    late_count = serializers.IntegerField()
    in_flight = MovementOut(many=True, help_text="The bank or Stripe may be so late.")
    in_flight_count = serializers.IntegerField()


class EqualityQuery(StrictSerializer):
    date = Day(help_text="A day that is over, in the billing zone.")


class HeldAtOut(Shape):
    name = serializers.CharField()
    amount_minor = serializers.IntegerField(source="minor")
    lines_minor = serializers.IntegerField(help_text="What its lines come to.")
    is_said = serializers.BooleanField(help_text="It gave the amount itself.")


class CauseOut(Shape):
    kind = serializers.CharField()
    count = serializers.IntegerField()
    amount_minor = serializers.IntegerField(source="minor")


class EqualityOut(Shape):
    account = serializers.CharField(source="code")
    currency = serializers.CharField()
    books_minor = serializers.IntegerField()
    outside_minor = serializers.IntegerField()
    difference_minor = serializers.IntegerField()
    unexplained_minor = serializers.IntegerField(help_text="Zero, always.")
    held_at = HeldAtOut(many=True)
    causes = CauseOut(many=True, source="items")


class MatchOut(Shape):
    id = PublicId("rcm", source="public_id")
    account = serializers.CharField(source="account.code")
    transaction = TransactionId(source="transaction_id")
    bank_line = PublicId("bln", source="bank_line.public_id", allow_null=True, default=None)
    stripe_line = serializers.CharField(source="psp_line_id", allow_null=True)
    opening = PublicId("bst", source="opening.public_id", allow_null=True, default=None)
    offset = TransactionId(source="offset_id", allow_null=True)
    amount_minor = serializers.IntegerField(source="net_minor")
    currency = serializers.CharField()
    matched_by = serializers.ChoiceField(ReconciliationMatch.By.choices)
    reason = serializers.CharField()
    created_at = Instant()
    undone_at = Instant(source="reversal.created_at", allow_null=True, default=None)


class MatchQuery(StrictSerializer):
    matched_by = Choice(ReconciliationMatch.By.choices, required=False)
    bank_line = PublicId("bln", source="bank_line__public_id", required=False)


class MatchIn(StrictSerializer):
    transaction = TransactionId()
    line = Text(max_length=80, help_text="By its name: of the bank, of Stripe, or a statement.")
    reason = Text(max_length=200, help_text="How it is known that they are the same.")


class OffsetIn(StrictSerializer):
    transactions = Items(child=TransactionId(), min_length=2, max_length=2)
    account = Text(max_length=120)
    reason = Text(max_length=200)
