"""What a tenant says to its month: it accepts, or contests line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.invoice import Invoice, InvoiceLine
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation, User

if TYPE_CHECKING:
    from inventory.actors import Actor

# Where `c` is a charge: the tenant contests the line it is on, and nobody has decided yet.
CONTESTED = """
    EXISTS (SELECT FROM billing_billedcharge contested_on
            JOIN billing_contest contest ON contest.line_id = contested_on.line_id
            WHERE contested_on.charge_id = c.id AND contest.state = 'open')
"""


class StatementQuerySet(models.QuerySet["Statement"]):
    def visible_to(self, actor: Actor) -> StatementQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(tenant_id=actor.organisation_id)


@enforced
class Statement(models.Model):
    """A month's lines for its tenant to agree to (对账单): those of the month's invoice.

    Silence is consent at the deadline. Lines it contests stay out of payout until decided.
    """

    class State(models.TextChoices):
        ISSUED = "issued", _("waits for the tenant")
        """May be accepted or contested until `due_at`."""
        ACCEPTED = "accepted", _("accepted")
        """By a person, but for the lines it contested."""
        DEEMED = "deemed", _("deemed accepted")
        """The deadline passed."""

    LIFECYCLE: ClassVar = Lifecycle(
        {State.ISSUED: [State.ACCEPTED, State.DEEMED], State.ACCEPTED: [], State.DEEMED: []}
    )

    public_id = PublicIdField(prefix="stm")
    invoice = models.OneToOneField(Invoice, on_delete=models.PROTECT, related_name="statement")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.ISSUED)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    accepted_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    accepted_at = models.DateTimeField(null=True, blank=True)
    deemed_at = models.DateTimeField(null=True, blank=True)

    objects = StatementQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["state", "due_at"], name="statement_by_deadline")]
        triggers = [unchanging("statement_as_issued", "invoice", "tenant", "created_at", "due_at")]

    def __str__(self) -> str:
        return self.public_id


class ContestQuerySet(models.QuerySet["Contest"]):
    def visible_to(self, actor: Actor) -> ContestQuerySet:
        """The tenant that contests, the provider whose share waits, the operator."""
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        return self.filter(Q(tenant_id=own) | Q(provider_id=own))


@enforced
class Contest(models.Model):
    """A tenant's objection to one line of its statement (异议).

    Open, the charges of the line are out of payout. The operator decides, having heard both.
    """

    class State(models.TextChoices):
        OPEN = "open", _("undecided")
        """Frozen out of payout."""
        UPHELD = "upheld", _("upheld")
        """A credit note gives back what was wrong."""
        DISMISSED = "dismissed", _("dismissed")
        """The line stands."""

    LIFECYCLE: ClassVar = Lifecycle(
        {State.OPEN: [State.UPHELD, State.DISMISSED], State.UPHELD: [], State.DISMISSED: []}
    )

    public_id = PublicIdField(prefix="cst")
    line = models.ForeignKey(InvoiceLine, on_delete=models.PROTECT, related_name="contests")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    reason = models.CharField(max_length=500)
    provider_note = models.CharField(max_length=500, blank=True)
    operator_note = models.CharField(max_length=500, blank=True)
    # Asked for by the one who upholds; the contest is upheld once another person approves it.
    credit_note = models.ForeignKey(
        Invoice, on_delete=models.PROTECT, null=True, blank=True, related_name="contests"
    )
    opened_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    upheld_at = models.DateTimeField(null=True, blank=True)
    dismissed_at = models.DateTimeField(null=True, blank=True)

    objects = ContestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["line"], condition=Q(state="open"), name="one_open_contest_a_line"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="contest_has_a_reason"),
            models.CheckConstraint(
                condition=~Q(state="upheld") | Q(credit_note__isnull=False),
                name="upheld_contest_is_credited",
            ),
            models.CheckConstraint(
                condition=Q(state="open") | Q(decided_by__isnull=False) & ~Q(operator_note=""),
                name="contest_is_decided_by_a_person",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("opened_by")),
                name="contest_is_decided_by_another",
            ),
        ]
        triggers = [
            unchanging(
                "contest_as_raised",
                "line",
                "tenant",
                "provider",
                "reason",
                "opened_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id
