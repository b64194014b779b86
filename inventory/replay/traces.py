"""Traces of demand: a table of leases, whatever its columns are called."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from inventory.errors import Invalid
from inventory.periods import Period

# Our word for a column: what the leases cut from the 2017 trace call it.
COLUMNS = {
    "id": "lease_id",
    "tenant": "tenant",
    "start": "start",
    "end": "end",
    "nodes": "servers",
}
# What may stand in the place of `end` and of `nodes`.
OTHERS = ("duration_seconds", "duration_hours", "cards")


class UnreadableTrace(Invalid):
    """The file lacks a column or a row cannot be read."""

    code = "unreadable_trace"
    title = "The trace cannot be read"


@dataclass(frozen=True, slots=True)
class Demand:
    """One lease somebody wanted."""

    id: str
    tenant: str
    period: Period
    node_count: int

    @property
    def node_seconds(self) -> Fraction:
        span = self.period.end - self.period.start
        return self.node_count * Fraction(span // timedelta(microseconds=1), 1_000_000)


def read(
    path: Path, *, columns: Mapping[str, str] | None = None, cards_per_node: int = 8
) -> list[Demand]:
    """The trace in the file's own order. `columns` maps our words to the file's.

    `end` may be a `duration_seconds` or `duration_hours` instead, `nodes` may be `cards`,
    rounded up to whole nodes. Instants are ISO 8601 (UTC unless they say so) or seconds since
    1970. Rows that want nothing, or for no time, are left out. Raises UnreadableTrace.
    """
    names = _names(columns or {})
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            return list(_demands(csv.DictReader(file, restval=""), names, cards_per_node))
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise UnreadableTrace(f"{path.name} is not a table in UTF-8: {error}") from error


def _demands(
    reader: csv.DictReader[str], names: Mapping[str, str], cards_per_node: int
) -> Iterator[Demand]:
    """Row by row; whatever is wrong with one is said with its line."""
    there = reader.fieldnames or ()
    absent = sorted(name for name in names.values() if name not in there)
    if absent:
        raise UnreadableTrace(
            f"No column {', '.join(absent)}; there are {', '.join(there)}."
            " --columns says what they are called"
        )
    lines: dict[str, int] = {}
    try:
        for number, row in enumerate(reader):
            demand = _demand(row, names, number, cards_per_node)
            if demand is None:
                continue
            if demand.id in lines:
                raise UnreadableTrace(f"the id {demand.id} is that of line {lines[demand.id]} too")
            lines[demand.id] = reader.line_num
            yield demand
    except UnicodeDecodeError:
        raise  # it is the file's fault, not a line's
    except (ValueError, ArithmeticError, OSError, csv.Error, Invalid) as error:
        raise UnreadableTrace(f"Line {reader.line_num}: {error}") from error


def _names(given: Mapping[str, str]) -> dict[str, str]:
    unknown = sorted(set(given) - set(COLUMNS) - set(OTHERS))
    if unknown:
        raise UnreadableTrace(f"Columns are named {', '.join([*COLUMNS, *OTHERS])}, not {unknown}")
    names = dict(COLUMNS) if not given else dict(given)
    if given:
        names.setdefault("start", "start")
        if not {"duration_seconds", "duration_hours"} & set(given):
            names.setdefault("end", "end")
        if "cards" not in given:
            names.setdefault("nodes", "servers")
    return names


def _demand(
    row: Mapping[str, str], names: Mapping[str, str], number: int, cards_per_node: int
) -> Demand | None:
    start = _instant(row[names["start"]])
    if "end" in names:
        end = _instant(row[names["end"]])
    elif "duration_seconds" in names:
        end = start + timedelta(seconds=float(row[names["duration_seconds"]]))
    else:
        end = start + timedelta(hours=float(row[names["duration_hours"]]))
    if "nodes" in names:
        node_count = _whole(row[names["nodes"]])
    else:
        node_count = -(-_whole(row[names["cards"]]) // cards_per_node)
    if end <= start or node_count < 1:
        return None
    return Demand(
        id=row[names["id"]] if "id" in names else str(number),
        tenant=row[names["tenant"]] if "tenant" in names else "everybody",
        period=Period(start, end),
        node_count=node_count,
    )


def _whole(text: str) -> int:
    """A count, which some tables write as 2.0."""
    count = float(text)
    if count % 1:
        raise ValueError(f"{text} is no whole number")
    return int(count)


def _instant(text: str) -> datetime:
    text = text.strip()
    try:
        return datetime.fromtimestamp(float(text), tz=UTC)
    except ValueError:
        instant = datetime.fromisoformat(text)
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def submissions(
    demands: Iterable[Demand], *, lead_hours: float = 0, seed: int = 0
) -> list[tuple[datetime, Demand]]:
    """When each lease is asked for, in order: at its start, or a random time before it.

    The lead is drawn uniformly from [0, `lead_hours`) in the file's order, in whole seconds;
    ties keep the file's order.
    """
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    asked = []
    for demand in demands:
        lead = (
            timedelta(seconds=int(draw.random() * lead_hours * 3600)) if lead_hours else timedelta()
        )
        asked.append((demand.period.start - lead, demand))
    return sorted(
        asked, key=lambda pair: (pair[0], pair[1].period.start) if not lead_hours else pair[0]
    )


def horizon(demands: Iterable[Demand]) -> Period:
    """From the first start to the last end."""
    periods = [demand.period for demand in demands]
    if not periods:
        raise UnreadableTrace("The trace is empty")
    return Period(min(p.start for p in periods), max(p.end for p in periods))


def shares(demands: Iterable[Demand], node_count: int) -> dict[str, int]:
    """Nodes dealt to tenants: one each, the rest in proportion to their card-hours.

    Largest remainder; the reference simulator of the 2017 leases deals the same way.
    """
    weights: dict[str, Fraction] = {}
    for demand in demands:
        weights[demand.tenant] = weights.get(demand.tenant, Fraction()) + demand.node_seconds
    rest = node_count - len(weights)
    if rest < 0:
        raise Invalid(f"{node_count} nodes cannot be dealt to {len(weights)} tenants")
    total = sum(weights.values())
    exact = {tenant: rest * weight / total for tenant, weight in weights.items()}
    dealt = {tenant: 1 + int(quota) for tenant, quota in exact.items()}
    left = node_count - sum(dealt.values())
    by_remainder = sorted(exact, key=lambda tenant: (int(exact[tenant]) - exact[tenant], tenant))
    for tenant in by_remainder[:left]:
        dealt[tenant] += 1
    return dealt
