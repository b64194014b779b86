"""A sold allocation and a clock that runs the reconcile loop forward."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models.functions import Greatest

from inventory import capacity, provisioning
from inventory.models import Allocation, Instance, InstanceHistory, JournalEntry, Pool
from inventory.periods import Period
from inventory.provisioning import allocations, instances
from tests import world
from tests.world import SYSTEM, T0

State = Allocation.State


def pool(*, nodes: int = 4, options: dict[str, Any] | None = None, **facts: Any) -> Pool:
    row = world.pool(nodes=nodes, **facts)
    row.driver_options = options or {}
    row.save(update_fields=["driver_options"])
    return row


def sold(
    row: Pool,
    *,
    units: int = 2,
    period: Period | None = None,
    at: datetime = T0 - timedelta(hours=1),
    ssh_keys: tuple[str, ...] = (),
) -> Allocation:
    """A confirmed allocation of the pool."""
    period = period or world.period(0, 10)
    block = row.blocks.first() or capacity.open_block(
        pool_id=row.pk,
        unit_count=row.nodes.count() * row.units_per_node - row.spare_count * row.units_per_node,
        sellable=world.period(-24, 24 * 90),
        at=T0 - timedelta(days=30),
        actor=SYSTEM,
    )
    held = capacity.claim(
        pool_id=row.pk,
        block_ids=[block.pk],
        unit_count=units,
        period=period,
        tenant_id=world.tenant().pk,
        held_until=at + timedelta(minutes=15),
        at=at,
        actor=SYSTEM,
        ssh_keys=ssh_keys,
    )
    return capacity.confirm(allocation_id=held.pk, at=at, actor=SYSTEM)


def tick(at: datetime) -> int:
    """One round of both sweeps; how many rows were stepped."""
    return provisioning.sweep_allocations(at=at) + provisioning.sweep_instances(at=at)


def run(start: datetime, until: datetime, *, every: float = 1) -> None:
    """Rounds over [start, until), each when something is due, at least `every` seconds apart."""
    at = start
    while at < until:
        tick(at)
        due = [
            each or at
            for model, states in (
                (Allocation, allocations.DUE),
                (Instance, instances.DUE),
            )
            for each in model.objects.filter(state__in=states).values_list(
                Greatest("next_step_at", "claimed_until"), flat=True
            )
        ]
        at = max(min(due, default=until), at + timedelta(seconds=every))


def seconds(count: float) -> datetime:
    """From T0."""
    return T0 + timedelta(seconds=count)


def states(allocation: Allocation) -> list[str]:
    """Of the instances, in order of making."""
    return list(allocation.instances.order_by("pk").values_list("state", flat=True))


def events(object_id: str) -> list[str]:
    rows = JournalEntry.objects.filter(object_id=object_id).order_by("recorded_at", "id")
    return list(rows.values_list("event", flat=True))


def history(allocation: Allocation) -> list[tuple[str, datetime]]:
    rows = InstanceHistory.objects.filter(instance__allocation=allocation).order_by("at", "pk")
    return list(rows.values_list("state", "at"))
