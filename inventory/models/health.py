"""How well nodes and cards are, since when, and by whose word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import append_only, unchanging
from inventory.models.capacity import Outage
from inventory.models.centre import Centre
from inventory.models.pool import Node

if TYPE_CHECKING:
    from inventory.actors import Actor


class HealthState(models.TextChoices):
    """From best to worst; what people and machines call the condition of a node or a card."""

    HEALTHY = "healthy", _("healthy")
    """Nothing speaks against it."""
    JITTERING = "jittering", _("jittering")
    """It comes and goes: samples are missing, a link drops, or it was worse and better often."""
    DEGRADED = "degraded", _("degraded")
    """It serves, with a card or a link that is not well."""
    DOWN = "down", _("down")
    """It serves nobody: silent while its feed speaks, or broken by somebody's word."""
    MAINTENANCE = "maintenance", _("in maintenance")
    """Taken out on purpose, as planned."""


class HealthSource(models.TextChoices):
    """Where a finding comes from."""

    TELEMETRY = "telemetry", _("telemetry")
    DRIVER = "driver", _("the engine")
    REPORT = "report", _("a person's report")
    PLAN = "plan", _("planned maintenance")


class NodeHealth(models.Model):
    """The condition of one node and its cards now (健康状态).

    The last line of its history, kept where a page finds it, with what the next look needs: what
    the last one saw, and since when it has seen something else than the state says. Written by
    `inventory.health` only, under its own lock. Not the node's state: that is what capacity
    counts.
    """

    node = models.OneToOneField(
        Node, on_delete=models.PROTECT, primary_key=True, related_name="health"
    )
    state = models.CharField(max_length=12, choices=HealthState, default=HealthState.HEALTHY)
    source = models.CharField(max_length=10, choices=HealthSource, default=HealthSource.DRIVER)
    evidence = models.CharField(max_length=300, blank=True)
    since = models.DateTimeField()
    checked_at = models.DateTimeField()
    cards = ArrayField(models.CharField(max_length=12, choices=HealthState), default=list)
    # What the next look needs of this one, card by card; see `inventory.health.cards.Memory`.
    memory = models.JSONField(default=dict)
    # The failed outage this node's being down has opened; a person who closes it has the last word.
    outage = models.OneToOneField(
        Outage, on_delete=models.PROTECT, null=True, blank=True, related_name="opened_by_health"
    )

    def __str__(self) -> str:
        return f"{self.node_id} {self.state} since {self.since}"


class HealthEntry(models.Model):
    """One change of a node's or a card's condition: what it was when, and why. Append-only."""

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="health_entries")
    card_index = models.PositiveSmallIntegerField(null=True, blank=True)  # null: the node
    from_state = models.CharField(max_length=12, choices=HealthState, blank=True)
    state = models.CharField(max_length=12, choices=HealthState)
    source = models.CharField(max_length=10, choices=HealthSource)
    evidence = models.CharField(max_length=300, blank=True)
    # When the finding began, true to within `inventory.health.CLOCK_ERROR`; and when it was known.
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["node", "-at"], name="health_by_node"),
            # Faults are counted from here.
            models.Index(
                fields=["at"], name="health_faults", condition=Q(state__in=["degraded", "down"])
            ),
        ]
        triggers = [append_only("health_entry_append_only")]

    def __str__(self) -> str:
        return f"{self.node_id}/{self.card_index} {self.state} at {self.at}"


class HealthReportQuerySet(models.QuerySet["HealthReport"]):
    def visible_to(self, actor: Actor) -> HealthReportQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(node__provider_id=actor.organisation_id)


class HealthReport(models.Model):
    """What a person says of a node or a card (人工上报). It stands until it is withdrawn."""

    public_id = PublicIdField(prefix="hrp")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="health_reports")
    card_index = models.PositiveSmallIntegerField(null=True, blank=True)
    state = models.CharField(max_length=12, choices=HealthState)
    reason = models.CharField(max_length=200)
    reported_by = models.CharField(max_length=80)  # the journal's name of the person or key
    created_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = HealthReportQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["jittering", "degraded", "down"]),
                name="health_report_says_what_is_wrong",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="health_report_has_a_reason"),
        ]
        indexes = [
            models.Index(
                fields=["node"],
                name="health_report_standing",
                condition=Q(withdrawn_at__isnull=True),
            )
        ]
        triggers = [
            unchanging(
                "health_report_as_made",
                "node",
                "card_index",
                "state",
                "reason",
                "reported_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class FaultRate(models.Model):
    """How often nodes of one centre and chip generation failed in the last year (故障率).

    As last added up from outages and nodes; what offers show. The limits are those of the exact
    95 % interval. Not a promise.
    """

    centre = models.ForeignKey(Centre, on_delete=models.PROTECT, related_name="fault_rates")
    generation = models.CharField(max_length=40)
    fault_count = models.IntegerField()
    card_seconds = models.BigIntegerField()
    # Faults per million card-hours.
    per_million = models.FloatField()
    low_per_million = models.FloatField()
    high_per_million = models.FloatField()
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["centre", "generation"], name="one_fault_rate"),
            models.CheckConstraint(
                condition=Q(
                    fault_count__gte=0,
                    card_seconds__gt=0,
                    low_per_million__lte=F("per_million"),
                    high_per_million__gte=F("per_million"),
                ),
                name="fault_rate_within_its_limits",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.generation} in centre {self.centre_id}"
