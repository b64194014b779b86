"""The hash chain over what was recorded: proof that nothing was changed or taken out since.

Rows are sealed in order of (xid, id), and only below the oldest transaction still running:
a row that commits late has an xid at or above that, so it can never slip in front of a sealed
one. Sealing stands outside the hot path and writes one row per batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from inventory.models import Seal

BATCH = 1000
GENESIS = bytes(32)

# What is hashed, as PostgreSQL itself writes it: every column, told apart unambiguously. The
# order is that of `r.xid`, the number: `xid` alone would be the text column of the answer.
_ROWS = {
    Seal.Source.JOURNAL: (
        "SELECT xid::text, id, jsonb_build_array(id, xid::text, recorded_at, at, event, object_id,"
        " from_state, to_state, actor_kind, actor, reason, data, provider_id, tenant_id)::text"
        " FROM inventory_journalentry r"
    ),
    Seal.Source.POOL_EVENT: (
        "SELECT xid::text, id, jsonb_build_array(id, xid::text, pool_id, ver, epoch, kind,"
        " block_id, claim_id, delta, period::text, at, actor, reason)::text"
        " FROM inventory_poolevent r"
    ),
}


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a chain no longer agrees with the rows under it."""

    source: str
    sequence: int
    why: str


def seal(*, source: str, at: datetime, batch: int = BATCH) -> Seal | None:
    """The next batch of committed rows is sealed; None where none is waiting.

    Locks the source's chain (an advisory lock), so that two sweeps cannot fork it.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"seal {source}"])
        last = Seal.objects.filter(source=source).order_by("-sequence").first()
        rows = list(_after(source, last, batch))
        if not rows:
            return None
        previous = bytes(last.hash) if last else GENESIS
        return Seal.objects.create(
            source=source,
            sequence=last.sequence + 1 if last else 1,
            last_xid=rows[-1][0],
            last_id=rows[-1][1],
            row_count=len(rows),
            previous_hash=previous,
            hash=_digest(previous, rows),
            sealed_at=at,
        )


def seal_all(*, at: datetime, batch: int = BATCH) -> int:
    """Everything committed is sealed, batch by batch. Returns the number of seals."""
    count = 0
    for source in Seal.Source.values:
        while seal(source=source, at=at, batch=batch):
            count += 1
    return count


def head(source: str) -> str:
    """The last hash as hex: what leaves the house every day. Empty before the first seal."""
    last = Seal.objects.filter(source=source).order_by("-sequence").first()
    return bytes(last.hash).hex() if last else ""


def verify(*, source: str, against: str = "") -> list[Broken]:
    """Every seal is computed again from the rows as they are now.

    `against` is a head that left the house before: it must still be a hash of the chain.
    """
    broken: list[Broken] = []
    previous, position, known = GENESIS, ("0", 0), set()
    sequence = 0
    for row in Seal.objects.filter(source=source).order_by("sequence").iterator():
        sequence += 1
        known.add(bytes(row.hash).hex())
        rows = list(_between(source, position, (row.last_xid, row.last_id)))
        if row.sequence != sequence:
            broken.append(Broken(source, row.sequence, f"seal {sequence} is missing"))
            sequence = row.sequence
        elif bytes(row.previous_hash) != previous:
            broken.append(Broken(source, row.sequence, "does not follow the seal before it"))
        elif len(rows) != row.row_count:
            broken.append(Broken(source, row.sequence, f"{len(rows)} rows, not {row.row_count}"))
        elif _digest(previous, rows) != bytes(row.hash):
            broken.append(Broken(source, row.sequence, "a row was changed"))
        previous, position = bytes(row.hash), (row.last_xid, row.last_id)
    if against and against.lower() not in known:
        broken.append(Broken(source, sequence, "the given head is not in the chain"))
    return broken


def _digest(previous: bytes, rows: list[tuple[str, int, str]]) -> bytes:
    """SHA-256 over the hash before and each row with its length, so that rows cannot merge."""
    digest = hashlib.sha256(previous)
    for _, _, text in rows:
        raw = text.encode()
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.digest()


def _after(source: str, last: Seal | None, limit: int) -> Iterator[tuple[str, int, str]]:
    position = (last.last_xid, last.last_id) if last else ("0", 0)
    yield from _fetch(
        source,
        "r.xid < pg_snapshot_xmin(pg_current_snapshot()) AND (r.xid, r.id) > (%s::text::xid8, %s)"
        " ORDER BY r.xid, r.id LIMIT %s",
        [*position, limit],
    )


def _between(
    source: str, after: tuple[str, int], until: tuple[str, int]
) -> Iterator[tuple[str, int, str]]:
    yield from _fetch(
        source,
        "(r.xid, r.id) > (%s::text::xid8, %s) AND (r.xid, r.id) <= (%s::text::xid8, %s)"
        " ORDER BY r.xid, r.id",
        [*after, *until],
    )


def _fetch(source: str, condition: str, params: list[Any]) -> Iterator[tuple[str, int, str]]:
    with connection.cursor() as cursor:
        # Instants are hashed as text in the session's zone, which Django keeps at UTC.
        cursor.execute(f"{_ROWS[Seal.Source(source)]} WHERE {condition}", params)
        yield from cursor.fetchall()
