"""Discounts: never more than the price, never less for more, and exact in any split."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from inventory.periods import Period, floor_hour
from marketplace import discounts, money
from marketplace.discounts import CARDS, HOURS, MOST_BPS, Tiers
from marketplace.money import NOTHING
from tests.properties.test_money import exactly, hours_of, periods, prices, shapes

START = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def tiers_of_a_kind(draw: st.DrawFn, kind: str, most: int) -> Tiers:
    count = draw(st.integers(0, 4))
    froms = sorted(draw(st.sets(st.integers(1, 3000), min_size=count, max_size=count)))
    shares = sorted(draw(st.sets(st.integers(1, most), min_size=count, max_size=count)))
    return tuple((kind, least, bps) for least, bps in zip(froms, shares, strict=True))


@st.composite
def sound_tiers(draw: st.DrawFn) -> Tiers:
    by_hours = draw(tiers_of_a_kind(HOURS, MOST_BPS - 4))
    left = MOST_BPS - max((bps for _, _, bps in by_hours), default=0)
    by_cards = draw(tiers_of_a_kind(CARDS, max(left, 4)))
    together = [*by_hours, *by_cards] if draw(st.booleans()) else [*by_cards, *by_hours]
    return tuple(together)


sizes = st.integers(1, 4000)


@exactly
@given(found=sound_tiers(), hours=sizes, cards=sizes)
def test_what_comes_off_is_never_negative_and_never_more_than_the_deepest(
    found, hours, cards
) -> None:
    off = discounts.share_off(found, hours=hours, cards=cards)

    assert discounts.are_sound(found)
    assert 0 <= off <= discounts.deepest(found) <= MOST_BPS


@exactly
@given(found=sound_tiers(), hours=sizes, cards=sizes, more=sizes)
def test_more_hours_or_more_cards_never_take_less_off(found, hours, cards, more) -> None:
    off = discounts.share_off(found, hours=hours, cards=cards)

    assert discounts.share_off(found, hours=hours + more, cards=cards) >= off
    assert discounts.share_off(found, hours=hours, cards=cards + more) >= off


@exactly
@given(found=sound_tiers(), hours=sizes, cards=sizes)
def test_the_two_kinds_add_up(found, hours, cards) -> None:
    by_hours = tuple(tier for tier in found if tier[0] == HOURS)
    by_cards = tuple(tier for tier in found if tier[0] == CARDS)

    assert discounts.share_off(found, hours=hours, cards=cards) == discounts.share_off(
        by_hours, hours=hours, cards=cards
    ) + discounts.share_off(by_cards, hours=hours, cards=cards)


@exactly
@given(
    asked=prices,
    off=st.integers(0, MOST_BPS),
    shape=shapes,
    period=periods(days=20),
    order=st.randoms(use_true_random=False),
)
def test_charges_of_any_split_add_up_to_the_discounted_quote(
    asked, off, shape, period, order
) -> None:
    (unit_cards, cards_per_node), units = shape
    agreed = asked.less(off)
    quote = money.quote(
        price=agreed,
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
            price=agreed,
            cards_per_node=cards_per_node,
            hour=floor_hour(part.start),
            card_seconds=part.seconds * units * unit_cards,
        )
        step = money.charge(price=agreed, before=exact, after=after)
        assert min(step.gross_minor, step.vat_minor, step.fee_minor, step.provider_minor) >= 0
        total, exact = total + step, after

    assert quote.discount_bps == off
    assert (total.gross_minor, total.vat_minor, total.fee_minor, total.provider_minor) == (
        quote.gross_minor,
        quote.vat_minor,
        quote.fee_minor,
        quote.provider_minor,
    )


@exactly
@given(asked=prices, off=st.integers(0, MOST_BPS), shape=shapes, period=periods(days=40))
def test_a_discounted_quote_is_the_listed_one_less_its_share_to_the_minor_unit(
    asked, off, shape, period
) -> None:
    (unit_cards, cards_per_node), units = shape

    def gross(price: money.Price) -> int:
        return money.quote(
            price=price,
            unit_cards=unit_cards,
            cards_per_node=cards_per_node,
            unit_count=units,
            period=period,
        ).gross_minor

    listed, paid = gross(asked), gross(asked.less(off))

    assert 0 <= paid <= listed
    assert abs(paid - Fraction(listed * (10_000 - off), 10_000)) <= 1


@exactly
@given(asked=prices, off=st.integers(1, MOST_BPS), cards_per_node=st.sampled_from([1, 4, 8]))
def test_what_a_provider_keeps_falls_by_exactly_the_discount(asked, off, cards_per_node) -> None:
    listed = money.keeps_micro(price=asked, cards_per_node=cards_per_node)

    kept = money.keeps_micro(price=asked.less(off), cards_per_node=cards_per_node)

    assert kept == listed * Fraction(10_000 - off, 10_000)


@exactly
@given(found=sound_tiers(), hours=st.integers(1, 500), units=st.integers(1, 50), asked=prices)
def test_no_deal_costs_less_than_at_the_deepest_discount(found, hours, units, asked) -> None:
    period = Period(START, START + timedelta(hours=hours))

    def gross(off: int) -> int:
        return money.quote(
            price=asked.less(off), unit_cards=8, cards_per_node=8, unit_count=units, period=period
        ).gross_minor

    off = discounts.share_off(found, hours=hours, cards=units * 8)

    assert gross(discounts.deepest(found)) <= gross(off) <= gross(0)
