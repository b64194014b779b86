"""What an accountant posts by hand: proposed by one person, posted by another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.ledger import LedgerTransaction
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import User

if TYPE_CHECKING:
    from inventory.actors import Actor


class VoucherQuerySet(models.QuerySet["Voucher"]):
    def visible_to(self, actor: Actor) -> VoucherQuerySet:
        return self if actor.sees_everything else self.none()


@enforced
class Voucher(models.Model):
    """A correcting posting with a reason and evidence (凭证).

    It is no document of a deal: what invoices, refunds and settlements book has its own. Until
    a second person agrees nothing is in the books.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed", _("proposed")
        """In no book; another person posts or rejects it."""
        POSTED = "posted", _("posted")
        """In the ledger, for good; only another voucher takes it back."""
        REJECTED = "rejected", _("rejected")
        """Not posted; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PROPOSED: [State.POSTED, State.REJECTED],
            State.POSTED: [],
            State.REJECTED: [],
        }
    )

    public_id = PublicIdField(prefix="vch")
    effective_date = models.DateField()  # the day of the books, in the billing zone
    reason = models.CharField(max_length=500)
    evidence = models.CharField(max_length=200)  # what shows it: a document and its number
    # Of what it books, outside: reconciliation finds the posting by it.
    external_reference = models.CharField(max_length=120, blank=True)
    file_name = models.CharField(max_length=200, blank=True)
    content_type = models.CharField(max_length=40, blank=True)
    content = models.BinaryField(null=True, blank=True)
    content_sha256 = models.BinaryField(max_length=32, null=True, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.PROPOSED)
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    ledger_transaction = models.OneToOneField(
        LedgerTransaction, on_delete=models.PROTECT, null=True, related_name="voucher"
    )
    created_at = models.DateTimeField()
    posted_at = models.DateTimeField(null=True, blank=True)
    rejected_at = models.DateTimeField(null=True, blank=True)

    objects = VoucherQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("proposed_by")),
                name="voucher_needs_two_persons",
            ),
            models.CheckConstraint(
                condition=Q(state="proposed", decided_by__isnull=True)
                | (~Q(state="proposed") & Q(decided_by__isnull=False)),
                name="voucher_is_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(state="posted", ledger_transaction__isnull=False)
                | (~Q(state="posted") & Q(ledger_transaction__isnull=True)),
                name="voucher_posted_is_in_the_ledger",
            ),
            models.CheckConstraint(
                condition=~Q(reason="") & ~Q(evidence=""), name="voucher_says_why"
            ),
        ]
        indexes = [
            models.Index(fields=["-id"], condition=Q(state="proposed"), name="voucher_waiting"),
        ]
        triggers = [
            unchanging(
                "voucher_as_proposed",
                "public_id",
                "effective_date",
                "reason",
                "evidence",
                "external_reference",
                "file_name",
                "content_type",
                "content",
                "content_sha256",
                "proposed_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class VoucherEntry(models.Model):
    """One leg of a voucher: debit if positive. Append-only."""

    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="entries")
    number = models.PositiveSmallIntegerField()
    account_code = models.CharField(max_length=120)
    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["voucher", "number"], name="voucher_entry_once"),
            models.CheckConstraint(condition=~Q(amount_minor=0), name="voucher_entry_not_zero"),
        ]
        triggers = [append_only("voucher_entry_append_only")]

    def __str__(self) -> str:
        return f"{self.amount_minor} on {self.account_code}"
