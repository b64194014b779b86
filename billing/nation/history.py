"""The nation's deals, copied in by the owner, who alone may write capacity's tables directly.

No constraint and no trigger is switched off: every row passes what an ordinary row passes,
foreign keys, exclusions and checks. What the verbs check besides, that nothing is oversold, is
kept by the way the deals are drawn, and `verify_capacity` looks at the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from django.db import connections, transaction

from billing.nation import deals
from billing.nation.deals import Deal
from billing.nation.places import AHEAD, Ground
from billing.nation.plan import Stock
from billing.nation.rows import COLUMNS, Batch, Calendar, PoolRows
from inventory.models import Block, Node, Pool

BATCH = 20_000  # deals a transaction: what a kill can cost
AHEAD_HOURS = int(AHEAD.total_seconds()) // 3600
SEQUENCES = ("inventory_allocation", "inventory_claim")


@dataclass(frozen=True, slots=True)
class Drawn:
    """The first `count` deals of a pool, in an order that a longer run keeps."""

    stock: Stock
    pool: Pool
    deals: Iterable[Deal]
    count: int


def fill(ground: Ground, *, claim_count: int, progress: Callable[[str], None]) -> int:
    """Every pool has its share of the claims; returns how many were added."""
    counts = deals.shares(claim_count, [stock.nodes for stock, _ in ground.pools])
    drawn = (
        Drawn(stock, pool, _by_chance(ground, stock, pool), count)
        for (stock, pool), count in zip(ground.pools, counts, strict=True)
    )
    return copy(ground, drawn, progress=progress)


def _by_chance(ground: Ground, stock: Stock, pool: Pool) -> Iterator[Deal]:
    drawn = deals.of_pool(
        stock,
        units=block_of(pool).unit_count,
        past_hours=ground.past_hours,
        ahead_hours=AHEAD_HOURS,
        tenants=len(ground.tenant_ids),
        seed=ground.plan.seed,
    )
    return (deal for deal in drawn if deal.units)


def copy(ground: Ground, drawn: Iterable[Drawn], *, progress: Callable[[str], None]) -> int:
    """Each pool has these deals; those it has already stay. Returns how many were added."""
    present = _present(ground)
    calendar = Calendar(ground.founded, ground.past_hours + AHEAD_HOURS + 1)
    batch, added, began = Batch(), 0, time.monotonic()
    for one in drawn:
        skip = present.get(one.pool.pk, 0)
        if skip >= one.count:
            continue
        writer = _writer(ground, one.stock, one.pool, calendar)
        before = writer.ver
        fresh = []
        for place, deal in enumerate(islice(one.deals, one.count)):
            units = writer.bind(deal)
            if place >= skip:
                fresh.append((deal, units))
        # A number for each; those of a batch that fails are lost, as sequences lose them.
        first = _reserve(len(fresh))
        for place, (deal, units) in enumerate(fresh):
            writer.write(
                deal, units, first["inventory_allocation"] + place,
                first["inventory_claim"] + place, batch,
            )  # fmt: skip
        batch.versions.append((one.pool.pk, writer.ver - before))
        writer.tell(len(fresh), batch)
        if batch.deal_count >= BATCH:
            added += _copy(batch, ground)
            rate = added / (time.monotonic() - began)
            progress(f"{added} claims, {rate:.0f} a second")
            batch = Batch()
    if batch.deal_count:
        added += _copy(batch, ground)
        progress(f"{added} claims")
    if added:
        _settle()
    return added


def _present(ground: Ground) -> dict[int, int]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT pool_id, count(*) FROM inventory_allocation WHERE tenant_id = ANY (%s)"
            " GROUP BY pool_id",
            [ground.tenant_ids],
        )
        return dict(cursor.fetchall())


def block_of(pool: Pool) -> Block:
    block: Block = Block.objects.filter(pool_id=pool.pk).order_by("pk")[0]
    return block


def _writer(ground: Ground, stock: Stock, pool: Pool, calendar: Calendar) -> PoolRows:
    nodes = Node.objects.filter(pool_id=pool.pk).order_by("pk")
    return PoolRows(
        stock=stock,
        pool=pool,
        block_id=block_of(pool).pk,
        tenant_ids=ground.tenant_ids,
        node_ids=list(nodes.values_list("pk", flat=True)),
        calendar=calendar,
        turn=ground.past_hours,
        ver=pool.version.ver,
    )


def _reserve(count: int) -> dict[str, int]:
    """So many numbers of each sequence are ours; the first of them."""
    first = {}
    with connections["owner"].cursor() as cursor:
        for table in SEQUENCES:
            cursor.execute(
                "SELECT setval(s, nextval(s) + %s) - %s FROM pg_get_serial_sequence(%s, 'id') AS s",
                [count, count, table],
            )
            first[table] = cursor.fetchone()[0]
    return first


def _copy(batch: Batch, ground: Ground) -> int:
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        # As a verb would: the pool's lock first, ascending. Nobody's hold slips between.
        cursor.execute(
            "SELECT pool_id FROM inventory_poollock WHERE pool_id = ANY (%s)"
            " ORDER BY pool_id FOR UPDATE",
            [[pool_id for pool_id, _ in batch.versions]],
        )
        for table, lines in batch.lines.items():
            with cursor.copy(f"COPY {table} ({COLUMNS[table]}) FROM STDIN") as copy:
                for start in range(0, len(lines), 1000):
                    copy.write("".join(lines[start : start + 1000]))
        cursor.executemany(
            "UPDATE inventory_poolversion SET ver = ver + %s, clock = greatest(clock, %s)"
            " WHERE pool_id = %s",
            [(events, ground.turn, pool_id) for pool_id, events in batch.versions],
        )
    return batch.deal_count


def _settle() -> None:
    """As autovacuum would leave it: sweeps read the index alone where pages are known as seen."""
    with connections["owner"].cursor() as cursor:
        for table in COLUMNS:
            cursor.execute(f"VACUUM ANALYZE {table}")
