"""Money that came in by bank."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation, User

if TYPE_CHECKING:
    from inventory.actors import Actor


class BankReceiptQuerySet(models.QuerySet["BankReceipt"]):
    def visible_to(self, actor: Actor) -> BankReceiptQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(tenant_id=actor.organisation_id)


@enforced
class BankReceipt(models.Model):
    """A bank transfer seen on the operator's statement (对公收款).

    One person records it, another approves it; only then is it in the wallet.
    """

    class State(models.TextChoices):
        RECORDED = "recorded", _("recorded")
        """Booked as unmatched; a second person approves or rejects."""
        APPROVED = "approved", _("approved")
        """In the tenant's wallet."""
        REJECTED = "rejected", _("rejected")
        """Reversed; not the tenant's."""

    LIFECYCLE: ClassVar = Lifecycle(
        {State.RECORDED: [State.APPROVED, State.REJECTED], State.APPROVED: [], State.REJECTED: []}
    )

    public_id = PublicIdField(prefix="rcp")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    bank_reference = models.CharField(max_length=80)  # of the statement's line, in capitals
    payer_name = models.CharField(max_length=200)
    payer_account = models.CharField(max_length=64, blank=True)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    received_date = models.DateField()
    state = models.CharField(max_length=10, choices=State, default=State.RECORDED)
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True, blank=True)
    rejected_at = models.DateTimeField(null=True, blank=True)

    objects = BankReceiptQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, amount_minor__lte=10**15),
                name="receipt_amount_sane",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("recorded_by")),
                name="receipt_needs_two_persons",
            ),
            # One line of the statement, one receipt; a rejected one may be recorded anew.
            models.UniqueConstraint(
                fields=["bank_reference"],
                condition=~Q(state="rejected"),
                name="receipt_reference_once",
            ),
        ]
        triggers = [
            unchanging(
                "receipt_as_recorded",
                "public_id",
                "tenant",
                "bank_reference",
                "payer_name",
                "payer_account",
                "amount_minor",
                "currency",
                "received_date",
                "recorded_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id
