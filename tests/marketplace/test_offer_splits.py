"""What no fabric has may come in parts, for who says so."""

from __future__ import annotations

import itertools
import random
from datetime import datetime

import pytest

from marketplace import offers, search_map
from marketplace.asking import TermsInput
from marketplace.offers import matching, splitting
from tests import world
from tests.marketplace import scene
from tests.world import T0, hours

pytestmark = pytest.mark.django_db


def test_one_fabric_is_insisted_on_unless_it_is_said_otherwise() -> None:
    for _ in range(2):
        scene.listing(world.pool(nodes=6), units=6)
    actor = world.actor(world.tenant())

    strict = offers.search(
        request=scene.request(nodes=10, hours=20, latest_end=T0 + hours(60)), actor=actor, at=T0
    )
    loose = offers.search(
        request=scene.request(nodes=10, hours=20, latest_end=T0 + hours(60), one_fabric=False),
        actor=actor,
        at=T0,
    )

    assert (strict.split, strict.offers) == (None, ())
    assert loose.split is not None
    assert not loose.offers
    assert sorted(part.unit_count for part in loose.split.offers) == [4, 6]
    assert loose.split.card_count == 80
    assert len({part.start_at for part in loose.split.offers}) == 1
    assert loose.split.gross_minor == sum(part.gross_minor for part in loose.split.offers)


def test_nothing_is_split_that_one_fabric_has() -> None:
    for _ in range(2):
        scene.listing(world.pool(nodes=6), units=6)

    found = offers.search(
        request=scene.request(nodes=6, hours=20, latest_end=T0 + hours(60), one_fabric=False),
        actor=world.actor(world.tenant()),
        at=T0,
    )

    assert found.offers
    assert found.split is None


def test_the_largest_gives_up_what_the_last_one_needs_to_be_sold_at_all() -> None:
    scene.listing(world.pool(nodes=6), units=6)
    scene.listing(world.pool(nodes=6), units=4, terms=TermsInput(minimum_units=3))
    map_ = search_map.current(T0)
    request = scene.request(nodes=7, hours=20, latest_end=T0 + hours(60), one_fabric=False)

    parts = splitting.split(request=request, map_=map_, buyer_id=None, at=T0)

    assert [part.unit_count for part in parts] == [4, 3]


@pytest.mark.parametrize("seed", range(6))
def test_as_few_parts_as_trying_everything_finds(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(4):
        pool = world.pool(nodes=6)
        listing = scene.listing(pool, units=6)
        for _ in range(dice.randint(0, 3)):
            start = dice.randint(5, 40)
            units = dice.randint(1, 2)
            scene.lease(listing, units=units, start=start, end=start + dice.randint(4, 30))
    map_ = search_map.current(T0)
    for count in (7, 9, 13, 20, 24):
        request = scene.request(
            nodes=count,
            hours=12,
            earliest_start=T0,
            latest_end=T0 + hours(48),
            one_fabric=False,
        )

        parts = splitting.split(request=request, map_=map_, buyer_id=None, at=T0)

        fewest = slowly(count, map_)
        assert (len(parts) or None) == fewest, count
        if parts:
            assert sum(part.unit_count for part in parts) == count
            assert len({part.period.start for part in parts}) == 1
            for part in parts:
                assert is_free(part.stall.ware.public_id, part.unit_count, part.period.start, map_)


def slowly(count: int, map_: search_map.SearchMap) -> int | None:
    """Every hour, every set of stalls."""
    best: int | None = None
    for begin in range(49 - 12):
        start = T0 + hours(begin)
        most = [
            max((n for n in range(1, 7) if is_free(s.ware.public_id, n, start, map_)), default=0)
            for s in map_.stalls
        ]
        for number in range(1, len(most) + 1):
            if any(sum(some) >= count for some in itertools.combinations(most, number)):
                best = number if best is None else min(best, number)
    return best


def is_free(listing_id: str, units: int, start: datetime, map_: search_map.SearchMap) -> bool:
    request = scene.request(
        nodes=units,
        hours=12,
        earliest_start=start,
        latest_end=start + hours(12),
        limit=20,
    )
    found = matching.match(request=request, map_=map_, buyer_id=None, at=T0)
    return any(each.stall.ware.public_id == listing_id for each in found.best)


def test_a_price_too_high_is_no_part() -> None:
    scene.listing(world.pool(nodes=6), units=6, amount=5)
    scene.listing(world.pool(nodes=6), units=6, amount=50)
    map_ = search_map.current(T0)
    request = scene.request(
        nodes=10,
        hours=20,
        latest_end=T0 + hours(60),
        one_fabric=False,
        max_card_hour_micro=10_000_000,
    )

    assert splitting.split(request=request, map_=map_, buyer_id=None, at=T0) == []


def test_one_listing_that_sells_other_counts_is_no_split() -> None:
    scene.listing(world.pool(nodes=8), units=8, terms=TermsInput(minimum_units=2, unit_step=2))
    map_ = search_map.current(T0)
    request = scene.request(nodes=7, hours=20, latest_end=T0 + hours(60), one_fabric=False)

    assert splitting.split(request=request, map_=map_, buyer_id=None, at=T0) == []
