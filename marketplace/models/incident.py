"""Troubles of pools, with their story."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced
from inventory.models import Organisation, Outage, Pool
from marketplace.models.lease import Lease

if TYPE_CHECKING:
    from inventory.actors import Actor


class IncidentQuerySet(models.QuerySet["Incident"]):
    def visible_to(self, actor: Actor) -> IncidentQuerySet:
        """The provider's own; of a tenant those that touch a lease of its own."""
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        touched = IncidentLease.objects.filter(incident=OuterRef("pk"), lease__tenant_id=own)
        if actor.project_id:
            touched = touched.filter(lease__project_id=actor.project_id)
            return self.filter(Exists(touched))
        return self.filter(Q(provider_id=own) | Exists(touched))


@enforced
class Incident(models.Model):
    """A trouble of a pool (事件): failed nodes, the leases they touched, and what was done.

    One is open for a pool at a time; what fails meanwhile joins it. Mitigated: every lease it
    touched runs on healthy nodes again, or is over. Resolved: no node of it is out any more.
    """

    class State(models.TextChoices):
        OPEN = "open", _("open")
        """A lease it touched lacks nodes."""
        MITIGATED = "mitigated", _("mitigated")
        """No lease lacks nodes; some of its nodes are still out."""
        RESOLVED = "resolved", _("resolved")
        """Over; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.OPEN: [State.MITIGATED, State.RESOLVED],
            State.MITIGATED: [State.OPEN, State.RESOLVED],
            State.RESOLVED: [],
        }
    )

    public_id = PublicIdField(prefix="inc")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="incidents")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    cause = models.CharField(max_length=500, blank=True)  # as the provider found it
    opened_at = models.DateTimeField()
    mitigated_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pool"], condition=~Q(state="resolved"), name="one_open_incident_a_pool"
            ),
            models.CheckConstraint(
                condition=~Q(state="resolved") | Q(resolved_at__isnull=False),
                name="incident_resolved_at_an_instant",
            ),
        ]
        indexes = [models.Index(fields=["provider", "-id"], name="incident_by_provider")]

    def __str__(self) -> str:
        return self.public_id


class IncidentOutage(models.Model):
    """A failed node's outage that belongs to an incident. Append-only."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="outages")
    outage = models.OneToOneField(Outage, on_delete=models.PROTECT, related_name="incident")

    class Meta:
        triggers = [append_only("incident_outage_append_only")]

    def __str__(self) -> str:
        return f"{self.outage_id} of incident {self.incident_id}"


class IncidentLease(models.Model):
    """A lease that an incident touched: one of its nodes failed, or is in danger of lacking.

    Append-only.
    """

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="leases")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="incidents")
    touched_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["incident", "lease"], name="one_touch_a_lease"),
        ]
        triggers = [append_only("incident_lease_append_only")]

    def __str__(self) -> str:
        return f"lease {self.lease_id} of incident {self.incident_id}"


class IncidentEntry(models.Model):
    """One line of an incident's timeline. Append-only.

    A line about a lease is for the provider and that lease's tenant; one about a node for the
    provider; the others for everybody whom the incident concerns.
    """

    class Kind(models.TextChoices):
        OPENED = "opened", _("opened")
        NODE_FAILED = "node_failed", _("node failed")
        NODE_BACK = "node_back", _("node back")
        LEASE_TOUCHED = "lease_touched", _("lease touched")
        LATE = "late", _("not replaced in time")
        """The lease lacks nodes for longer than its terms allow to replace one."""
        MITIGATED = "mitigated", _("mitigated")
        REOPENED = "reopened", _("worse again")
        RESOLVED = "resolved", _("resolved")
        CAUSE = "cause", _("cause found")
        NOTE = "note", _("note")

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=14, choices=Kind)
    at = models.DateTimeField()
    outage = models.ForeignKey(
        Outage, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    lease = models.ForeignKey(
        Lease, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    text = models.CharField(max_length=1000, blank=True)
    author = models.ForeignKey(  # the organisation of who wrote it; null: found by the system
        Organisation, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind__in=["note", "cause"]) | ~Q(text="") & Q(author__isnull=False),
                name="incident_note_says_something",
            ),
        ]
        triggers = [append_only("incident_entry_append_only")]

    def __str__(self) -> str:
        return f"{self.kind} of incident {self.incident_id} at {self.at}"
