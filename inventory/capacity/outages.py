"""Nodes out of use, planned and failed, and the sweep that starts and ends what is due."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime

from django.db import transaction

from inventory import actors, identifiers
from inventory.actors import Actor
from inventory.capacity.admission import asked
from inventory.capacity.calls import NoNodeFree, call
from inventory.capacity.external import follow_external
from inventory.errors import Busy, Invalid, NotFound
from inventory.models import Allocation, Node, Outage, Pool
from inventory.periods import Period

logger = logging.getLogger(__name__)


def set_outage(
    *,
    pool_id: int,
    kind: str,
    period: Period,
    reason: str,
    at: datetime,
    actor: Actor,
    node_count: int = 1,
    node_id: int | None = None,
) -> Outage:
    """Nodes of the pool are out of use.

    Planned: a count, refused where the pool has promised those nodes; the nodes are picked
    when it starts, so one can be named only for an outage that starts now. Failed: one node,
    from now to when it is expected back; it is broken at once. Failures use the spares first;
    beyond them admission counts what is left, and where more is claimed already the journal
    entry `pool.overcommitted` names the allocations in danger.

    Locks: pool, node. Raises CapacityTaken, NoNodeFree, Invalid, NotFound. Not idempotent.
    """
    if kind == Outage.Kind.FAILED and (node_id is None or node_count != 1 or period.start > at):
        raise Invalid("A failure names its one node and has begun")
    named_early = node_id is not None and (node_count != 1 or period.start > at)
    if kind == Outage.Kind.PLANNED and named_early:
        raise Invalid("Nodes of a planned outage are picked when it starts")
    if not 1 <= node_count <= 1_000_000:
        raise Invalid("The number of nodes lies between 1 and 1000000")
    if not Pool.objects.visible_to(actor).filter(pk=pool_id).exists():
        raise NotFound("No such pool")
    with transaction.atomic():
        pk = call(
            "capacity_set_outage",
            pool=pool_id,
            kind=kind,
            period=period.range,
            node_count=node_count,
            node=node_id,
            reason=reason[:200],
            public_id=uuid.UUID(hex=identifiers.new("out").partition("_")[2]),
            **asked(at, actor),
        )
        return Outage.objects.get(pk=pk)


def close_outage(*, outage_id: int, at: datetime, actor: Actor) -> Outage:
    """The outage is over or called off; a failed node serves again.

    Locks: pool, outage, node. Raises NotFound. Idempotent.
    """
    if not Outage.objects.visible_to(actor).filter(pk=outage_id).exists():
        raise NotFound("No such outage")
    with transaction.atomic():
        call("capacity_close_outage", outage=outage_id, **asked(at, actor))
        row: Outage = Outage.objects.get(pk=outage_id)
        return row


def retire_node(*, node_id: int, at: datetime, actor: Actor, reason: str) -> Node:
    """The node has left the pool for good, where its promises fit on the other nodes.

    Locks: pool, node. Raises CapacityTaken, NoNodeFree while the node serves, NotFound.
    Idempotent.
    """
    if not Node.objects.visible_to(actor).filter(pk=node_id).exists():
        raise NotFound("No such node")
    with transaction.atomic():
        call("capacity_retire_node", node=node_id, reason=reason, **asked(at, actor))
        return Node.objects.get(pk=node_id)


def retire_pool(*, pool_id: int, at: datetime, actor: Actor, reason: str) -> Pool:
    """An empty pool is gone for good: blocks closed, nodes retired.

    Locks: pool, blocks, nodes. Raises CapacityTaken while anything is claimed or bound beyond
    the pool's clock, NotFound. Idempotent but for the journal.
    """
    if not Pool.objects.visible_to(actor).filter(pk=pool_id).exists():
        raise NotFound("No such pool")
    with transaction.atomic():
        call("capacity_retire_pool", pool=pool_id, reason=reason, **asked(at, actor))
        row: Pool = Pool.objects.get(pk=pool_id)
        return row


def sweep(*, at: datetime, limit: int = 200) -> int:
    """External allocations and planned outages that are due start or end. Returns how many did.

    Each in its own transaction; one that finds no free node stays due and is logged.
    Idempotent.
    """
    actor = actors.system("capacity.sweep")
    external = Allocation.objects.exclude(kind=Allocation.Kind.SALE)
    starting = external.filter(state=Allocation.State.SCHEDULED, period__startswith__lte=at)
    ending = external.filter(state=Allocation.State.ACTIVE, period__endswith__lte=at)
    planned = Outage.objects.filter(kind=Outage.Kind.PLANNED, state=Outage.State.OPEN)
    done = 0
    # What ends goes first, so that what starts finds its nodes free.
    for pk in _keys(planned.filter(period__endswith__lte=at), limit):
        close_outage(outage_id=pk, at=at, actor=actor)
        done += 1
    for pk in [*_keys(ending, limit), *_keys(starting, limit)]:
        try:
            follow_external(allocation_id=pk, at=at, actor=actor)
            done += 1
        except (NoNodeFree, Busy) as error:
            logger.warning("allocation %s waits: %s", pk, error)
    due = planned.filter(node__isnull=True, period__startswith__lte=at, period__endswith__gt=at)
    for pk in _keys(due, limit):
        with transaction.atomic():
            started = call("capacity_start_outage", outage=pk, **asked(at, actor))
        if started:
            done += 1
        else:
            logger.warning("outage %s waits for free nodes", pk)
    return done


def _keys(rows: object, limit: int) -> list[int]:
    return list(rows.order_by("pk").values_list("pk", flat=True)[:limit])  # type: ignore[attr-defined]
