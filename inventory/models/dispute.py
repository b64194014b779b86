"""The second meter: what telemetry counted beside the instance history, and where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models.capacity import Allocation
from inventory.models.centre import Centre
from inventory.models.organisation import Organisation, User

if TYPE_CHECKING:
    from inventory.actors import Actor


class MeterReading(models.Model):
    """What both meters say of one allocation in one hour (双表读数), read once it is sealed.

    The usage hour is the count of the first meter and stays what is billed; this is kept beside
    it, by the same fact. Append-only, partitioned by month of `hour`; the table is made by SQL.
    An hour without a reading has one meter: no feed saw all of its nodes.
    """

    pk = models.CompositePrimaryKey("allocation_id", "hour")
    allocation_id = models.BigIntegerField()
    hour = models.DateTimeField()
    owed_card_seconds = models.BigIntegerField()
    history_card_seconds = models.BigIntegerField()  # as counted when the reading was taken
    telemetry_card_seconds = models.BigIntegerField()  # cards seen, and well
    # In which the whole feed was silent: of these the second meter says nothing.
    unwatched_card_seconds = models.BigIntegerField()
    recorded_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "inventory_meterreading"

    def __str__(self) -> str:
        return f"{self.allocation_id} {self.hour}"


class ReadingCursor(models.Model):
    """Up to which hour the second meter of a centre has been read; the next reading is there."""

    centre = models.OneToOneField(
        Centre, on_delete=models.PROTECT, primary_key=True, related_name="reading_cursor"
    )
    read_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"centre {self.centre_id} read until {self.read_until}"


class MeterDisputeQuerySet(models.QuerySet["MeterDispute"]):
    def visible_to(self, actor: Actor) -> MeterDisputeQuerySet:
        """The two parties of the allocation, and the operator."""
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        return self.filter(Q(tenant_id=own) | Q(provider_id=own))


@enforced
class MeterDispute(models.Model):
    """The two meters of an hour differ by more than the tolerance (计量争议).

    It opens by itself. Until it is closed the lower of the two is billed and the hour's charges
    are out of payout. Not a contest: that is a tenant's objection to a line of its statement.
    """

    class State(models.TextChoices):
        OPEN = "open", _("undecided")
        """The lower count is billed; the charges of the hour wait."""
        FOR_TENANT = "for_tenant", _("upheld for the tenant")
        """The lower count stands."""
        FOR_PROVIDER = "for_provider", _("upheld for the provider")
        """The higher count is billed."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.OPEN: [State.FOR_TENANT, State.FOR_PROVIDER],
            State.FOR_TENANT: [],
            State.FOR_PROVIDER: [],
        }
    )

    public_id = PublicIdField(prefix="mdp")
    allocation = models.ForeignKey(
        Allocation, on_delete=models.PROTECT, related_name="meter_disputes"
    )
    hour = models.DateTimeField()
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    owed_card_seconds = models.BigIntegerField()
    history_card_seconds = models.BigIntegerField()
    telemetry_card_seconds = models.BigIntegerField()  # what of it stands against the history
    tolerance_card_seconds = models.BigIntegerField()
    reason = models.CharField(max_length=500, blank=True)  # of the decision
    evidence = models.CharField(max_length=500, blank=True)  # what it rests on
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    for_tenant_at = models.DateTimeField(null=True, blank=True)
    for_provider_at = models.DateTimeField(null=True, blank=True)

    objects = MeterDisputeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["allocation", "hour"], name="one_dispute_an_hour"),
            models.CheckConstraint(
                condition=Q(
                    telemetry_card_seconds__gte=0,
                    history_card_seconds__gte=0,
                    tolerance_card_seconds__gte=0,
                    owed_card_seconds__gte=F("telemetry_card_seconds"),
                ),
                name="meter_dispute_counts_sane",
            ),
            models.CheckConstraint(
                condition=Q(
                    telemetry_card_seconds__gt=F("history_card_seconds")
                    + F("tolerance_card_seconds")
                )
                | Q(
                    history_card_seconds__gt=F("telemetry_card_seconds")
                    + F("tolerance_card_seconds")
                ),
                name="meter_dispute_differs",
            ),
            models.CheckConstraint(
                condition=Q(state="open", reason="", evidence="", decided_by__isnull=True)
                | ~Q(state="open") & ~Q(reason="") & ~Q(evidence="") & Q(decided_by__isnull=False),
                name="meter_dispute_decided_by_a_person",
            ),
        ]
        indexes = [
            models.Index(
                fields=["allocation", "hour"],
                name="meter_dispute_open",
                condition=Q(state="open"),
            ),
            models.Index(fields=["provider", "-id"], name="meter_dispute_by_provider"),
            models.Index(fields=["tenant", "-id"], name="meter_dispute_by_tenant"),
        ]
        triggers = [
            unchanging(
                "meter_dispute_as_read",
                "allocation",
                "hour",
                "provider",
                "tenant",
                "owed_card_seconds",
                "history_card_seconds",
                "telemetry_card_seconds",
                "tolerance_card_seconds",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def lower_card_seconds(self) -> int:
        return min(self.history_card_seconds, self.telemetry_card_seconds)

    @property
    def difference_card_seconds(self) -> int:
        return abs(self.history_card_seconds - self.telemetry_card_seconds)
