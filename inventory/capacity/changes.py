"""A deal changes in place: it grows, shrinks, ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from inventory.actors import Actor
from inventory.capacity.admission import asked
from inventory.capacity.calls import call
from inventory.models import Allocation
from inventory.periods import LATEST, InvalidPeriod


def extend(
    *,
    allocation_id: int,
    end: datetime,
    at: datetime,
    actor: Actor,
    block_ids: Sequence[int] = (),
) -> Allocation:
    """The allocation ends later, on the same nodes where it is bound.

    `block_ids` names the adjoining blocks it grows into; none where its own reaches far
    enough. Locks: pool, allocation, claims, bindings. Raises CapacityTaken, NotOffered,
    InvalidEnd, HoldExpired, IllegalTransition. Not idempotent.
    """
    if end.tzinfo is None or end > LATEST:
        raise InvalidPeriod("The end needs a time zone and lies before 2200")
    with transaction.atomic():
        call(
            "capacity_extend",
            allocation=allocation_id,
            end=end,
            blocks=list(block_ids),
            **asked(at, actor),
        )
        return Allocation.objects.get(pk=allocation_id)


def shorten(
    *, allocation_id: int, end: datetime, at: datetime, actor: Actor, reason: str
) -> Allocation:
    """The allocation ends sooner; all from `end` plus its turnaround on is free.

    Locks: pool, allocation, claims, bindings. Raises InvalidEnd where `end` lies before `at`
    or outside the period, IllegalTransition. Not idempotent.
    """
    with transaction.atomic():
        call(
            "capacity_shorten",
            allocation=allocation_id,
            end=end,
            reason=reason,
            **asked(at, actor),
        )
        return Allocation.objects.get(pk=allocation_id)


def finish(*, allocation_id: int, at: datetime, actor: Actor) -> Allocation:
    """The nodes are clean: claims and bindings end at `at`, what they blocked beyond is free.

    Moves no state of the allocation: that is provisioning's. Locks: pool, allocation, claims,
    bindings. Raises IllegalTransition where it was never confirmed. Idempotent.
    """
    with transaction.atomic():
        call("capacity_finish", allocation=allocation_id, **asked(at, actor))
        return Allocation.objects.get(pk=allocation_id)
