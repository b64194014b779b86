"""A hold and what becomes of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from inventory import identifiers, transactions
from inventory.actors import Actor
from inventory.capacity.calls import call, is_replaying, refusal
from inventory.errors import Invalid
from inventory.models import Allocation
from inventory.periods import Period

MOST_UNITS = 1_000_000  # beyond any pool, and within an integer column


def claim(
    *,
    pool_id: int,
    block_ids: Sequence[int],
    unit_count: int,
    period: Period,
    tenant_id: int,
    held_until: datetime,
    at: datetime,
    actor: Actor,
    allocation_public_id: str | None = None,
    ssh_keys: Sequence[str] = (),
) -> Allocation:
    """An allocation is held until `held_until`, with one claim per block.

    One statement: the lock, the sweep and the rows. Several blocks must adjoin and each be
    needed. A refusal writes nothing and leaves the caller's transaction usable.

    Locks: the pool. Raises CapacityTaken (with the free units), NotOffered, Busy, NotFound,
    ClockAhead. Not idempotent: the same `allocation_public_id` twice is an IntegrityError.
    """
    _check_units(unit_count)
    if not block_ids or len(set(block_ids)) != len(block_ids):
        raise Invalid("Name at least one block, and each once")
    public_id = allocation_public_id or identifiers.new("alc")
    answer = json.loads(
        call(
            "capacity_claim",
            pool=pool_id,
            blocks=list(block_ids),
            units=unit_count,
            period=period.range,
            tenant=tenant_id,
            held_until=held_until,
            public_id=as_uuid(public_id),
            ssh_keys=json.dumps(list(ssh_keys)),
            **asked(at, actor),
        )
    )
    if refused := answer.pop("refused", None):
        raise refusal(refused, answer)
    lead = timedelta(seconds=answer["lead_seconds"])
    turnaround = timedelta(seconds=answer["turnaround_seconds"])
    row = Allocation(
        pk=answer["id"],
        public_id=public_id,
        pool_id=pool_id,
        kind=Allocation.Kind.SALE,
        provider_id=answer["provider_id"],
        tenant_id=tenant_id,
        unit_count=unit_count,
        period=period.range,
        blocking=period.widen(before=lead, after=turnaround).range,
        lead_seconds=answer["lead_seconds"],
        turnaround_seconds=answer["turnaround_seconds"],
        state=Allocation.State.HELD,
        ssh_keys=list(ssh_keys),
        created_at=at,
    )
    row._state.adding = False
    return row


def confirm(*, allocation_id: int, at: datetime, actor: Actor) -> Allocation:
    """A held allocation becomes scheduled, due for delivery when its blocking period begins.

    No sweep: a living hold already counts. Locks: pool, allocation, claims. Raises HoldExpired
    where the pool's clock has passed the hold, IllegalTransition where it is not held. Not
    idempotent.
    """
    with transactions.whole():
        call("capacity_confirm", allocation=allocation_id, **asked(at, actor))
        return Allocation.objects.get(pk=allocation_id)


def confirm_all(*, allocation_ids: Sequence[int], at: datetime, actor: Actor) -> None:
    """All of these held allocations become scheduled, or none does; one statement.

    Pools are locked in the order of their ids, so that two baskets cannot wait for each other.
    Raises as `confirm`. Not idempotent.
    """
    with transactions.whole():
        call("capacity_confirm_all", allocations=list(allocation_ids), **asked(at, actor))


def expire(*, allocation_id: int, at: datetime, actor: Actor) -> Allocation:
    """A lapsed hold is given back. Tidies only: sweeps ignore lapsed holds by themselves.

    Locks: pool, allocation, claims. Raises HoldStillValid, IllegalTransition where it was
    confirmed or cancelled. Idempotent.
    """
    with transactions.whole():
        call("capacity_expire", allocation=allocation_id, **asked(at, actor))
        return Allocation.objects.get(pk=allocation_id)


def release(*, allocation_id: int, at: datetime, actor: Actor, reason: str) -> Allocation:
    """What is held or scheduled is given back before delivery: the allocation is cancelled.

    Locks: pool, allocation, claims, bindings. Raises IllegalTransition once delivery began.
    Idempotent.
    """
    with transactions.whole():
        call(
            "capacity_release",
            allocation=allocation_id,
            reason=reason,
            **asked(at, actor),
        )
        return Allocation.objects.get(pk=allocation_id)


def asked(at: datetime, actor: Actor) -> dict[str, object]:
    """The arguments that every capacity function ends with: when, and by whom."""
    return {
        "at": at,
        "replay": is_replaying(),
        "actor_kind": actor.kind,
        "actor": actor.label,
    }


def _check_units(unit_count: int) -> None:
    if not 1 <= unit_count <= MOST_UNITS:
        raise Invalid(f"The number of units lies between 1 and {MOST_UNITS}")


def as_uuid(public_id: str) -> uuid.UUID:
    """As a column of the database has it."""
    return uuid.UUID(hex=public_id.partition("_")[2])
