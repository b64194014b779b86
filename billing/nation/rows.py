"""Deals as lines of COPY: what the verbs would have left of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import uuid_utils

from billing.demo.people import SEED
from billing.nation.deals import Deal
from billing.nation.plan import Stock
from inventory.models import Pool

COLUMNS = {
    "inventory_allocation": (
        "id, public_id, pool_id, kind, provider_id, tenant_id, unit_count, period, blocking,"
        " lead_seconds, turnaround_seconds, state, note, failure_code, ssh_keys, created_at,"
        " active_at, ended_at, next_step_at"
    ),
    "inventory_claim": (
        "id, public_id, allocation_id, pool_id, block_id, unit_count, blocking, state, held_until"
    ),
    "inventory_poolevent": (
        "pool_id, ver, epoch, kind, block_id, claim_id, delta, period, at, actor, reason"
    ),
    "inventory_binding": "public_id, allocation_id, node_id, cards, during, created_at",
    "inventory_journalentry": "at, event, object_id, actor_kind, actor, data, provider_id",
}
BOOKED_DAYS = 45  # a deal was made at most so long before its start


@dataclass
class Batch:
    """Lines by table, and what the pools' versions become."""

    lines: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    versions: list[tuple[int, int]] = field(default_factory=list)  # pool, events more

    @property
    def deal_count(self) -> int:
        return len(self.lines["inventory_allocation"])


class Calendar:
    """Instants as PostgreSQL reads them, by whole hours since the founding."""

    def __init__(self, founded: datetime, hours: int) -> None:
        self.hours = [
            (founded + timedelta(hours=hour)).strftime("%Y-%m-%d %H:") for hour in range(hours)
        ]

    def at(self, hour: int, minute: int = 0) -> str:
        return f"{self.hours[hour]}{minute:02d}+00"

    def range(self, start: int, end: int, minute: int) -> str:
        return f'["{self.at(start, minute)}","{self.at(end, minute)}")'


@dataclass
class PoolRows:
    """Writes one pool's deals. `ids` are the numbers that allocation and claim share."""

    stock: Stock
    pool: Pool
    block_id: int
    tenant_ids: Sequence[int]
    node_ids: Sequence[int]
    calendar: Calendar
    turn: int  # the hour between past and future
    ver: int
    bound_units: int = 0  # by deals that run at the turn, from the pool's first node on

    def bind(self, deal: Deal) -> range:
        """The units that serve a deal which runs at the turn; empty for others."""
        if not deal.live or (deal.start, deal.minute) > (self.turn, 0):
            return range(0)
        first = self.bound_units
        self.bound_units += deal.units
        return range(first, self.bound_units)

    def write(
        self, deal: Deal, units: range, allocation_id: int, claim_id: int, out: Batch
    ) -> None:
        calendar, pool, stock = self.calendar, self.pool, self.stock
        lead, turnaround = stock.lead_seconds // 3600, stock.turnaround_seconds // 3600
        start, end, minute = deal.start, deal.start + deal.hours, deal.minute
        period = calendar.range(start, end, minute)
        blocking = calendar.range(start - lead, end + turnaround, minute)
        # Days ahead of the start, or shortly before the turn; spread without further chance.
        ahead = 1 + (deal.start * 7919 + deal.units * 31 + deal.tenant) % (BOOKED_DAYS * 24)
        made = calendar.at(max(0, min(start, self.turn) - lead - ahead))
        if not deal.live:
            state, claim_state = "ended", "ended"
            active_at, ended_at, next_step = (
                calendar.at(start, minute),
                calendar.at(end + turnaround, minute),
                r"\N",
            )
        elif units:
            state, claim_state = "active", "confirmed"
            active_at, ended_at = calendar.at(start, minute), r"\N"
            next_step = calendar.at(end, minute)
        else:
            state, claim_state = "scheduled", "confirmed"
            active_at = ended_at = r"\N"
            next_step = calendar.at(start - lead, minute)
        out.lines["inventory_allocation"].append(
            f"{allocation_id}\t{uuid_utils.uuid7()}\t{pool.pk}\tsale\t{pool.provider_id}"
            f"\t{self.tenant_ids[deal.tenant]}\t{deal.units}\t{period}\t{blocking}"
            f"\t{stock.lead_seconds}\t{stock.turnaround_seconds}\t{state}\t\t\t[]\t{made}"
            f"\t{active_at}\t{ended_at}\t{next_step}\n"
        )
        out.lines["inventory_claim"].append(
            f"{claim_id}\t{uuid_utils.uuid7()}\t{allocation_id}\t{pool.pk}\t{self.block_id}"
            f"\t{deal.units}\t{blocking}\t{claim_state}\t\\N\n"
        )
        self._event("held", claim_id, deal.units, blocking, made, out)
        self._event("confirmed", claim_id, 0, blocking, made, out)
        if not deal.live:
            self._event("ended", claim_id, 0, blocking, ended_at, out)
        if units:
            self._bindings(units, allocation_id, blocking, active_at, out)

    def tell(self, count: int, out: Batch) -> None:
        """One entry for all of them: what happened before there was a journal is no change."""
        out.lines["inventory_journalentry"].append(
            f"{self.calendar.at(self.turn)}\tpool.history_loaded\t{self.pool.public_id}"
            f'\t{SEED.kind}\t{SEED.label}\t{{"claims": {count}}}\t{self.pool.provider_id}\n'
        )

    def _event(
        self, kind: str, claim_id: int, delta: int, period: str, at: str, out: Batch
    ) -> None:
        self.ver += 1
        out.lines["inventory_poolevent"].append(
            f"{self.pool.pk}\t{self.ver}\t0\t{kind}\t{self.block_id}\t{claim_id}\t{delta}"
            f"\t{period}\t{at}\t{SEED.label}\t\n"
        )

    def _bindings(self, units: range, allocation_id: int, during: str, at: str, out: Batch) -> None:
        per_node, cards = self.pool.units_per_node, self.pool.unit_cards
        unit = units.start
        while unit < units.stop:
            node, slot = divmod(unit, per_node)
            count = min(per_node - slot, units.stop - unit)
            out.lines["inventory_binding"].append(
                f"{uuid_utils.uuid7()}\t{allocation_id}\t{self.node_ids[node]}"
                f"\t[{slot * cards},{(slot + count) * cards})\t{during}\t{at}\n"
            )
            unit += count
