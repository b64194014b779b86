"""What the search map reads: catalogue, open blocks, live claims and pool events. No locks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection

from inventory.models import PoolEvent
from marketplace.search_map.pool_map import (
    NO_OUTAGES,
    Catalogue,
    Faults,
    PoolFacts,
    PoolMap,
    Rows,
    Stack,
    Table,
    micros,
)

Kind = PoolEvent.Kind
# These change claims of blocks, or nothing that a block sells; any other kind reloads its pool.
_CLAIM_EVENTS = {Kind.HELD, Kind.CONFIRMED, Kind.EXPIRED, Kind.RELEASED, Kind.ENDED}
_CLAIM_EVENTS |= {Kind.EXTENDED, Kind.SHORTENED}
_BESIDE = {Kind.BOUND, Kind.EXTERNAL}
_TOO_MANY_EVENTS = 5_000  # from here on a fresh load is cheaper

_LIVE = """
SELECT pool_id, id, block_id,
       (extract(epoch FROM lower(blocking)) * 1000000)::bigint,
       (extract(epoch FROM upper(blocking)) * 1000000)::bigint,
       unit_count,
       coalesce((extract(epoch FROM held_until) * 1000000)::bigint, 9223372036854775807)  -- NEVER
FROM inventory_claim
WHERE state IN ('held', 'confirmed') AND block_id IS NOT NULL AND {by} = ANY (%s)
ORDER BY pool_id
"""
# What became visible between two snapshots: what began after the first, what ran during it,
# and one's own.
_NEWS = """
SELECT pg_current_snapshot()::text, array(
    SELECT DISTINCT object_id FROM inventory_journalentry
    WHERE (xid >= %s::xid8 OR xid = ANY (%s::xid8[]) OR xid = pg_current_xact_id_if_assigned())
      AND recorded_at > %s
      AND split_part(object_id, '_', 1) IN ('lst', 'pool', 'fab', 'ctr', 'org')
)
"""
# No transaction lives as long; with it the journal's older partitions are left alone.
_LONGEST_TRANSACTION = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Version:
    """Where a pool stands."""

    ver: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Versions:
    """Every pool that sells, in columns.

    The public id tells a pool from a later one of the same number.
    """

    pool_ids: list[int]
    public_ids: list[str]
    vers: list[int]
    epochs: list[int]

    def rows(self) -> Iterator[tuple[int, str, int, int]]:
        return zip(self.pool_ids, self.public_ids, self.vers, self.epochs, strict=True)


def versions() -> Versions:
    """Every pool that sells, by number."""
    ((ids, public_ids, vers, epochs),) = _rows(
        "SELECT array_agg(v.pool_id), array_agg(public_id('pool', p.public_id)), array_agg(v.ver),"
        " array_agg(v.epoch) FROM (SELECT * FROM inventory_poolversion ORDER BY pool_id) v"
        " JOIN inventory_pool p ON p.id = v.pool_id WHERE p.state = 'active'"
    )
    return Versions(ids or [], public_ids or [], vers or [], epochs or [])


def snapshot() -> str:
    """What is committed now: from here on `news` tells what is new."""
    ((text,),) = _rows("SELECT pg_current_snapshot()::text")
    return str(text)


def news(since: str, at: datetime) -> tuple[str, frozenset[str]]:
    """The snapshot of now, and the public ids of listings, pools, fabrics, centres and
    organisations that the journal names since that other one, whatever the order in which
    transactions ended."""
    _, following, running = since.split(":")
    parameters = [following, running.split(",") if running else [], at - _LONGEST_TRANSACTION]
    ((text, named),) = _rows(_NEWS, parameters)
    return str(text), frozenset(named)


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
    outages = _outages(ids, at)
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
            outages=outages.get(pool_id, NO_OUTAGES),
        )
    return loaded


_FACTS = """
SELECT p.id, p.public_id, p.provider_id, h.code, h.chip_class, c.region, c.hub, p.unit_cards,
       p.cards_per_node, p.lead_seconds * 1000000::bigint, p.turnaround_seconds * 1000000::bigint,
       n.broken > p.spare_count, c.owner_kind, h.memory_gib, h.interconnect_gbps,
       p.name, o.public_id, c.public_id, c.name, c.name_en, f.public_id, f.technology, f.site_count,
       f.proved_node_count, f.proved_on_date, f.oversubscription,
       n.drivers, n.runtimes, n.frameworks, r.per_million, r.low_per_million, r.high_per_million
FROM inventory_pool p
JOIN inventory_chip h ON h.code = p.chip_id
JOIN inventory_fabric f ON f.id = p.fabric_id
JOIN inventory_centre c ON c.id = f.centre_id
JOIN inventory_organisation o ON o.id = p.provider_id
LEFT JOIN inventory_faultrate r ON r.centre_id = c.id AND r.generation = h.generation
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'broken') AS broken,
           array_agg(DISTINCT driver_version) AS drivers,
           array_agg(DISTINCT runtime_version) AS runtimes,
           array_agg(DISTINCT framework_version) AS frameworks
    FROM inventory_node WHERE pool_id = p.id AND state <> 'retired'
) n
WHERE p.id = ANY (%s)
"""


def _facts(ids: list[int]) -> dict[int, PoolFacts]:
    facts = {}
    for number, public_id, *rest in _rows(_FACTS, [ids]):
        filtered, named, fabric, stack = rest[:13], rest[13:19], rest[19:24], rest[24:27]
        name, provider_id, centre_id, centre, centre_en, fabric_id = named
        shown = Catalogue(
            name,
            f"org_{provider_id.hex}",
            f"ctr_{centre_id.hex}",
            centre,
            centre_en,
            f"fab_{fabric_id.hex}",
            *fabric,
        )
        runs = Stack(*(tuple(each or ()) for each in stack))
        values = [number, f"pool_{public_id.hex}", *filtered, shown, runs, Faults(*rest[27:])]
        facts[number] = PoolFacts(*values)
    return facts


def _outages(ids: list[int], at: datetime) -> dict[int, Table]:
    by_pool: dict[int, Rows] = defaultdict(list)
    for pool_id, start, end, nodes in _rows(
        "SELECT pool_id, lower(period), upper(period), node_count FROM inventory_outage"
        " WHERE state = 'open' AND kind = 'planned' AND pool_id = ANY (%s)"
        " AND upper(period) > %s ORDER BY pool_id, lower(period), id",
        [ids, at],
    ):
        by_pool[pool_id].append((micros(start), micros(end), nodes))
    return {pool_id: Table.of(rows, 3) for pool_id, rows in by_pool.items()}


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
    """The rows come in order of pool."""
    if not rows:
        return {}
    columns = np.ascontiguousarray(np.array(rows, dtype=np.int64).T)
    ids, firsts = np.unique(columns[0], return_index=True)
    pieces = np.split(columns[1:], firsts[1:], axis=1)
    return {int(number): Table(piece) for number, piece in zip(ids, pieces, strict=True)}


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
