"""The months of the books, open until they are closed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation, User


@enforced
class AccountingPeriod(models.Model):
    """A calendar month of the issuer's books, in its billing zone (会计期间).

    A month that nobody has begun to close has no row and is open. Once one is closed, so is
    everything before its end: the database lets nothing be posted there. Never opened again.
    """

    class State(models.TextChoices):
        OPEN = "open", _("open")
        """Being looked at, or put off; a person begins to close it."""
        CLOSING = "closing", _("closing")
        """One person has asked to close it; another closes it, or somebody puts it off."""
        CLOSED = "closed", _("closed")
        """Nothing is posted there any more; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.OPEN: [State.CLOSING],
            State.CLOSING: [State.OPEN, State.CLOSED],
            State.CLOSED: [],
        }
    )

    public_id = PublicIdField(prefix="acp")
    issuer = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    month = models.DateField()  # its first day, in the zone
    zone = models.CharField(max_length=40)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    closing_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    closing_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issuer", "month"], name="one_period_per_month"),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="period_ends_after_it_starts"
            ),
            models.CheckConstraint(
                condition=Q(state="open") | Q(closing_by__isnull=False, closing_at__isnull=False),
                name="period_closing_has_a_person",
            ),
            models.CheckConstraint(
                condition=~Q(state="closed")
                | (
                    Q(closed_by__isnull=False, closed_at__isnull=False)
                    & ~Q(closed_by=F("closing_by"))
                ),
                name="period_closes_by_two_persons",
            ),
        ]
        triggers = [
            unchanging(
                "period_as_made",
                "public_id",
                "issuer",
                "month",
                "zone",
                "starts_at",
                "ends_at",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id
