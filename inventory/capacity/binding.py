"""Which nodes and cards serve an allocation: decided late, at its start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from inventory.actors import Actor
from inventory.capacity.admission import asked
from inventory.capacity.calls import call
from inventory.capacity.changes import finish
from inventory.models import Binding

unbind = finish


def bind(
    *,
    allocation_id: int,
    at: datetime,
    actor: Actor,
    node_ids: Sequence[int] | None = None,
) -> list[Binding]:
    """Nodes are named for an allocation, from `at` to the end of its blocking period.

    Allowed from the start of its blocking period. Whole nodes come from as few leaves as
    possible, slices from nodes already cut into; never from a broken node, one that an outage
    has picked, or one whose last instance is not released. While the pool's counts hold it
    always succeeds. `node_ids` limits the choice. Moves no state of the allocation.

    Locks: pool, allocation. Raises NotDue, NoNodeFree (try again later), IllegalTransition.
    Idempotent: what is bound stays as it is.
    """
    with transaction.atomic():
        call(
            "capacity_bind",
            allocation=allocation_id,
            nodes=None if node_ids is None else list(node_ids),
            **asked(at, actor),
        )
        return _live(allocation_id, at)


def rebind(*, binding_id: int, at: datetime, actor: Actor, reason: str) -> list[Binding]:
    """Other nodes take over what one binding served; the old binding ends at `at`.

    Returns the new bindings: one for a whole node, perhaps several for slices. Locks: pool,
    allocation, binding. Raises NoNodeFree, IllegalTransition. Not idempotent.
    """
    with transaction.atomic():
        before = set(
            Binding.objects.filter(allocation__bindings=binding_id).values_list("pk", flat=True)
        )
        call("capacity_rebind", binding=binding_id, reason=reason, **asked(at, actor))
        rows = Binding.objects.filter(allocation__bindings=binding_id).exclude(pk__in=before)
        return list(rows.select_related("node").order_by("node_id", "pk"))


def _live(allocation_id: int, at: datetime) -> list[Binding]:
    rows = Binding.objects.filter(allocation_id=allocation_id, during__endswith__gt=at)
    return list(rows.select_related("node").order_by("node_id", "pk"))
