"""What is opened for sale, what is taken, and what serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, IntegerRangeField
from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced
from inventory.models.organisation import Organisation
from inventory.models.pool import Node, Pool

if TYPE_CHECKING:
    from inventory.actors import Actor


def _as_range(key: str) -> Func:
    """A bigint key as a range, so that core GiST can index it without an extension."""
    return Func(F(key), F(key), Value("[]"), function="int8range")


class CapacityQuerySet(models.QuerySet[Any]):
    """Rows of one pool's capacity, read by the pool's provider."""

    def visible_to(self, actor: Actor) -> CapacityQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(pool__provider_id=actor.organisation_id)


@enforced
class Block(models.Model):
    """`unit_count` units of a pool opened for sale over a period (可售时段).

    The machine side of a listing.

    `period` is what the pool gives, lead and turnaround included; `sellable` is what a
    customer may ask for inside it, and what counts as listed.
    """

    class State(models.TextChoices):
        OPEN = "open", _("open")
        """Sells; the provider may close it."""
        CLOSED = "closed", _("closed")
        """Sells nothing new; what is sold stays served and counted."""

    LIFECYCLE: ClassVar = Lifecycle({State.OPEN: [State.CLOSED], State.CLOSED: [State.OPEN]})

    public_id = PublicIdField(prefix="blk")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="blocks")
    unit_count = models.PositiveIntegerField()
    period = DateTimeRangeField()
    sellable = DateTimeRangeField()
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    created_at = models.DateTimeField()

    objects = CapacityQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(period__contains=F("sellable")), name="block_sells_inside_its_period"
            ),
            models.CheckConstraint(
                condition=Q(period__isempty=False, sellable__isempty=False),
                name="block_periods_not_empty",
            ),
        ]
        indexes = [GistIndex(_as_range("pool_id"), F("period"), name="block_by_pool_and_period")]

    def __str__(self) -> str:
        return self.public_id


@enforced
class Allocation(models.Model):
    """The machine side of a deal (分配): units of one pool over a period for one customer.

    Knows nothing of price. It blocks [start − lead, end + turnaround), with lead and
    turnaround frozen from its pool. External ones (外部占用) are the centre's own use and
    contracts made elsewhere: they sit on the pool, on no block.
    """

    class Kind(models.TextChoices):
        SALE = "sale", _("sale")
        """Sold here, drawn from blocks."""
        OWN_USE = "own_use", _("own use")
        """The centre's own work."""
        ELSEWHERE = "elsewhere", _("contract made elsewhere")
        """Sold outside this market; known so that day one cannot oversell."""

    class State(models.TextChoices):
        HELD = "held", _("held")
        """Counts until `held_until`; the customer confirms, cancels or lets it lapse."""
        SCHEDULED = "scheduled", _("scheduled")
        """Confirmed, waiting for its start; may still be cancelled."""
        DELIVERING = "delivering", _("being delivered")
        """Bound to nodes; drivers are at work."""
        ACTIVE = "active", _("active")
        """The customer can use it."""
        RELEASING = "releasing", _("being released")
        """Ended or failed; drivers take it down and wipe."""
        RELEASE_FAILED = "release_failed", _("release failed")
        """A node could not be wiped: quarantine until a person or a retry clears it."""
        ENDED = "ended", _("ended")
        """Over, its nodes clean."""
        EXPIRED = "expired", _("expired")
        """The hold lapsed."""
        CANCELLED = "cancelled", _("cancelled")
        """Given back before delivery."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.HELD: [State.SCHEDULED, State.EXPIRED, State.CANCELLED],
            State.SCHEDULED: [State.DELIVERING, State.CANCELLED],
            State.DELIVERING: [State.ACTIVE, State.RELEASING],
            State.ACTIVE: [State.RELEASING],
            State.RELEASING: [State.ENDED, State.RELEASE_FAILED],
            State.RELEASE_FAILED: [State.RELEASING, State.ENDED],
            State.ENDED: [],
            State.EXPIRED: [],
            State.CANCELLED: [],
        }
    )

    public_id = PublicIdField(prefix="alc")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="allocations")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.SALE)
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(  # null for external allocations
        Organisation, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    unit_count = models.PositiveIntegerField()
    period = DateTimeRangeField()
    blocking = DateTimeRangeField()
    lead_seconds = models.PositiveIntegerField(default=0)
    turnaround_seconds = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State)
    note = models.CharField(max_length=200, blank=True)  # an external one's contract or use
    failure_code = models.CharField(max_length=60, blank=True)  # why delivery failed
    ssh_keys = models.JSONField(default=list, blank=True)  # public keys the customer wants in
    # Whose machines it takes over at its start as they stand, without a wipe between.
    continues = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="continued_by"
    )
    created_at = models.DateTimeField()
    active_at = models.DateTimeField(null=True, blank=True)  # the customer could use all of it
    ended_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)  # delivery was given up; owed no more
    # The customer is shut out since then; its machines stand, and are its own. Null: it is not.
    suspended_at = models.DateTimeField(null=True, blank=True)

    # The reconcile loop's claim on this row.
    claim_token = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    next_step_at = models.DateTimeField(null=True, blank=True)

    objects = CapacityQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(blocking__contains=F("period")), name="allocation_blocks_its_period"
            ),
            models.CheckConstraint(
                condition=Q(unit_count__gt=0, period__isempty=False),
                name="allocation_of_something_for_some_time",
            ),
            models.CheckConstraint(
                condition=Q(kind="sale", tenant__isnull=False) | ~Q(kind="sale"),
                name="allocation_sale_has_a_tenant",
            ),
            models.UniqueConstraint(
                fields=["continues"],
                condition=Q(continues__isnull=False) & ~Q(state="cancelled"),
                name="allocation_goes_on_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_step_at"],
                name="allocation_due",
                condition=Q(state__in=["scheduled", "delivering", "active", "releasing"]),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


CLAIM_LIVE = ("held", "confirmed")


@enforced
class Claim(models.Model):
    """The part of an allocation drawn from one block (占用): what admission counts.

    The only truth about what is taken; nothing derived from it is stored. A live claim
    counts over `blocking`; a held one only while `held_until` lies after the pool's clock.
    """

    class State(models.TextChoices):
        HELD = "held", _("held")
        """Counts until `held_until`."""
        CONFIRMED = "confirmed", _("confirmed")
        """Counts over its blocking period."""
        EXPIRED = "expired", _("expired")
        """The hold lapsed; counts no more."""
        RELEASED = "released", _("released")
        """Given back; counts no more."""
        ENDED = "ended", _("ended")
        """Its time has passed; counts no more."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.HELD: [State.CONFIRMED, State.EXPIRED, State.RELEASED],
            State.CONFIRMED: [State.RELEASED, State.ENDED],
            State.EXPIRED: [],
            State.RELEASED: [],
            State.ENDED: [],
        }
    )

    public_id = PublicIdField(prefix="clm")
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="claims")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="claims")
    block = models.ForeignKey(  # null: external, on the pool itself
        Block, on_delete=models.PROTECT, null=True, blank=True, related_name="claims"
    )
    unit_count = models.PositiveIntegerField()
    blocking = DateTimeRangeField()
    state = models.CharField(max_length=10, choices=State)
    held_until = models.DateTimeField(null=True, blank=True)

    objects = CapacityQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="held", held_until__isnull=False) | ~Q(state="held"),
                name="claim_hold_has_an_end",
            ),
            models.CheckConstraint(
                condition=Q(unit_count__gt=0, blocking__isempty=False),
                name="claim_of_something_for_some_time",
            ),
        ]
        indexes = [
            # Serves the sweep by both conditions, for claims of any length, and holds all that it
            # reads: where thousands overlap, their rows are never looked up.
            GistIndex(
                _as_range("block_id"),
                F("blocking"),
                name="claim_live_sweep",
                condition=Q(state__in=CLAIM_LIVE, block__isnull=False),
                include=("block", "unit_count", "state", "held_until", "allocation"),
            ),
            GistIndex(
                _as_range("pool_id"),
                F("blocking"),
                name="claim_live_external_by_pool",
                condition=Q(state__in=CLAIM_LIVE, block__isnull=True),
            ),
            models.Index(fields=["held_until"], name="claim_hold_due", condition=Q(state="held")),
        ]

    def __str__(self) -> str:
        return self.public_id


@enforced
class Outage(models.Model):
    """Nodes of a pool that cannot serve (停用).

    Planned: a count of nodes over a period, the node picked at its start. Failed: one node,
    with an expected end.
    """

    class Kind(models.TextChoices):
        PLANNED = "planned", _("planned")
        FAILED = "failed", _("failed")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        """Counts against the pool over its period."""
        CLOSED = "closed", _("closed")
        """Over, or called off."""

    LIFECYCLE: ClassVar = Lifecycle({State.OPEN: [State.CLOSED], State.CLOSED: []})

    public_id = PublicIdField(prefix="out")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="outages")
    kind = models.CharField(max_length=8, choices=Kind)
    node = models.ForeignKey(
        Node, on_delete=models.PROTECT, null=True, blank=True, related_name="outages"
    )
    node_count = models.PositiveIntegerField(default=1)
    period = DateTimeRangeField()  # a failed one ends when it is expected back
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = CapacityQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="planned") | Q(kind="failed", node__isnull=False, node_count=1),
                name="outage_failed_names_its_node",
            ),
        ]
        indexes = [
            GistIndex(
                _as_range("pool_id"),
                F("period"),
                name="outage_open_by_pool",
                condition=Q(state="open"),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


class Binding(models.Model):
    """Which node and which of its cards serve an allocation, and when (绑定). Made late: at start.

    The exclusion constraint is the last word: one card, one binding at a time.
    """

    public_id = PublicIdField(prefix="bnd")
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="bindings")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="bindings")
    cards = IntegerRangeField()  # [0, 8) for a whole node of eight
    during = DateTimeRangeField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="one_card_one_binding",
                expressions=[
                    (_as_range("node_id"), "&&"),
                    (F("cards"), "&&"),
                    (F("during"), "&&"),
                ],
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


class PoolEvent(models.Model):
    """One change of a pool's capacity, by version: a claim's journal and the search map's feed.

    Append-only. `delta` units are taken (positive) or freed (negative) over `period`, from
    `block` or, where that is null, from the pool itself.

    Its keys are checked by `verification`, not by the database: only capacity's functions
    write it, beside the rows it names, which nobody may remove; and it is read by version
    alone. Checks and indexes that no one needs would cost a hold a tenth of its time.
    """

    class Kind(models.TextChoices):
        BLOCK_OPENED = "block_opened"
        BLOCK_RESIZED = "block_resized"
        BLOCK_CLOSED = "block_closed"
        HELD = "held"
        CONFIRMED = "confirmed"
        EXPIRED = "expired"
        RELEASED = "released"
        EXTENDED = "extended"
        SHORTENED = "shortened"
        ENDED = "ended"
        EXTERNAL = "external"
        OUTAGE_SET = "outage_set"
        OUTAGE_CLOSED = "outage_closed"
        NODES_CHANGED = "nodes_changed"
        BOUND = "bound"

    # Found by (pool, ver). An index on the pool alone would be chosen instead, and read every
    # event of the pool for the newest one.
    pool = models.ForeignKey(
        Pool, on_delete=models.PROTECT, related_name="events", db_constraint=False, db_index=False
    )
    ver = models.BigIntegerField()
    epoch = models.IntegerField(default=0)
    kind = models.CharField(max_length=16, choices=Kind)
    block = models.ForeignKey(
        Block,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    claim = models.ForeignKey(
        Claim,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    delta = models.IntegerField(default=0)  # units taken; negative: freed
    period = DateTimeRangeField(null=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, blank=True)
    # xid xid8 DEFAULT pg_current_xact_id() is added by the migration: the sealing order.

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "ver"], name="one_event_per_version"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} v{self.ver} of pool {self.pool_id}"
