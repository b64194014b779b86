"""What people ask each other about leases and nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import Node, Organisation
from marketplace.models.lease import Lease

if TYPE_CHECKING:
    from inventory.actors import Actor

LARGEST_ATTACHMENT = 5 * 1024 * 1024


class CaseQuerySet(models.QuerySet["Case"]):
    def visible_to(self, actor: Actor) -> CaseQuerySet:
        """Who opened it, and the provider it was put to. A key of one project sees none."""
        if actor.sees_everything:
            return self
        if actor.project_id:
            return self.none()
        own = actor.organisation_id
        return self.filter(Q(opener_id=own) | Q(provider_id=own))


@enforced
class Case(models.Model):
    """A question or complaint about one lease or one node (工单), with its response clock.

    Put to the provider by a tenant, or to the operator by a provider; the operator takes over
    one whose clock ran out. The clock runs round the clock, by priority, while the other side
    is waited for.
    """

    class Category(models.TextChoices):
        DELIVERY = "delivery", _("delivery")
        FAILURE = "failure", _("failure")
        PERFORMANCE = "performance", _("performance")
        ACCESS = "access", _("access")
        BILLING = "billing", _("billing")
        OTHER = "other", _("other")

    class Priority(models.TextChoices):
        URGENT = "urgent", _("urgent")
        HIGH = "high", _("high")
        NORMAL = "normal", _("normal")
        LOW = "low", _("low")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        """Nobody has answered since it was opened or written to; the clock runs."""
        WAITING = "waiting", _("waiting for its opener")
        """The other side asked something back; the clock stands."""
        ANSWERED = "answered", _("answered")
        """The clock stands; its opener closes it, or writes again."""
        CLOSED = "closed", _("closed")
        """Done; its opener may reopen it."""
        REOPENED = "reopened", _("reopened")
        """Not done after all; the clock runs."""

    class Assignee(models.TextChoices):
        PROVIDER = "provider", _("provider")
        OPERATOR = "operator", _("operator")

    RUNNING: ClassVar = (State.OPEN, State.REOPENED)
    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.OPEN: [State.WAITING, State.ANSWERED, State.CLOSED],
            State.WAITING: [State.OPEN, State.ANSWERED, State.CLOSED],
            State.ANSWERED: [State.OPEN, State.WAITING, State.CLOSED],
            State.CLOSED: [State.REOPENED],
            State.REOPENED: [State.WAITING, State.ANSWERED, State.CLOSED],
        }
    )

    public_id = PublicIdField(prefix="case")
    opener = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    # Whose journal it is in beside the provider's: none where the provider itself opened it.
    tenant = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    lease = models.ForeignKey(
        Lease, on_delete=models.PROTECT, null=True, blank=True, related_name="cases"
    )
    node = models.ForeignKey(
        Node, on_delete=models.PROTECT, null=True, blank=True, related_name="cases"
    )
    title = models.CharField(max_length=120)
    category = models.CharField(max_length=12, choices=Category)
    priority = models.CharField(max_length=6, choices=Priority, default=Priority.NORMAL)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    assignee = models.CharField(max_length=8, choices=Assignee)
    respond_by = models.DateTimeField(null=True, blank=True)  # none while the clock stands
    escalated_at = models.DateTimeField(null=True, blank=True)  # when the clock first ran out
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = CaseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(lease__isnull=False, node__isnull=True)
                | Q(lease__isnull=True, node__isnull=False),
                name="case_is_about_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "reopened"]) | Q(respond_by__isnull=True),
                name="case_clock_stands_while_answered",
            ),
            models.CheckConstraint(condition=~Q(title=""), name="case_has_a_title"),
            models.CheckConstraint(
                condition=Q(opener=F("provider"), assignee="operator", tenant__isnull=True)
                | Q(opener=F("tenant")),
                name="case_is_put_to_another",
            ),
        ]
        indexes = [
            models.Index(
                fields=["respond_by"],
                condition=Q(respond_by__isnull=False),
                name="case_by_clock",
            ),
            models.Index(fields=["opener", "-id"], name="case_by_opener"),
            models.Index(fields=["provider", "-id"], name="case_by_provider"),
        ]
        triggers = [
            unchanging(
                "case_as_opened",
                "public_id", "opener", "provider", "tenant", "lease", "node", "title", "category",
                "created_at",
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_late(self) -> bool:
        return self.escalated_at is not None


class CaseMessage(models.Model):
    """What one side wrote into a case. Append-only."""

    public_id = PublicIdField(prefix="msg")
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="messages")
    author = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    text = models.CharField(max_length=8000)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="message_says_something")]
        triggers = [append_only("case_message_append_only")]

    def __str__(self) -> str:
        return self.public_id


class CaseAttachment(models.Model):
    """A file in a case, within its size. Served as a download, never shown. Append-only."""

    public_id = PublicIdField(prefix="att")
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="attachments")
    number = models.PositiveSmallIntegerField()  # within the case, from 1
    author = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    media_type = models.CharField(max_length=40)
    content = models.BinaryField()
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["case", "number"], name="one_attachment_a_number"),
            models.CheckConstraint(
                condition=Q(number__gte=1, number__lte=20), name="attachments_are_twenty_at_most"
            ),
            models.CheckConstraint(
                condition=Q(size__gte=1, size__lte=LARGEST_ATTACHMENT),
                name="attachment_within_its_size",
            ),
        ]
        triggers = [append_only("case_attachment_append_only")]

    def __str__(self) -> str:
        return self.public_id
