"""What a lease pays and when, and what follows where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.ledger import LedgerTransaction
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation, User
from marketplace.models import Amendment, Lease

if TYPE_CHECKING:
    from inventory.actors import Actor


class OfTwoPartiesQuerySet(models.QuerySet["Instalment"]):
    def visible_to(self, actor: Actor) -> OfTwoPartiesQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        rows = self.filter(Q(tenant_id=own) | Q(provider_id=own))
        return rows.filter(lease__project_id=actor.project_id) if actor.project_id else rows


@enforced
class Instalment(models.Model):
    """One payment of a lease by its schedule (应付期): for a period, of an amount, when due.

    Not a charge: it says when money is collected, charges say for what it is used. Made from
    the frozen price at confirmation; a change of the lease waives those not collected and
    makes them anew.
    """

    class Kind(models.TextChoices):
        WHOLE = "whole", _("whole price")
        """Prepaid: all of it, or what a change adds to it."""
        DEPOSIT = "deposit", _("deposit")
        """By the hour: what stands in where the wallet is empty."""
        SECURITY = "security", _("security")
        """押金: nothing is charged from it; comes back at the end."""
        ADVANCE = "advance", _("months ahead")
        """Paid before its period begins."""
        ARREARS = "arrears", _("month in arrears")
        """What was used in its period, paid after it; the amount is an estimate until then."""

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        """Not due yet."""
        UNPAID = "unpaid", _("due")
        """Due, and the wallet had not enough; the sweep tries again until the grace is over."""
        OVERDUE = "overdue", _("overdue")
        """The grace is over; the tenant is warned, and shut out in the end."""
        COLLECTED = "collected", _("collected")
        """Paid in full."""
        WAIVED = "waived", _("no longer asked")
        """The lease changed or ended; others take its place, or nothing is due any more."""
        WRITTEN_OFF = "written_off", _("written off")
        """Two persons gave it up."""

    OPEN: ClassVar = (State.PLANNED, State.UNPAID, State.OVERDUE)
    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PLANNED: [State.COLLECTED, State.UNPAID, State.WAIVED],
            State.UNPAID: [State.COLLECTED, State.OVERDUE, State.WAIVED],
            State.OVERDUE: [State.COLLECTED, State.WAIVED, State.WRITTEN_OFF],
            State.COLLECTED: [],
            State.WAIVED: [],
            State.WRITTEN_OFF: [],
        }
    )

    public_id = PublicIdField(prefix="ist")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="instalments")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(max_length=12, choices=State, default=State.PLANNED)
    period = DateTimeRangeField()  # what it pays for
    due_at = models.DateTimeField()
    grace_until = models.DateTimeField()
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    # What was taken for it so far, by where it went.
    deposit_minor = models.BigIntegerField(default=0)
    security_minor = models.BigIntegerField(default=0)
    used_minor = models.BigIntegerField(default=0)  # paid for hours that were used already
    receivable_minor = models.BigIntegerField(default=0)  # overdue: what became a debt
    cleared_minor = models.BigIntegerField(default=0)  # of the debt, paid since or given up
    amendment = models.ForeignKey(  # that made it; none at confirmation
        Amendment, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    ledger_transaction = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, null=True, related_name="+"
    )  # the last that took something for it
    created_at = models.DateTimeField()
    unpaid_at = models.DateTimeField(null=True, blank=True)
    overdue_at = models.DateTimeField(null=True, blank=True)
    collected_at = models.DateTimeField(null=True, blank=True)
    waived_at = models.DateTimeField(null=True, blank=True)
    written_off_at = models.DateTimeField(null=True, blank=True)

    objects = OfTwoPartiesQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    amount_minor__gte=0,
                    deposit_minor__gte=0,
                    security_minor__gte=0,
                    used_minor__gte=0,
                    receivable_minor__gte=0,
                    cleared_minor__gte=0,
                    cleared_minor__lte=F("receivable_minor"),
                ),
                name="instalment_amounts_not_negative",
            ),
            models.CheckConstraint(
                condition=~Q(state="collected")
                | Q(
                    amount_minor=F("deposit_minor")
                    + F("security_minor")
                    + F("used_minor")
                    + F("cleared_minor"),
                    receivable_minor=F("cleared_minor"),
                ),
                name="instalment_collected_to_the_minor_unit",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["collected", "overdue", "written_off"])
                | Q(deposit_minor=0, security_minor=0, used_minor=0, receivable_minor=0),
                name="instalment_takes_nothing_before_it_says_so",
            ),
            models.CheckConstraint(
                condition=Q(grace_until__gte=F("due_at")), name="instalment_grace_after_due"
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                name="instalment_to_collect",
                condition=Q(state__in=["planned", "unpaid", "overdue"]),
            ),
            models.Index(fields=["lease", "due_at"], name="instalment_by_lease"),
            models.Index(fields=["tenant", "-id"], name="instalment_by_tenant"),
        ]
        triggers = [
            unchanging(
                "instalment_as_planned",
                "public_id",
                "lease",
                "provider",
                "tenant",
                "kind",
                "period",
                "due_at",
                "grace_until",
                "currency",
                "amendment",
                "created_at",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def open_minor(self) -> int:
        """What is still to be paid of it."""
        if self.state not in self.OPEN:
            return 0
        taken = self.deposit_minor + self.security_minor + self.used_minor + self.cleared_minor
        return self.amount_minor - taken


class DunningQuerySet(models.QuerySet["Dunning"]):
    def visible_to(self, actor: Actor) -> DunningQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        rows = self.filter(Q(tenant_id=own) | Q(provider_id=own))
        return rows.filter(lease__project_id=actor.project_id) if actor.project_id else rows


@enforced
class Dunning(models.Model):
    """What follows from overdue instalments of one lease (催收), by the days of its price.

    From the notice on until all of them are paid, or the lease is ended. While it is suspended
    the tenant is shut out; its machines stay its own, and are charged.
    """

    class State(models.TextChoices):
        NOTICED = "noticed", _("warned")
        """The tenant was told, and has until `suspends_at`."""
        SUSPENDED = "suspended", _("suspended")
        """Shut out until it pays; the lease ends at `ends_at`."""
        SETTLED = "settled", _("settled")
        """Nothing is overdue any more; access is back."""
        ENDED = "ended", _("ended")
        """The lease is over for want of payment, or over anyway."""

    OPEN: ClassVar = (State.NOTICED, State.SUSPENDED)
    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.NOTICED: [State.SUSPENDED, State.SETTLED, State.ENDED],
            State.SUSPENDED: [State.SETTLED, State.ENDED],
            State.SETTLED: [],
            State.ENDED: [],
        }
    )

    public_id = PublicIdField(prefix="dun")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="dunnings")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.NOTICED)
    suspends_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)  # set when suspended
    created_at = models.DateTimeField()
    suspended_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = DunningQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["lease"],
                condition=Q(state__in=["noticed", "suspended"]),
                name="one_open_dunning_per_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state="suspended") | Q(ends_at__isnull=False),
                name="suspension_has_an_end",
            ),
        ]
        triggers = [
            unchanging(
                "dunning_as_noticed", "lease", "provider", "tenant", "suspends_at", "created_at"
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class WriteOff(models.Model):
    """An overdue instalment given up (坏账核销): one person asks, another decides."""

    instalment = models.OneToOneField(
        Instalment, on_delete=models.PROTECT, related_name="write_off"
    )
    reason = models.CharField(max_length=200)
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    amount_minor = models.BigIntegerField(null=True)  # what was given up, once it was decided
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("asked_by")),
                name="write_off_needs_two_persons",
            ),
        ]
        triggers = [
            unchanging("write_off_as_asked", "instalment", "reason", "asked_by", "created_at")
        ]

    def __str__(self) -> str:
        return f"write-off of instalment {self.instalment_id}"


class RunwayWarning(models.Model):
    """The wallet of a tenant lasts no longer than so many hours of its hourly leases. Once for
    each level, until the wallet lasts longer again."""

    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    hours = models.PositiveSmallIntegerField()
    warned_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "currency", "hours"], name="one_runway_warning_per_level"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hours} hours of tenant {self.tenant_id}"
