"""Calendar months of a billing zone: where they turn, and what a part of one counts as."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

from inventory.periods import Period

_INSTANT = timedelta(microseconds=1)
THIRTY = 30


def month_of(instant: datetime, zone: str) -> Period:
    """The calendar month around an instant, in a zone, as instants in UTC."""
    local = instant.astimezone(ZoneInfo(zone))
    return _month(local.year, local.month, zone)


def after(instant: datetime, count: int, zone: str) -> datetime:
    """The same day and time of day so many months later, or that month's last day where it has
    no such day: one month after 31 January is the last of February. Counted from the first
    instant each time, so that the day comes back in the months that have it."""
    local = instant.astimezone(ZoneInfo(zone))
    year, month = divmod(local.year * 12 + local.month - 1 + count, 12)
    day = min(local.day, monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day).astimezone(UTC)


def days_later(instant: datetime, days: int, zone: str) -> datetime:
    """The same time of day so many days later, on the zone's calendar."""
    local = instant.astimezone(ZoneInfo(zone))
    return (local + timedelta(days=days)).astimezone(UTC)


@lru_cache(maxsize=512)
def longest_month_hours(zone: str) -> int:
    """744, or 745 where summer time ends in a month of 31 days."""
    seconds = max(_month(2026, month, zone).seconds for month in range(1, 13))
    return -(-seconds // 3600)


@lru_cache(maxsize=65_536)
def second_share(instant: datetime, zone: str, rule: str, whole: Period | None) -> Fraction:
    """Which part of its month's price one second costs, for a lease over `whole`.

    A month that the lease has whole costs its price, each second the same. Of one it has a
    part of, the part costs what the rule says, spread over its seconds. Never less than a
    second of the longest month. Without `whole`, a part costs its time.
    """
    month = month_of(instant, zone)
    part = whole.intersect(month) if whole else None
    if rule == "time" or part is None or part == month or not part.seconds:
        return Fraction(1, month.seconds)
    days = _days(part, zone)
    if rule == "thirty":
        return Fraction(min(days, THIRTY), THIRTY * part.seconds)
    return Fraction(days, _days(month, zone) * part.seconds)


def _days(part: Period, zone: str) -> int:
    """Days of the calendar that it has an instant of."""
    info = ZoneInfo(zone)
    first, last = part.start.astimezone(info), (part.end - _INSTANT).astimezone(info)
    return (last.date() - first.date()).days + 1


@lru_cache(maxsize=4096)
def _month(year: int, month: int, zone: str) -> Period:
    info = ZoneInfo(zone)
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return Period(
        datetime(year, month, 1, tzinfo=info).astimezone(UTC),
        datetime(*following, 1, tzinfo=info).astimezone(UTC),
    )
