"""The centre's own use and contracts made elsewhere: claims on the pool, on no block."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from inventory import identifiers
from inventory.actors import Actor
from inventory.capacity.admission import MOST_UNITS, asked
from inventory.capacity.calls import call
from inventory.errors import Invalid, NotFound
from inventory.models import Allocation, Pool
from inventory.periods import Period


class NodesNeeded(Invalid):
    """It runs already, so its nodes are known: unnamed, others might be taken for it."""

    code = "nodes_needed"
    title = "What runs already names its nodes"


def claim_external(
    *,
    pool_id: int,
    kind: str,
    unit_count: int,
    period: Period,
    note: str,
    at: datetime,
    actor: Actor,
    node_ids: Sequence[int] = (),
) -> Allocation:
    """Units of the pool are taken for the centre itself or a contract made elsewhere.

    One that runs already is bound at once, to the nodes named; a future one is a count, its
    nodes found at its start. Locks: pool. Raises CapacityTaken, NotOffered where the pool is
    retired or the period over, NodesNeeded where one that runs names none, NodeInUse where the
    named ones are not free, Invalid where nodes are named for the future, or not as many as
    hold its units. Not idempotent.
    """
    if kind not in (Allocation.Kind.OWN_USE, Allocation.Kind.ELSEWHERE):
        raise Invalid("An external allocation is own use or a contract made elsewhere")
    if not 1 <= unit_count <= MOST_UNITS:
        raise Invalid(f"The number of units lies between 1 and {MOST_UNITS}")
    pool = Pool.objects.visible_to(actor).filter(pk=pool_id).first()
    if pool is None:
        raise NotFound("No such pool")
    _check_nodes(pool, unit_count, list(node_ids), runs=period.start <= at < period.end)
    with transaction.atomic():
        pk = call(
            "capacity_claim_external",
            pool=pool_id,
            kind=kind,
            units=unit_count,
            period=period.range,
            nodes=list(node_ids) or None,
            note=note[:200],
            public_id=uuid.UUID(hex=identifiers.new("alc").partition("_")[2]),
            **asked(at, actor),
        )
        return Allocation.objects.get(pk=pk)


def _check_nodes(pool: Pool, unit_count: int, node_ids: list[int], *, runs: bool) -> None:
    if not runs:
        if node_ids:
            raise Invalid("Nodes of a future allocation are picked at its start")
        return
    if not node_ids:
        raise NodesNeeded()
    per_node = pool.cards_per_node // pool.unit_cards
    if len(set(node_ids)) != len(node_ids):
        raise Invalid("A node is named twice")
    if not len(node_ids) <= unit_count <= len(node_ids) * per_node:
        raise Invalid(f"The named nodes do not hold {unit_count} units, or some hold none")


def follow_external(*, allocation_id: int, at: datetime, actor: Actor) -> Allocation:
    """An external allocation is where the clock says: bound at its start, given back at its end.

    Locks: pool, allocation, claims, bindings. Raises NoNodeFree. Idempotent.
    """
    with transaction.atomic():
        call("capacity_follow_external", allocation=allocation_id, **asked(at, actor))
        return Allocation.objects.get(pk=allocation_id)


def end_external(*, allocation_id: int, at: datetime, actor: Actor, reason: str) -> Allocation:
    """The centre needs it no longer: given back where it has not begun, else over now.

    Locks: pool, allocation, claims, bindings. Raises NotFound, IllegalTransition. Idempotent.
    """
    if not Allocation.objects.visible_to(actor).filter(pk=allocation_id).exists():
        raise NotFound("No such allocation")
    with transaction.atomic():
        call("capacity_end_external", allocation=allocation_id, reason=reason, **asked(at, actor))
        row: Allocation = Allocation.objects.get(pk=allocation_id)
        return row
