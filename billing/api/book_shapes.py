"""Shapes of what the operator's accountants look at: reconciliation, vouchers, months."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from billing import voucher_export, vouchers
from billing.models import AccountingPeriod, LedgerTransaction, ReconciliationMatch, Voucher
from billing.reconciliation_report import Disagreement
from inventory.api import opaque
from inventory.api.fields import (
    Choice,
    Day,
    Instant,
    Integer,
    Items,
    Month,
    PublicId,
    StrictSerializer,
    Text,
)
from marketplace.api.serializers import CURRENCIES

Shape = serializers.Serializer[Any]
TRANSACTION, ENTRY = "ltx", "lte"
LARGEST = 10**17
FILE_LETTERS = (vouchers.LARGEST_FILE + 2) // 3 * 4  # in base64


def transaction_id(number: int | None) -> str | None:
    """What a ledger transaction is called outside."""
    return None if number is None else opaque.conceal(TRANSACTION, number)


class TransactionId(Text):
    """`ltx_` and 32 hexadecimal digits."""

    default_error_messages = {"invalid": _("Not an id of the right kind.")}

    def to_internal_value(self, data: Any) -> str:
        text = str(super().to_internal_value(data))
        if number_of(text) is None:
            self.fail("invalid")
        return text


def number_of(name: str) -> int | None:
    """The transaction behind its name, or None where it is none of ours."""
    return opaque.reveal(TRANSACTION, name)


class HeldAtOut(Shape):
    name = serializers.CharField(help_text="An account's number at the bank, or Stripe.")
    amount_minor = serializers.IntegerField(source="minor")
    lines_minor = serializers.IntegerField(help_text="What was there first, and every line since.")
    is_said = serializers.BooleanField(help_text="By the bank or Stripe; else it is of the lines.")


class CauseOut(Shape):
    kind = serializers.CharField()
    count = serializers.IntegerField()
    amount_minor = serializers.IntegerField(source="minor", help_text="More in the books.")


class EqualityOut(Shape):
    account = serializers.CharField(source="code")
    currency = serializers.CharField()
    books_minor = serializers.IntegerField()
    outside_minor = serializers.IntegerField()
    difference_minor = serializers.IntegerField()
    unexplained_minor = serializers.IntegerField(help_text="Always zero.")
    is_equal = serializers.BooleanField()
    held_at = HeldAtOut(many=True)
    causes = CauseOut(many=True, source="items")


class ReconciliationOut(Shape):
    day = serializers.DateField(help_text="The figures are of its end, in the billing zone.")
    accounts = EqualityOut(many=True)


class ReconciliationQuery(StrictSerializer):
    day = Day(required=False, help_text="Today where it is left out.")


class ExceptionOut(Shape):
    kind = serializers.ChoiceField(Disagreement.choices)
    account = serializers.CharField(source="code")
    currency = serializers.CharField()
    books_minor = serializers.IntegerField()
    outside_minor = serializers.IntegerField()
    difference_minor = serializers.IntegerField()
    since = Instant()
    alarm_days = serializers.IntegerField(source="limit.days")
    is_late = serializers.BooleanField()
    line = serializers.SerializerMethodField(help_text="Of the bank, of Stripe, or a statement.")
    transaction = serializers.SerializerMethodField()
    text = serializers.SerializerMethodField()

    def get_line(self, row: Any) -> str | None:
        return row.line.name if row.line is not None else None

    def get_transaction(self, row: Any) -> str | None:
        return transaction_id(row.movement and row.movement.transaction_id)

    def get_text(self, row: Any) -> str:
        return str(row.line.text if row.line is not None else row.movement.key)


class ExceptionsOut(Shape):
    data = ExceptionOut(many=True)  # type: ignore[assignment]
    count = serializers.IntegerField()
    in_flight_count = serializers.IntegerField(help_text="Booked within a day, not there yet.")


class ExceptionQuery(StrictSerializer):
    kind = Choice(Disagreement.choices, required=False)
    account = Text(max_length=40, required=False)


class MatchOut(Shape):
    id = PublicId("rcm", source="public_id")
    account = serializers.CharField(source="account.code")
    transaction = serializers.SerializerMethodField()
    line = serializers.SerializerMethodField(help_text="Null for two movements that cancel.")
    offset = serializers.SerializerMethodField(help_text="The movement that it cancels.")
    net_minor = serializers.IntegerField()
    currency = serializers.CharField()
    matched_by = serializers.ChoiceField(ReconciliationMatch.By.choices)
    reason = serializers.CharField()
    created_at = Instant()
    undone_at = Instant(source="reversal.created_at", allow_null=True, default=None)
    undone_reason = serializers.CharField(source="reversal.reason", allow_null=True, default=None)

    def get_transaction(self, row: Any) -> str | None:
        return transaction_id(row.transaction_id)

    def get_offset(self, row: Any) -> str | None:
        return transaction_id(row.offset_id)

    def get_line(self, row: Any) -> str | None:
        side = row.bank_line or row.opening
        name: str | None = side.public_id if side is not None else row.psp_line_id
        return name


class MatchQuery(StrictSerializer):
    account = Text(max_length=40, source="account__code", required=False)
    matched_by = Choice(ReconciliationMatch.By.choices, required=False)


class MatchIn(StrictSerializer):
    """A line and a transaction that are one, or two transactions that cancel each other."""

    transaction = TransactionId(max_length=40)
    line = Text(max_length=80, required=False, help_text="`bln_…`, `bst_…` or Stripe's `txn_…`.")
    offset = TransactionId(max_length=40, required=False, help_text="Instead of a line.")
    account = Text(max_length=40, required=False, help_text="Of two that cancel each other.")
    reason = Text(max_length=200)


class WhyUndoneIn(StrictSerializer):
    reason = Text(max_length=200)


class VoucherEntryOut(Shape):
    account = serializers.CharField(source="account_code")
    amount_minor = serializers.IntegerField(help_text="Debit if positive.")


class VoucherOut(Shape):
    id = PublicId("vch", source="public_id")
    state = serializers.ChoiceField(Voucher.State.choices)
    effective_date = serializers.DateField()
    reason = serializers.CharField()
    evidence = serializers.CharField()
    file_name = serializers.CharField(help_text="Empty where no file was handed in.")
    external_reference = serializers.CharField()
    entries = VoucherEntryOut(many=True)
    transaction = serializers.SerializerMethodField()
    created_at = Instant()
    posted_at = Instant(allow_null=True)
    rejected_at = Instant(allow_null=True)

    def get_transaction(self, row: Any) -> str | None:
        return transaction_id(row.ledger_transaction_id)


class VoucherQuery(StrictSerializer):
    state = Choice(Voucher.State.choices, required=False)


class VoucherEntryIn(StrictSerializer):
    account = Text(max_length=120, help_text="As in `asset:bank:CNY`.")
    amount_minor = Integer(min_value=-LARGEST, max_value=LARGEST, help_text="Debit if positive.")


class VoucherIn(StrictSerializer):
    effective_date = Day(help_text="Of an open month, today at the latest.")
    reason = Text(max_length=500)
    evidence = Text(max_length=200, help_text="The document that shows it.")
    external_reference = Text(
        max_length=120, required=False, help_text="Of what it books: a line's id, for example."
    )
    entries = Items(child=VoucherEntryIn(), min_length=2, max_length=vouchers.MOST_ENTRIES)
    file_name = Text(max_length=200, required=False)
    file_base64 = Text(max_length=FILE_LETTERS, required=False)


class WhyRejectedIn(StrictSerializer):
    reason = Text(max_length=500)


class SumsOut(Shape):
    opening_minor = serializers.IntegerField(help_text="Debit positive.")
    debit_minor = serializers.IntegerField()
    credit_minor = serializers.IntegerField()
    closing_minor = serializers.IntegerField(help_text="Debit positive.")


class LevelOut(Shape):
    name = serializers.CharField(help_text="`asset`, or `asset:bank`.")
    account_count = serializers.IntegerField()
    sums = SumsOut()


class BalanceRowOut(Shape):
    account = serializers.CharField(source="code")
    sums = SumsOut()


class TrialBalanceOut(Shape):
    month = serializers.CharField()
    currency = serializers.CharField()
    is_balanced = serializers.BooleanField()
    total = SumsOut()
    levels = LevelOut(many=True)
    accounts = BalanceRowOut(many=True)


class TrialBalanceQuery(StrictSerializer):
    month = Month()
    currency = Choice(CURRENCIES)


class EntriesQuery(StrictSerializer):
    account = Text(max_length=120)
    month = Month()


class LedgerEntryOut(Shape):
    id = serializers.SerializerMethodField()
    transaction = serializers.SerializerMethodField()
    kind = serializers.ChoiceField(LedgerTransaction.Kind.choices, source="transaction.kind")
    account = serializers.CharField(source="account.code")
    amount_minor = serializers.IntegerField(help_text="Debit if positive.")
    currency = serializers.CharField()
    reason = serializers.CharField(source="transaction.reason")
    external_reference = serializers.CharField(source="transaction.external_reference")
    effective_at = Instant(source="transaction.effective_at")

    def get_id(self, row: Any) -> str:
        return opaque.conceal(ENTRY, row.pk)

    def get_transaction(self, row: Any) -> str | None:
        return transaction_id(row.transaction_id)


class LegOut(Shape):
    account = serializers.CharField(source="account.code")
    amount_minor = serializers.IntegerField(help_text="Debit if positive.")
    currency = serializers.CharField()


class LedgerTransactionOut(Shape):
    id = serializers.SerializerMethodField()
    key = serializers.CharField(source="idempotency_key", help_text="The fact it books.")
    kind = serializers.ChoiceField(LedgerTransaction.Kind.choices)
    external_reference = serializers.CharField()
    reason = serializers.CharField()
    actor = serializers.CharField()
    reverses = serializers.SerializerMethodField()
    effective_at = Instant()
    created_at = Instant()
    entries = serializers.SerializerMethodField()

    def get_id(self, row: Any) -> str | None:
        return transaction_id(row.pk)

    def get_reverses(self, row: Any) -> str | None:
        return transaction_id(row.reverses_id)

    def get_entries(self, row: Any) -> list[dict[str, Any]]:
        found = sorted(row.entries.all(), key=lambda entry: int(entry.pk))
        return list(LegOut(found, many=True).data)


class ExportQuery(StrictSerializer):
    month = Month()
    currency = Choice(CURRENCIES)
    layout = Text(max_length=40, help_text="Of `GET /voucher-exports/layouts`.")
    rate = Text(max_length=30, required=False, help_text="Where the month is in another currency.")


class LayoutOut(Shape):
    name = serializers.CharField()
    title = serializers.SerializerMethodField()

    def get_title(self, row: Any) -> str:
        return voucher_export.title_of(row["name"])


class LayoutsOut(Shape):
    data = LayoutOut(many=True)  # type: ignore[assignment]


class ChecklistItemOut(Shape):
    name = serializers.CharField()
    is_done = serializers.BooleanField()
    count = serializers.IntegerField(help_text="Of what is missing.")
    facts = serializers.JSONField()


class ChecklistOut(Shape):
    month = serializers.CharField()
    is_ready = serializers.BooleanField()
    items = ChecklistItemOut(many=True)


class ChecklistQuery(StrictSerializer):
    month = Month()


class PeriodOut(Shape):
    id = PublicId("acp", source="public_id")
    month = serializers.DateField(format="%Y-%m")
    zone = serializers.CharField()
    start_at = Instant(source="starts_at")
    end_at = Instant(source="ends_at")
    state = serializers.ChoiceField(AccountingPeriod.State.choices)
    closing_at = Instant(allow_null=True)
    closed_at = Instant(allow_null=True)


class PeriodQuery(StrictSerializer):
    state = Choice(AccountingPeriod.State.choices, required=False)


class PeriodIn(StrictSerializer):
    month = Month(help_text="That is over, and of which everything on its checklist is done.")


class WhyPutOffIn(StrictSerializer):
    reason = Text(max_length=200)
