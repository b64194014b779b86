"""Half-open periods of time in UTC, exact to the microsecond."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from inventory.errors import Invalid

# Far enough for any contract and near enough that adding a turnaround never overflows.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class InvalidPeriod(Invalid):
    """The period ends before it starts, is empty, has no zone, or lies outside 2000-2200."""

    code = "invalid_period"
    title = "The period is not acceptable"


@dataclass(frozen=True, order=True, slots=True)
class Period:
    """[start, end): the instant `end` is no longer part of it."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for instant in (self.start, self.end):
            if instant.tzinfo is None or instant.utcoffset() is None:
                raise InvalidPeriod("An instant needs a zone, for example 2026-12-01T00:00:00Z")
            if not EARLIEST <= instant <= LATEST:
                raise InvalidPeriod("An instant lies outside the years 2000 to 2200")
        if self.end <= self.start:
            raise InvalidPeriod("The end must lie after the start")

    @classmethod
    def of(cls, value: Any) -> Period:
        """From a database range with both bounds."""
        return cls(value.lower, value.upper)

    @property
    def range(self) -> DateTimeTZRange:
        return DateTimeTZRange(self.start, self.end, "[)")

    @property
    def seconds(self) -> int:
        """Whole seconds; a fraction at the end is not billed."""
        return int((self.end - self.start).total_seconds())

    @property
    def hours(self) -> float:
        return (self.end - self.start).total_seconds() / 3600

    def overlaps(self, other: Period) -> bool:
        return self.start < other.end and other.start < self.end

    def contains(self, other: Period) -> bool:
        return self.start <= other.start and other.end <= self.end

    def intersect(self, other: Period) -> Period | None:
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Period(start, end) if start < end else None

    def widen(self, *, before: timedelta, after: timedelta) -> Period:
        return Period(self.start - before, self.end + after)


def floor_hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def ceil_hour(instant: datetime) -> datetime:
    floor = floor_hour(instant)
    return floor if floor == instant else floor + HOUR
