"""What the search map reads: catalogue, open blocks, live claims and pool events. No locks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from inventory.models import PoolEvent
from marketplace.search_map.pool_map import NEVER, PoolFacts, PoolMap, Rows, Table, micros

Kind = PoolEvent.Kind
# These change claims of blocks, or nothing that a block sells; any other kind reloads its pool.
_CLAIM_EVENTS = {Kind.HELD, Kind.CONFIRMED, Kind.EXPIRED, Kind.RELEASED, Kind.ENDED}
_CLAIM_EVENTS |= {Kind.EXTENDED, Kind.SHORTENED}
_BESIDE = {Kind.BOUND, Kind.EXTERNAL}
_TOO_MANY_EVENTS = 5_000  # from here on a fresh load is cheaper

_LIVE = """
SELECT id, pool_id, block_id, lower(blocking), upper(blocking), unit_count, held_until
FROM inventory_claim
WHERE state IN ('held', 'confirmed') AND block_id IS NOT NULL AND {by} = ANY (%s)
"""


@dataclass(frozen=True, slots=True)
class Version:
    """Where a pool stands. The public id tells a pool from a later one of the same number."""

    public_id: str
    ver: int
    epoch: int


def versions() -> dict[int, Version]:
    """Every pool that sells, by number."""
    rows = _rows(
        "SELECT v.pool_id, p.public_id::text, v.ver, v.epoch FROM inventory_poolversion v"
        " JOIN inventory_pool p ON p.id = v.pool_id WHERE p.state = 'active'"
    )
    return {row[0]: Version(*row[1:]) for row in rows}


def touched_claims(known: dict[int, int]) -> dict[int, list[int] | None]:
    """By pool, the claims that events after the known version name; None: load it afresh."""
    rows = _rows(
        "SELECT e.pool_id, e.kind, e.claim_id FROM unnest(%s::bigint[], %s::bigint[]) k (id, ver)"
        " JOIN inventory_poolevent e ON e.pool_id = k.id AND e.ver > k.ver LIMIT %s",
        [list(known), list(known.values()), _TOO_MANY_EVENTS],
    )
    if len(rows) == _TOO_MANY_EVENTS:
        return dict.fromkeys(known)
    touched: dict[int, list[int] | None] = {}
    for pool_id, kind, claim_id in rows:
        claims = touched.setdefault(pool_id, [])
        if kind not in _CLAIM_EVENTS and kind not in _BESIDE:
            touched[pool_id] = None
        elif claims is not None and claim_id is not None:
            claims.append(claim_id)
    return touched


def live_claims(claim_ids: Sequence[int]) -> dict[int, Table]:
    """Those of the claims that still count, by pool."""
    return _claims(_rows(_LIVE.format(by="id"), [list(claim_ids)])) if claim_ids else {}


def pools(found: dict[int, Version], at: datetime) -> dict[int, PoolMap]:
    """Pools read afresh: catalogue, open blocks, live claims."""
    if not found:
        return {}
    ids = list(found)
    facts = _facts(ids)
    blocks = _blocks(ids, at)
    claims = _claims(_rows(_LIVE.format(by="pool_id"), [ids]))
    nothing = Table.of([], 6)
    loaded = {}
    for pool_id, fact in facts.items():
        open_blocks = blocks.get(pool_id, nothing)
        loaded[pool_id] = PoolMap.build(
            facts=fact,
            ver=found[pool_id].ver,
            epoch=found[pool_id].epoch,
            blocks=open_blocks,
            claims=claims.get(pool_id, nothing),
            cap=_cap(pool_id, at) if fact.failing else Table.of([], 3),
            as_of=micros(at),
        )
    return loaded


def _facts(ids: list[int]) -> dict[int, PoolFacts]:
    rows = _rows(
        "SELECT p.id, p.public_id::text, p.provider_id, h.code, h.chip_class, c.region, c.hub,"
        " p.unit_cards, p.cards_per_node, p.lead_seconds * 1000000::bigint,"
        " p.turnaround_seconds * 1000000::bigint,"
        " (SELECT count(*) FROM inventory_node n WHERE n.pool_id = p.id AND n.state = 'broken')"
        " > p.spare_count"
        " FROM inventory_pool p JOIN inventory_chip h ON h.code = p.chip_id"
        " JOIN inventory_fabric f ON f.id = p.fabric_id"
        " JOIN inventory_centre c ON c.id = f.centre_id"
        " WHERE p.id = ANY (%s)",
        [ids],
    )
    return {row[0]: PoolFacts(*row) for row in rows}


def _blocks(ids: list[int], at: datetime) -> dict[int, Table]:
    by_pool: dict[int, Rows] = defaultdict(list)
    for pool_id, block_id, units, *bounds in _rows(
        "SELECT pool_id, id, unit_count, lower(period), upper(period), lower(sellable),"
        " upper(sellable) FROM inventory_block"
        " WHERE state = 'open' AND pool_id = ANY (%s) AND upper(sellable) > %s ORDER BY id",
        [ids, at],
    ):
        by_pool[pool_id].append((block_id, units, *map(micros, bounds)))
    return {pool_id: Table.of(rows, 6) for pool_id, rows in by_pool.items()}


def _claims(rows: list[tuple[Any, ...]]) -> dict[int, Table]:
    by_pool: dict[int, Rows] = defaultdict(list)
    for claim_id, pool_id, block_id, start, end, units, held_until in rows:
        lapse = NEVER if held_until is None else micros(held_until)
        by_pool[pool_id].append((claim_id, block_id, micros(start), micros(end), units, lapse))
    return {pool_id: Table.of(claims, 6) for pool_id, claims in by_pool.items()}


def _cap(pool_id: int, at: datetime) -> Table:
    """Where more nodes are down than are spare: what the whole pool can take besides."""
    rows = _rows(
        "SELECT l.starts, l.ends, greatest((n.count - l.planned - l.failed)"
        " * (p.cards_per_node / p.unit_cards) - l.live, 0)::bigint"
        " FROM inventory_pool p,"
        " LATERAL (SELECT count(*) FROM inventory_node"
        "          WHERE pool_id = p.id AND state <> 'retired') n,"
        " LATERAL capacity_levels(p.id, tstzrange(%s, '2199-01-01Z'), %s) l"
        " WHERE p.id = %s AND l.failed > p.spare_count",
        [at, at, pool_id],
    )
    return Table.of([(micros(start), micros(end), units) for start, end, units in rows], 3)


def _rows(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
