"""Pay-by dates: business days of the Chinese calendar, to the hour."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from marketplace.policy import business_days

SHANGHAI = ZoneInfo("Asia/Shanghai")


def on(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("ordered", "due"),
    [
        ("2026-06-01T09:00", "2026-06-04T17:00"),  # Monday: Tuesday, Wednesday, Thursday
        ("2026-06-01T23:59", "2026-06-04T17:00"),  # the day itself never counts
        ("2026-06-02T00:00", "2026-06-05T17:00"),
        ("2026-06-05T09:00", "2026-06-10T17:00"),  # over a weekend
        ("2026-06-06T09:00", "2026-06-10T17:00"),  # from a Saturday
        ("2026-09-29T09:00", "2026-10-09T17:00"),  # over the National Day: 30 Sep, 8 and 9 Oct
        ("2026-10-08T09:00", "2026-10-12T17:00"),  # Saturday 10 October is worked
        ("2026-02-13T09:00", "2026-02-25T17:00"),  # 14 Feb is worked, then the Spring Festival
        ("2026-12-30T09:00", "2027-01-05T17:00"),  # of 2027 only the fixed holidays are known
    ],
)
def test_a_transfer_is_due_at_the_end_of_the_third_business_day(ordered: str, due: str) -> None:
    assert business_days.pay_by(on(ordered)) == on(due)


def test_the_day_is_the_calendar_s_and_not_that_of_utc() -> None:
    late = datetime.fromisoformat("2026-06-01T16:30:00+00:00")  # half past midnight, Tuesday

    assert business_days.pay_by(late) == on("2026-06-05T17:00")


def test_the_operator_says_how_many_days_and_when_they_end(settings) -> None:
    settings.PAY_BY_BUSINESS_DAYS, settings.PAY_BY_HOUR = 1, 12

    assert business_days.pay_by(on("2026-06-01T09:00")) == on("2026-06-02T12:00")


def test_holidays_and_make_up_days_are_those_of_the_notices() -> None:
    calendar = business_days.current()
    rest = {
        2025: "01-01 01-28 01-31 02-04 04-04 05-01 05-05 06-02 10-01 10-08",
        2026: "01-01 01-02 02-16 02-23 04-06 05-01 05-05 06-19 09-25 10-01 10-07",
    }
    work = {2025: "01-26 02-08 04-27 09-28 10-11", 2026: "01-04 02-14 02-28 05-09 09-20 10-10"}

    for year, days in rest.items():
        assert not any(
            calendar.is_business_day(date.fromisoformat(f"{year}-{day}")) for day in days.split()
        )
    for year, days in work.items():
        assert all(
            calendar.is_business_day(date.fromisoformat(f"{year}-{day}")) for day in days.split()
        )
    assert not calendar.is_business_day(date(2028, 5, 2))  # fixed, in a year without a notice
    assert calendar.is_business_day(date(2028, 1, 26))  # its Spring Festival is not known
