"""The ranking against one that quotes every stall."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.periods import Period
from marketplace import discounts, money
from marketplace.money import Price
from marketplace.offers import OfferRequest, matching
from marketplace.search_map import SearchMap, instant, micros
from marketplace.search_map.pool_map import NEVER, PoolFacts, PoolMap, Table
from marketplace.search_map.shelf import Ware
from tests.world import T0, hours

HOUR = 3_600_000_000
BASE = micros(T0)
prices = st.builds(
    Price,
    currency=st.sampled_from(["CNY", "CNY", "CNY", "JPY"]),
    basis=st.sampled_from(["card_hour", "node_hour", "node_month"]),
    amount_micro=st.sampled_from([1, 3, 999_999, 5_000_001, 6_800_000, 10**15]),
    tax_inclusive=st.booleans(),
    vat_bps=st.sampled_from([0, 600, 1300]),
    fee_bps=st.just(800),
    schedule=st.just("prepaid"),
    deposit_bps=st.just(0),
    billing_zone=st.just("Asia/Shanghai"),
)
stalls = st.lists(
    st.tuples(
        prices,
        st.sampled_from([8, 4, 2]),  # cards of a unit
        st.integers(0, 40),  # opens
        st.integers(20, 900),  # for so long
        st.integers(0, 30),  # all of it taken for so long from its opening
        st.sampled_from([(), (("hours", 100, 500),), (("cards", 16, 1000), ("hours", 50, 300))]),
        st.sampled_from([1, 1, 24]),  # step of hours
        st.sampled_from([1, 1, 2]),  # step of units
    ),
    min_size=1,
    max_size=12,
)
requests = st.builds(
    OfferRequest,
    earliest_start=st.integers(0, 40).map(lambda hour: T0 + hours(hour)),
    latest_end=st.just(T0 + hours(900)),
    hours=st.integers(1, 800),
    cards=st.sampled_from([8, 16, 24]),
    max_card_hour_micro=st.sampled_from([None, None, 1, 700_000, 5_000_000, 6_800_000]),
    limit=st.integers(1, 5),
)


def market(rows) -> SearchMap:
    pools, wares = {}, {}
    for number, row in enumerate(rows, start=1):
        price, unit_cards, opens, length, taken, off, hour_step, unit_step = row
        start, end = BASE + opens * HOUR, BASE + (opens + length) * HOUR
        claims: list[tuple[int, ...]] = []
        if taken:
            claims.append((number, number, start, start + taken * HOUR, 12, NEVER))
        pools[number] = PoolMap.build(
            facts=PoolFacts(
                number, f"pool_{number}", 1, "h100-80g", "training", "贵州", "gzh",
                unit_cards, 8, 0, 0, False,
            ),
            ver=1,
            epoch=0,
            blocks=Table.of([(number, 12, start, end, start, end)], 6),
            claims=Table.of(claims, 6),
            cap=Table.of([], 3),
            as_of=BASE,
        )  # fmt: skip
        wares[number] = Ware(
            listing_id=number,
            public_id=f"lst_{number}",
            block_id=number,
            price_id="prv",
            price=price,
            terms_id="trm",
            minimum_hours=1,
            maximum_hours=10_000,
            minimum_units=1,
            grid_micros=HOUR,
            cancellation=(),
            discounts=off,
            hour_step=hour_step,
            unit_step=unit_step,
        )
    return SearchMap.build(pools, wares)


def quoted(map_: SearchMap, request: OfferRequest):
    """Every stall that fits, with its whole price: rank, and what a card-hour comes to."""
    found = []
    for stall, (low, high) in zip(map_.stalls, free_stretches(map_), strict=True):
        units = (request.cards or 0) // stall.pool.unit_cards
        start = max(low, micros(request.earliest_start), micros(T0 + timedelta(minutes=1)))
        start = -(-start // HOUR) * HOUR
        length = min(request.longest_hours, (high - start) // HOUR)
        length = 1 + (length - 1) // stall.ware.hour_step * stall.ware.hour_step
        if (units - 1) % stall.ware.unit_step:
            continue
        if stall.ware.price.currency != "CNY" or units > 12 or length < request.shortest_hours:
            continue
        begin = instant(start)
        try:
            quote = money.quote(
                price=stall.ware.price.less(
                    discounts.share_off(
                        stall.ware.discounts, hours=length, cards=units * stall.pool.unit_cards
                    )
                ),
                unit_cards=stall.pool.unit_cards,
                cards_per_node=8,
                unit_count=units,
                period=Period(begin, begin + timedelta(hours=length)),
            )
        except money.AmountTooLarge:
            continue
        price = quote.card_hour_micro if request.is_range else quote.gross_minor
        found.append(((price, start, stall.ware.listing_id), quote.card_hour_micro))
    return found


def free_stretches(map_: SearchMap):
    """A stall is free from the end of its one claim to its end, or the request's."""
    for pool in map_.pools.values():
        (free,) = [step for step in pool.steps.columns.T.tolist() if step[3] > 0]
        yield free[1], min(free[2], micros(T0 + hours(900)))


def check(rows, request: OfferRequest) -> None:
    # What is taken ends before its stall does.
    rows = [(*row[:4], min(row[4], row[3] - 1), *row[5:]) for row in rows]
    map_ = market(rows)

    found = matching.match(request=request, map_=map_, buyer_id=None, at=T0)

    limit = request.max_card_hour_micro
    every = quoted(map_, request)
    fitting = sorted(rank for rank, micro in every if limit is None or micro <= limit)
    best = fitting[: request.limit]
    if fitting:
        earliest = min(fitting, key=lambda rank: (rank[1], rank))
        if earliest not in best and request.limit > 1:
            best = [*best[:-1], earliest]
    assert [match.rank for match in found.best] == best
    assert [match.rank for match in found.best if "cheapest" in match.marks] == fitting[:1]
    too_dear = [micro for _, micro in every if limit is not None and micro > limit]
    if too_dear and not fitting:
        assert found.reasons.nearest["too_expensive"] == min(too_dear)


some = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@some
@given(rows=stalls, request=requests)
def test_the_best_are_those_of_a_search_that_quotes_every_stall(rows, request) -> None:
    check(rows, request)


@some
@given(rows=stalls, request=requests, longest=st.integers(0, 100))
def test_of_a_range_the_best_are_those_of_a_search_that_quotes_every_stall(
    rows, request, longest
) -> None:
    least = request.hours
    check(rows, replace(request, hours=None, minimum_hours=least, maximum_hours=least + longest))
