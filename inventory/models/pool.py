"""Pools of interchangeable nodes, and the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced
from inventory.models.centre import Chip, Fabric
from inventory.models.organisation import Organisation

if TYPE_CHECKING:
    from inventory.actors import Actor


class PoolQuerySet(models.QuerySet["Pool"]):
    def visible_to(self, actor: Actor) -> PoolQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id)


@enforced
class Pool(models.Model):
    """Interchangeable nodes of one chip in one fabric, sold in one kind of unit (资源池).

    The unit is a whole node or a fixed slice of 1, 2 or 4 cards. It never changes, so that
    units stay interchangeable and counting stays exact. This row is catalogue: the lock is
    `PoolLock` and the version `PoolVersion`.
    """

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        """Sells."""
        DRAINING = "draining", _("draining")
        """Serves what is sold, sells nothing new."""
        RETIRED = "retired", _("retired")
        """Empty and gone; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.ACTIVE: [State.DRAINING],
            State.DRAINING: [State.ACTIVE, State.RETIRED],
            State.RETIRED: [],
        }
    )

    public_id = PublicIdField(prefix="pool")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="pools")
    fabric = models.ForeignKey(Fabric, on_delete=models.PROTECT, related_name="pools")
    chip = models.ForeignKey(Chip, on_delete=models.PROTECT, related_name="pools")
    name = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    cards_per_node = models.PositiveSmallIntegerField(default=8)
    unit_cards = models.PositiveSmallIntegerField(default=8)
    spare_count = models.PositiveIntegerField(default=0)  # nodes kept back for failures
    lead_seconds = models.PositiveIntegerField(default=0)  # needed before a start, never billed
    turnaround_seconds = models.PositiveIntegerField(default=0)  # needed after an end, never billed
    # Tenants on its nodes hear of maintenance this long ahead.
    maintenance_notice_seconds = models.PositiveIntegerField(default=72 * 3600, db_default=259200)
    driver = models.CharField(max_length=40, default="fake")
    driver_options = models.JSONField(default=dict, blank=True)
    engine_secret = models.BinaryField(null=True, blank=True)  # opens the engine; encrypted
    created_at = models.DateTimeField()

    objects = PoolQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["fabric", "name"], name="pool_name_once"),
            models.CheckConstraint(
                condition=Q(unit_cards__in=[1, 2, 4]) | Q(unit_cards=F("cards_per_node")),
                name="pool_unit_is_a_node_or_a_slice",
            ),
            models.CheckConstraint(
                condition=Q(cards_per_node__gte=1, cards_per_node__lte=64),
                name="pool_cards_per_node_physical",
            ),
            models.CheckConstraint(
                condition=Exact(F("cards_per_node") % F("unit_cards"), 0),
                name="pool_unit_divides_node",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.public_id})"

    @property
    def units_per_node(self) -> int:
        return self.cards_per_node // self.unit_cards

    @property
    def sells_whole_nodes(self) -> bool:
        return self.unit_cards == self.cards_per_node


class PoolLock(models.Model):
    """The lock of a pool's capacity: a row that is never updated.

    Were the locked row itself updated, every waiter would wake at each commit, chase the new
    row version and queue again: no order, twice the p99, and `lock_timeout` never fires.
    """

    pool = models.OneToOneField(
        Pool, on_delete=models.PROTECT, primary_key=True, related_name="lock"
    )

    def __str__(self) -> str:
        return f"lock of pool {self.pool_id}"


class PoolVersion(models.Model):
    """How often a pool's capacity changed, and the clock that decides which holds are dead.

    Written by capacity verbs only. The clock never goes back: a hold once treated as dead
    stays dead, whatever the server's clock does.
    """

    pool = models.OneToOneField(
        Pool, on_delete=models.PROTECT, primary_key=True, related_name="version"
    )
    ver = models.BigIntegerField(default=0)
    clock = models.DateTimeField()
    epoch = models.IntegerField(default=0)  # raised when events before it must not be replayed

    def __str__(self) -> str:
        return f"version {self.ver} of pool {self.pool_id}"


class NodeQuerySet(models.QuerySet["Node"]):
    def visible_to(self, actor: Actor) -> NodeQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id)


@enforced
class Node(models.Model):
    """One server (节点), usually of 8 cards. Known by its serial within its provider."""

    class State(models.TextChoices):
        SERVICEABLE = "serviceable", _("serviceable")
        """May serve; may break or be retired."""
        BROKEN = "broken", _("broken")
        """Failed or quarantined after a failed wipe; a person brings it back."""
        RETIRED = "retired", _("retired")
        """Gone for good."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.SERVICEABLE: [State.BROKEN, State.RETIRED],
            State.BROKEN: [State.SERVICEABLE, State.RETIRED],
            State.RETIRED: [],
        }
    )

    public_id = PublicIdField(prefix="nod")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="nodes")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="nodes")
    state = models.CharField(max_length=12, choices=State, default=State.SERVICEABLE)
    serial = models.CharField(max_length=80)
    hostname = models.CharField(max_length=120, blank=True)
    rack = models.CharField(max_length=60, blank=True)
    leaf = models.CharField(max_length=60, blank=True)  # the switch the node hangs on
    card_uuids = ArrayField(models.CharField(max_length=80), default=list, blank=True)
    driver_version = models.CharField(max_length=60, blank=True)
    runtime_version = models.CharField(max_length=60, blank=True)  # CUDA, CANN …
    # What the image brings along: PyTorch, MindSpore …
    framework_version = models.CharField(max_length=60, blank=True, default="", db_default="")
    firmware_version = models.CharField(max_length=60, blank=True)
    installed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = NodeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "serial"], name="node_serial_once"),
        ]
        indexes = [models.Index(fields=["pool", "state"], name="node_by_pool")]

    def __str__(self) -> str:
        return f"{self.serial} ({self.public_id})"
