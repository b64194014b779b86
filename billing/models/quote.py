"""What a change of a deal would come to, promised for some minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import unchanging
from inventory.models import Organisation
from marketplace.models import FIGURES, Amendment, ChangeFigures, Lease

if TYPE_CHECKING:
    from inventory.actors import Actor


class QuoteQuerySet(models.QuerySet["Quote"]):
    def visible_to(self, actor: Actor) -> QuoteQuerySet:
        """A quote is for the side that asked."""
        if actor.sees_everything:
            return self
        rows = self.filter(asked_by_id=actor.organisation_id)
        return rows.filter(lease__project_id=actor.project_id) if actor.project_id else rows


class Quote(ChangeFigures):
    """The figures of a change, before anything is done (变更报价). Accepted, exactly they move.

    Good until `expires_at`, and only while the lease is as it was: `amendment_before` names
    the one it had last been changed by. Not an amendment: that is what accepting makes.
    """

    class Kind(models.TextChoices):
        CANCEL = "cancel", _("cancel before the start")
        EXTEND = "extend", _("extend")
        LEAVE = "leave", _("leave early")
        WITHDRAW = "withdraw", _("withdraw the lease")

    public_id = PublicIdField(prefix="cqt")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="quotes")
    asked_by = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    reason = models.CharField(max_length=200, blank=True)
    amendment_before = models.ForeignKey(
        Amendment, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    amendment = models.OneToOneField(
        Amendment, on_delete=models.PROTECT, null=True, blank=True, related_name="quote"
    )  # what accepting made; none where the lease was cancelled

    objects = QuoteQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amendment__isnull=True) | Q(accepted_at__isnull=False),
                name="quote_accepted_before_it_amends",
            ),
        ]
        indexes = [models.Index(fields=["lease", "-id"], name="quote_by_lease")]
        triggers = [
            unchanging(
                "quote_as_promised",
                "lease",
                "asked_by",
                "kind",
                "reason",
                "amendment_before",
                "created_at",
                "expires_at",
                *FIGURES,
            ),
            pgtrigger.Protect(
                name="quote_accepted_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__accepted_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id
