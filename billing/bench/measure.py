"""Bounded loads and what they took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

Operation = Callable[[], str | None]  # None, or the code it was refused with


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a bench's table. A figure that does not apply is None."""

    case: str
    claims: int | None = None  # behind the pools
    clients: int | None = None
    operations: int | None = None
    per_second: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    sql: int | None = None  # statements per operation
    python_cpu_ms: float | None = None  # processor time per operation, refused ones included
    db_cpu_ms: float | None = None
    refused: int | None = None
    floor_per_second: float | None = None
    of_floor: float | None = None  # per_second / floor_per_second
    bare_per_second: float | None = None
    of_bare: float | None = None
    mebibytes: float | None = None
    seconds: float | None = None  # of one batch
    floor_seconds: float | None = None
    of_floor_seconds: float | None = None  # seconds / floor_seconds
    of_hordak: float | None = None  # per_second / django-hordak's
    share_of_a_core: float | None = None  # at the load that is aimed at
    bytes_per_card_hour: float | None = None
    rows_read: int | None = None  # of tables and indexes, by one operation
    floor_ms: float | None = None  # p50
    of_floor_ms: float | None = None  # p50_ms / floor_ms
    us_per_lease_hour: float | None = None  # of a sweep, by the clock
    of_smaller: float | None = None  # seconds per operation / that of the smallest load


@dataclass
class Load:
    """What a load did: how long each operation took, and what was refused."""

    seconds: float
    took_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        return round(len(self.took_ms) / self.seconds, 1)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that `share` of the values do not exceed, to two places."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def ratio(one: float | None, other: float | None) -> float | None:
    return round(one / other, 3) if one is not None and other else None


def run_clients(operations: Sequence[Operation], *, seconds: float) -> Load:
    """Each operation repeated by a thread of its own for `seconds`.

    Only granted operations count. A client that raises ends the run with its error.
    """
    began = time.perf_counter()
    load = Load(seconds=seconds)
    with ThreadPoolExecutor(max_workers=len(operations)) as threads:
        for took_ms, refused in threads.map(
            lambda operation: _repeat(operation, began + seconds), operations
        ):
            load.took_ms += took_ms
            load.refused += refused
    load.seconds = time.perf_counter() - began
    return load


def _repeat(operation: Operation, until: float) -> tuple[list[float], Counter[str]]:
    took_ms, refused = [], Counter[str]()
    while (began := time.perf_counter()) < until:
        code = operation()
        if code is None:
            took_ms.append((time.perf_counter() - began) * 1000)
        else:
            refused[code] += 1
    return took_ms, refused
