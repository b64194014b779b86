"""Capacity by brute force: whole hours in lists, beside the product, checked at every step."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from inventory import capacity
from inventory.capacity import (
    CapacityTaken,
    HoldExpired,
    HoldStillValid,
    NodeInUse,
    NoNodeFree,
    NotDue,
    NotOffered,
)
from inventory.errors import DomainError, Invalid
from inventory.models import Allocation, Binding, Block, Claim, Pool
from inventory.periods import Period
from inventory.transitions import IllegalTransition
from tests import world
from tests.world import SYSTEM, T0, hours, period

SPAN = 60  # hours looked at
LIVE = ("held", "scheduled", "active")


@dataclass
class Deal:
    pk: int
    pieces: dict[int, tuple[int, int]] | None  # of blocks, from hour to hour; None: external
    units: int
    start: int
    end: int
    until: float  # a hold's; infinite once confirmed
    lead: int = 0
    turnaround: int = 0
    state: str = "held"
    bound: bool = False

    def blocks(self, hour: int) -> bool:
        return self.start - self.lead <= hour < self.end + self.turnaround

    def takes(self, block: int, hour: int) -> bool:
        low, high = (self.pieces or {}).get(block, (0, 0))
        return low <= hour < high


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

    def taken(self, block: Sold, hour: int, but: Deal | None = None) -> int:
        return sum(
            d.units
            for d in self.deals
            if d is not but and self.counts(d) and d.takes(block.pk, hour)
        )

    def free(self, block: Sold, start: int, end: int, but: Deal | None = None) -> int:
        return block.units - max(self.taken(block, hour, but) for hour in range(start, end))

    def cut(self, blocks: list[Sold], start: int, end: int) -> dict[int, tuple[int, int]] | None:
        """A deal's pieces of open blocks that adjoin, each needed; None where it may not."""
        blocks = sorted(blocks, key=lambda block: (block.start, block.pk))
        low, high = start - self.lead, end + self.turnaround
        first, last = blocks[0], blocks[-1]
        adjoin = all(a.end == b.start for a, b in itertools.pairwise(blocks))
        if not adjoin or not all(block.is_open for block in blocks):
            return None
        if not (
            first.start <= start and end <= last.end and first.low <= low and high <= last.high
        ):
            return None
        pieces = {
            block.pk: (
                max(low, block.low if block is first else block.start),
                min(high, block.high if block is last else block.end),
            )
            for block in blocks
        }
        return None if any(a >= b for a, b in pieces.values()) else pieces

    def fits(self, pieces: dict[int, tuple[int, int]] | None, units: int, but: Deal | None) -> bool:
        return pieces is not None and all(
            self.free(self.block(pk), low, high, but) >= units for pk, (low, high) in pieces.items()
        )

    def block(self, pk: int) -> Sold:
        return next(block for block in self.blocks if block.pk == pk)

    def next_to(self, block: Sold) -> Sold | None:
        return next((other for other in self.blocks if other.start == block.end), None)

    def ahead(self) -> range:
        """From this hour to one at which nothing is promised any more."""
        return range(int(self.clock), max(SPAN + 8, int(self.clock) + 1))

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
            d.units for d in self.deals if d.pieces is None and self.counts(d) and d.blocks(hour)
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

    def hold(
        self, index: int, units: int, start: int, end: int, ttl: float, block_count: int = 1
    ) -> None:
        """Of one block, or of some that follow each other."""
        chain = [block] if (block := self._nth(self.blocks, index)) else []
        while chain and len(chain) < block_count:
            if (following := self.next_to(chain[-1])) is None:
                return
            chain.append(following)
        if not chain:
            return
        pieces = self.cut(chain, start, end)
        wanted = (
            end > self.clock
            and self.fits(pieces, units, None)
            and self.healthy(units, start - self.lead, end + self.turnaround)
        )
        row = self._expect(
            wanted,
            (CapacityTaken, NotOffered),
            capacity.claim,
            pool_id=self.pool.pk,
            block_ids=[block.pk for block in chain],
            unit_count=units,
            period=period(start, end),
            tenant_id=world.tenant().pk,
            held_until=T0 + hours(self.clock + ttl),
        )
        if row:
            until, margins = self.clock + ttl, (self.lead, self.turnaround)
            self.deals.append(Deal(row.pk, pieces, units, start, end, until, *margins))

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

    def extend(self, index: int, by: int, further: bool = False) -> None:
        """Within its blocks, or into the one that follows."""
        deal = self._nth(self.deals, index)
        if deal is None or not deal.pieces:
            return
        blocks = [self.block(pk) for pk in deal.pieces]
        last = max(blocks, key=lambda block: block.start)
        following = self.next_to(last) if further else None
        end = deal.end + by
        pieces = self.cut([*blocks, following] if following else blocks, deal.start, end)
        wanted = (
            self.counts(deal)
            and deal.end > self.clock
            and self.fits(pieces, deal.units, deal)
            and self.healthy(deal.units, deal.end + self.turnaround, end + self.turnaround)
        )
        if self._expect(
            wanted,
            (CapacityTaken, NotOffered, HoldExpired, IllegalTransition, Invalid),
            capacity.extend,
            allocation_id=deal.pk,
            end=T0 + hours(end),
            block_ids=[following.pk] if following else [],
        ):
            deal.end, deal.pieces = end, pieces

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
                if deal.pieces is not None:
                    until = end + deal.turnaround
                    deal.pieces = {
                        pk: (low, min(high, until))
                        for pk, (low, high) in deal.pieces.items()
                        if low < until
                    }

    def bind(self, index: int) -> None:
        """Late binding succeeds while nothing is broken: the counts are enough."""
        waiting = [d for d in self.deals if d.state == "scheduled" and self._due(d)]
        deal = self._nth(waiting if index % 2 and waiting else self.deals, index)
        if deal is None or deal.pieces is None:
            return
        due = self._due(deal)
        bound = deal.bound and self.clock < deal.end + deal.turnaround
        wanted: bool | None = bound or (deal.state in ("scheduled", "active") and due)
        if wanted and not bound and self.failures:
            wanted = None
        if self._expect(
            wanted,
            (IllegalTransition, NotDue, NoNodeFree),
            capacity.bind,
            allocation_id=deal.pk,
        ):
            deal.bound = True
            cards = sum(
                each.cards.upper - each.cards.lower
                for each in Binding.objects.filter(
                    allocation_id=deal.pk, during__endswith__gt=T0 + hours(self.clock)
                )
            )
            assert cards == deal.units * 8 // self.per_node

    def _due(self, deal: Deal) -> bool:
        return deal.start - deal.lead <= self.clock < deal.end + deal.turnaround

    def deliver(self, index: int) -> None:
        """What provisioning does with a bound one."""
        bound = [d for d in self.deals if d.bound and d.state == "scheduled"]
        deal = self._nth(bound, index)
        if deal and self.clock < deal.end:
            for state in ("delivering", "active"):
                Allocation.objects.filter(pk=deal.pk).update(state=state)
            deal.state = "active"

    def finish(self, index: int) -> None:
        """It is taken down and wiped, at its end or before, and its nodes are clean."""
        if deal := self._nth([d for d in self.deals if d.state == "active"], index):
            Allocation.objects.filter(pk=deal.pk).update(state="releasing")
            self._expect(True, (), capacity.finish, allocation_id=deal.pk)
            Allocation.objects.filter(pk=deal.pk).update(state="ended")
            deal.state, deal.bound = "ended", False

    def add_nodes(self, count: int) -> None:
        world.add_nodes(self.pool, count, at=T0 + hours(self.clock))
        self.nodes += count

    def retire(self, index: int) -> None:
        """A node leaves for good, where the promises fit on the others and nobody is on it."""
        node = self._nth(list(self.pool.nodes.exclude(state="retired").order_by("pk")), index)
        if node is None:
            return
        broken = any(pk == node.pk for _, pk, _ in self.failures)
        ahead = self.ahead()
        serving = Binding.objects.filter(node=node, during__endswith__gt=T0 + hours(self.clock))
        wanted = (
            self.room(ahead[0], ahead[-1] + 1) >= self.per_node
            and (broken or self.healthy(self.per_node, ahead[0], ahead[-1] + 1))
            and not serving.exists()
        )
        if self._expect(
            wanted, (CapacityTaken, NodeInUse), capacity.retire_node, node_id=node.pk, reason="old"
        ):
            self.nodes -= 1
            self.failures = [each for each in self.failures if each[1] != node.pk]

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
        there = self.pool.nodes.exclude(state="retired").order_by("pk")
        standing = [node for node in there if node.pk not in broken]
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
            (d.pk, block, d.units, T0 + hours(low), T0 + hours(high))
            for d in self.deals
            if self.counts(d)
            for block, (low, high) in (
                [(None, (d.start, d.end))] if d.pieces is None else d.pieces.items()
            )
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
