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
from inventory.periods import Period
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
    lead: int = 0
    turnaround: int = 0
    state: str = "held"

    def blocks(self, hour: int) -> bool:
        return self.start - self.lead <= hour < self.end + self.turnaround


@dataclass
class Sold:
    """A block: what it sells, and the wider period that lead and turnaround may use."""

    pk: int
    units: int
    start: int
    end: int
    low: int
    high: int
    is_open: bool = True


@dataclass
class Model:
    """One pool; every answer of the product is predicted.

    With lead or turnaround, how far a block is widened is read from the product, and whether
    one more can be opened is left to it: that depends on what the margins of others give way.
    """

    pool: Pool
    nodes: int
    spares: int
    per_node: int = 1
    lead: int = 0
    turnaround: int = 0
    clock: float = 0
    blocks: list[Sold] = field(default_factory=list)
    deals: list[Deal] = field(default_factory=list)
    outages: list[tuple[int, int, int, int]] = field(default_factory=list)
    failures: list[tuple[int, int, int]] = field(default_factory=list)  # outage, node, end
    accepted: int = 0
    refused: int = 0

    @classmethod
    def fresh(
        cls,
        nodes: int = 6,
        spares: int = 1,
        *,
        unit_cards: int = 8,
        lead: int = 0,
        turnaround: int = 0,
    ) -> Model:
        pool = world.pool(
            nodes=nodes,
            spare_count=spares,
            unit_cards=unit_cards,
            lead_seconds=3600 * lead,
            turnaround_seconds=3600 * turnaround,
        )
        return cls(pool, nodes, spares, 8 // unit_cards, lead, turnaround)

    # Brute force

    def counts(self, deal: Deal) -> bool:
        return deal.state in LIVE and deal.until > self.clock

    def taken(self, block: Sold, hour: int) -> int:
        return sum(
            d.units for d in self.deals if d.block == block.pk and self.counts(d) and d.blocks(hour)
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
            if b.low <= hour < b.high
        )
        external = sum(
            d.units for d in self.deals if d.block is None and self.counts(d) and d.blocks(hour)
        )
        left = self.nodes - self.spares - self._planned(hour)
        return left * self.per_node - sold - external

    def _planned(self, hour: int) -> int:
        return sum(n for _, n, start, end in self.outages if start <= hour < end)

    def _failed(self, hour: int) -> int:
        """Until a node is expected back; one that is overdue, until somebody ends its failure."""
        return sum(hour < end or end <= self.clock for _, _, end in self.failures)

    def healthy(self, units: int, start: int, end: int) -> bool:
        """Beyond the spares, what is live fits on the nodes that are left."""
        for hour in range(start, end):
            failed = self._failed(hour)
            if failed > self.spares:
                live = sum(d.units for d in self.deals if self.counts(d) and d.blocks(hour))
                left = self.nodes - self._planned(hour) - failed
                if live + units > left * self.per_node:
                    return False
        return True

    # Moves: each calls the product and must get what brute force says

    def tick(self, by: float) -> None:
        self.clock += by

    def open(self, units: int, start: int, end: int) -> None:
        wanted: bool | None = end > self.clock and self.room(start, end) >= units
        if self.lead or self.turnaround:
            wanted = None
        row = self._expect(
            wanted,
            (CapacityTaken, NotOffered),
            capacity.open_block,
            pool_id=self.pool.pk,
            unit_count=units,
            sellable=period(start, end),
        )
        if row:
            self.blocks.append(Sold(row.pk, units, start, end, start, end))
            self._read_margins()

    def _read_margins(self) -> None:
        for block in self.blocks:
            span = Block.objects.values_list("period", flat=True).get(pk=block.pk)
            block.low, block.high = (
                round((edge - T0) / hours(1)) for edge in (span.lower, span.upper)
            )
            assert (
                self.lead
                or self.turnaround
                or (block.low, block.high)
                == (
                    block.start,
                    block.end,
                )
            )

    def resize(self, index: int, units: int) -> None:
        if block := self._nth(self.blocks, index):
            sold = max(self.taken(block, hour) for hour in range(block.low, block.high))
            more = units - block.units
            ahead = range(max(block.low, int(self.clock)), block.high)
            fits = (
                more <= 0
                or not block.is_open
                or not ahead
                or self.room(ahead[0], block.high) >= more
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
            ahead = range(max(block.low, int(self.clock)), block.high)
            fits = not ahead or self.room(ahead[0], block.high) >= 0
            block.is_open = bool(
                self._expect(fits, (CapacityTaken,), capacity.reopen_block, block_id=block.pk)
            )

    def hold(self, index: int, units: int, start: int, end: int, ttl: float) -> None:
        if block := self._nth(self.blocks, index):
            low, high = start - self.lead, end + self.turnaround
            inside = block.start <= start and end <= block.end and end > self.clock
            wanted = (
                block.is_open
                and inside
                and block.low <= low
                and high <= block.high
                and self.free(block, low, high) >= units
                and self.healthy(units, low, high)
            )
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
                until = self.clock + ttl
                margins = (self.lead, self.turnaround)
                self.deals.append(Deal(row.pk, block.pk, units, start, end, until, *margins))

    def external(self, units: int, start: int, end: int) -> None:
        start = max(start, int(self.clock) + 1)
        if start >= end:
            return
        row = self._expect(
            self.room(start, end) >= units and self.healthy(units, start, end),
            (CapacityTaken,),
            capacity.claim_external,
            pool_id=self.pool.pk,
            kind="own_use",
            unit_count=units,
            period=period(start, end),
            note="own",
        )
        if row:
            self.deals.append(
                Deal(row.pk, None, units, start, end, float("inf"), state="scheduled")
            )

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
            and end + self.turnaround <= block.high
            and self.free_but(deal, block, end + self.turnaround) >= deal.units
            and self.healthy(deal.units, deal.end + self.turnaround, end + self.turnaround)
        )
        if self._expect(
            wanted,
            (CapacityTaken, NotOffered, HoldExpired, IllegalTransition, Invalid),
            capacity.extend,
            allocation_id=deal.pk,
            end=T0 + hours(end),
        ):
            deal.end = end

    def free_but(self, deal: Deal, block: Sold, end: int) -> int:
        """Free from where the deal's own claim ends."""
        return self.free(block, deal.end + self.turnaround, end)

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
            self.room(start, end) >= nodes * self.per_node
            and self.healthy(nodes * self.per_node, start, end),
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

    def fail(self, index: int, length: int) -> None:
        """One more node is broken: nothing refuses that."""
        broken = {node for _, node, _ in self.failures}
        standing = [node for node in self.pool.nodes.order_by("pk") if node.pk not in broken]
        if node := self._nth(standing, index):
            end = int(self.clock) + length
            row = self._expect(
                True,
                (),
                capacity.set_outage,
                pool_id=self.pool.pk,
                kind="failed",
                period=Period(T0 + hours(self.clock), T0 + hours(end)),
                node_id=node.pk,
                reason="fan",
            )
            self.failures.append((row.pk, node.pk, end))

    def mend(self, index: int) -> None:
        if failure := self._nth(self.failures, index):
            self._expect(True, (), capacity.close_outage, outage_id=failure[0])
            self.failures.remove(failure)

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
            (
                d.pk,
                d.block,
                d.units,
                T0 + hours(d.start - d.lead),
                T0 + hours(d.end + d.turnaround),
            )
            for d in self.deals
            if self.counts(d)
        }
        for block in self.blocks:
            assert all(self.free(block, h, h + 1) >= 0 for h in range(block.low, block.high))
            row = Block.objects.get(pk=block.pk)
            assert (row.unit_count, row.state == "open") == (block.units, block.is_open)
        assert self.room(min(int(self.clock), SPAN - 1), SPAN) >= 0

    def _expect(
        self, wanted: bool | None, refusals: tuple[type[DomainError], ...], verb: Any, **what: Any
    ) -> Any:
        try:
            row = verb(**what, at=T0 + hours(self.clock), actor=SYSTEM)
        except refusals:
            assert not wanted, f"wrongly refused: {verb.__name__} {what}"
            self.refused += 1
            return None
        assert wanted is not False, f"wrongly granted: {verb.__name__} {what}"
        self.accepted += 1
        return row

    @staticmethod
    def _nth(rows: list[Any], index: int) -> Any:
        return rows[index % len(rows)] if rows else None
