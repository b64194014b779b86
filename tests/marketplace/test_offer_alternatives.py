"""The nearest that comes near, and the next best where an offer is gone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.capacity import CapacityTaken
from marketplace import offers, search_map
from marketplace.asking import TermsInput
from marketplace.offers import OfferRequest, matching, relaxing
from marketplace.search_map import SearchMap
from tests import world
from tests.marketplace import scene
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("seed", range(4))
def test_fewer_is_the_most_that_fits_as_counting_down_finds_it(seed: int) -> None:
    dice = random.Random(seed)
    sizes = [(8, 6), (2, 24), (4, 12)]
    dice.shuffle(sizes)
    for unit_cards, units in sizes[: dice.randint(1, 3)]:
        pool = world.pool(nodes=6, unit_cards=unit_cards)
        terms = TermsInput(minimum_units=dice.randint(1, 3))
        listing = scene.listing(pool, units=units, amount=dice.randint(5, 9), terms=terms)
        for _ in range(3):
            start = dice.randint(5, 60)
            length = dice.randint(5, 60)
            if dice.random() < 0.9:
                scene.lease(
                    listing,
                    units=max(terms.minimum_units, units // 4),
                    start=start,
                    end=start + length,
                )
    map_ = search_map.current(T0)

    for counted, most in (("cards", 60), ("units", 30), ("nodes", 8)):
        for limit in (None, 7_000_000):

            def asking(count: int, name: str = counted, limit: int | None = limit) -> OfferRequest:
                return scene.request(
                    **{name: count}, hours=20, latest_end=T0 + hours(60), max_card_hour_micro=limit
                )

            ways = relaxing.fewer(request=asking(most), map_=map_, buyer_id=None, at=T0)
            found = [way.count for _, way in ways if fits(asking(way.count), map_)]
            slowly = [n for n in range(most - 1, 0, -1) if fits(asking(n), map_)]

            assert found[:1] == slowly[:1], (counted, limit)


def fits(request: OfferRequest, map_: SearchMap) -> bool:
    return bool(matching.match(request=request, map_=map_, buyer_id=None, at=T0).best)


def test_where_several_wishes_stand_in_the_way_they_are_given_up_together() -> None:
    listing = scene.listing()

    (near,) = scene.search(owners=("telecom",), minimum_memory_gib=640, hubs=("nxa",)).alternatives

    assert near.changed == ("owners", "minimum_memory_gib", "hubs")
    assert near.offer.listing_id == listing.public_id


def test_a_shorter_lease_comes_near_where_none_is_as_long() -> None:
    scene.listing(sellable=period(0, 100))

    results = scene.search(hours=400, latest_end=T0 + hours(2000))

    (near,) = results.alternatives
    assert (near.changed, near.offer.hours) == (("hours",), 90)


def test_the_next_best_serves_the_same_need_and_not_what_was_refused() -> None:
    listing = scene.listing(units=2)
    other = scene.listing(amount=9)
    scene.listing(world.pool(chip="a100-80g"), amount=1)
    (first, *_) = scene.search(units=2, chips=("h100-80g",)).offers
    claim = offers.read_token(first.token, T0)
    scene.hold(claim)

    with scene.refused(CapacityTaken):
        scene.hold(claim, tenant=world.stranger())
    found = offers.next_best(
        claim=claim, actor=world.actor(world.stranger()), lapsed_count=0, at=T0
    )

    assert first.listing_id == listing.public_id
    assert [(offer.listing_id, offer.start_at, offer.unit_count) for offer in found] == [
        (listing.public_id, T0 + hours(20), 2),
        (other.public_id, T0 + hours(10), 2),
    ]
    assert [offer.card_count for offer in found] == [16, 16]
    assert scene.hold(offers.read_token(found[1].token, T0), tenant=world.stranger())


def test_the_next_best_of_a_stale_map_is_not_the_refused_offer(settings) -> None:
    scene.listing(units=2)
    (first,) = scene.search(units=2).offers
    claim = offers.read_token(first.token, T0)

    found = offers.next_best(claim=claim, actor=world.actor(world.tenant()), lapsed_count=0, at=T0)

    assert found == ()  # the map still has it free, and it was refused all the same


def test_the_next_best_never_raises(monkeypatch) -> None:
    listing = scene.listing()
    claim = scene.offer(listing)
    gone = replace(claim, listing_id="lst_" + "0" * 32)

    tenant = world.actor(world.tenant())

    def broken(at):
        raise RuntimeError

    assert offers.next_best(claim=gone, actor=tenant, lapsed_count=0, at=T0) == ()
    monkeypatch.setattr(search_map, "glance", broken)
    assert offers.next_best(claim=claim, actor=tenant, lapsed_count=0, at=T0) == ()


def test_the_next_best_is_cheap_where_the_map_is_fresh(settings) -> None:
    scene.listing()
    claim = scene.offer(scene.listing())
    buyer = world.actor(world.tenant())
    kept = search_map.refresh(search_map.EMPTY, T0)
    settings.SEARCH_MAP_SECONDS = 3600
    search_map.keep(kept)

    with CaptureQueriesContext(connection) as spent:
        assert offers.next_best(claim=claim, actor=buyer, lapsed_count=0, at=T0)

    assert len(spent) == 0
