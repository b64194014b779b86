"""Money that leaves again by bank: unused money of a wallet, and transfers sent back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.bank import BankAccount, BankLine
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import Organisation, User

if TYPE_CHECKING:
    from inventory.actors import Actor


class PaymentFileQuerySet(models.QuerySet["PaymentFile"]):
    def visible_to(self, actor: Actor) -> PaymentFileQuerySet:
        return self if actor.sees_everything else self.none()


class PaymentFile(models.Model):
    """A file of outgoing payments as it was given to the bank (付款文件). Append-only."""

    public_id = PublicIdField(prefix="pfl")
    account = models.ForeignKey(BankAccount, on_delete=models.PROTECT, related_name="+")
    layout = models.CharField(max_length=40)
    encoding = models.CharField(max_length=20)
    file_name = models.CharField(max_length=80)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    line_count = models.IntegerField()
    total_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    objects = PaymentFileQuerySet.as_manager()

    class Meta:
        triggers = [append_only("payment_file_append_only")]

    def __str__(self) -> str:
        return self.public_id


class RefundQuerySet(models.QuerySet["Refund"]):
    def visible_to(self, actor: Actor) -> RefundQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(tenant_id=actor.organisation_id or 0, receipt__isnull=True)


@enforced
class Refund(models.Model):
    """Money that goes back by bank (退款): a tenant's unused money to its own verified account,
    or a transfer that is nobody's to its sender.

    Two persons of the operator let it go: one checks, another approves. Until it has left it is
    only kept aside.
    """

    class State(models.TextChoices):
        ASKED = "asked", _("asked for")
        """Kept aside in the wallet; a person of the operator checks it."""
        CHECKED = "checked", _("checked")
        """One person has checked; another approves."""
        APPROVED = "approved", _("approved")
        """May leave: in the next file for the bank, or by hand."""
        SENT = "sent", _("sent to the bank")
        """In a file or entered at the bank; its statement will tell."""
        DONE = "done", _("paid")
        """It has left; the bank may still bring it back."""
        FAILED = "failed", _("failed")
        """It never left; the money is free again."""
        CAME_BACK = "came_back", _("came back")
        """It had left, and the payee's bank returned it."""
        REFUSED = "refused", _("refused")
        """The operator declined; the money is free again."""
        WITHDRAWN = "withdrawn", _("withdrawn")
        """The tenant thought better of it; the money is free again."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.ASKED: [State.CHECKED, State.REFUSED, State.WITHDRAWN],
            State.CHECKED: [State.APPROVED, State.REFUSED, State.WITHDRAWN],
            State.APPROVED: [State.SENT, State.REFUSED],
            State.SENT: [State.DONE, State.FAILED],
            State.DONE: [State.CAME_BACK],
            State.FAILED: [],
            State.CAME_BACK: [],
            State.REFUSED: [],
            State.WITHDRAWN: [],
        }
    )
    OPEN: ClassVar = (State.ASKED, State.CHECKED, State.APPROVED, State.SENT)

    public_id = PublicIdField(prefix="rfd")
    reference = models.CharField(max_length=20, unique=True)  # comes back on the statement
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, null=True, related_name="+")
    receipt = models.ForeignKey(  # that goes back to its sender; else it is of the wallet
        "billing.BankReceipt", on_delete=models.PROTECT, null=True, related_name="refunds"
    )
    account = models.ForeignKey(
        BankAccount, on_delete=models.PROTECT, null=True, related_name="refunds"
    )
    payee_name = models.CharField(max_length=200)
    payee_account = models.CharField(max_length=64)
    payee_bank = models.CharField(max_length=200, blank=True)
    payee_bank_code = models.CharField(max_length=14, blank=True)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, default=State.ASKED)
    file = models.ForeignKey(
        PaymentFile, on_delete=models.PROTECT, null=True, related_name="refunds"
    )
    line = models.OneToOneField(  # by which it left
        BankLine, on_delete=models.PROTECT, null=True, related_name="refund"
    )
    bank_reference = models.CharField(max_length=80, blank=True)  # where it was entered by hand
    asked_by = models.CharField(max_length=80)
    checked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    approved_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    came_back_at = models.DateTimeField(null=True, blank=True)
    refused_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = RefundQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, amount_minor__lte=10**15),
                name="refund_amount_sane",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True)
                | (Q(checked_by__isnull=False) & ~Q(approved_by=F("checked_by"))),
                name="refund_needs_two_persons",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "sent", "done", "failed", "came_back"])
                | Q(approved_by__isnull=False),
                name="refund_leaves_approved",
            ),
            models.CheckConstraint(
                condition=Q(receipt__isnull=False) | Q(tenant__isnull=False, account__isnull=False),
                name="refund_goes_to_a_known_account",
            ),
            models.UniqueConstraint(
                fields=["receipt"],
                condition=Q(state__in=["asked", "checked", "approved", "sent", "done"]),
                name="receipt_sent_back_once",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-id"], name="refund_by_tenant")]
        triggers = [
            unchanging(
                "refund_as_asked",
                "public_id",
                "reference",
                "tenant",
                "receipt",
                "account",
                "payee_name",
                "payee_account",
                "payee_bank",
                "payee_bank_code",
                "amount_minor",
                "currency",
                "reason",
                "asked_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id
