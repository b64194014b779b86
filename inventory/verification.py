"""Capacity checked from the rows alone: plain SQL that shares no line with the verbs.

Each query returns what breaks one rule, as a public id or key and a sentence of figures.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from inventory import actors, journal, partitions, seals
from inventory.models import Seal

logger = logging.getLogger(__name__)

_LIVE = """
    live AS (
        SELECT c.* FROM inventory_claim c JOIN inventory_poolversion v ON v.pool_id = c.pool_id
        WHERE c.state = 'confirmed' OR (c.state = 'held' AND c.held_until > v.clock)
    )
"""

RULES: dict[str, str] = {
    "a block is never oversold": f"""
        WITH {_LIVE}, edges AS (
            SELECT block_id, lower(blocking) AS t, unit_count AS d FROM live
            UNION ALL SELECT block_id, upper(blocking), -unit_count FROM live
        ), levels AS (
            SELECT block_id, t, sum(sum(d)) OVER (PARTITION BY block_id ORDER BY t) AS taken
            FROM edges WHERE block_id IS NOT NULL GROUP BY block_id, t
        )
        SELECT b.id::text, format('%%s of %%s units at %%s', l.taken, b.unit_count, l.t)
        FROM levels l JOIN inventory_block b ON b.id = l.block_id WHERE l.taken > b.unit_count
    """,  # noqa: S608
    "a claim lies in its block, its pool and its allocation": """
        SELECT c.id::text, format('claim %%s of block %%s', c.blocking, b.period)
        FROM inventory_claim c
        JOIN inventory_allocation a ON a.id = c.allocation_id
        JOIN inventory_poolversion v ON v.pool_id = c.pool_id
        LEFT JOIN inventory_block b ON b.id = c.block_id
        WHERE c.pool_id <> a.pool_id OR c.unit_count <> a.unit_count OR b.pool_id <> c.pool_id
           OR (a.kind = 'sale') <> (b.id IS NOT NULL)
           -- What a lapsed hold reached into, a block may have given away since.
           OR ((c.state = 'confirmed' OR (c.state = 'held' AND c.held_until > v.clock))
               AND (NOT c.blocking <@ a.blocking OR NOT coalesce(c.blocking <@ b.period, true)))
    """,
    "the claims of an allocation cover its blocking period once": """
        SELECT a.id::text, format('claims %%s, blocking %%s', range_agg(c.blocking), a.blocking)
        FROM inventory_allocation a JOIN inventory_claim c ON c.allocation_id = a.id
        WHERE c.state IN ('held', 'confirmed')
        GROUP BY a.id
        HAVING range_agg(c.blocking) <> tstzmultirange(a.blocking)
            OR sum(upper(c.blocking) - lower(c.blocking)) <> upper(a.blocking) - lower(a.blocking)
    """,
    "what is over has no live claim": """
        SELECT a.id::text, format('%%s with a claim %%s', a.state, c.state)
        FROM inventory_allocation a JOIN inventory_claim c ON c.allocation_id = a.id
        WHERE (a.state IN ('ended', 'cancelled', 'expired') AND c.state IN ('held', 'confirmed'))
           OR (a.state = 'held' AND c.state = 'confirmed')
           OR (a.state NOT IN ('held', 'expired', 'cancelled') AND c.state = 'held')
    """,
    "blocks and external claims fit on the nodes that are neither spare nor planned out": f"""
        WITH {_LIVE}, parts AS (
            SELECT pool_id, period AS r, unit_count AS n FROM inventory_block WHERE state = 'open'
            UNION ALL
            SELECT l.pool_id, l.blocking, l.unit_count FROM live l
            LEFT JOIN inventory_block b ON b.id = l.block_id
            WHERE b.id IS NULL OR b.state = 'closed'
            UNION ALL
            SELECT o.pool_id, o.period, o.node_count * (p.cards_per_node / p.unit_cards)
            FROM inventory_outage o JOIN inventory_pool p ON p.id = o.pool_id
            WHERE o.kind = 'planned' AND o.state = 'open'
        ), ahead AS (
            SELECT x.pool_id, greatest(lower(x.r), v.clock) AS s, upper(x.r) AS e, x.n
            FROM parts x JOIN inventory_poolversion v ON v.pool_id = x.pool_id
            WHERE upper(x.r) > v.clock
        ), edges AS (
            SELECT pool_id, s AS t, n AS d FROM ahead UNION ALL SELECT pool_id, e, -n FROM ahead
        ), levels AS (
            SELECT pool_id, t, sum(sum(d)) OVER (PARTITION BY pool_id ORDER BY t) AS promised
            FROM edges GROUP BY pool_id, t
        ), room AS (
            SELECT p.id, p.cards_per_node / p.unit_cards * (
                count(n.id) FILTER (WHERE n.state <> 'retired') - p.spare_count) AS units
            FROM inventory_pool p LEFT JOIN inventory_node n ON n.pool_id = p.id GROUP BY p.id
        )
        SELECT l.pool_id::text, format('%%s of %%s units at %%s', l.promised, r.units, l.t)
        FROM levels l JOIN room r ON r.id = l.pool_id WHERE l.promised > greatest(r.units, 0)
    """,  # noqa: S608
    "one card serves one allocation at a time": """
        SELECT a.id::text, format('and %%s on node %%s', b.id, a.node_id)
        FROM inventory_binding a JOIN inventory_binding b
          ON a.node_id = b.node_id AND a.id < b.id AND a.cards && b.cards AND a.during && b.during
    """,
    "a binding lies on a node of its pool, on cards the node has": """
        SELECT b.id::text, format('cards %%s of node %%s', b.cards, n.id)
        FROM inventory_binding b
        JOIN inventory_node n ON n.id = b.node_id
        JOIN inventory_allocation a ON a.id = b.allocation_id
        JOIN inventory_pool p ON p.id = a.pool_id
        WHERE n.pool_id <> a.pool_id OR NOT b.cards <@ int4range(0, p.cards_per_node)
           OR lower(b.cards) %% p.unit_cards <> 0 OR upper(b.cards) %% p.unit_cards <> 0
    """,
    "an allocation is bound to no more cards than it has units": """
        WITH edges AS (
            SELECT allocation_id, lower(during) AS t, upper(cards) - lower(cards) AS d
            FROM inventory_binding
            UNION ALL
            SELECT allocation_id, upper(during), lower(cards) - upper(cards) FROM inventory_binding
        ), levels AS (
            SELECT allocation_id,
                   t, sum(sum(d)) OVER (PARTITION BY allocation_id ORDER BY t) AS cards
            FROM edges GROUP BY allocation_id, t
        )
        SELECT DISTINCT a.id::text, format('%%s cards for %%s units', l.cards, a.unit_count)
        FROM levels l
        JOIN inventory_allocation a ON a.id = l.allocation_id
        JOIN inventory_pool p ON p.id = a.pool_id
        WHERE l.cards > a.unit_count * p.unit_cards
    """,
    # Most claims were taken once, as they are, which is seen at a glance; the rest is summed up.
    "the events of a claim add up to the claim": """
        WITH moves AS NOT MATERIALIZED (
            SELECT claim_id, period, delta FROM inventory_poolevent
            WHERE claim_id IS NOT NULL AND delta <> 0
        ), counted AS NOT MATERIALIZED (
            SELECT id, blocking, unit_count FROM inventory_claim
            WHERE state IN ('held', 'confirmed', 'ended')
        ), taken AS (
            SELECT claim_id, count(*) AS moves, sum(delta) AS units,
                   min(lower(period)) AS starts, max(upper(period)) AS ends
            FROM moves GROUP BY claim_id
        ), unclear AS MATERIALIZED (
            SELECT coalesce(c.id, t.claim_id) AS id
            FROM counted c FULL JOIN taken t ON t.claim_id = c.id
            WHERE (t.moves = 1 AND t.units = c.unit_count
                   AND t.starts = lower(c.blocking) AND t.ends = upper(c.blocking)) IS NOT TRUE
        ), edges AS (
            SELECT m.claim_id AS id, lower(m.period) AS t, m.delta AS d
            FROM moves m JOIN unclear u ON u.id = m.claim_id
            UNION ALL
            SELECT m.claim_id, upper(m.period), -m.delta
            FROM moves m JOIN unclear u ON u.id = m.claim_id
            UNION ALL
            SELECT c.id, lower(c.blocking), -c.unit_count FROM counted c JOIN unclear USING (id)
            UNION ALL
            SELECT c.id, upper(c.blocking), c.unit_count FROM counted c JOIN unclear USING (id)
        )
        SELECT id::text, format('%%s units off at %%s', sum(d), t)
        FROM edges GROUP BY id, t HAVING sum(d) <> 0
    """,
    "an event names a pool, a block and a claim that exist": """
        SELECT e.id::text,
               format('pool %%s, block %%s, claim %%s', e.pool_id, e.block_id, e.claim_id)
        FROM inventory_poolevent e
        LEFT JOIN inventory_pool p ON p.id = e.pool_id
        LEFT JOIN inventory_block b ON b.id = e.block_id AND b.pool_id = e.pool_id
        LEFT JOIN inventory_claim c ON c.id = e.claim_id AND c.pool_id = e.pool_id
        WHERE p.id IS NULL OR (e.block_id IS NOT NULL AND b.id IS NULL)
           OR (e.claim_id IS NOT NULL AND c.id IS NULL)
    """,
    "every version of a pool has its event": """
        SELECT v.pool_id::text, format('version %%s, %%s events up to %%s', v.ver, count(e.id),
                                       coalesce(max(e.ver), 0))
        FROM inventory_poolversion v LEFT JOIN inventory_poolevent e ON e.pool_id = v.pool_id
        GROUP BY v.pool_id
        HAVING count(e.id) <> v.ver OR coalesce(max(e.ver), 0) <> v.ver OR max(e.at) > v.clock
    """,
    "every pool has its lock": """
        SELECT p.id::text, 'no lock or no version' FROM inventory_pool p
        LEFT JOIN inventory_poollock l ON l.pool_id = p.id
        LEFT JOIN inventory_poolversion v ON v.pool_id = p.id
        WHERE l.pool_id IS NULL OR v.pool_id IS NULL
    """,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that breaks a rule."""

    rule: str
    key: str
    figures: str


def verify(rules: Sequence[str] | None = None) -> list[Fault]:
    """Every row of every pool against every rule. Takes no lock; empty when all is well."""
    found = []
    with connection.cursor() as cursor:
        for rule in rules or list(RULES):
            cursor.execute(RULES[rule], {})
            found += [Fault(rule, key, figures) for key, figures in cursor.fetchall()]
    return found


def report(*, at: datetime) -> int:
    """Rules, partitions and seals are checked; faults are logged as critical, heads as they are.

    The log leaves the house, and with it the heads of the chains: a history rewritten later
    no longer leads to them. Journalled. Returns how many faults there are.
    """
    faults = [f"{fault.rule}: {fault.key}: {fault.figures}" for fault in verify()]
    faults += [f"{each.row_count} rows of {each.table} in DEFAULT" for each in partitions.strays()]
    heads = {}
    for source in Seal.Source.values:
        faults += [f"{f.source} seal {f.sequence}: {f.why}" for f in seals.verify(source=source)]
        heads[str(source)] = seals.head(source)
    for text in faults:
        logger.critical("records are at fault: %s", text)
    for source, head in heads.items():
        logger.warning("head of the chain %s at %s: %s", source, at.isoformat(), head or "none")
    with transaction.atomic():
        journal.record(
            event="records.at_fault" if faults else "records.verified",
            object_id="records",
            actor=actors.system("verification"),
            at=at,
            data={"heads": heads, "fault_count": len(faults)},
        )
    return len(faults)
