"""The search map's arrays against a search slot by slot."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.money import Price
from marketplace.search_map import EMPTY, HOUR, NO_START, Ask, SearchMap
from marketplace.search_map.pool_map import NEVER, PoolFacts, PoolMap, Table
from marketplace.search_map.shelf import Ware

SLOT = 20 * 60_000_000  # twenty minutes
LAST = 180  # slots, 60 hours
some = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PRICE = Price("CNY", "card_hour", 1, True, 0, 0, "prepaid", 0, "UTC")

spans = st.tuples(st.integers(0, LAST - 1), st.integers(1, LAST)).map(
    lambda pair: (pair[0], min(LAST, pair[0] + pair[1]))
)
blocks = st.lists(st.tuples(st.integers(1, 6), spans), min_size=1, max_size=3)
claims = st.lists(
    st.tuples(
        st.integers(0, 2), spans, st.integers(1, 4), st.one_of(st.none(), st.integers(0, LAST))
    ),
    max_size=12,
)


def ware(block_id: int, grid: int) -> Ware:
    return Ware(
        listing_id=block_id,
        public_id=f"lst_{block_id:032x}",
        block_id=block_id,
        price_id="prv",
        price=PRICE,
        terms_id="trm",
        minimum_hours=1,
        maximum_hours=5000,
        minimum_units=1,
        grid_micros=grid * SLOT,
        cancellation=(),
    )


def pool_of(blocks, claims, as_of, lead, turnaround, cap=()) -> PoolMap:
    facts = PoolFacts(
        1, "pool", 1, "h100-80g", "training", "贵州", "gzh", 8, 8,
        lead * SLOT, turnaround * SLOT, bool(cap),
    )  # fmt: skip
    block_rows: list[tuple[int, ...]] = [
        (number, units, *(edge * SLOT for edge in (start, end, start, end)))
        for number, (units, (start, end)) in enumerate(blocks)
    ]
    claim_rows: list[tuple[int, ...]] = [
        (
            number,
            block,
            start * SLOT,
            end * SLOT,
            units,
            NEVER if held is None else held * SLOT,
        )
        for number, (block, (start, end), units, held) in enumerate(claims)
    ]
    return PoolMap.build(
        facts=facts,
        ver=1,
        epoch=0,
        blocks=Table.of(block_rows, 6),
        claims=Table.of(claim_rows, 6),
        cap=Table.of([(a * SLOT, b * SLOT, n) for (a, b), n in cap], 3),
        as_of=as_of * SLOT,
    )


asks = st.fixed_dictionaries(
    {
        "units": st.integers(1, 6),
        "hours": st.tuples(st.integers(1, 20), st.integers(1, 20)).map(sorted),
        "earliest": st.integers(0, LAST),
        "latest": st.integers(0, LAST),
        "grid": st.sampled_from([1, 3, 8, 72]),
        "asked_grid": st.sampled_from([1, 3, 12]),
        "lead": st.integers(0, 10),
        "turnaround": st.integers(0, 10),
        "as_of": st.integers(0, LAST),
    }
)
caps = st.lists(st.tuples(spans, st.integers(0, 5)), max_size=2)


def longest_at(number, block, claims, cap, ask, units):
    """By start, slot by slot, the hours of the longest deal that fits, where one does."""
    size, (opens, closes) = block
    free = []
    for slot in range(LAST):
        taken = sum(
            n
            for where, (start, end), n, held in claims
            if where == number and start <= slot < end and (held is None or held > ask["as_of"])
        )
        whole = min((n for (start, end), n in cap if start <= slot < end), default=10**6)
        free.append(min(size - taken, whole))
    found = {}
    for start in range(LAST):
        if start % ask["grid"] or start % ask["asked_grid"]:
            continue
        if start < max(opens, ask["earliest"], ask["as_of"] + ask["lead"]):
            continue
        for hours in range(ask["hours"][1], ask["hours"][0] - 1, -1):
            end = start + 3 * hours
            whole = range(start - ask["lead"], end + ask["turnaround"])
            if end > min(closes, ask["latest"]) or whole.start < opens or whole.stop > closes:
                continue
            if all(free[slot] >= units for slot in whole):
                found[start] = hours
                break
    return found


def map_and_ask(blocks, claims, cap, ask):
    pool = pool_of(blocks, claims, ask["as_of"], ask["lead"], ask["turnaround"], cap)
    map_ = SearchMap.build({1: pool}, {n: ware(n, ask["grid"]) for n in range(len(blocks))})
    count = len(blocks)
    return map_, Ask(
        units=np.full(count, ask["units"], dtype=np.int64),
        shortest=np.full(count, ask["hours"][0] * HOUR, dtype=np.int64),
        longest=np.full(count, ask["hours"][1] * HOUR, dtype=np.int64),
        earliest=ask["earliest"] * SLOT,
        latest_end=ask["latest"] * SLOT,
        not_before=ask["as_of"] * SLOT,
        grid=ask["asked_grid"] * SLOT,
    )


@some
@given(blocks=blocks, claims=claims, cap=caps, ask=asks)
def test_the_longest_deal_and_its_first_start_are_those_found_slot_by_slot(
    blocks, claims, cap, ask
) -> None:
    map_, wanted = map_and_ask(blocks, claims, cap, ask)

    starts, hours = map_.fits(wanted)

    for number, block in enumerate(blocks):
        found = longest_at(number, block, claims, cap, ask, ask["units"])
        if not found:
            assert (starts[number], hours[number]) == (NO_START, 0)
            continue
        longest = max(found.values())
        first = min(start for start, length in found.items() if length == longest)
        assert (starts[number], hours[number]) == (first * SLOT, longest)


@some
@given(blocks=blocks, claims=claims, cap=caps, ask=asks)
def test_the_windows_of_starts_are_those_found_slot_by_slot(blocks, claims, cap, ask) -> None:
    map_, wanted = map_and_ask(blocks, claims, cap, ask)

    rows, firsts, lasts = map_.windows(wanted)

    step = math.lcm(ask["grid"], ask["asked_grid"]) * SLOT
    for number, block in enumerate(blocks):
        mine = rows == number
        starts = [
            start // SLOT
            for first, last in zip(firsts[mine].tolist(), lasts[mine].tolist(), strict=True)
            for start in range(first, last + 1, step)
        ]
        found = longest_at(number, block, claims, cap, ask, ask["units"])
        assert starts == sorted(found)


@some
@given(blocks=blocks, claims=claims, cap=caps, ask=asks)
def test_the_most_units_are_those_found_one_by_one(blocks, claims, cap, ask) -> None:
    map_, wanted = map_and_ask(blocks, claims, cap, ask)

    most = map_.most_units(wanted)

    for number, block in enumerate(blocks):
        fitting = [
            units
            for units in range(1, ask["units"] + 1)
            if longest_at(number, block, claims, cap, ask, units)
        ]
        assert most[number] == max(fitting, default=0)


@some
@given(blocks=blocks, before=claims, after=claims, cap=caps, ask=asks)
def test_a_map_that_follows_finds_what_a_fresh_one_finds(blocks, before, after, cap, ask) -> None:
    old, wanted = map_and_ask(blocks, before, cap, ask)
    other = pool_of(blocks, [], ask["as_of"], 3, 3)
    both = SearchMap.build({1: old.pools[1], 2: renumbered(other)}, shelf_of(blocks, ask), old=old)
    fresh, _ = map_and_ask(blocks, after, cap, ask)

    followed = SearchMap.build({1: fresh.pools[1], 2: both.pools[2]}, both.wares, old=both)
    again = SearchMap.build({1: fresh.pools[1], 2: both.pools[2]}, dict(both.wares))

    assert followed.goods is both.goods
    assert followed.strips[2] is both.strips[2]
    for one, two in zip(followed.windows(twice(wanted)), again.windows(twice(wanted)), strict=True):
        assert np.array_equal(one, two)


def renumbered(pool: PoolMap) -> PoolMap:
    """Another pool with blocks of its own."""
    blocks = pool.blocks.columns.copy()
    blocks[0] += 10
    return replace(pool, blocks=Table(blocks), facts=replace(pool.facts, pool_id=2))


def shelf_of(blocks, ask):
    numbers = [*range(len(blocks)), *range(10, 10 + len(blocks))]
    return {number: ware(number, ask["grid"]) for number in numbers}


def twice(ask: Ask) -> Ask:
    units, shortest, longest = (
        np.concatenate([column] * 2) for column in (ask.units, ask.shortest, ask.longest)
    )
    return replace(ask, units=units, shortest=shortest, longest=longest)


@some
@given(blocks=blocks, claims=claims, first=st.integers(0, LAST), later=st.integers(0, LAST))
def test_a_map_moved_in_time_equals_a_fresh_one(blocks, claims, first, later) -> None:
    moved = pool_of(blocks, claims, first, 0, 0).at(later * SLOT)

    fresh = pool_of(blocks, claims, later, 0, 0)

    assert np.array_equal(moved.steps.columns, fresh.steps.columns)


@some
@given(blocks=blocks, before=claims, after=claims)
def test_a_map_with_changed_claims_equals_a_fresh_one(blocks, before, after) -> None:
    old = pool_of(blocks, before, 0, 0, 0)
    fresh = pool_of(blocks, after, 0, 0, 0)

    changed = old.with_claims(list(range(12)), fresh.claims, 2, 0)

    assert np.array_equal(changed.steps.columns, fresh.steps.columns)
    assert changed.ver == 2


def test_an_empty_map_finds_nothing() -> None:
    none = np.zeros(0, dtype=np.int64)
    wanted = Ask(none, none, none, earliest=0, latest_end=1, not_before=0)

    assert [len(found) for found in EMPTY.fits(wanted)] == [0, 0]
    assert [len(found) for found in EMPTY.windows(wanted)] == [0, 0, 0]
    assert len(EMPTY.most_units(wanted)) == 0
