"""What drivers made, the access to it, and what was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced
from inventory.models.capacity import Allocation, Binding

if TYPE_CHECKING:
    from inventory.actors import Actor


class InstanceQuerySet(models.QuerySet["Instance"]):
    """What runs on a provider's machines, read by that provider."""

    def visible_to(self, actor: Actor) -> InstanceQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(allocation__provider_id=actor.organisation_id)


@enforced
class Instance(models.Model):
    """What a driver made for an allocation on one binding (实例)."""

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        """Bound; the driver has not been asked yet."""
        PROVISIONING = "provisioning", _("provisioning")
        """The engine works; each step asks it how far it is."""
        ACTIVE = "active", _("active")
        """Usable; its card-seconds count."""
        PROVISION_FAILED = "provision_failed", _("provision failed")
        """Given up on this node, which is quarantined; the driver must still take it down."""
        RELEASING = "releasing", _("releasing")
        """Being taken down and wiped."""
        RELEASE_FAILED = "release_failed", _("release failed")
        """Could not be wiped; the node stays out until a retry or a person clears it."""
        RELEASED = "released", _("released")
        """Clean; the node may serve others."""
        HANDED_OVER = "handed_over", _("handed over")
        """It goes on as another instance, for the allocation that continues this one's."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PLANNED: [State.PROVISIONING, State.RELEASING, State.HANDED_OVER],
            State.PROVISIONING: [
                State.ACTIVE,
                State.PROVISION_FAILED,
                State.RELEASING,
                State.HANDED_OVER,
            ],
            State.ACTIVE: [State.RELEASING, State.HANDED_OVER],
            State.PROVISION_FAILED: [State.RELEASING, State.HANDED_OVER],
            State.RELEASING: [State.RELEASED, State.RELEASE_FAILED, State.HANDED_OVER],
            State.RELEASE_FAILED: [State.RELEASING, State.RELEASED, State.HANDED_OVER],
            State.RELEASED: [],
            State.HANDED_OVER: [],
        }
    )

    public_id = PublicIdField(prefix="ins")
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="instances")
    binding = models.OneToOneField(Binding, on_delete=models.PROTECT, related_name="instance")
    driver = models.CharField(max_length=40)
    engine_reference = models.CharField(max_length=200, blank=True)  # the engine's own name for it
    # Under which the engine began it for another allocation; empty: after its own allocation.
    engine_name = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.PLANNED)
    card_count = models.PositiveSmallIntegerField()
    attempt_count = models.PositiveSmallIntegerField(default=0)  # failed steps in this state
    deadline_at = models.DateTimeField(null=True, blank=True)  # of the present state
    next_step_at = models.DateTimeField(null=True, blank=True)
    claim_token = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    shut_at = models.DateTimeField(null=True, blank=True)  # the engine lets its customer in no more
    # The customer asked for another way in; null again once the engine has made it.
    renewal_asked_at = models.DateTimeField(null=True, blank=True)
    renewed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    active_at = models.DateTimeField(null=True, blank=True)
    releasing_at = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)

    objects = InstanceQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["next_step_at"],
                name="instance_due",
                condition=Q(state__in=["planned", "provisioning", "provision_failed", "releasing"]),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    # Whose it is, for the journal; `allocation` is loaded wherever a state changes.
    @property
    def provider_id(self) -> int:
        return self.allocation.provider_id

    @property
    def tenant_id(self) -> int | None:
        return self.allocation.tenant_id


class InstanceHistory(models.Model):
    """When an instance entered each state: what metering folds. Append-only."""

    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="history")
    state = models.CharField(max_length=16, choices=Instance.State)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["recorded_at"], name="history_by_recording")]
        triggers = [append_only("instance_history_append_only")]

    def __str__(self) -> str:
        return f"{self.instance_id} {self.state} at {self.at}"


class Credential(models.Model):
    """How a customer gets in: encrypted for the allocation it belongs to, gone after it."""

    public_id = PublicIdField(prefix="crd")
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="credentials")
    kind = models.CharField(max_length=20)  # ssh, kubeconfig, slurm
    ciphertext = models.BinaryField()
    fingerprint = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    # When an engine last said that this is the way in, after the first time.
    told_at = models.DateTimeField(null=True, blank=True)
    revealed_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["allocation", "kind"],
                condition=Q(revoked_at__isnull=True),
                name="one_live_credential_of_a_kind",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


class UsageHour(models.Model):
    """Delivered card-seconds of one allocation in one hour (计量小时): the billing base.

    Revision 0 is the first count; later ones are deltas against the sum before them.
    Append-only, partitioned by month of `hour`; nothing has a foreign key to it, a charge
    names it by (allocation, hour, revision). The table is made by SQL in the migration.
    """

    pk = models.CompositePrimaryKey("allocation_id", "hour", "revision")
    allocation_id = models.BigIntegerField()
    hour = models.DateTimeField()  # its start, on a UTC hour
    revision = models.PositiveSmallIntegerField(default=0)
    card_seconds = models.BigIntegerField()  # delivered; a correction may be negative
    gap_card_seconds = models.BigIntegerField(default=0)  # owed inside the period, not delivered
    recorded_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "inventory_usagehour"

    def __str__(self) -> str:
        return f"{self.allocation_id} {self.hour} r{self.revision}"


class MeteringCursor(models.Model):
    """Up to which hour an allocation has been metered; the next fold starts there."""

    allocation = models.OneToOneField(
        Allocation, on_delete=models.PROTECT, primary_key=True, related_name="metering_cursor"
    )
    metered_until = models.DateTimeField()
    # From here to there the history was corrected: these hours are to be counted again.
    corrected_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["corrected_since"],
                name="metering_corrected",
                condition=Q(corrected_since__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.allocation_id} metered until {self.metered_until}"
