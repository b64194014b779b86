"""Payments of any lease by any schedule add up to its quote, and follow one another."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.periods import HOUR, Period
from marketplace import money, months
from marketplace.schedules import Due
from tests.properties.test_money import exactly, price

ZONES = ["UTC", "Asia/Shanghai"]
asked = st.builds(
    price,
    basis=st.sampled_from(["card_hour", "node_hour", "node_month"]),
    amount_micro=st.integers(1, 10**12),
    schedule=st.sampled_from(["prepaid", "advance", "arrears"]),
    pro_rata=st.sampled_from(["time", "day", "thirty"]),
    security_months=st.integers(0, 6),
    advance_months=st.integers(1, 12),
    net_days=st.integers(0, 120),
    billing_zone=st.sampled_from(ZONES),
)
periods = st.builds(
    lambda start, hours: Period(
        datetime(2027, 1, 1, tzinfo=UTC) + start * HOUR,
        datetime(2027, 1, 1, tzinfo=UTC) + (start + hours) * HOUR,
    ),
    st.integers(0, 24 * 800),
    st.integers(1, 24 * 1095),
)


def dues(asked: money.Price, period: Period) -> list[Due]:
    running = money.Running(price=asked, cards=16, cards_per_node=8, period=period)
    return list(money.instalments(asked, period, running))


@exactly
@given(asked, periods)
def test_they_add_up_to_the_quote_and_leave_no_gap(asked: money.Price, period: Period) -> None:
    whole = money.quote(price=asked, unit_cards=8, cards_per_node=8, unit_count=2, period=period)

    found = dues(asked, period)

    parts = [due for due in found if due.kind != "security"]
    assert sum(due.amount_minor for due in parts) == whole.gross_minor
    assert [due.period.start for due in parts] == [
        period.start, *(due.period.end for due in parts[:-1]),
    ]  # fmt: skip
    assert parts[-1].period.end == period.end
    assert all(due.amount_minor >= 0 for due in found)
    security = sum(due.amount_minor for due in found if due.kind == "security")
    now = sum(due.amount_minor for due in found if due.due_at is None)
    assert (whole.security_minor, whole.due_minor) == (security, now)
    assert security <= whole.gross_minor


@exactly
@given(asked, periods, st.lists(st.integers(1, 24 * 1095), max_size=8))
def test_any_split_of_the_hours_comes_to_the_quote(
    asked: money.Price, period: Period, cuts: list[int]
) -> None:
    hours = int(period.seconds // 3600)
    edges = sorted({0, hours, *(cut for cut in cuts if cut < hours)})
    exact = Fraction(0)
    for start, end in pairwise(edges):
        for piece in money.pieces(
            price=asked, period=Period(period.start + start * HOUR, period.start + end * HOUR)
        ):
            exact += money.gross_fraction(
                price=asked, cards_per_node=8, whole=period,
                delivered=[(piece.start, 16 * piece.seconds)],
            )  # fmt: skip

    whole = money.quote(price=asked, unit_cards=8, cards_per_node=8, unit_count=2, period=period)
    assert money.half_up(exact) == whole.gross_minor


def by_hand(period: Period, zone: str, rule: str, amount: int) -> int:
    """Day by day on the calendar, without any of the code that counts months."""
    info, total = ZoneInfo(zone), Fraction(0)
    start, end = period.start.astimezone(info), period.end.astimezone(info)
    year, month = start.year, start.month
    while datetime(year, month, 1, tzinfo=info) < end:
        days = monthrange(year, month)[1]
        first = datetime(year, month, 1, tzinfo=info)
        following = first + timedelta(days=days)
        lower, upper = max(start, first), min(end, following)
        if (lower, upper) == (first, following):
            total += 1
        elif rule == "time":
            total += Fraction(int((upper - lower).total_seconds()), days * 86_400)
        else:
            day, touched = first, 0
            while day < following:
                touched += lower < day + timedelta(days=1) and day < upper
                day += timedelta(days=1)
            total += Fraction(min(touched, 30), 30) if rule == "thirty" else Fraction(touched, days)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return money.half_up(total * amount)


@exactly
@given(st.sampled_from(ZONES), st.sampled_from(["time", "day", "thirty"]), periods)
def test_parts_of_months_cost_what_the_calendar_says(zone: str, rule: str, period: Period) -> None:
    asked = price(basis="node_month", amount_micro=31_000_000_000, billing_zone=zone, pro_rata=rule)

    whole = money.quote(price=asked, unit_cards=8, cards_per_node=8, unit_count=1, period=period)

    assert whole.gross_minor == by_hand(period, zone, rule, 3_100_000)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("schedule", ["advance", "arrears"])
def test_1095_days_over_a_leap_day_bill_every_period(zone: str, schedule: str) -> None:
    start = datetime(2027, 1, 31, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    period = Period(start, start + timedelta(days=1095))
    asked = price(
        basis="node_month", amount_micro=31_000_000_000, billing_zone=zone, schedule=schedule,
        security_months=1, advance_months=1 if schedule == "advance" else 0, net_days=30,
    )  # fmt: skip
    found = [due for due in dues(asked, period) if due.kind != "security"]

    days = [due.period.start.astimezone(ZoneInfo(zone)).date() for due in found]
    if schedule == "advance":
        # The last day of the months that have no 31st, and the 31st of the others.
        assert [str(day) for day in days[:3]] == ["2027-01-31", "2027-02-28", "2027-03-31"]
        assert "2028-02-29" in map(str, days)
        assert len(found) == 36
    else:
        assert [day.day for day in days[1:]] == [1] * 36
        whole = [due.amount_minor for due in found[1:-1]]
        assert set(whole) == {2 * 3_100_000}
    assert sum(due.amount_minor for due in found) == 2 * by_hand(period, zone, "time", 3_100_000)
    assert months.after(start, 13, zone).astimezone(ZoneInfo(zone)).date().isoformat() == (
        "2028-02-29"
    )
