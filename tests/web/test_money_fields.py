"""Prices and amounts as people write them, and what they are told instead."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from marketplace.web import figures
from marketplace.web.money_fields import MoneyField, PriceField, cost_field


@pytest.fixture(autouse=True)
def _in_english() -> None:
    translation.activate("en")


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("6.80", 6_800_000),
        (" 6.8 ", 6_800_000),
        ("６．８０", 6_800_000),
        ("34,000.00", 34_000_000_000),
        ("34，000", 34_000_000_000),
        ("３４，０００．００", 34_000_000_000),
        ("¥1,234,567.89", 1_234_567_890_000),
        ("￥12", 12_000_000),
        ("12元", 12_000_000),
        ("CNY 12", 12_000_000),
        ("007", 7_000_000),
        ("0.000001", 1),
    ],
)
def test_reads_what_people_write(text: str, micro: int) -> None:
    assert PriceField().clean(text) == micro


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "required"),
        ("-1", "cannot be negative"),
        ("−1", "cannot be negative"),
        ("0", "more than zero"),
        ("0.00", "more than zero"),
        ("6,80", "A comma separates thousands"),
        ("1,00,000", "A comma separates thousands"),
        ("1,2345", "A comma separates thousands"),
        ("3.4万", "Write out all digits"),
        ("1.2E+5", "Write out all digits"),
        ("1e400", "Write out all digits"),
        ("6.8.0", "This is not a number"),
        ("6 800", "This is not a number"),
        ("٣", "This is not a number"),
        ("NaN", "This is not a number"),
        ("six", "This is not a number"),
        ("1.1234567", "At most 6 decimals are possible here"),
        ("9" * 18, "too large"),
    ],
)
def test_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        PriceField().clean(text)

    assert says in refusal.value.messages[0]


def test_amounts_have_the_decimals_of_their_currency() -> None:
    assert MoneyField().clean("1,200.50") == 120_050
    with pytest.raises(ValidationError, match="At most 2 decimals"):
        MoneyField().clean("1200.505")
    assert MoneyField(currency="JPY").clean("1,200") == 1200


@pytest.mark.parametrize(("text", "micro"), [("0", 0), ("０．００", 0), ("1.5", 1_500_000)])
def test_a_cost_may_be_nothing(text: str, micro: int) -> None:
    assert cost_field().clean(text) == micro


def test_an_empty_field_that_need_not_be_filled_is_nothing() -> None:
    assert PriceField(required=False).clean("") is None


class _Asked:
    basis = "card_hour"
    amount_micro = 2_100_000
    currency = "CNY"


@pytest.mark.parametrize(
    ("basis", "micro", "english", "chinese"),
    [
        ("card_hour", 2_100_000, "¥2.10 per card-hour", "¥2.10/卡时"),
        ("node_hour", 54_000_000, "¥54.00 per node-hour", "¥54.00/台时"),
        ("node_month", 34_000_000_000, "¥34,000.00 per node and month", "¥34,000.00/台/月"),
    ],
)
def test_a_price_says_what_it_is_for(basis: str, micro: int, english: str, chinese: str) -> None:
    asked = _Asked()
    asked.basis, asked.amount_micro = basis, micro

    assert figures.asking(asked) == english
    with translation.override("zh-hans"):
        assert figures.asking(asked) == chinese


def test_prices_separate_their_thousands_and_keep_small_decimals() -> None:
    assert figures.price(1_284_560_000_000, "CNY") == "¥1,284,560.00"
    assert figures.price(12_345, "CNY") == "¥0.012345"
    assert figures.price(-1_500_000, "USD") == "−$1.50"
    assert figures.price(1_500_000, "CHF") == "1.50 CHF"
    assert figures.amount(-5, "CNY") == "−¥0.05"
