"""A lease at several prices: no order of its hours costs more or less than its quotes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from datetime import datetime
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from inventory.periods import HOUR, floor_hour
from marketplace import lease_prices, money
from marketplace.models import LeasePrice, PriceVersion
from marketplace.money import NOTHING, Amounts, Price
from tests.properties.test_money import exactly, hours_of, periods, price, prices


def agreed(start: datetime, asked: Price) -> LeasePrice:
    facts = asdict(asked)
    discount_bps = facts.pop("discount_bps")
    return LeasePrice(from_at=start, price=PriceVersion(**facts), discount_bps=discount_bps)


@exactly
@given(
    asked=st.lists(
        prices.map(lambda p: price(**{**asdict(p), "currency": "CNY"})), min_size=3, max_size=3
    ),
    gaps=st.lists(st.integers(1, 300), min_size=2, max_size=2),
    period=periods(days=20),
    order=st.randoms(use_true_random=False),
)
def test_hours_in_any_order_add_up_to_the_quotes_of_their_prices(
    asked, gaps, period, order
) -> None:
    starts = [floor_hour(period.start)]
    for gap in gaps:
        starts.append(starts[-1] + gap * HOUR)
    rows = [agreed(start, one) for start, one in zip(starts, asked, strict=True)]
    parts = lease_prices.over(rows, period)
    quotes = {
        start: money.quote(price=one, unit_cards=8, cards_per_node=8, unit_count=3, period=part)
        for start, (one, part) in zip(starts, parts, strict=False)
    }

    exact: dict[object, Fraction] = defaultdict(Fraction)
    totals: dict[object, Amounts] = defaultdict(lambda: NOTHING)
    hours = hours_of(period)
    order.shuffle(hours)
    for hour in hours:
        row = lease_prices.at_hour(rows, floor_hour(hour.start))
        one = Price.agreed(row)
        after = exact[row.from_at] + money.hour_fraction(
            price=one,
            cards_per_node=8,
            hour=floor_hour(hour.start),
            card_seconds=hour.seconds * 24,
        )
        totals[row.from_at] += money.charge(price=one, before=exact[row.from_at], after=after)
        exact[row.from_at] = after
        assert abs(totals[row.from_at].gross_minor - after) <= Fraction(1, 2)

    assert sum(part.seconds for _, part in parts) == period.seconds
    assert {start: total.gross_minor for start, total in totals.items()} == {
        start: quote.gross_minor for start, quote in quotes.items()
    }
    whole = money.add(list(quotes.values()))
    assert sum(t.gross_minor for t in totals.values()) == whole.gross_minor
    assert sum(t.vat_minor for t in totals.values()) == whole.vat_minor
    assert sum(t.fee_minor for t in totals.values()) == whole.fee_minor
    assert sum(t.provider_minor for t in totals.values()) == whole.provider_minor
