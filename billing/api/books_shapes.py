"""Shapes of the books: vouchers, months that close, the trial balance."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing import closing_checklist
from billing.api.reconciliation_shapes import TransactionId
from billing.api.serializers import WALLET
from billing.models import AccountingPeriod, LedgerEntry, LedgerTransaction, Voucher
from billing.vouchers import LARGEST_FILE, MOST_ENTRIES
from inventory.api import opaque
from inventory.api.fields import (
    INT64,
    Choice,
    Day,
    Instant,
    Integer,
    Items,
    Month,
    PublicId,
    QueryFlag,
    StrictSerializer,
    Text,
)
from marketplace.api.serializers import CURRENCIES

ENTRY = WALLET  # as the entries of a wallet are named
Shape = serializers.Serializer[Any]
FILE_LETTERS = (LARGEST_FILE + 2) // 3 * 4  # in base64


class VoucherEntryOut(Shape):
    account = serializers.CharField(source="account_code")
    amount_minor = serializers.IntegerField(help_text="Debit if positive.")


class VoucherOut(Shape):
    id = PublicId("vch", source="public_id")
    state = serializers.ChoiceField(Voucher.State.choices)
    effective_date = serializers.DateField(help_text="The day of the books.")
    entries = VoucherEntryOut(many=True)
    reason = serializers.CharField()
    evidence = serializers.CharField()
    external_reference = serializers.CharField()
    file_name = serializers.CharField(help_text="Empty where there is none.")
    proposed_by = PublicId("usr", source="proposed_by.public_id")
    decided_by = PublicId("usr", source="decided_by.public_id", allow_null=True, default=None)
    created_at = Instant()
    posted_at = Instant(allow_null=True)
    rejected_at = Instant(allow_null=True)


class VoucherQuery(StrictSerializer):
    state = Choice(Voucher.State.choices, required=False)


class VoucherEntryIn(StrictSerializer):
    account = Text(max_length=120, help_text="Such as expense:bank_fee:CNY.")
    amount_minor = Integer(min_value=-INT64, max_value=INT64, help_text="Debit if positive.")


class VoucherIn(StrictSerializer):
    effective_date = Day(help_text="Of an open month, today at the latest.")
    entries = Items(child=VoucherEntryIn(), min_length=2, max_length=MOST_ENTRIES)
    reason = Text(max_length=500)
    evidence = Text(max_length=200, help_text="What shows it: a document and its number.")
    external_reference = Text(
        max_length=120, required=False, help_text="By which reconciliation finds it."
    )
    file_name = Text(max_length=200, required=False)
    file_base64 = Text(
        max_length=FILE_LETTERS, required=False, help_text="PDF, a picture or an office document."
    )


class AccountingPeriodOut(Shape):
    """A month of the books. One that nobody has begun to close has no row, and is open."""

    id = PublicId("acp", source="public_id")
    month = serializers.SerializerMethodField()
    zone = serializers.CharField()
    start_at = Instant(source="starts_at")
    end_at = Instant(source="ends_at")
    state = serializers.ChoiceField(AccountingPeriod.State.choices)
    closing_by = PublicId("usr", source="closing_by.public_id", allow_null=True, default=None)
    closed_by = PublicId("usr", source="closed_by.public_id", allow_null=True, default=None)
    created_at = Instant()
    closing_at = Instant(allow_null=True)
    closed_at = Instant(allow_null=True)

    @extend_schema_field({"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}$"})
    def get_month(self, row: AccountingPeriod) -> str:
        return f"{row.month:%Y-%m}"


class AccountingPeriodQuery(StrictSerializer):
    state = Choice(AccountingPeriod.State.choices, required=False)


class AccountingPeriodIn(StrictSerializer):
    month = Month(help_text="A month that is over, in the billing zone.")


class MonthQuery(StrictSerializer):
    month = Month()


class ChecklistItemOut(Shape):
    name = serializers.ChoiceField([(name, name) for name in closing_checklist.names()])
    is_done = serializers.BooleanField()
    count = serializers.IntegerField(help_text="Of what is missing.")
    facts = serializers.DictField(help_text="What it was decided by; other for each.")


class SumsOut(Shape):
    opening_minor = serializers.IntegerField(help_text="Debit positive, as is the closing.")
    debit_minor = serializers.IntegerField()
    credit_minor = serializers.IntegerField()
    closing_minor = serializers.IntegerField()


class LevelOut(Shape):
    name = serializers.CharField(help_text="A kind of account, or a purpose of it.")
    is_kind = serializers.BooleanField()
    account_count = serializers.IntegerField()
    sums = SumsOut()


class AccountSumsOut(Shape):
    account = serializers.CharField(source="code")
    sums = SumsOut()


class TrialBalanceOut(Shape):
    currency = serializers.CharField()
    start_at = Instant(source="period.start")
    end_at = Instant(source="period.end")
    is_balanced = serializers.BooleanField()
    levels = LevelOut(many=True)
    accounts = AccountSumsOut(many=True, source="rows", help_text="Where asked for; else empty.")
    total = SumsOut()


class TrialBalanceQuery(StrictSerializer):
    month = Month()
    currency = Choice(CURRENCIES, required=False)
    accounts = QueryFlag(required=False, help_text="Each account, not the sums alone.")


class LedgerEntryQuery(StrictSerializer):
    account = Text(max_length=120, help_text="Such as asset:bank:CNY.")
    month = Month()


class LedgerEntryOut(Shape):
    """One leg of a transaction."""

    id = serializers.SerializerMethodField()
    transaction = TransactionId(source="transaction_id")
    kind = serializers.ChoiceField(LedgerTransaction.Kind.choices, source="transaction.kind")
    amount_minor = serializers.IntegerField(help_text="Debit if positive.")
    currency = serializers.CharField()
    reason = serializers.CharField(source="transaction.reason")
    external_reference = serializers.CharField(source="transaction.external_reference")
    effective_at = Instant(source="transaction.effective_at")
    created_at = Instant(source="transaction.created_at")

    def get_id(self, row: LedgerEntry) -> str:
        return opaque.conceal(ENTRY, row.pk)


class LegOut(Shape):
    account = serializers.CharField(source="account.code")
    amount_minor = serializers.IntegerField(help_text="Debit if positive.")
    currency = serializers.CharField()


class LedgerTransactionOut(Shape):
    id = TransactionId(source="pk")
    kind = serializers.ChoiceField(LedgerTransaction.Kind.choices)
    key = serializers.CharField(source="idempotency_key", help_text="The fact that it books.")
    external_reference = serializers.CharField()
    reason = serializers.CharField()
    actor = serializers.CharField()
    reverses = TransactionId(source="reverses_id", allow_null=True)
    effective_at = Instant()
    created_at = Instant()
    entries = LegOut(many=True)


@extend_schema_field({"type": "string", "pattern": r"^[0-9]{1,8}(\.[0-9]{1,10})?$"})
class RateText(serializers.Field[Any, Any, Any, Any]):
    """An exact rate of exchange, as text."""

    default_error_messages = {"invalid": _("A rate like 7.1234 was expected.")}
    _shape = re.compile(r"[0-9]{1,8}(\.[0-9]{1,10})?", re.ASCII)

    def to_internal_value(self, data: Any) -> Decimal:
        if not isinstance(data, str) or not self._shape.fullmatch(data):
            self.fail("invalid")
        return Decimal(data)

    def to_representation(self, value: Any) -> str:
        return str(value)


class VoucherExportQuery(StrictSerializer):
    month = Month()
    currency = Choice(CURRENCIES, required=False)
    layout = Text(max_length=40, help_text="Such as yonyou_u8 or kingdee_kis.")
    rate = RateText(required=False, help_text="Where the layout keeps another currency.")
