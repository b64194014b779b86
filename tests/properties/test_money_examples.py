"""Money, by hand: figures that somebody has checked with a pencil."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inventory.periods import Period
from marketplace import money
from marketplace.money import Amounts
from marketplace.money_text import (
    InvalidAmount,
    format_money,
    format_price,
    parse_money,
    parse_price,
    plain_money,
)
from tests.properties.test_money import price


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def quote(asked: money.Price, start: datetime, end: datetime, **shape: int) -> money.Quote:
    facts: dict[str, Any] = {"unit_cards": 8, "cards_per_node": 8, "unit_count": 1, **shape}
    return money.quote(price=asked, period=Period(start, end), **facts)


def test_three_cards_for_seven_hours_at_a_third_of_a_yuan() -> None:
    asked = price(amount_micro=333_300)

    whole = quote(asked, utc(2026, 6, 1), utc(2026, 6, 1, 7), unit_cards=1, unit_count=3)

    # 3 x 7 x 0.3333 = 6.9993; 7.00 / 1.06 x 0.06 = 0.396; (7.00 - 0.40) x 8 % = 0.528
    assert (whole.gross_minor, whole.vat_minor, whole.fee_minor) == (700, 40, 53)
    assert whole.provider_minor == 607


def test_its_hours_are_charged_100_yuan_cents_each_and_never_drift() -> None:
    asked = price(amount_micro=333_300)
    hour = money.hour_fraction(
        price=asked, cards_per_node=8, hour=utc(2026, 6, 1), card_seconds=3 * 3600
    )

    charges = [
        money.charge(price=asked, before=hour * n, after=hour * (n + 1)).gross_minor
        for n in range(7)
    ]

    assert charges == [100] * 7


def test_a_price_without_tax_gets_it_on_top() -> None:
    asked = price(amount_micro=10_000_000, tax_inclusive=False)

    whole = quote(asked, utc(2026, 6, 1), utc(2026, 6, 1, 1), unit_cards=1)

    assert (whole.gross_minor, whole.vat_minor, whole.fee_minor) == (1060, 60, 80)
    assert whole.card_hour_micro == 10_600_000


def test_a_node_hour_is_shared_by_its_cards() -> None:
    asked = price(basis="node_hour", amount_micro=50_000_000)

    slice_of_two = quote(asked, utc(2026, 6, 1), utc(2026, 6, 1, 3), unit_cards=2)

    assert slice_of_two.gross_minor == 3750
    assert slice_of_two.card_hour_micro == 6_250_000


def test_billing_midnight_in_shanghai_cuts_the_months() -> None:
    """The 1st of November begins at 16:00 UTC on the 31st of October."""
    asked = price(basis="node_month", amount_micro=31 * 24 * 30 * 10**6)

    one_hour_each = quote(asked, utc(2026, 10, 31, 15), utc(2026, 10, 31, 17))

    october, november = one_hour_each.lines
    assert october.period.end == november.period.start == utc(2026, 10, 31, 16)
    assert (october.gross_minor, november.gross_minor) == (3000, 3100)


def test_edges_are_pro_rata_and_full_months_whole() -> None:
    asked = price(basis="node_month", amount_micro=44_640 * 10**6)  # 60 an hour in a month of 31

    ten_weeks = quote(asked, utc(2026, 10, 30, 16), utc(2026, 12, 1, 16), unit_count=2)

    # the 31st of October, all of November, the 1st of December: days of 24 hours in Shanghai
    assert [line.gross_minor for line in ten_weeks.lines] == [288_000, 8_928_000, 288_000]
    assert ten_weeks.gross_minor == 9_504_000


@pytest.mark.parametrize(("year", "days"), [(2027, 28), (2028, 29)])
def test_a_day_in_february_is_its_part_of_february(year, days) -> None:
    asked = price(basis="node_month", amount_micro=days * 1000 * 10**6, billing_zone="UTC")

    day = quote(asked, utc(year, 2, 27), utc(year, 2, 28))

    assert day.gross_minor == 100_000


def test_deposit_and_hourly_asks_for_its_share_at_confirmation() -> None:
    asked = price(schedule="deposit_hourly", deposit_bps=3333, amount_micro=1_000_000)

    whole = quote(asked, utc(2026, 6, 1), utc(2026, 6, 1, 1), unit_cards=1)

    assert (whole.gross_minor, whole.due_minor) == (100, 33)
    assert quote(price(), utc(2026, 6, 1), utc(2026, 6, 2)).due_minor == 130_560


def test_currencies_have_their_own_minor_units() -> None:
    hour: dict[str, Any] = {"start": utc(2026, 6, 1), "end": utc(2026, 6, 1, 1), "unit_cards": 1}

    assert quote(price(currency="JPY"), **hour).gross_minor == 7
    assert quote(price(currency="KWD"), **hour).gross_minor == 6800
    with pytest.raises(money.UnknownCurrency):
        quote(price(currency="XXX"), **hour)


def test_a_total_that_no_book_can_hold_is_refused() -> None:
    asked = price(amount_micro=10**18)

    with pytest.raises(money.AmountTooLarge):
        quote(asked, utc(2026, 6, 1), utc(2031, 6, 1), unit_count=10_000)


SCHEDULE = [[168, 10_000], [72, 5_000], [24, 2_000]]


@pytest.mark.parametrize(
    ("hours_before", "share", "refund", "kept"),
    [
        (168, 10_000, 10_001, Amounts(0, 0, 0, 0)),
        (167.99, 5_000, 5_000, Amounts(5001, 283, 377, 4341)),
        (72, 5_000, 5_000, Amounts(5001, 283, 377, 4341)),
        (24, 2_000, 2_000, Amounts(8001, 453, 604, 6944)),
        (23.99, 0, 0, Amounts(10_001, 566, 755, 8680)),
        (-1, 0, 0, Amounts(10_001, 566, 755, 8680)),
    ],
)
def test_cancelling_gives_back_by_the_schedule(hours_before, share, refund, kept) -> None:
    start = utc(2026, 6, 30)

    found = money.cancellation(
        price=price(),
        schedule=SCHEDULE,
        due_minor=10_001,
        start=start,
        at=start - timedelta(hours=hours_before),
    )

    assert (found.share_bps, found.refund_minor, found.kept) == (share, refund, kept)
    assert found.refund_minor + found.kept.gross_minor == 10_001


def test_what_a_provider_keeps_is_measured_after_vat_and_fee_and_by_the_longest_month() -> None:
    assert money.keeps_micro(price=price(amount_micro=1_060_000), cards_per_node=8) == 920_000
    month = price(basis="node_month", amount_micro=744 * 8 * 1_060_000)
    assert money.keeps_micro(price=month, cards_per_node=8) == 920_000
    assert money.comparison_micro(price=month, cards_per_node=8) == 1_080_329


@pytest.mark.parametrize(
    ("text", "micro"),
    [("6.80", 6_800_000), ("6", 6_000_000), (" 0.000001 ", 1), ("12.500000000", 12_500_000)],
)
def test_a_price_is_read_exactly(text, micro) -> None:
    assert parse_price(text) == micro


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "0",
        "0.0",
        "NaN",
        "inf",
        "1e400",
        "1e2",
        "６.８０",
        "٣",
        "1,000",
        "1_000",
        "0x10",
        "6.8000001",
        "007",
        ".5",
        "5.",
        "1 0",
        "1\x00",
        "9" * 13,
        "9" * 5000,
        "\ud800",
    ],
)
def test_what_is_no_plain_price_is_refused(text) -> None:
    with pytest.raises(InvalidAmount):
        parse_price(text)


def test_money_is_read_in_the_decimals_of_its_currency() -> None:
    assert parse_money("1200.5", "CNY") == 120_050
    assert parse_money("1200", "JPY") == 1200
    with pytest.raises(InvalidAmount):
        parse_money("1200.5", "JPY")


def test_money_is_written_for_people() -> None:
    assert format_money(123_456, "CNY") == "1,234.56 CNY"
    assert format_money(-5, "CNY") == "-0.05 CNY"
    assert format_money(1234, "JPY") == "1,234 JPY"
    assert format_money(1234, "KWD") == "1.234 KWD"
    assert plain_money(123_456, "CNY") == "1234.56"
    assert format_price(6_800_000) == "6.80"
    assert format_price(123_456) == "0.123456"
