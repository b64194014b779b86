"""What is free, as steps in time. Reads: the claim decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from inventory.errors import Invalid
from inventory.models import Block, Node, Pool
from inventory.periods import Period


@dataclass(frozen=True, slots=True)
class Step:
    """[start, end): so many units are free."""

    start: datetime
    end: datetime
    free_units: int


@dataclass(frozen=True, slots=True)
class Level:
    """[start, end) of a pool: units committed to blocks and external use, units claimed, and
    nodes planned out of use or failed."""

    start: datetime
    end: datetime
    committed_units: int
    claimed_units: int
    planned_nodes: int
    failed_nodes: int


def pool_levels(*, pool_id: int, period: Period, at: datetime) -> list[Level]:
    """A pool's load over a period, holds that have lapsed by `at` left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT starts, ends, committed, live, planned, failed"
            " FROM capacity_levels(%s, %s, %s) ORDER BY starts",
            [pool_id, period.range, at],
        )
        return [Level(*row) for row in cursor.fetchall()]


def availability(
    *,
    period: Period,
    at: datetime,
    block_id: int | None = None,
    pool_id: int | None = None,
) -> list[Step]:
    """Free units over a period: of a block, to be claimed; of a pool, to be opened.

    Neighbouring steps differ; outside a block's own period nothing is free.
    """
    if block_id is not None:
        return _of_block(Block.objects.get(pk=block_id), period, at)
    if pool_id is None:
        raise Invalid("Availability is that of a block or of a pool")
    pool = Pool.objects.get(pk=pool_id)
    nodes = Node.objects.filter(pool=pool).exclude(state=Node.State.RETIRED).count()
    return _merged(
        [
            Step(
                level.start,
                level.end,
                (nodes - pool.spare_count - level.planned_nodes) * pool.units_per_node
                - level.committed_units,
            )
            for level in pool_levels(pool_id=pool.pk, period=period, at=at)
        ]
    )


_TAKEN_OF_BLOCK = """
    WITH parts AS (
        SELECT greatest(lower(blocking), lower(w)) AS s, upper(blocking) AS e, unit_count AS n
        FROM inventory_claim, (SELECT %(window)s::tstzrange AS w) window_of
        WHERE int8range(block_id, block_id, '[]') && int8range(%(block)s, %(block)s, '[]')
          AND blocking && w AND state IN ('held', 'confirmed') AND block_id IS NOT NULL
          AND (state = 'confirmed' OR held_until > %(at)s)
    )
    SELECT t, sum(d) FROM (
        SELECT s AS t, n AS d FROM parts UNION ALL SELECT e, -n FROM parts
    ) edges GROUP BY t ORDER BY t
"""


def _of_block(block: Block, period: Period, at: datetime) -> list[Step]:
    window = Period.of(block.period).intersect(period)
    if window is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_TAKEN_OF_BLOCK, {"window": window.range, "block": block.pk, "at": at})
        edges = cursor.fetchall()
    free = block.unit_count if block.state == Block.State.OPEN else 0
    opened = block.state == Block.State.OPEN
    steps, start = [], window.start
    for instant, taken in edges:
        if instant >= window.end:
            break
        if instant > start:
            steps.append(Step(start, instant, free))
            start = instant
        free -= int(taken) if opened else 0
    steps.append(Step(start, window.end, free))
    return _merged(steps)


def _merged(steps: list[Step]) -> list[Step]:
    merged: list[Step] = []
    for step in steps:
        if merged and merged[-1].free_units == step.free_units:
            merged[-1] = Step(merged[-1].start, step.end, step.free_units)
        else:
            merged.append(step)
    return merged
