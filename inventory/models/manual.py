"""What people in a centre do for a delivery where no engine does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models.capacity import Allocation
from inventory.models.organisation import Organisation
from inventory.models.pool import Node

if TYPE_CHECKING:
    from inventory.actors import Actor


class ManualTaskQuerySet(models.QuerySet["ManualTask"]):
    """Of the provider whose machines they are about; no tenant hears of them."""

    def visible_to(self, actor: Actor) -> ManualTaskQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id)


@enforced
class ManualTask(models.Model):
    """One thing that the people of a centre are to do to one machine by a deadline (人工任务).

    Made and read by the `manual` driver, to which the row is what an engine's answer is to
    another driver. How the customer gets in is kept encrypted, and goes with the wipe.
    """

    class Kind(models.TextChoices):
        HAND_OVER = "hand_over", _("set up and hand over")
        """Install it, let the customer's keys in, and say how to get in."""
        RENEW = "renew", _("renew the way in")
        """As handing over, on a machine that runs: the old way in is closed."""
        SHUT = "shut", _("shut the customer out")
        """What runs goes on; nobody gets in."""
        OPEN = "open", _("let the customer in again")
        """By the same way in as before."""
        WIPE = "wipe", _("take down and wipe")
        """Nothing of the customer is left on it."""

    class State(models.TextChoices):
        OPEN = "open", _("to be done")
        """Somebody does it, or says that it cannot be done."""
        DONE = "done", _("done")
        """As a person confirmed."""
        GIVEN_UP = "given_up", _("cannot be done")
        """A person said so, and why; the reconcile loop draws the consequence."""
        DROPPED = "dropped", _("dropped")
        """No longer wanted: something else followed."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.OPEN: [State.DONE, State.GIVEN_UP, State.DROPPED],
            State.DONE: [],
            State.GIVEN_UP: [],
            State.DROPPED: [],
        }
    )

    public_id = PublicIdField(prefix="mtk")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="+")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="manual_tasks")
    name = models.CharField(max_length=200)  # the engine-side name of what it is about
    first_card = models.PositiveSmallIntegerField()
    card_count = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    due_at = models.DateTimeField()
    overdue_at = models.DateTimeField(null=True, blank=True)  # when its being late was told
    reason = models.CharField(max_length=200, blank=True)  # why it cannot be done
    told_at = models.DateTimeField(null=True, blank=True)  # the loop knows that it was given up
    done_by = models.CharField(max_length=80, blank=True)  # public id of the person or key
    # How the customer gets in, of a hand-over that is done.
    address = models.CharField(max_length=255, blank=True)
    port = models.PositiveIntegerField(null=True, blank=True)
    user = models.CharField(max_length=32, blank=True)
    host_fingerprints = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    ciphertext = models.BinaryField(null=True, blank=True)  # a secret; null where keys let in
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    dropped_at = models.DateTimeField(null=True, blank=True)

    objects = ManualTaskQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(state="open"), name="one_open_task_a_machine"
            ),
            models.CheckConstraint(
                condition=~Q(state="done", kind__in=["hand_over", "renew"])
                | ~Q(address="") & ~Q(user="") & Q(port__gte=1, port__lte=65535),
                name="task_handed_over_says_how",
            ),
            models.CheckConstraint(
                condition=~Q(state="given_up") | ~Q(reason=""), name="task_given_up_says_why"
            ),
        ]
        indexes = [
            models.Index(fields=["name", "-id"], name="task_by_name"),
            models.Index(fields=["due_at"], name="task_open", condition=Q(state="open")),
        ]
        triggers = [
            unchanging(
                "manual_task_as_made",
                "provider",
                "allocation",
                "node",
                "name",
                "first_card",
                "card_count",
                "kind",
                "due_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def hands_over(self) -> bool:
        return self.kind in (self.Kind.HAND_OVER, self.Kind.RENEW)
