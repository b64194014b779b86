"""The test that a delivery has to pass before its time counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models.capacity import Allocation
from inventory.models.organisation import Organisation

if TYPE_CHECKING:
    from inventory.actors import Actor


class AcceptanceQuerySet(models.QuerySet["Acceptance"]):
    def visible_to(self, actor: Actor) -> AcceptanceQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        return self.filter(Q(provider_id=own) | Q(tenant_id=own))


@enforced
class Acceptance(models.Model):
    """The gate between machines that run and time that counts (验收).

    Its record (验收单) says what was measured and who accepted it. Only a passing run can be
    accepted: by the tenant's signature, or by its silence until `due_at`. Each failing run
    restarts that clock; without a passing one by then the delivery is given up. An allocation
    without a gate is accepted as soon as it is up.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("not ready")
        """Its machines are not all up yet."""
        TESTING = "testing", _("being tested")
        """The tenant is let in, and no run stands that passes; until `due_at` one has to."""
        PASSED = "passed", _("passed")
        """The tenant signs, or is taken to at `due_at`; a failing run puts it back."""
        ACCEPTED = "accepted", _("accepted")
        """Signed by the tenant; nobody leaves."""
        DEEMED = "deemed", _("taken as accepted")
        """The tenant said nothing in time; nobody leaves."""
        LAPSED = "lapsed", _("lapsed")
        """The delivery was given up; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.WAITING: [State.TESTING, State.LAPSED],
            State.TESTING: [State.PASSED, State.LAPSED],
            State.PASSED: [State.TESTING, State.ACCEPTED, State.DEEMED, State.LAPSED],
            State.ACCEPTED: [],
            State.DEEMED: [],
            State.LAPSED: [],
        }
    )
    OVER: ClassVar = (State.ACCEPTED, State.DEEMED)

    public_id = PublicIdField(prefix="acc")
    allocation = models.OneToOneField(
        Allocation, on_delete=models.PROTECT, related_name="acceptance"
    )
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    # Bus bandwidth of an all-reduce over everything that is delivered, MB/s (10^6 bytes).
    threshold_mb_per_second = models.PositiveIntegerField()
    patience_hours = models.PositiveIntegerField()  # of the clock
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    due_at = models.DateTimeField(null=True, blank=True)  # when the clock runs out
    signed_by = models.CharField(max_length=80, blank=True)  # public id of the person or key
    created_at = models.DateTimeField()
    testing_at = models.DateTimeField(null=True, blank=True)
    passed_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    deemed_at = models.DateTimeField(null=True, blank=True)
    lapsed_at = models.DateTimeField(null=True, blank=True)

    objects = AcceptanceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold_mb_per_second__gte=1, patience_hours__gte=1),
                name="acceptance_asks_for_something",
            ),
            models.CheckConstraint(
                condition=~Q(state="accepted") | ~Q(signed_by=""), name="acceptance_signed_by_one"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["testing", "passed"]) | Q(due_at__isnull=False),
                name="acceptance_clock_runs",
            ),
        ]
        triggers = [
            unchanging(
                "acceptance_as_agreed",
                "allocation",
                "provider",
                "tenant",
                "threshold_mb_per_second",
                "patience_hours",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class AcceptanceRun(models.Model):
    """One report of a collective test over the delivered machines, and what it comes to.

    Append-only. A report that cannot be read, or that is about other machines, is no run.
    """

    class Tool(models.TextChoices):
        NCCL = "nccl", _("nccl-tests all_reduce_perf")
        HCCL = "hccl", _("HCCL Test all_reduce_test")

    public_id = PublicIdField(prefix="arn")
    acceptance = models.ForeignKey(Acceptance, on_delete=models.PROTECT, related_name="runs")
    tool = models.CharField(max_length=4, choices=Tool)
    passed = models.BooleanField()
    is_correct = models.BooleanField()  # the tool found no wrong value
    busbw_mb_per_second = models.PositiveIntegerField()  # at the largest message
    size_bytes = models.BigIntegerField()  # of the largest message
    node_count = models.PositiveIntegerField()
    rank_count = models.PositiveIntegerField()
    serials = models.JSONField()  # of the nodes that took part, sorted
    report = models.TextField()
    report_sha256 = models.CharField(max_length=64)
    posted_by = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=80)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["acceptance", "-id"], name="run_by_acceptance")]
        triggers = [append_only("acceptance_run_append_only")]

    def __str__(self) -> str:
        return self.public_id
