"""Leased cards that stand idle."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced
from inventory.models import Organisation
from marketplace.models.lease import Lease


@enforced
class IdleNotice(models.Model):
    """A tenant is told, once, that cards of its lease hardly work (闲置提醒).

    It may keep them or leave early by the lease's schedule. Not a measure: nothing happens to a
    lease by it. Open until it is answered, or until the cards work again.
    """

    class State(models.TextChoices):
        RAISED = "raised", _("raised")
        """The tenant has not said anything."""
        KEPT = "kept", _("kept")
        """It keeps them; no further notice for this stretch of idleness."""
        OVER = "over", _("over")
        """They work again, or the lease has ended."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.RAISED: [State.KEPT, State.OVER],
            State.KEPT: [State.OVER],
            State.OVER: [],
        }
    )

    public_id = PublicIdField(prefix="idl")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="idle_notices")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.RAISED)
    since = models.DateTimeField()  # the hours looked at began here
    hour_count = models.PositiveSmallIntegerField()
    card_count = models.PositiveIntegerField()  # idle ones, of those measured
    measured_count = models.PositiveIntegerField()
    busy_permille = models.PositiveSmallIntegerField()  # of the idle ones
    created_at = models.DateTimeField()
    kept_at = models.DateTimeField(null=True, blank=True)
    over_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["lease"],
                condition=~Q(state="over"),
                name="one_idle_notice_of_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(card_count__gte=1, measured_count__gte=models.F("card_count")),
                name="idle_cards_are_measured_ones",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id
