"""Capacity by brute force: whole hours in lists, beside the product, checked at every step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from inventory import capacity
from inventory.capacity import (
    CapacityTaken,
    HoldExpired,
    HoldStillValid,
    NotOffered,
)
from inventory.errors import DomainError, Invalid
from inventory.models import Block, Claim, Pool
from inventory.transitions import IllegalTransition
from tests import world
from tests.world import SYSTEM, T0, hours, period

SPAN = 60  # hours looked at
LIVE = ("held", "scheduled")


@dataclass
class Deal:
    pk: int
    block: int | None  # None: external
    units: int
    start: int
    end: int
    until: float  # a hold's; infinite once confirmed
    state: str = "held"


@dataclass
class Sold:
    pk: int
    units: int
    start: int
    end: int
    is_open: bool = True


@dataclass
class Model:
    """One pool without lead and turnaround; every answer of the product is predicted."""

    pool: Pool
    nodes: int
    spares: int
    clock: float = 0
    blocks: list[Sold] = field(default_factory=list)
    deals: list[Deal] = field(default_factory=list)
    outages: list[tuple[int, int, int, int]] = field(default_factory=list)
    accepted: int = 0
    refused: int = 0

    @classmethod
    def fresh(cls, nodes: int = 6, spares: int = 1) -> Model:
        return cls(world.pool(nodes=nodes, spare_count=spares), nodes, spares)

    # Brute force

    def counts(self, deal: Deal) -> bool:
        return deal.state in LIVE and deal.until > self.clock

    def taken(self, block: Sold, hour: int) -> int:
        return sum(
            d.units
            for d in self.deals
            if d.block == block.pk and self.counts(d) and d.start <= hour < d.end
        )

    def free(self, block: Sold, start: int, end: int) -> int:
        return block.units - max(self.taken(block, hour) for hour in range(start, end))

    def room(self, start: int, end: int) -> int:
        """Units that could be opened, over whole hours."""
        return min(self._room(hour) for hour in range(start, end))

    def _room(self, hour: int) -> int:
        sold = sum(
            b.units if b.is_open else self.taken(b, hour)
            for b in self.blocks
            if b.start <= hour < b.end
        )
        external = sum(
            d.units
            for d in self.deals
            if d.block is None and self.counts(d) and d.start <= hour < d.end
        )
        planned = sum(n for _, n, start, end in self.outages if start <= hour < end)
        return self.nodes - self.spares - planned - sold - external

    # Moves: each calls the product and must get what brute force says

    def tick(self, by: float) -> None:
        self.clock += by

    def open(self, units: int, start: int, end: int) -> None:
        ahead = max(start, int(self.clock))
        wanted = end > self.clock and self.room(start, end) >= units
        row = self._expect(
            wanted,
            (CapacityTaken, NotOffered),
            capacity.open_block,
            pool_id=self.pool.pk,
            unit_count=units,
            sellable=period(start, end),
        )
        assert ahead <= end or not wanted
        if row:
            self.blocks.append(Sold(row.pk, units, start, end))

    def resize(self, index: int, units: int) -> None:
        if block := self._nth(self.blocks, index):
            sold = max(self.taken(block, hour) for hour in range(block.start, block.end))
            more = units - block.units
            ahead = range(max(block.start, int(self.clock)), block.end)
            fits = (
                more <= 0
                or not block.is_open
                or not ahead
                or self.room(ahead[0], block.end) >= more
            )
            if self._expect(
                sold <= units and fits,
                (CapacityTaken,),
                capacity.resize_block,
                block_id=block.pk,
                unit_count=units,
            ):
                block.units = units

    def close(self, index: int) -> None:
        if block := self._nth(self.blocks, index):
            self._expect(True, (), capacity.close_block, block_id=block.pk)
            block.is_open = False

    def reopen(self, index: int) -> None:
        block = self._nth(self.blocks, index)
        if block and not block.is_open:
            block.is_open = True
            ahead = range(max(block.start, int(self.clock)), block.end)
            fits = not ahead or self.room(ahead[0], block.end) >= 0
            block.is_open = bool(
                self._expect(fits, (CapacityTaken,), capacity.reopen_block, block_id=block.pk)
            )

    def hold(self, index: int, units: int, start: int, end: int, ttl: float) -> None:
        if block := self._nth(self.blocks, index):
            inside = block.start <= start and end <= block.end and end > self.clock
            wanted = block.is_open and inside and self.free(block, start, end) >= units
            row = self._expect(
                wanted,
                (CapacityTaken, NotOffered),
                capacity.claim,
                pool_id=self.pool.pk,
                block_ids=[block.pk],
                unit_count=units,
                period=period(start, end),
                tenant_id=world.tenant().pk,
                held_until=T0 + hours(self.clock + ttl),
            )
            if row:
                self.deals.append(Deal(row.pk, block.pk, units, start, end, self.clock + ttl))

    def external(self, units: int, start: int, end: int) -> None:
        start = max(start, int(self.clock) + 1)
        if start >= end:
            return
        row = self._expect(
            self.room(start, end) >= units,
            (CapacityTaken,),
            capacity.claim_external,
            pool_id=self.pool.pk,
            kind="own_use",
            unit_count=units,
            period=period(start, end),
            note="own",
        )
        if row:
            self.deals.append(Deal(row.pk, None, units, start, end, float("inf"), "scheduled"))

    def confirm(self, index: int) -> None:
        if deal := self._nth(self.deals, index):
            if self._expect(
                deal.state == "held" and self.counts(deal),
                (HoldExpired, IllegalTransition),
                capacity.confirm,
                allocation_id=deal.pk,
            ):
                deal.state, deal.until = "scheduled", float("inf")

    def expire(self, index: int) -> None:
        if deal := self._nth(self.deals, index):
            due = deal.state == "expired" or (deal.state == "held" and deal.until <= self.clock)
            if self._expect(
                due, (HoldStillValid, IllegalTransition), capacity.expire, allocation_id=deal.pk
            ):
                deal.state = "expired"

    def release(self, index: int) -> None:
        if deal := self._nth(self.deals, index):
            if self._expect(
                deal.state in ("held", "scheduled", "cancelled"),
                (IllegalTransition,),
                capacity.release,
                allocation_id=deal.pk,
                reason="test",
            ):
                deal.state = "cancelled"

    def extend(self, index: int, by: int) -> None:
        deal = self._nth(self.deals, index)
        if deal is None or deal.block is None:
            return
        block = next(b for b in self.blocks if b.pk == deal.block)
        end = deal.end + by
        wanted = (
            self.counts(deal)
            and deal.end > self.clock
            and block.is_open
            and end <= block.end
            and self.free(block, deal.end, end) >= deal.units
        )
        if self._expect(
            wanted,
            (CapacityTaken, NotOffered, HoldExpired, IllegalTransition, Invalid),
            capacity.extend,
            allocation_id=deal.pk,
            end=T0 + hours(end),
        ):
            deal.end = end

    def shorten(self, index: int, by: int) -> None:
        if deal := self._nth(self.deals, index):
            end = deal.end - by
            if self._expect(
                deal.state in LIVE and end > deal.start and end >= self.clock,
                (IllegalTransition, Invalid),
                capacity.shorten,
                allocation_id=deal.pk,
                end=T0 + hours(end),
                reason="test",
            ):
                deal.end = end

    def plan_outage(self, nodes: int, start: int, end: int) -> None:
        start = max(start, int(self.clock) + 1)
        if start >= end:
            return
        row = self._expect(
            self.room(start, end) >= nodes,
            (CapacityTaken,),
            capacity.set_outage,
            pool_id=self.pool.pk,
            kind="planned",
            period=period(start, end),
            node_count=nodes,
            reason="service",
        )
        if row:
            self.outages.append((row.pk, nodes, start, end))

    def end_outage(self, index: int) -> None:
        if outage := self._nth(self.outages, index):
            self._expect(True, (), capacity.close_outage, outage_id=outage[0])
            self.outages.remove(outage)

    # The world as it is

    def check(self) -> None:
        """The live claims in the database are the model's, and no hour is oversold."""
        rows = Claim.objects.filter(pool=self.pool, state__in=("held", "confirmed"))
        live = {
            (c.allocation_id, c.block_id, c.unit_count, c.blocking.lower, c.blocking.upper)
            for c in rows
            if c.state == "confirmed" or (c.held_until and c.held_until > T0 + hours(self.clock))
        }
        assert live == {
            (d.pk, d.block, d.units, T0 + hours(d.start), T0 + hours(d.end))
            for d in self.deals
            if self.counts(d)
        }
        for block in self.blocks:
            assert all(self.free(block, h, h + 1) >= 0 for h in range(block.start, block.end))
            row = Block.objects.get(pk=block.pk)
            assert (row.unit_count, row.state == "open") == (block.units, block.is_open)
        assert self.room(min(int(self.clock), SPAN - 1), SPAN) >= 0

    def _expect(
        self, wanted: bool, refusals: tuple[type[DomainError], ...], verb: Any, **what: Any
    ) -> Any:
        try:
            row = verb(**what, at=T0 + hours(self.clock), actor=SYSTEM)
        except refusals:
            assert not wanted, f"wrongly refused: {verb.__name__} {what}"
            self.refused += 1
            return None
        assert wanted, f"wrongly granted: {verb.__name__} {what}"
        self.accepted += 1
        return row

    @staticmethod
    def _nth(rows: list[Any], index: int) -> Any:
        return rows[index % len(rows)] if rows else None
