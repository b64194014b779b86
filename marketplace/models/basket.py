"""Several deals that are made together or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation, Project

if TYPE_CHECKING:
    from inventory.actors import Actor


class BasketQuerySet(models.QuerySet["Basket"]):
    def visible_to(self, actor: Actor) -> BasketQuerySet:
        """The tenant's alone: a provider sees its own reservations, not what lies beside them."""
        if actor.sees_everything:
            return self
        rows = self.filter(tenant_id=actor.organisation_id)
        return rows.filter(project_id=actor.project_id) if actor.project_id else rows


@enforced
class Basket(models.Model):
    """Reservations of one tenant that are held and confirmed together (组合预订).

    Until it is confirmed none of them can be confirmed or given back by itself; afterwards
    each lease has its own life. All are held until the first of them would lapse.
    """

    class State(models.TextChoices):
        HELD = "held", _("held")
        """All its capacity is kept until `expires_at`; the tenant confirms or cancels."""
        CONFIRMED = "confirmed", _("confirmed")
        """Every reservation became a lease; nobody leaves."""
        EXPIRED = "expired", _("expired")
        """Nobody confirmed in time."""
        CANCELLED = "cancelled", _("cancelled")
        """The tenant gave all of it back before confirming."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.HELD: [State.CONFIRMED, State.EXPIRED, State.CANCELLED],
            State.CONFIRMED: [],
            State.EXPIRED: [],
            State.CANCELLED: [],
        }
    )

    public_id = PublicIdField(prefix="bsk")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.HELD)
    expires_at = models.DateTimeField()
    # Sums over its reservations; they are all in this currency.
    currency = models.CharField(max_length=3)
    gross_minor = models.BigIntegerField()
    due_minor = models.BigIntegerField()
    hold_deposit_minor = models.BigIntegerField()
    actor = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    expired_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    objects = BasketQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["expires_at"], name="basket_due", condition=models.Q(state="held")
            ),
            models.Index(fields=["tenant", "-id"], name="basket_by_tenant"),
        ]
        triggers = [
            unchanging(
                "basket_as_held",
                "tenant",
                "project",
                "expires_at",
                "currency",
                "gross_minor",
                "due_minor",
                "hold_deposit_minor",
            )
        ]

    def __str__(self) -> str:
        return self.public_id
