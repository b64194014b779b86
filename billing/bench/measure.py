"""Bounded loads and what they took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a bench's table. A figure that does not apply is None."""

    case: str
    per_second: float
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    sql: int | None = None  # statements per operation
    floor_per_second: float | None = None
    ratio: float | None = None  # per_second / floor_per_second


@dataclass(frozen=True, slots=True)
class Operation:
    """What a client repeats: `do` is timed, `undo` is not, both count against the clock."""

    do: Callable[[], str | None]  # None, or the code it was refused with
    undo: Callable[[], None]


@dataclass
class Load:
    """What a load did: how long each operation took, and what was refused."""

    seconds: float
    took_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def percentile(self, share: float) -> float | None:
        if not self.took_ms:
            return None
        ordered = sorted(self.took_ms)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    def row(self, case: str, *, sql: int | None, floor_per_second: float | None) -> Row:
        per_second = len(self.took_ms) / self.seconds
        return Row(
            case=case,
            per_second=round(per_second, 1),
            p50_ms=self.percentile(0.50),
            p95_ms=self.percentile(0.95),
            p99_ms=self.percentile(0.99),
            sql=sql,
            floor_per_second=round(floor_per_second, 1) if floor_per_second else None,
            ratio=round(per_second / floor_per_second, 3) if floor_per_second else None,
        )


def run_clients(*, clients: int, seconds: float, make: Callable[[int], Operation]) -> Load:
    """Runs `clients` threads for `seconds`, each its own operation made by `make(number)`.

    Only granted operations count. A client that raises ends the run with its error.
    """
    operations = [make(number) for number in range(clients)]
    until = time.perf_counter() + seconds
    load = Load(seconds=seconds)
    with ThreadPoolExecutor(max_workers=clients) as threads:
        for took_ms, refused in threads.map(
            lambda operation: _repeat(operation, until), operations
        ):
            load.took_ms += took_ms
            load.refused += refused
    return load


def _repeat(operation: Operation, until: float) -> tuple[list[float], Counter[str]]:
    took_ms, refused = [], Counter[str]()
    while time.perf_counter() < until:
        began = time.perf_counter()
        code = operation.do()
        if code is None:
            took_ms.append((time.perf_counter() - began) * 1000)
        else:
            refused[code] += 1
        operation.undo()
    return took_ms, refused
