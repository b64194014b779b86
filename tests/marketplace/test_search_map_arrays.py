"""The search map's arrays against a search minute by minute."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.money import Price
from marketplace.search_map import NO_START, SearchMap
from marketplace.search_map.pool_map import NEVER, PoolFacts, PoolMap, Table
from marketplace.search_map.shelf import Ware

MINUTE = 60_000_000
LAST = 240  # minutes
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
        maximum_hours=100,
        minimum_units=1,
        grid_micros=grid * MINUTE,
        cancellation=(),
    )


def pool_of(blocks, claims, as_of, lead, turnaround, cap=()) -> PoolMap:
    facts = PoolFacts(
        1, "pool", 1, "h100-80g", "training", "贵州", "gzh", 8, 8,
        lead * MINUTE, turnaround * MINUTE, bool(cap),
    )  # fmt: skip
    block_rows: list[tuple[int, ...]] = [
        (number, units, *(edge * MINUTE for edge in (start, end, start, end)))
        for number, (units, (start, end)) in enumerate(blocks)
    ]
    claim_rows: list[tuple[int, ...]] = [
        (
            number,
            block,
            start * MINUTE,
            end * MINUTE,
            units,
            NEVER if held is None else held * MINUTE,
        )
        for number, (block, (start, end), units, held) in enumerate(claims)
    ]
    return PoolMap.build(
        facts=facts,
        ver=1,
        epoch=0,
        blocks=Table.of(block_rows, 6),
        claims=Table.of(claim_rows, 6),
        cap=Table.of([(a * MINUTE, b * MINUTE, n) for (a, b), n in cap], 3),
        as_of=as_of * MINUTE,
    )


def first_by_minute(block, number, claims, cap, ask):
    """The first minute on the grid at which the units stay free, looked for one by one."""
    size, (opens, closes) = block
    units, duration, earliest, latest, grid, lead, turnaround, as_of = ask

    def free(minute: int) -> int:
        taken = sum(
            n
            for where, (start, end), n, held in claims
            if where == number and start <= minute < end and (held is None or held > as_of)
        )
        whole = min((n for (start, end), n in cap if start <= minute < end), default=10**6)
        free_units: int = min(size - taken, whole)
        return free_units

    for start in range(0, LAST, grid):
        inside = max(opens, earliest, as_of + lead) <= start and start + duration <= min(
            closes, latest
        )
        whole = range(start - lead, start + duration + turnaround)
        if inside and whole.start >= opens and whole.stop <= closes:
            if all(free(minute) >= units for minute in whole):
                return start
    return NO_START


@some
@given(
    blocks=blocks,
    claims=claims,
    cap=st.lists(st.tuples(spans, st.integers(0, 5)), max_size=2),
    ask=st.tuples(
        st.integers(1, 6),
        st.integers(1, 60),
        st.integers(0, LAST),
        st.integers(0, LAST),
        st.sampled_from([1, 5, 60]),
        st.integers(0, 10),
        st.integers(0, 10),
        st.integers(0, LAST),
    ),
)
def test_the_first_start_is_the_one_found_minute_by_minute(blocks, claims, cap, ask) -> None:
    units, duration, earliest, latest, grid, lead, turnaround, as_of = ask
    pool = pool_of(blocks, claims, as_of, lead, turnaround, cap)
    wares = {(n, "", n, n): ware(n, grid) for n in range(len(blocks))}
    map_ = SearchMap.build({1: pool}, wares)

    found = map_.first_starts(
        units=np.full(len(blocks), units, dtype=np.int64),
        duration=duration * MINUTE,
        earliest=earliest * MINUTE,
        latest_end=latest * MINUTE,
        not_before=as_of * MINUTE,
    )

    for number, block in enumerate(blocks):
        expected = first_by_minute(block, number, claims, cap, ask)
        assert found[number] == (expected if expected == NO_START else expected * MINUTE)


@some
@given(blocks=blocks, claims=claims, first=st.integers(0, LAST), later=st.integers(0, LAST))
def test_a_map_moved_in_time_equals_a_fresh_one(blocks, claims, first, later) -> None:
    moved = pool_of(blocks, claims, first, 0, 0).at(later * MINUTE)

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
    map_ = SearchMap.build({}, {})

    assert (
        len(
            map_.first_starts(
                units=np.zeros(0, dtype=np.int64),
                duration=1,
                earliest=0,
                latest_end=1,
                not_before=0,
            )
        )
        == 0
    )
