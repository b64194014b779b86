"""Blocks: what of a pool is open for sale, and when."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction

from inventory import identifiers
from inventory.actors import Actor
from inventory.capacity.admission import MOST_UNITS, asked
from inventory.capacity.calls import call
from inventory.errors import Invalid, NotFound
from inventory.models import Block, Pool
from inventory.periods import Period


def open_block(
    *, pool_id: int, unit_count: int, sellable: Period, at: datetime, actor: Actor
) -> Block:
    """`unit_count` units of the pool are for sale over `sellable`.

    The block takes lead and turnaround around that window where the pool has room and no
    block touches it; what it got is its `period`. Margins that other blocks do not use give
    way.
    Locks: pool, blocks. Raises CapacityTaken (with the free units), NotOffered where the pool
    drains or the window is over, NotFound, Busy. Not idempotent.
    """
    _check_units(unit_count)
    if not Pool.objects.visible_to(actor).filter(pk=pool_id).exists():
        raise NotFound("No such pool")
    public_id = identifiers.new("blk")
    with transaction.atomic():
        pk = call(
            "capacity_open_block",
            pool=pool_id,
            units=unit_count,
            sellable=sellable.range,
            public_id=uuid.UUID(hex=public_id.partition("_")[2]),
            **asked(at, actor),
        )
        return Block.objects.get(pk=pk)


def resize_block(*, block_id: int, unit_count: int, at: datetime, actor: Actor) -> Block:
    """The block sells `unit_count` units; never fewer than its live claims take at once.

    Locks: pool, block. Raises CapacityTaken, NotFound. Idempotent but for the journal.
    """
    _check_units(unit_count)
    return _change(block_id, actor, at, "capacity_resize_block", units=unit_count)


def close_block(*, block_id: int, at: datetime, actor: Actor) -> Block:
    """The block sells nothing new. Its claims stay; the rest is the pool's again.

    Locks: pool, block. Raises NotFound. Idempotent.
    """
    return _change(block_id, actor, at, "capacity_turn_block", to="closed")


def reopen_block(*, block_id: int, at: datetime, actor: Actor) -> Block:
    """A closed block sells again, where the pool still has its units.

    Locks: pool, block. Raises CapacityTaken, NotOffered, NotFound. Idempotent.
    """
    return _change(block_id, actor, at, "capacity_turn_block", to="open")


def _change(block_id: int, actor: Actor, at: datetime, function: str, **what: object) -> Block:
    if not Block.objects.visible_to(actor).filter(pk=block_id).exists():
        raise NotFound("No such block")
    with transaction.atomic():
        call(function, block=block_id, **what, **asked(at, actor))
        row: Block = Block.objects.get(pk=block_id)
        return row


def _check_units(unit_count: int) -> None:
    if not 1 <= unit_count <= MOST_UNITS:
        raise Invalid(f"The number of units lies between 1 and {MOST_UNITS}")
