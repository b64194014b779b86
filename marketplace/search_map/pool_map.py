"""One pool's open blocks and their free units over time, as arrays. Immutable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

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

    def where(self, mask: NDArray[np.bool_]) -> Table:
        return Table(self.columns[:, mask])

    def plus(self, other: Table) -> Table:
        return Table(np.concatenate([self.columns, other.columns], axis=1))


# Columns of the tables below.
BLOCK_ID, BLOCK_UNITS, ROOM_START, ROOM_END, SELL_START, SELL_END = range(6)
CLAIM_ID, CLAIM_BLOCK, CLAIM_START, CLAIM_END, CLAIM_UNITS, HELD_UNTIL = range(6)
CAP_START, CAP_END, CAP_UNITS = range(3)
STEP_BLOCK, STEP_START, STEP_END, STEP_FREE = range(4)


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
            next_lapse=int(np.min(held[held > as_of], initial=NEVER)),
            steps=Table(np.concatenate(pieces, axis=1)) if pieces else Table.of([], 4),
        )

    def at(self, as_of: int) -> PoolMap:
        """The same pool at another instant: holds lapse by time alone."""
        if self.as_of <= as_of < self.next_lapse:
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
        )


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
