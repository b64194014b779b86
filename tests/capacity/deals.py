"""Short words for capacity verbs on whole hours from T0."""

from __future__ import annotations

from typing import Any

from inventory import capacity, verification
from inventory.models import Allocation, Block, Pool
from tests import world
from tests.world import SYSTEM, T0, hours, period

FAR = T0 + hours(100_000)


def open_block(pool: Pool, units: int, start: float, end: float, at: float = 0) -> Block:
    return capacity.open_block(
        pool_id=pool.pk,
        unit_count=units,
        sellable=period(start, end),
        at=T0 + hours(at),
        actor=SYSTEM,
    )


def hold(
    *blocks: Block,
    units: int,
    start: float,
    end: float,
    at: float = 0,
    until: float | None = None,
    **more: Any,
) -> Allocation:
    """A hold, until an hour or for ever."""
    return capacity.claim(
        pool_id=blocks[0].pool_id,
        block_ids=[block.pk for block in blocks],
        unit_count=units,
        period=period(start, end),
        tenant_id=world.tenant().pk,
        held_until=FAR if until is None else T0 + hours(until),
        at=T0 + hours(at),
        actor=SYSTEM,
        **more,
    )


def deal(*blocks: Block, units: int, start: float, end: float, at: float = 0) -> Allocation:
    """A confirmed allocation."""
    held = hold(*blocks, units=units, start=start, end=end, at=at)
    return capacity.confirm(allocation_id=held.pk, at=T0 + hours(at), actor=SYSTEM)


def free(block: Block, start: float, end: float, at: float = 0) -> list[tuple[float, float, int]]:
    """Steps of free units in hours from T0."""
    steps = capacity.availability(block_id=block.pk, period=period(start, end), at=T0 + hours(at))
    return [((s.start - T0) / hours(1), (s.end - T0) / hours(1), s.free_units) for s in steps]


def all_is_well() -> None:
    assert verification.verify() == []
