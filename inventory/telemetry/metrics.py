"""Metrics by name: which fact about a card each one is, as `metrics.toml` says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

Tried = Literal["captured", "own_page", "documented"]
# Nothing physical reaches it. DCGM says "no value" by integers of about 2^63.
NO_VALUE = 9.2233720368547e18


class Fact(IntEnum):
    """What is known of a card in a slot. The first five have a bitmap of slots each."""

    BUSY = 0
    MEMORY = 1
    POWER = 2
    HEALTH = 3  # its bitmap: slots in which the card was not well
    LINK = 4  # its bitmap: slots in which the link was down
    TEMPERATURE = 5
    ERROR = 6


# The most that a fact's own unit can be; more is no measurement.
MOST = {
    Fact.BUSY: 1.05,
    Fact.MEMORY: 1024.0 * 1024,  # MiB
    Fact.POWER: 10_000.0,
    Fact.TEMPERATURE: 300.0,
    Fact.HEALTH: float(2**31 - 1),
    Fact.LINK: float(2**31 - 1),
    Fact.ERROR: float(2**32 - 1),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of one exporter, and what it says."""

    name: str
    fact: Fact
    scale: float
    well: frozenset[float]
    faults: frozenset[float]
    where: tuple[tuple[str, str], ...]
    without: tuple[str, ...]
    exporter: Exporter

    def applies(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(name, value) == value for name, value in self.where) and not any(
            labels.get(name) for name in self.without
        )

    def is_well(self, value: float) -> bool:
        """Of health, link and error metrics."""
        return value not in self.faults if self.fact is Fact.ERROR else value in self.well


@dataclass(frozen=True, slots=True)
class Exporter:
    """What reports, and how far it was tried with us."""

    name: str
    vendor: str
    tried: Tried
    card_labels: tuple[str, ...]
    index_labels: tuple[str, ...]


def _read(path: Path) -> tuple[list[Exporter], dict[str, Metric]]:
    exporters, metrics = [], {}
    for row in tomllib.loads(path.read_text(encoding="utf-8"))["exporter"]:
        exporter = Exporter(
            row["name"], row["vendor"], row["tried"], tuple(row["card"]), tuple(row["index"])
        )
        exporters.append(exporter)
        for given in row["metrics"]:
            for prefix in row.get("prefixes", [""]):
                metric = _metric(prefix, given, exporter, row)
                metrics[metric.name] = metric
    return exporters, metrics


def _metric(prefix: str, given: dict[str, Any], exporter: Exporter, row: dict[str, Any]) -> Metric:
    return Metric(
        name=prefix + given["name"],
        fact=Fact[given["fact"].upper()],
        scale=float(given.get("scale", 1)),
        well=frozenset(map(float, given.get("well", []))),
        faults=frozenset(map(float, given.get("faults", []))),
        where=tuple(given.get("where", {}).items()),
        without=tuple(row.get("without", [])),
        exporter=exporter,
    )


EXPORTERS, METRICS = _read(Path(__file__).with_name("metrics.toml"))
