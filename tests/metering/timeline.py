"""Allocations with a history written down directly, for what only metering reads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta

from inventory.models import Allocation, Binding, Instance, InstanceHistory, Pool, UsageHour
from inventory.periods import Period
from tests import database, world

_moments = itertools.count(1)

Interval = tuple[datetime, datetime]


def allocation(
    pool: Pool,
    *,
    period: Period,
    units: int = 1,
    active_at: datetime | None,
    state: str = "ended",
    kind: str = "sale",
) -> Allocation:
    row = Allocation(
        pool=pool,
        kind=kind,
        provider=pool.provider,
        tenant=world.tenant() if kind == "sale" else None,
        unit_count=units,
        period=period.range,
        blocking=period.range,
        state=state,
        active_at=active_at,
        created_at=period.start,
    )
    database.write(row)
    return row


def instance(row: Allocation, intervals: Sequence[Interval]) -> Instance:
    """One machine that was active over these intervals."""
    moment = world.T0 - timedelta(days=3000) + timedelta(seconds=next(_moments))
    binding = Binding(
        allocation=row,
        node=row.pool.nodes.order_by("pk")[0],
        cards=(0, row.pool.unit_cards),
        during=Period(moment, moment + timedelta(microseconds=1)).range,
        created_at=moment,
    )
    database.write(binding)
    made = Instance.objects.create(
        allocation=row,
        binding=binding,
        driver="fake",
        state=Instance.State.RELEASED,
        card_count=row.pool.unit_cards,
        created_at=moment,
    )
    for start, end in intervals:
        enter(made, Instance.State.ACTIVE, start)
        enter(made, Instance.State.RELEASING, end)
    return made


def enter(made: Instance, state: str, at: datetime, *, recorded_at: datetime | None = None) -> None:
    InstanceHistory.objects.create(instance=made, state=state, at=at, recorded_at=recorded_at or at)


def hours(row: Allocation) -> list[tuple[datetime, int, int, int]]:
    """(hour, revision, delivered, gap) of every usage hour."""
    rows = UsageHour.objects.filter(allocation_id=row.pk).order_by("hour", "revision")
    return list(rows.values_list("hour", "revision", "card_seconds", "gap_card_seconds"))
