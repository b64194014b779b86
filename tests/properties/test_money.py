"""Money: no split of a lease costs more or less than its quote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.periods import HOUR, Period, floor_hour
from marketplace import money
from marketplace.money import NOTHING, Price, month_of

BASES = ["card_hour", "node_hour", "node_month"]
ZONES = ["Asia/Shanghai", "UTC", "America/New_York", "Pacific/Auckland"]
START = datetime(2026, 1, 1, tzinfo=UTC)


def price(**changes: object) -> Price:
    facts: dict[str, object] = {
        "currency": "CNY",
        "basis": "card_hour",
        "amount_micro": 6_800_000,
        "tax_inclusive": True,
        "vat_bps": 600,
        "fee_bps": 800,
        "schedule": "prepaid",
        "deposit_bps": 3000,
        "billing_zone": "Asia/Shanghai",
    }
    return Price(**{**facts, **changes})  # type: ignore[arg-type]


prices = st.builds(
    price,
    currency=st.sampled_from(["CNY", "JPY", "KWD"]),
    basis=st.sampled_from(BASES),
    amount_micro=st.integers(1, 10**13),
    tax_inclusive=st.booleans(),
    vat_bps=st.integers(0, 10_000),
    fee_bps=st.integers(0, 10_000),
    billing_zone=st.sampled_from(ZONES),
)
shapes = st.tuples(st.sampled_from([(1, 8), (2, 8), (4, 8), (8, 8), (3, 3)]), st.integers(1, 200))


# Time is shared with others here; what is asked of each example is exactness, not speed.
exactly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def periods(draw: st.DrawFn, days: int = 90) -> Period:
    """Minutes off the hour, in any part of two years."""
    start = START + timedelta(minutes=draw(st.integers(0, 2 * 366 * 24 * 60)))
    return Period(start, start + timedelta(minutes=draw(st.integers(1, days * 24 * 60))))


def hours_of(period: Period) -> list[Period]:
    hours, hour = [], floor_hour(period.start)
    while hour < period.end:
        part = Period(hour, hour + HOUR).intersect(period)
        assert part is not None
        hours.append(part)
        hour += HOUR
    return hours


@exactly
@given(
    asked=prices,
    shape=shapes,
    period=periods(days=40),
    order=st.randoms(use_true_random=False),
)
def test_hours_in_any_order_add_up_to_the_quote(asked, shape, period, order) -> None:
    (unit_cards, cards_per_node), units = shape
    quote = money.quote(
        price=asked,
        unit_cards=unit_cards,
        cards_per_node=cards_per_node,
        unit_count=units,
        period=period,
    )
    parts = hours_of(period)
    order.shuffle(parts)

    exact, total = Fraction(0), NOTHING
    for part in parts:
        after = exact + money.hour_fraction(
            price=asked,
            cards_per_node=cards_per_node,
            hour=floor_hour(part.start),
            card_seconds=part.seconds * units * unit_cards,
        )
        step = money.charge(price=asked, before=exact, after=after)
        assert min(step.gross_minor, step.vat_minor, step.fee_minor, step.provider_minor) >= 0
        assert step.gross_minor == step.vat_minor + step.fee_minor + step.provider_minor
        total, exact = total + step, after
        assert abs(total.gross_minor - exact) <= Fraction(1, 2)

    assert total.gross_minor == quote.gross_minor
    assert total.vat_minor == quote.vat_minor
    assert total.fee_minor == quote.fee_minor
    assert total.provider_minor == quote.provider_minor
    assert sum(line.gross_minor for line in quote.lines) == quote.gross_minor


@exactly
@given(asked=prices, shape=shapes, period=periods(), cuts=st.sets(st.integers(1, 999), max_size=6))
def test_any_split_into_stretches_adds_up_to_the_quote(asked, shape, period, cuts) -> None:
    (unit_cards, cards_per_node), units = shape
    inner = {period.start + timedelta(seconds=cut * period.seconds // 1000) for cut in cuts}
    edges = sorted({period.start, period.end, *inner})

    exact = Fraction(0)
    for start, end in pairwise(edges):
        for piece in money.pieces(price=asked, period=Period(start, end)):
            exact += money.gross_fraction(
                price=asked,
                cards_per_node=cards_per_node,
                delivered=[(piece.start, piece.seconds * units * unit_cards)],
            )

    quote = money.quote(
        price=asked,
        unit_cards=unit_cards,
        cards_per_node=cards_per_node,
        unit_count=units,
        period=period,
    )
    assert money.cumulative(price=asked, exact=exact).gross_minor == quote.gross_minor


@exactly
@given(asked=prices, period=periods(), more=st.integers(1, 50))
def test_more_units_or_more_time_never_cost_less(asked, period, more) -> None:
    def gross(units: int, span: Period) -> int:
        return money.quote(
            price=asked, unit_cards=8, cards_per_node=8, unit_count=units, period=span
        ).gross_minor

    longer = Period(period.start, period.end + timedelta(minutes=more))

    assert gross(1, period) <= gross(1 + more, period)
    assert gross(1, period) <= gross(1, longer)


@exactly
@given(asked=prices, gross=st.integers(0, 10**16))
def test_a_split_is_exact_and_its_vat_within_half_a_minor_unit(asked, gross) -> None:
    parts = money.split(price=asked, gross_minor=gross)

    assert parts.gross_minor == parts.vat_minor + parts.fee_minor + parts.provider_minor
    exact_vat = Fraction(gross * asked.vat_bps, 10_000 + asked.vat_bps)
    assert abs(parts.vat_minor - exact_vat) <= Fraction(1, 2)
    assert parts.provider_minor >= 0


@exactly
@given(asked=prices, period=periods(), units=st.integers(1, 50))
def test_a_full_month_costs_its_amount_whatever_its_length(asked, period, units) -> None:
    month = month_of(period.start, asked.billing_zone)
    monthly = price(
        currency=asked.currency,
        basis="node_month",
        amount_micro=asked.amount_micro,
        billing_zone=asked.billing_zone,
    )

    quote = money.quote(
        price=monthly, unit_cards=8, cards_per_node=8, unit_count=units, period=month
    )

    scale = 10 ** money.exponent(asked.currency)
    exact = Fraction(asked.amount_micro * units * scale, 10**6)
    assert quote.gross_minor == money.half_up(exact)
    assert len(quote.lines) == 1


@exactly
@given(value=st.fractions(), by=st.integers(-5, 5))
def test_half_up_is_nearest_and_moves_with_whole_numbers(value, by) -> None:
    rounded = money.half_up(value)

    assert abs(rounded - value) <= Fraction(1, 2)
    assert rounded - value != Fraction(-1, 2)
    assert money.half_up(value + by) == rounded + by


@pytest.mark.parametrize(("year", "days"), [(2028, 29), (2027, 28), (2100, 28)])
def test_february_is_as_long_as_it_is(year, days) -> None:
    month = month_of(datetime(year, 2, 1, tzinfo=UTC), "Asia/Shanghai")

    assert month.seconds == days * 86_400
