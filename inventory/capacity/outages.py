"""Nodes out of use, planned and failed, and the sweep that starts and ends what is due."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from inventory import actors, identifiers
from inventory.actors import Actor
from inventory.capacity.admission import asked
from inventory.capacity.calls import NoNodeFree, call
from inventory.capacity.external import follow_external
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Allocation, Binding, Node, Outage, Pool
from inventory.periods import Period

logger = logging.getLogger(__name__)
ACTOR = actors.system("capacity.sweep")
TRY_AGAIN = timedelta(minutes=1)
KNOWN_WITHIN = timedelta(days=7)


class MaintenanceTooSoon(DomainError):
    """Tenants on the pool's nodes have to hear of it earlier."""

    code = "maintenance_too_soon"
    title = "Maintenance of leased nodes needs longer notice"


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
    when it starts, so one can be named only for an outage that starts now. It begins now at the
    earliest: what was counted as serviceable stays so. Failed: one node, known since a week ago
    at most, to when it is expected back; it is broken at once. Failures use the spares first;
    beyond them admission counts what is left, and where more is claimed already the journal
    entry `pool.overcommitted` names the allocations in danger.

    Planned for sooner than the pool's notice, it takes only nodes that serve nobody meanwhile.

    Locks: pool, node. Raises CapacityTaken, NodeInUse, MaintenanceTooSoon, Invalid, NotFound. Not
    idempotent.
    """
    if period.end <= at:
        raise Invalid("The period is over")
    if kind == Outage.Kind.PLANNED:
        period = Period(max(period.start, at), period.end)
    elif period.start < at - KNOWN_WITHIN:
        raise Invalid("A failure is entered within a week")
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
        if kind == Outage.Kind.PLANNED:
            _require_notice(pool_id, period, node_count, at)
        return Outage.objects.get(pk=pk)


def _require_notice(pool_id: int, period: Period, node_count: int, at: datetime) -> None:
    """Sooner than its notice, a pool gives up nodes that serve nobody over the period; others are
    the matter of who leases them. The pool is locked."""
    pool = Pool.objects.get(pk=pool_id)
    earliest = at + timedelta(seconds=pool.maintenance_notice_seconds)
    if period.start >= earliest:
        return
    serving = Binding.objects.filter(node__pool=pool, during__overlap=period.range)
    nodes = Node.objects.filter(pool=pool, state=Node.State.SERVICEABLE)
    free = nodes.exclude(pk__in=serving.values("node")).count()
    # The nodes of outages that begin as early are spoken for, this one's among them.
    planned = Outage.objects.filter(
        pool=pool,
        kind=Outage.Kind.PLANNED,
        state=Outage.State.OPEN,
        period__overlap=period.range,
        period__startswith__lt=earliest,
    )
    if free < sum(planned.values_list("node_count", flat=True)):
        raise MaintenanceTooSoon(earliest_start=earliest, free_nodes=max(0, free - node_count))


def close_outage(*, outage_id: int, at: datetime, actor: Actor, reason: str = "") -> Outage:
    """The outage is over or called off; a failed node serves again.

    Locks: pool, outage, node. Raises NotFound, NodeNotClean. Idempotent.
    """
    if not Outage.objects.visible_to(actor).filter(pk=outage_id).exists():
        raise NotFound("No such outage")
    with transaction.atomic():
        call("capacity_close_outage", outage=outage_id, reason=reason, **asked(at, actor))
        row: Outage = Outage.objects.get(pk=outage_id)
        return row


def sweep(*, at: datetime, limit: int = 200) -> int:
    """External allocations and outages that are due start, end, or are overdue; how many did.

    Each in its own transaction, longest due first; one that cannot move is logged and holds up
    no other. An allocation that waits for nodes is tried again in a minute. Idempotent.
    """
    external = Allocation.objects.exclude(kind=Allocation.Kind.SALE)
    rested = external.filter(Q(next_step_at__isnull=True) | Q(next_step_at__lte=at))
    starting = rested.filter(state=Allocation.State.SCHEDULED, period__startswith__lte=at)
    ending = rested.filter(state=Allocation.State.ACTIVE, period__endswith__lte=at)
    opened = Outage.objects.filter(state=Outage.State.OPEN)
    planned = opened.filter(kind=Outage.Kind.PLANNED)
    waiting = planned.filter(node__isnull=True, period__startswith__lte=at, period__endswith__gt=at)
    failed = opened.filter(kind=Outage.Kind.FAILED)
    # What ends goes first, so that what starts finds its nodes free.
    return sum(
        _each(_keys(rows, limit), act, at)
        for rows, act in (
            (planned.filter(period__endswith__lte=at), _close),
            (failed.filter(period__endswith__lte=at), _report_overdue),
            (ending, _follow),
            (starting, _follow),
            (waiting, _start),
        )
    )


def _each(keys: list[int], act: Callable[[int, datetime], bool], at: datetime) -> int:
    done = 0
    for pk in keys:
        try:
            done += act(pk, at)
        except DomainError as error:
            logger.warning("%s of %s waits: %s", act.__name__.strip("_"), pk, error)
    return done


def _close(outage_id: int, at: datetime) -> bool:
    close_outage(outage_id=outage_id, at=at, actor=ACTOR)
    return True


def _report_overdue(outage_id: int, at: datetime) -> bool:
    with transaction.atomic():
        return bool(call("capacity_overdue_outage", outage=outage_id, **asked(at, ACTOR)))


def _start(outage_id: int, at: datetime) -> bool:
    with transaction.atomic():
        return bool(call("capacity_start_outage", outage=outage_id, **asked(at, ACTOR)))


def _follow(allocation_id: int, at: datetime) -> bool:
    try:
        follow_external(allocation_id=allocation_id, at=at, actor=ACTOR)
    except NoNodeFree:
        later = at + TRY_AGAIN
        Allocation.objects.filter(pk=allocation_id).update(next_step_at=later)
        raise
    return True


def _keys(rows: QuerySet[Any], limit: int) -> list[int]:
    return list(rows.order_by("period", "pk").values_list("pk", flat=True)[:limit])
