"""On which days banks work: weekdays, but for the holidays of the yearly notice, and its
make-up working days.

The days are data, not code: `BUSINESS_CALENDAR` names the file, which an operator replaces when
the State Council's notice of the next year is out. In a year without a notice, days of rest are
the weekends and the holidays that fall on the same date every year.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

_ONE_DAY = timedelta(days=1)
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """Days of rest and make-up working days, in the years that a notice is known for."""

    zone: ZoneInfo
    years: frozenset[int]
    rest: frozenset[date]
    work: frozenset[date]
    every_year: frozenset[tuple[int, int]]  # month and day

    def is_business_day(self, day: date) -> bool:
        if day in self.work:
            return True
        if day in self.rest or (day.month, day.day) in self.every_year:
            return False
        return day.weekday() < _SATURDAY

    def after(self, day: date, business_days: int) -> date:
        """The n-th business day after `day`, which itself does not count."""
        ahead = (day + number * _ONE_DAY for number in count(1))
        working = (each for each in ahead if self.is_business_day(each))
        return next(each for number, each in enumerate(working, 1) if number == business_days)


def pay_by(at: datetime) -> datetime:
    """When a transfer ordered now has to be there: the end of the n-th business day after today."""
    calendar = current()
    today = at.astimezone(calendar.zone).date()
    day = calendar.after(today, settings.PAY_BY_BUSINESS_DAYS)
    return datetime.combine(day, time(settings.PAY_BY_HOUR), tzinfo=calendar.zone)


def current() -> BusinessCalendar:
    """The calendar of the settings. Raises ValueError, KeyError or OSError where it is none."""
    return load(settings.BUSINESS_CALENDAR)


@lru_cache(maxsize=4)
def load(path: str) -> BusinessCalendar:
    """Reads a calendar; see `marketplace/data/business_days_cn.json` for its form."""
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    years: dict[str, dict[str, Any]] = document["years"]
    return BusinessCalendar(
        zone=ZoneInfo(document["zone"]),
        years=frozenset(map(int, years)),
        rest=frozenset(
            day
            for year, days in years.items()
            for first, last in days["rest"]
            for day in _days(_day(year, first), _day(year, last))
        ),
        work=frozenset(_day(year, day) for year, days in years.items() for day in days["work"]),
        every_year=frozenset(
            (day.month, day.day)
            for day in (_day("2000", text) for text in document["every_year"]["rest"])
        ),
    )


def _day(year: str, text: str) -> date:
    return date.fromisoformat(f"{year}-{text}")


def _days(first: date, last: date) -> list[date]:
    if last < first:
        raise ValueError(f"{last} lies before {first}")
    return [first + number * _ONE_DAY for number in range((last - first).days + 1)]
