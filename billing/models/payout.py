"""Money that leaves to a provider."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.bank import BankAccount
from billing.models.ledger import LedgerTransaction
from billing.models.payee import OwnedByProvider, PayoutTerms
from billing.models.settlement import Settlement
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import Organisation, User


class PayoutFile(models.Model):
    """Payment orders as they were handed to the bank, byte for byte. Append-only."""

    public_id = PublicIdField(prefix="pof")
    currency = models.CharField(max_length=3)
    payout_count = models.IntegerField()
    amount_minor = models.BigIntegerField()
    file_name = models.CharField(max_length=120)
    content_type = models.CharField(max_length=80)
    content = models.BinaryField()
    content_sha256 = models.BinaryField(max_length=32)
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        triggers = [append_only("payout_file_append_only")]

    def __str__(self) -> str:
        return self.public_id


@enforced
class Payout(models.Model):
    """Money moved to a provider (打款): the payable parts of settlements, each once.

    From approval on it is a hold in the provider's settling account: captured when the
    money has left, released where it has not. The payee is as it was when it was planned.
    """

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        """One person planned it; another approves. No money is held yet."""
        APPROVED = "approved", _("approved")
        """Held; waits for the bank's file or the rail."""
        SENDING = "sending", _("being sent")
        """Written down and perhaps sent: only the rail knows. Asked again, never sent anew
        under another key."""
        SENT = "sent", _("sent")
        """The bank or the rail has it."""
        PAID = "paid", _("paid")
        """It has left; it may still bounce."""
        FAILED = "failed", _("failed")
        """It has not left; its settlements wait for another payout."""
        RETURNED = "returned", _("returned")
        """It left and came back; its settlements wait for another payout."""
        CANCELLED = "cancelled", _("cancelled")
        """Given up before it was sent."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PLANNED: [State.APPROVED, State.CANCELLED],
            State.APPROVED: [State.SENDING, State.SENT, State.CANCELLED],
            State.SENDING: [State.SENT, State.PAID, State.FAILED],
            State.SENT: [State.PAID, State.FAILED],
            State.PAID: [State.RETURNED],
            State.FAILED: [],
            State.RETURNED: [],
            State.CANCELLED: [],
        }
    )
    # No other payout of the provider's, and its account stays open, before these are over.
    UNDER_WAY: ClassVar = (State.PLANNED, State.APPROVED, State.SENDING, State.SENT)

    public_id = PublicIdField(prefix="pay")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    method = models.CharField(max_length=10, choices=PayoutTerms.Method)
    terms = models.ForeignKey(PayoutTerms, on_delete=models.PROTECT, related_name="+")
    payee = models.ForeignKey(
        BankAccount, on_delete=models.PROTECT, null=True, blank=True, related_name="payouts"
    )
    payee_name = models.CharField(max_length=200)
    payee_bank = models.CharField(max_length=200, blank=True)
    payee_bank_code = models.CharField(max_length=14, blank=True)
    payee_account = models.CharField(max_length=120)  # the number, or the connected account
    state = models.CharField(max_length=10, choices=State, default=State.PLANNED)
    planned_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    file = models.ForeignKey(
        PayoutFile, on_delete=models.PROTECT, null=True, blank=True, related_name="payouts"
    )
    rail_reference = models.CharField(max_length=120, blank=True)
    attempt_count = models.PositiveIntegerField(default=0)
    next_step_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    ledger_transaction = models.OneToOneField(
        LedgerTransaction, on_delete=models.PROTECT, null=True, blank=True, related_name="payout"
    )
    created_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True, blank=True)
    sending_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    returned_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedByProvider["Payout"].as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, amount_minor__lte=10**17),
                name="payout_amount_sane",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("planned_by")),
                name="payout_needs_two_persons",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["planned", "cancelled"]) | Q(approved_by__isnull=False),
                name="payout_leaves_approved_only",
            ),
            models.CheckConstraint(
                condition=Q(method="stripe") | Q(payee__isnull=False),
                name="payout_has_a_payee",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["paid", "returned"], ledger_transaction__isnull=False)
                | Q(ledger_transaction__isnull=True) & ~Q(state__in=["paid", "returned"]),
                name="payout_booked_once_paid",
            ),
            models.UniqueConstraint(
                fields=["provider", "currency"],
                condition=Q(state__in=["planned", "approved", "sending", "sent"]),
                name="one_payout_under_way",
            ),
            models.UniqueConstraint(
                fields=["method", "rail_reference"],
                condition=~Q(rail_reference=""),
                name="payout_rail_reference_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_step_at"],
                condition=Q(state__in=["approved", "sending", "sent"]),
                name="payout_next_step",
            ),
            models.Index(fields=["provider", "id"], name="payout_by_provider"),
        ]
        triggers = [
            unchanging(
                "payout_as_planned",
                "public_id",
                "provider",
                "currency",
                "amount_minor",
                "method",
                "terms",
                "payee",
                "payee_name",
                "payee_bank",
                "payee_bank_code",
                "payee_account",
                "planned_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def hold_key(self) -> str:
        return f"payout:{self.public_id}"


class PayoutLine(models.Model):
    """A part of a settlement in a payout: once in all payouts that have not come to nothing."""

    class Part(models.TextChoices):
        NET = "net", _("net")
        """What was payable at once."""
        RESERVE = "reserve", _("reserve")
        """What was kept back and is free."""

    payout = models.ForeignKey(Payout, on_delete=models.PROTECT, related_name="lines")
    settlement = models.ForeignKey(
        Settlement, on_delete=models.PROTECT, related_name="payout_lines"
    )
    part = models.CharField(max_length=10, choices=Part)
    amount_minor = models.BigIntegerField()
    is_live = models.BooleanField(default=True)  # false once its payout came to nothing

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["settlement", "part"],
                condition=Q(is_live=True),
                name="each_part_in_one_live_payout",
            ),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payout_line_positive"),
        ]
        triggers = [
            unchanging("payout_line_as_planned", "payout", "settlement", "part", "amount_minor")
        ]

    def __str__(self) -> str:
        return f"{self.part} of {self.settlement_id} in {self.payout_id}"
