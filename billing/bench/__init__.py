"""Benchmarks: every figure beside the physical floor measured in the same run."""

from __future__ import annotations

from collections.abc import Callable

from billing.bench import holds
from billing.bench.measure import Row

BENCHES: dict[str, Callable[..., list[Row]]] = {"holds": holds.run}
