"""One allocation goes on as another, on the same nodes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from inventory import identifiers, transactions
from inventory.actors import Actor
from inventory.capacity.admission import as_uuid, asked
from inventory.capacity.calls import call
from inventory.models import Allocation
from inventory.periods import LATEST, InvalidPeriod


def convert(
    *,
    allocation_id: int,
    seam: datetime,
    end: datetime,
    at: datetime,
    actor: Actor,
    block_ids: Sequence[int] = (),
    allocation_public_id: str | None = None,
) -> Allocation:
    """From `seam` on the running allocation's units are a new one's, up to `end`.

    The old one ends at the seam, without a turnaround: its machines are handed over there by
    the reconcile loop, not wiped. `block_ids` names adjoining blocks the new one grows into.
    Returns the new allocation, scheduled. Where it is released before the seam, the old one
    has its turnaround back.

    Locks: pool, allocation, claims, bindings. Raises CapacityTaken, NotOffered, InvalidEnd
    where the seam lies outside what is left of the period, IllegalTransition where it is not
    active or goes on already. Not idempotent.
    """
    if end.tzinfo is None or end > LATEST:
        raise InvalidPeriod("The end needs a time zone and lies before 2200")
    with transactions.whole():
        number = call(
            "capacity_convert",
            allocation=allocation_id,
            seam=seam,
            end=end,
            blocks=list(block_ids),
            public_id=as_uuid(allocation_public_id or identifiers.new("alc")),
            **asked(at, actor),
        )
        row: Allocation = Allocation.objects.select_related("pool").get(pk=number)
        return row


def hand_over(*, allocation_id: int, into_id: int, at: datetime, actor: Actor) -> dict[int, int]:
    """At the seam the nodes bound to the one are bound to the other, which continues it.

    Returns, by the number of each binding that ended, that of what took its place. Moves no
    states: that is provisioning's. Locks: pool, allocations, bindings. Raises NotDue,
    IllegalTransition. Not idempotent.
    """
    with transactions.whole():
        pairs = call(
            "capacity_hand_over", allocation=allocation_id, into=into_id, **asked(at, actor)
        )
    return dict(json.loads(pairs))
