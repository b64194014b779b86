"""Money that a centre received itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from inventory.identifiers import PublicIdField
from inventory.lifecycle import append_only
from inventory.models import Organisation
from marketplace.models import Reservation

if TYPE_CHECKING:
    from inventory.actors import Actor


class DirectReceiptQuerySet(models.QuerySet["DirectReceipt"]):
    def visible_to(self, actor: Actor) -> DirectReceiptQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        rows = self.filter(Q(tenant_id=own) | Q(provider_id=own))
        if actor.project_id:
            rows = rows.filter(reservation__project_id=actor.project_id)
        return rows


class DirectReceipt(models.Model):
    """A centre's own word that it received the price of a deal sold directly (直销收款确认).

    It makes the deal a lease. No money of ours: nothing of it is in the ledger. Append-only.
    """

    public_id = PublicIdField(prefix="drc")
    reservation = models.OneToOneField(
        Reservation, on_delete=models.PROTECT, related_name="direct_receipt"
    )
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    reference = models.CharField(max_length=80)  # of the centre's statement, in capitals
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    received_date = models.DateField()
    actor = models.CharField(max_length=80)
    created_at = models.DateTimeField()

    objects = DirectReceiptQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "reference"], name="direct_receipt_reference_once"
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gte=0), name="direct_receipt_not_negative"
            ),
        ]
        triggers = [append_only("direct_receipt_append_only")]

    def __str__(self) -> str:
        return self.public_id
