"""What lies between two readings of the pools: the funnel, the map and the week of any period.

Each question is one statement over at most two readings a pool and column, however long the
period is and however many leases lie in it.
"""

# ruff: noqa: S608  statements are put together from names of this file

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.models import Q, Sum

from inventory.models import Pool
from marketplace.models import PoolReading, RollupMark, TenantClass
from marketplace.utilisation.levels import AMOUNTS
from marketplace.utilisation.rollups import CLASS_AMOUNTS, KEPT

DAY = timedelta(days=1)
WEEK = 7
HOURS = 24


@dataclass(frozen=True, slots=True)
class Days:
    """From the first to the last day, both included, in the billing zone."""

    first: date
    last: date

    @property
    def count(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> date:
        """The day whose reading they begin from."""
        return self.first - DAY


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pool stands, for grouping and narrowing down."""

    pool_id: str
    pool_name: str
    provider_id: str
    provider_name: str
    centre_id: str
    centre_name: str
    centre_name_en: str
    region: str
    hub: str
    owner_kind: str
    chip: str
    chip_vendor: str
    chip_model: str


@dataclass(frozen=True, slots=True)
class PoolSum:
    """Card-seconds of one pool over some days, by the names of `KEPT`."""

    place: Place
    amounts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Cell:
    """Card-seconds of one centre, or of the hour of a week, over some days."""

    installed: int
    serviceable: int
    listed: int
    sold: int
    delivered: int

    @property
    def idle(self) -> int:
        """Could have been sold and was not."""
        return self.serviceable - self.sold

    @property
    def idle_share(self) -> float | None:
        return self.idle / self.serviceable if self.serviceable else None


_DIFFERENCES = ", ".join(f"r.{name} - coalesce(b.{name}, 0)" for name in KEPT)
# The later reading less the earlier one; a pool that had none before begins at nothing.
_BETWEEN = f"""
    SELECT {_DIFFERENCES}, public_id('pool', p.public_id), p.name, public_id('org', o.public_id),
           o.name, public_id('ctr', c.public_id), c.name, c.name_en, c.region, c.hub,
           c.owner_kind, h.code, h.vendor, h.model
    FROM marketplace_poolreading r
    LEFT JOIN marketplace_poolreading b ON b.pool_id = r.pool_id AND b.day = %s
    JOIN inventory_pool p ON p.id = r.pool_id
    JOIN inventory_organisation o ON o.id = p.provider_id
    JOIN inventory_fabric f ON f.id = p.fabric_id
    JOIN inventory_centre c ON c.id = f.centre_id
    JOIN inventory_chip h ON h.code = p.chip_id
    WHERE r.day = %s
"""
_CELL = ("installed", "serviceable", "listed", "sold", "delivered")


def mark() -> RollupMark:
    """How far everything is counted, and what the last check found."""
    return RollupMark.objects.get(pk=1)


def counted_through(until: datetime | None) -> date | None:
    """The last day that has a reading, where everything is counted `until` then."""
    if until is None:
        return None
    return (until - timedelta(microseconds=1)).astimezone(ZoneInfo(settings.BILLING_ZONE)).date()


def of_pools(days: Days, within: Q | None = None) -> list[PoolSum]:
    """Each pool's sums; `within` narrows them down, by fields of the pool. One statement."""
    condition, parameters = _pools_sql(within)
    with connection.cursor() as cursor:
        cursor.execute(f"{_BETWEEN} {condition}", [days.before, days.last, *parameters])
        return [
            PoolSum(Place(*row[len(KEPT) :]), dict(zip(KEPT, row[: len(KEPT)], strict=True)))
            for row in cursor.fetchall()
        ]


def of_centres(columns: Sequence[Days], within: Q | None = None) -> dict[str, list[Cell]]:
    """By the centre's public id, a cell a column; the columns follow each other. One statement."""
    edges = [columns[0].before, *(column.last for column in columns)]
    rows = (
        _readings(edges, within)
        .values("day", "pool__fabric__centre__public_id")
        .annotate(**{f"sum_{name}": Sum(name) for name in _CELL})
        .values_list("pool__fabric__centre__public_id", "day", *(f"sum_{name}" for name in _CELL))
        .order_by()
    )
    found: dict[str, dict[date, list[int]]] = {}
    for centre, day, *amounts in rows:
        found.setdefault(centre, {})[day] = [int(amount) for amount in amounts]
    return {centre: _cells(readings, edges) for centre, readings in found.items()}


def _cells(readings: dict[date, list[int]], edges: Sequence[date]) -> list[Cell]:
    """Differences; before its first reading a centre had nothing."""
    cells, before = [], readings.get(edges[0], [0] * len(_CELL))
    for day in edges[1:]:
        after = readings.get(day, before)
        cells.append(Cell(*(b - a for a, b in zip(before, after, strict=True))))
        before = after
    return cells


@dataclass(frozen=True, slots=True)
class WeekHour:
    """Card-seconds in one hour of the days of one weekday. `weekday` 0 is Monday."""

    weekday: int
    hour: int
    serviceable: int
    sold: int

    @property
    def idle_share(self) -> float | None:
        return (self.serviceable - self.sold) / self.serviceable if self.serviceable else None


_WEEK_SUMS = ", ".join(
    f"sum(r.{of}[{hour}]::float8)"  # exact: far below 2^53
    for of in ("weekday_serviceable", "weekday_sold")
    for hour in range(1, HOURS + 1)
)


def of_week(days: Days, within: Q | None = None) -> list[WeekHour]:
    """168 hours, or those of the weekdays that the days have. One statement."""
    ends = [days.last - number * DAY for number in range(min(WEEK, days.count))]
    begins = [days.before - number * DAY for number in range(WEEK)]
    condition, parameters = _pools_sql(within)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.day, {_WEEK_SUMS} FROM marketplace_poolreading r"
            f" WHERE r.day = ANY(%s) {condition} GROUP BY r.day",
            [[*ends, *begins], *parameters],
        )
        readings = {day: sums for day, *sums in cursor.fetchall()}
    first = {day.weekday(): readings.get(day, [0] * 2 * HOURS) for day in begins}
    found = []
    for day in sorted(ends, key=lambda day: day.weekday()):
        before, after = first[day.weekday()], readings.get(day)
        if after is None:
            continue
        for hour in range(HOURS):
            serviceable, sold = (int(after[n] - before[n]) for n in (hour, HOURS + hour))
            found.append(WeekHour(day.weekday(), hour, serviceable, sold))
    return found


def _readings(days: Sequence[date], within: Q | None) -> Any:
    rows = PoolReading.objects.filter(day__in=days)
    return rows if within is None else rows.filter(pool__in=Pool.objects.filter(within).order_by())


def _pools_sql(within: Q | None) -> tuple[str, list[Any]]:
    if within is None:
        return "", []
    text, parameters = Pool.objects.filter(within).values("pk").order_by().query.sql_with_params()
    return f"AND r.pool_id IN ({text})", list(parameters)


@dataclass(frozen=True, slots=True)
class ClassSum:
    """Card-seconds that one class of tenants had, before they are cut to what was serviceable."""

    tenant_class: TenantClass
    sold: int
    delivered: int


def by_class(sums: Iterable[PoolSum]) -> list[ClassSum]:
    """The classes of tenants. Sold of all of them is what was sold and what was sold but down."""
    whole = total(sums, CLASS_AMOUNTS)
    return [
        ClassSum(of, whole[f"sold_{of.value}"], whole[f"delivered_{of.value}"])
        for of in TenantClass
    ]


def total(sums: Iterable[PoolSum], names: Sequence[str] = AMOUNTS) -> dict[str, int]:
    whole = dict.fromkeys(names, 0)
    for one in sums:
        for name in names:
            whole[name] += one.amounts[name]
    return whole
