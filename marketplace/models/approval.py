"""What a provider has to agree to before a deal of its is made, and who of it did."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from inventory.identifiers import PublicIdField
from inventory.lifecycle import append_only
from inventory.models import Organisation, User
from marketplace.models.reservation import Reservation


class ApprovalRule(models.Model):
    """How many different members a provider wants to approve a deal, by its amount.

    The provider's own, for all its listings: who publishes a listing does not loosen it.
    Never edited: the newest version counts, for holds made from then on.
    """

    provider = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="approval_rules"
    )
    version = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    # [[amount in minor units from which on, members], …], ascending in both. Below the first
    # one member decides; a deal in another currency takes the most members of all.
    thresholds = models.JSONField()
    actor = models.CharField(max_length=80)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "version"], name="one_approval_rule_per_version"
            ),
        ]
        triggers = [append_only("approval_rule_append_only")]

    def __str__(self) -> str:
        return f"approval rule v{self.version} of organisation {self.provider_id}"


class Approval(models.Model):
    """One member's agreement to a deal, under the number of the document that allows it.

    `member` is the person, or the maker of the key that was used. It is nobody only where a
    single approval decides and the key has no maker.
    """

    public_id = PublicIdField(prefix="apv")
    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="approvals")
    member = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    actor = models.CharField(max_length=80)
    document_number = models.CharField(max_length=80)  # 审批文号
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reservation", "member"], name="one_approval_per_member"
            ),
            models.CheckConstraint(
                condition=~Q(document_number=""), name="approval_has_a_document"
            ),
        ]
        triggers = [append_only("approval_append_only")]

    def __str__(self) -> str:
        return self.public_id
