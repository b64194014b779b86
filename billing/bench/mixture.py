"""One process's share of a soak: which operation comes next, and on what."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.range import TimestamptzRange

from billing.bench.world import Good

# How often each operation is tried, in a hundred.
WEIGHTS = {
    "hold": 26,
    "confirm": 16,
    "release": 12,
    "expire": 8,
    "extend": 8,
    "shorten": 8,
    "block_resized": 3,
    "block_opened": 3,
    "block_closed": 2,
    "block_reopened": 2,
    "outage_planned": 2,
    "outage_closed": 3,
    "node_broken": 2,
    "hold_of_what_is_hot": 1,
    "hold_at_an_edge": 4,
}
SHORT_HOLD = timedelta(milliseconds=400)
LONG_HOLD = timedelta(hours=2)
MOST_KEPT = 4_000  # allocations a process acts on; older ones are left as they are
MOST_DOWN = 200  # outages that a process has open at a time
REFUSED = "CH001"
BUSY = ("55P03", "40P01")


@dataclass(frozen=True, slots=True)
class Pick:
    """An operation and what became of it: done, or the code it was refused with."""

    name: str
    outcome: str


@dataclass
class _Deal:
    allocation: int
    good: Good
    start: datetime
    end: datetime
    held_until: datetime | None  # None: confirmed
    beyond: int | None = None  # the block that begins where this ends


@dataclass(frozen=True, slots=True)
class _Edge:
    """Where a listing's block ends and another begins."""

    good: Good
    at: datetime
    block: int  # the one behind
    hours: int  # of it


@dataclass
class Crowd:
    """Acts as many customers and providers at once, on what it made itself."""

    connection: psycopg.Connection[Any]
    goods: Sequence[Good]
    tenant_ids: Sequence[int]
    rng: random.Random
    number: int
    deals: list[_Deal] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    outages: list[int] = field(default_factory=list)
    edges: list[_Edge] = field(default_factory=list)

    def step(self) -> Pick:
        """One operation, in a transaction of its own."""
        (name,) = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
        operation: Callable[[], str] = getattr(self, f"_{name}")
        try:
            return Pick(name, operation())
        except psycopg.Error as error:
            if error.sqlstate == REFUSED:
                return Pick(name, error.diag.message_primary or "refused")
            if error.sqlstate in BUSY:
                return Pick(name, "busy")
            raise

    def recall(self) -> None:
        """What an earlier run of this process left open is acted on again."""
        goods = {good.block_pk: good for good in self.goods}
        for row in self.connection.execute(
            "SELECT a.id, min(c.block_id), lower(a.period), upper(a.period), max(c.held_until)"
            " FROM inventory_allocation a JOIN inventory_claim c ON c.allocation_id = a.id"
            " WHERE a.tenant_id = ANY (%s) AND a.state IN ('held', 'scheduled')"
            " AND c.state IN ('held', 'confirmed') GROUP BY a.id ORDER BY a.id DESC LIMIT %s",
            [list(self.tenant_ids), MOST_KEPT],
        ).fetchall():
            allocation, block, start, end, held_until = row
            if block in goods:
                self.deals.append(_Deal(allocation, goods[block], start, end, held_until))
        ours = self.connection.execute(
            "SELECT id, pool_id, lower(sellable), upper(sellable), state FROM inventory_block"
            " WHERE id IN (SELECT block_id FROM inventory_poolevent"
            "              WHERE actor = %s AND kind = 'block_opened')",
            [self._actor],
        ).fetchall()
        edges = {good.pool_pk: good for good in self.goods}
        for block, pool, start, end, state in ours:
            (self.blocks if state == "open" else self.closed).append(block)
            good = edges.get(pool)
            if good is not None and start > good.first + timedelta(hours=good.choices):
                self.edges.append(_Edge(good, start, block, int((end - start).days) * 24))
        self.outages = [
            row[0]
            for row in self.connection.execute(
                "SELECT id FROM inventory_outage WHERE state = 'open' AND reason = %s",
                [self._actor],
            ).fetchall()
        ]

    @property
    def _actor(self) -> str:
        return f"soak-{self.number}"

    def _hold(self) -> str:
        return self._claim(self.rng.choice(self.goods))

    def _hold_of_what_is_hot(self) -> str:
        return self._claim(self.goods[0])

    def _hold_at_an_edge(self) -> str:
        """Over both blocks, or up to the edge, to be extended over it."""
        if not self.edges:
            return "nothing there"
        edge = self.rng.choice(self.edges)
        start = edge.at - timedelta(hours=self.rng.randint(1, 100))
        if self.rng.random() < 0.5:
            return self._ask(edge.good, [edge.good.block_pk], start, edge.at, 1, edge.block)
        end = edge.at + timedelta(hours=self.rng.randint(1, edge.hours))
        return self._ask(edge.good, [edge.good.block_pk, edge.block], start, end, 1)

    def _claim(self, good: Good) -> str:
        start = good.first + timedelta(hours=self.rng.randrange(good.choices))
        if self.rng.random() < 0.2:
            start += timedelta(microseconds=self.rng.randrange(3_600_000_000))
        end = start + timedelta(hours=self.rng.choice((1, 5, 24, 72, 168)))
        return self._ask(good, [good.block_pk], start, end, self.rng.randint(1, good.units))

    def _ask(
        self,
        good: Good,
        blocks: list[int],
        start: datetime,
        end: datetime,
        units: int,
        beyond: int | None = None,
    ) -> str:
        held_until = datetime.now(UTC) + (SHORT_HOLD if self.rng.random() < 0.3 else LONG_HOLD)
        answer = self._call(
            "capacity_claim",
            pool=good.pool_pk,
            blocks=blocks,
            units=units,
            period=TimestamptzRange(start, end),
            tenant=self.rng.choice(self.tenant_ids),
            held_until=held_until,
            public_id=uuid.uuid4(),
            ssh_keys="[]",
        )
        if "refused" in answer:
            return str(answer["refused"])
        if len(self.deals) >= MOST_KEPT:
            self._take_deal()
        self.deals.append(_Deal(answer["id"], good, start, end, held_until, beyond))
        return "done"

    def _confirm(self) -> str:
        few = [deal for _ in range(5) if (deal := self._some_deal()) is not None]
        deal = next((deal for deal in few if deal.held_until), None) or self._some_deal()
        if deal is None:
            return "nothing there"
        self._call("capacity_confirm", allocation=deal.allocation)
        deal.held_until = None
        return "done"

    def _release(self) -> str:
        deal = self._take_deal()
        if deal is None:
            return "nothing there"
        self._call("capacity_release", allocation=deal.allocation, reason="soak")
        return "done"

    def _expire(self) -> str:
        now = datetime.now(UTC)
        lapsed = [deal for deal in self.deals if deal.held_until and deal.held_until < now]
        deal = self.rng.choice(lapsed) if lapsed else self._some_deal()
        if deal is None:
            return "nothing there"
        self._call("capacity_expire", allocation=deal.allocation)
        self.deals.remove(deal)
        return "done"

    def _extend(self) -> str:
        deal = self._some_deal()
        if deal is None:
            return "nothing there"
        end = deal.end + timedelta(hours=self.rng.choice((1, 12, 48)))
        blocks = [] if deal.beyond is None else [deal.beyond]
        self._call("capacity_extend", allocation=deal.allocation, end=end, blocks=blocks)
        deal.end, deal.beyond = end, None
        return "done"

    def _shorten(self) -> str:
        deal = self._some_deal()
        if deal is None:
            return "nothing there"
        end = deal.start + (deal.end - deal.start) * self.rng.uniform(0.3, 0.95)
        self._call("capacity_shorten", allocation=deal.allocation, end=end, reason="soak")
        deal.end, deal.beyond = end, None
        return "done"

    def _block_opened(self) -> str:
        """Beside the listing's block, or right behind it in time."""
        good, units = self.rng.choice(self.goods), self.rng.randint(1, 2)
        behind = self.rng.random() < 0.5
        start = good.first + timedelta(hours=self.rng.randrange(good.choices))
        if behind:
            ((start,),) = self.connection.execute(
                "SELECT upper(sellable) FROM inventory_block WHERE id = %s", [good.block_pk]
            ).fetchall()
        days = self.rng.randint(1, 30)
        block = self._call(
            "capacity_open_block",
            pool=good.pool_pk,
            units=units,
            sellable=TimestamptzRange(start, start + timedelta(days=days)),
            public_id=uuid.uuid4(),
        )
        self.blocks.append(block)
        if behind:
            self.edges.append(_Edge(good, start, block, days * 24))
        return "done"

    def _block_resized(self) -> str:
        if self.blocks and self.rng.random() < 0.5:
            block = self.rng.choice(self.blocks)
            units = self.rng.randint(1, 4)
        else:
            block = self.rng.choice(self.goods).block_pk
            ((units,),) = self.connection.execute(
                "SELECT unit_count FROM inventory_block WHERE id = %s", [block]
            ).fetchall()
            units = max(1, units + self.rng.choice((-2, -1, 1, 2)))
        self._call("capacity_resize_block", block=block, units=units)
        return "done"

    def _block_closed(self) -> str:
        if not self.blocks:
            return "nothing there"
        block = self.blocks.pop(self.rng.randrange(len(self.blocks)))
        self.closed.append(block)
        self._call("capacity_turn_block", block=block, to="closed")
        return "done"

    def _block_reopened(self) -> str:
        if not self.closed:
            return "nothing there"
        block = self.rng.choice(self.closed)
        self._call("capacity_turn_block", block=block, to="open")
        self.closed.remove(block)
        self.blocks.append(block)
        return "done"

    def _outage_planned(self) -> str:
        good = self.rng.choice(self.goods)
        start = good.first + timedelta(hours=self.rng.randrange(good.choices))
        return self._outage(
            good, "planned", start, start + timedelta(hours=self.rng.randint(1, 48)), None
        )

    def _node_broken(self) -> str:
        good = self.rng.choice(self.goods)
        rows = self.connection.execute(
            "SELECT id FROM inventory_node WHERE pool_id = %s AND state = 'serviceable'"
            " OFFSET %s LIMIT 1",
            [good.pool_pk, self.rng.randrange(10)],
        ).fetchall()
        if not rows:
            return "nothing there"
        now = datetime.now(UTC)
        back = now + timedelta(hours=self.rng.randint(1, 200))
        return self._outage(good, "failed", now, back, rows[0][0])

    def _outage(
        self, good: Good, kind: str, start: datetime, end: datetime, node: int | None
    ) -> str:
        if len(self.outages) >= MOST_DOWN:
            return self._outage_closed()
        outage = self._call(
            "capacity_set_outage",
            pool=good.pool_pk,
            kind=kind,
            period=TimestamptzRange(start, end),
            node_count=1,
            node=node,
            reason=self._actor,
            public_id=uuid.uuid4(),
        )
        self.outages.append(outage)
        return "done"

    def _outage_closed(self) -> str:
        if not self.outages:
            return "nothing there"
        outage = self.outages.pop(self.rng.randrange(len(self.outages)))
        self._call("capacity_close_outage", outage=outage, reason="back")
        return "done"

    def _some_deal(self) -> _Deal | None:
        return self.rng.choice(self.deals) if self.deals else None

    def _take_deal(self) -> _Deal | None:
        if not self.deals:
            return None
        return self.deals.pop(self.rng.randrange(len(self.deals)))

    def _call(self, function: str, **arguments: Any) -> Any:
        given = arguments | {
            "at": datetime.now(UTC),
            "replay": False,
            "actor_kind": "system",
            "actor": self._actor,
        }
        names = ", ".join(f"p_{name} => %({name})s" for name in given)
        return self.connection.execute(f"SELECT {function}({names})", given).fetchall()[0][0]
