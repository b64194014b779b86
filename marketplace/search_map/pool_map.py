"""One pool's open blocks and their free units over time, as arrays. Immutable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Rows = list[tuple[int, ...]]

NEVER = np.iinfo(np.int64).max
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """Microseconds since 1970, exact: what a timestamptz holds."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(micros_: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(micros_))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is shown of a pool, its centre and its fabric; None is what nobody knows."""

    name: str = ""
    provider_id: str = ""
    centre_id: str = ""
    centre_name: str = ""
    centre_name_en: str = ""
    fabric_id: str = ""
    technology: str = ""
    site_count: int | None = None
    proved_node_count: int | None = None
    proved_on_date: date | None = None
    oversubscription: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Faults:
    """How often nodes of the pool's chip generation failed in its centre, per million card-hours,
    with the limits of the 95 % interval; None where nobody has counted yet."""

    per_million: float | None = None
    low_per_million: float | None = None
    high_per_million: float | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """The versions that run on a pool's nodes, each once; "" is a node that nobody described."""

    driver: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    framework: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What a request filters by, and what shapes a deal of the pool."""

    pool_id: int
    public_id: str
    provider_id: int
    chip_code: str
    chip_class: str
    region: str
    hub: str
    unit_cards: int
    cards_per_node: int
    lead_micros: int
    turnaround_micros: int
    failing: bool  # more nodes are broken than it keeps spare
    owner_kind: str = ""
    memory_gib: int = 0  # per card
    interconnect_gbps: int | None = None  # per card; None where unpublished
    catalogue: Catalogue = Catalogue()
    stack: Stack = Stack()
    faults: Faults = Faults()


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of equal length, one row a line. Never written to."""

    columns: Ints

    @classmethod
    def of(cls, rows: Rows, width: int) -> Table:
        columns = np.array(rows, dtype=np.int64).reshape(len(rows), width).T
        return cls(np.ascontiguousarray(columns))

    def __getitem__(self, column: int) -> Ints:
        picked: Ints = self.columns[column]
        return picked

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    def equals(self, other: Table) -> bool:
        return self is other or np.array_equal(self.columns, other.columns)

    def where(self, mask: NDArray[np.bool_]) -> Table:
        return Table(self.columns[:, mask])

    def plus(self, other: Table) -> Table:
        return Table(np.concatenate([self.columns, other.columns], axis=1))


# Columns of the tables below.
BLOCK_ID, BLOCK_UNITS, ROOM_START, ROOM_END, SELL_START, SELL_END = range(6)
CLAIM_ID, CLAIM_BLOCK, CLAIM_START, CLAIM_END, CLAIM_UNITS, HELD_UNTIL = range(6)
CAP_START, CAP_END, CAP_UNITS = range(3)
OUT_START, OUT_END, OUT_NODES = range(3)
STEP_BLOCK, STEP_START, STEP_END, STEP_FREE = range(4)
NO_OUTAGES = Table.of([], 3)


@dataclass(frozen=True, slots=True, eq=False)
class PoolMap:
    """A pool as of one version and one instant.

    `steps` cut each block's room where its free units change. A held claim counts until
    `held_until`; from `next_lapse` on the steps are out of date and `at` makes fresh ones.
    """

    facts: PoolFacts
    ver: int
    epoch: int
    blocks: Table
    claims: Table  # live ones of the open blocks
    cap: Table  # where failures outnumber the spares: what the whole pool can still take
    as_of: int
    next_lapse: int
    steps: Table
    outages: Table  # planned ones: from when, until when, how many nodes

    @classmethod
    def build(
        cls,
        *,
        facts: PoolFacts,
        ver: int,
        epoch: int,
        blocks: Table,
        claims: Table,
        cap: Table,
        as_of: int,
        outages: Table = NO_OUTAGES,
    ) -> PoolMap:
        held = claims[HELD_UNTIL]
        counting = claims.where(held > as_of)
        pieces = [
            _steps(row, block, counting.where(counting[CLAIM_BLOCK] == block[BLOCK_ID]), cap)
            for row, block in enumerate(blocks.columns.T)
        ]
        return cls(
            facts=facts,
            ver=ver,
            epoch=epoch,
            blocks=blocks,
            claims=claims,
            cap=cap,
            as_of=as_of,
            next_lapse=_next_after(as_of, held, cap.columns[:CAP_UNITS].ravel()),
            steps=Table(np.concatenate(pieces, axis=1)) if pieces else Table.of([], 4),
            outages=outages,
        )

    def holds_at(self, as_of: int) -> bool:
        """Whether nothing has lapsed between the pool's instant and this one."""
        return self.as_of <= as_of < self.next_lapse

    def at(self, as_of: int) -> PoolMap:
        """The same pool at another instant: holds lapse by time alone."""
        if self.holds_at(as_of):
            return self
        if not len(self.claims) or bool(np.all(self.claims[HELD_UNTIL] == NEVER)):
            return replace(self, as_of=as_of)
        return self._again(self.claims, self.ver, as_of)

    def with_claims(self, touched: list[int], now_live: Table, ver: int, as_of: int) -> PoolMap:
        """The pool after a change of these claims, of which `now_live` still count."""
        kept = self.claims.where(~np.isin(self.claims[CLAIM_ID], touched))
        ours = now_live.where(np.isin(now_live[CLAIM_BLOCK], self.blocks[BLOCK_ID]))
        return self._again(kept.plus(ours), ver, as_of)

    def _again(self, claims: Table, ver: int, as_of: int) -> PoolMap:
        return PoolMap.build(
            facts=self.facts,
            ver=ver,
            epoch=self.epoch,
            blocks=self.blocks,
            claims=claims,
            cap=self.cap,
            as_of=as_of,
            outages=self.outages,
        )

    def sells_the_same(self, other: PoolMap) -> bool:
        """Whether only what is taken differs: the same blocks, facts and outages."""
        return self is other or (
            self.facts == other.facts
            and self.blocks.equals(other.blocks)
            and self.outages.equals(other.outages)
        )


def _next_after(as_of: int, *instants: Ints) -> int:
    """When time alone changes the steps: a hold lapses, a failed node is overdue."""
    later = np.concatenate(instants)
    return int(np.min(later[later > as_of], initial=NEVER))


def _steps(row: int, block: Ints, claims: Table, cap: Table) -> Ints:
    """A block's room cut where its free units change: (row, start, end, free)."""
    low, high = block[ROOM_START], block[ROOM_END]
    starts = np.clip(claims[CLAIM_START], low, high)
    ends = np.clip(claims[CLAIM_END], low, high)
    edges, position = np.unique(np.concatenate([[low, high], starts, ends]), return_inverse=True)
    change = np.zeros(len(edges), dtype=np.int64)
    count = len(starts)
    np.add.at(change, position[2 : 2 + count], claims[CLAIM_UNITS])
    np.subtract.at(change, position[2 + count :], claims[CLAIM_UNITS])
    free = block[BLOCK_UNITS] - np.cumsum(change)[:-1]
    if len(cap):
        edges, free = _capped(edges, free, cap)
    return np.stack([np.full(len(free), row, dtype=np.int64), edges[:-1], edges[1:], free])


def _capped(edges: Ints, free: Ints, cap: Table) -> tuple[Ints, Ints]:
    low, high = edges[0], edges[-1]
    finer = np.unique(np.concatenate([edges, np.clip(cap.columns[:CAP_UNITS].ravel(), low, high)]))
    finer_free = free[np.searchsorted(edges, finer[:-1], side="right") - 1]
    for start, end, units in cap.columns.T:
        inside = (finer[:-1] >= start) & (finer[:-1] < end)
        finer_free = np.where(inside, np.minimum(finer_free, units), finer_free)
    return finer, finer_free
