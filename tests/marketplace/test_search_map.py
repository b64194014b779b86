"""The search map follows the database, reading only what changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

import numpy as np
import pytest
from django.db import transaction

from inventory import capacity
from inventory.errors import DomainError
from inventory.models import Node, Outage
from inventory.periods import Period
from marketplace import asking, listings, search_map
from marketplace.models import Lease, Reservation
from marketplace.search_map import SearchMap
from tests import world
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db
EMPTY = SearchMap.build({}, {})


def same(one: SearchMap, other: SearchMap) -> bool:
    """Equal but for the order in which claims arrived."""
    return (
        [stall.ware for stall in one.stalls] == [stall.ware for stall in other.stalls]
        and [stall.pool for stall in one.stalls] == [stall.pool for stall in other.stalls]
        and np.array_equal(one.goods.sell_start, other.goods.sell_start)
        and np.array_equal(one.goods.sell_end, other.goods.sell_end)
        and np.array_equal(one.goods.units, other.goods.units)
        and np.array_equal(one.lengths, other.lengths)
        and np.array_equal(one.row, other.row)
        and np.array_equal(one.start, other.start)
        and np.array_equal(one.free, other.free)
        and all(
            pool.outages.equals(other.pools[number].outages) for number, pool in one.pools.items()
        )
    )


def test_changes_applied_one_by_one_give_the_map_of_a_cold_start() -> None:
    dice = random.Random(7)
    shelves = [scene.listing(world.pool(nodes=4), units=4) for _ in range(2)]
    kept = search_map.refresh(EMPTY, T0)
    makers: list[Callable[..., Reservation | Lease]] = [scene.hold, scene.lease]
    deals: list[Reservation | Lease] = []

    for number in range(24):
        at = T0 + number * hours(0.1)
        start = dice.randint(5, 60)
        try:
            if deals and dice.random() < 0.3:
                gone = deals.pop(dice.randrange(len(deals)))
                capacity.release(
                    allocation_id=gone.allocation_id, at=at, actor=SYSTEM, reason="test"
                )
            else:
                make = dice.choice(makers)
                deals.append(
                    make(
                        dice.choice(shelves),
                        at=at,
                        start=start,
                        end=start + dice.randint(1, 30),
                        units=dice.randint(1, 3),
                    )
                )
        except DomainError:
            continue
        kept = search_map.refresh(kept, at)
        assert same(kept, search_map.refresh(EMPTY, at))


@pytest.mark.parametrize("seed", range(4))
def test_every_verb_of_capacity_is_followed(seed: int) -> None:
    dice = random.Random(seed)
    pools = [world.pool(nodes=8, spare_count=1), world.pool(nodes=4, unit_cards=4)]
    shelves = [scene.listing(pool, units=5) for pool in pools]
    kept = search_map.refresh(EMPTY, T0)
    deals: list[Lease] = []
    done: set[str] = set()

    def span() -> tuple[int, int]:
        start = dice.randint(5, 60)
        return start, start + dice.randint(1, 30)

    def lease(at: datetime) -> None:
        start, end = span()
        row = scene.lease(dice.choice(shelves), at=at, start=start, end=end)
        deals.append(row)

    def outside(at: datetime) -> None:
        capacity.claim_external(
            pool_id=dice.choice(pools).pk,
            kind="own_use",
            unit_count=1,
            period=period(*span()),
            note="own",
            at=at,
            actor=SYSTEM,
        )

    def outage(at: datetime) -> None:
        pool = dice.choice(pools)
        kind = dice.choice(["planned", "failed"])
        failed = kind == "failed"
        capacity.set_outage(
            pool_id=pool.pk,
            kind=kind,
            period=Period(at, at + hours(9)) if failed else period(*span()),
            node_id=dice.choice(pool.nodes.filter(state="serviceable")).pk if failed else None,
            reason="x",
            at=at,
            actor=SYSTEM,
        )

    def of_deal(verb: Callable[..., object], **what: object) -> Callable[[datetime], object]:
        def act(at: datetime) -> object:
            row = dice.choice(deals).allocation
            row.refresh_from_db()
            end = row.period.upper + dice.choice([-1, 1]) * hours(dice.randint(1, 5))
            more = {"end": end} if verb is not capacity.release else {}
            return verb(allocation_id=row.pk, at=at, actor=SYSTEM, **more, **what)

        return act

    verbs: dict[str, Callable[[datetime], object]] = {
        "lease": lease,
        "external": outside,
        "outage": outage,
        "extend": of_deal(capacity.extend),
        "shorten": of_deal(capacity.shorten, reason="x"),
        "release": of_deal(capacity.release, reason="x"),
        "resize": lambda at: capacity.resize_block(
            block_id=dice.choice(shelves).block_id,
            unit_count=dice.randint(1, 7),
            at=at,
            actor=SYSTEM,
        ),
        "close": lambda at: capacity.close_block(
            block_id=dice.choice(shelves).block_id, at=at, actor=SYSTEM
        ),
        "reopen": lambda at: capacity.reopen_block(
            block_id=dice.choice(shelves).block_id, at=at, actor=SYSTEM
        ),
        "mend": lambda at: capacity.close_outage(
            outage_id=dice.choice(Outage.objects.filter(state="open")).pk, at=at, actor=SYSTEM
        ),
        "retire": lambda at: capacity.retire_node(
            node_id=dice.choice(Node.objects.all()).pk, at=at, actor=SYSTEM, reason="old"
        ),
    }
    weights = [8, 2, 2, 3, 3, 2, 2, 1, 2, 1, 1]
    for number in range(60):
        at = T0 + number * hours(0.1)
        name = dice.choices(list(verbs), weights)[0]
        try:
            with transaction.atomic():
                verbs[name](at)
        except (DomainError, IndexError):
            continue
        done.add(name)
        kept = search_map.refresh(kept, at)
        assert same(kept, search_map.refresh(EMPTY, at)), (seed, number, name)

    assert len(done) >= 8


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_nothing_changed_is_the_same_map() -> None:
    with transaction.atomic():
        scene.lease(scene.listing())
    kept = search_map.refresh(EMPTY, T0)

    again = search_map.refresh(kept, T0 + hours(1))

    assert again.goods is kept.goods
    assert again.free is kept.free


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_refresh_reads_little(django_assert_num_queries) -> None:
    with transaction.atomic():
        shelves = [scene.listing(world.pool(nodes=2), units=2) for _ in range(3)]
    kept = search_map.refresh(EMPTY, T0)

    with django_assert_num_queries(2):  # versions, news
        search_map.refresh(kept, T0)
    with transaction.atomic():
        scene.hold(shelves[0])
    with django_assert_num_queries(4):  # and events, touched claims
        kept = search_map.refresh(kept, T0)
    with transaction.atomic():
        listings.pause(listing_id=shelves[0].pk, at=T0, actor=world.actor(shelves[0].provider))
    with django_assert_num_queries(3):  # and the listing
        assert len(search_map.refresh(kept, T0).stalls) == 2


def test_new_blocks_prices_pauses_and_withdrawals_are_seen() -> None:
    first = scene.listing(amount=6)
    actor = world.actor(first.provider)
    kept = search_map.refresh(EMPTY, T0)

    second = scene.listing(amount=5)
    kept = search_map.refresh(kept, T0)
    assert [stall.ware.public_id for stall in kept.stalls] == [first.public_id, second.public_id]
    listings.reprice(
        listing_id=first.pk,
        price=asking.PriceInput("card_hour", 7_000_000),
        at=T0,
        actor=actor,
    )
    kept = search_map.refresh(kept, T0)
    assert kept.stalls[0].ware.price.amount_micro == 7_000_000
    listings.pause(listing_id=first.pk, at=T0, actor=actor)
    kept = search_map.refresh(kept, T0)
    assert [stall.ware.public_id for stall in kept.stalls] == [second.public_id]
    listings.withdraw(listing_id=second.pk, at=T0, actor=actor)
    assert search_map.refresh(kept, T0).stalls == ()


def test_a_lapsed_hold_leaves_the_map_by_time_alone() -> None:
    listing = scene.listing(units=4)
    scene.hold(listing, units=4, start=0, end=2000)
    kept = search_map.refresh(EMPTY, T0)
    assert scene.search().offers == ()

    later = search_map.refresh(kept, T0 + hours(0.25))

    assert later.free.tolist() == [4, -1]
    assert len(scene.search(at=T0 + hours(0.25)).offers) == 1


def test_where_failures_outnumber_the_spares_the_map_offers_what_admission_would_grant() -> None:
    pool = world.pool(nodes=4)
    listing = scene.listing(pool, units=4)
    scene.lease(listing, units=2, start=10, end=20)
    node = Node.objects.filter(pool=pool).first()
    assert node is not None
    capacity.set_outage(
        pool_id=pool.pk,
        kind="failed",
        period=period(0, 15),
        node_id=node.pk,
        reason="fan",
        at=T0,
        actor=SYSTEM,
    )

    assert scene.search(units=2, hours=2).offers[0].start_at == T0 + hours(15)
    assert scene.search(units=1, hours=2).offers[0].start_at == T0 + hours(10)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_one_map_a_process_as_old_as_it_may_be(settings) -> None:
    with transaction.atomic():
        listing = scene.listing()
    settings.SEARCH_MAP_SECONDS = 0
    kept = search_map.current(T0)
    assert [stall.ware.public_id for stall in kept.stalls] == [listing.public_id]

    settings.SEARCH_MAP_SECONDS = 3600
    with transaction.atomic():
        scene.hold(listing, units=4)
        inside = search_map.current(T0)
    assert inside is not kept  # a transaction sees its own rows, and nobody else sees its map
    assert search_map.current(T0) is kept

    settings.SEARCH_MAP_SECONDS = 0
    assert search_map.current(T0).free.tolist() == [4, 0, 4, -1]


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_bindings_and_outside_use_do_not_reload_a_pool(django_assert_num_queries) -> None:
    with transaction.atomic():
        listing = scene.listing(world.pool(nodes=6), units=4)
        lease = scene.lease(listing, start=10, end=20)
    kept = search_map.refresh(EMPTY, T0)
    with transaction.atomic():
        capacity.bind(allocation_id=lease.allocation_id, at=T0 + hours(10), actor=SYSTEM)
        capacity.claim_external(
            pool_id=listing.pool_id,
            kind="own_use",
            unit_count=1,
            period=period(50, 60),
            note="training",
            at=T0 + hours(10),
            actor=SYSTEM,
        )

    with django_assert_num_queries(4):  # versions, news, events, touched claims
        after = search_map.refresh(kept, T0 + hours(10))

    assert same(after, search_map.refresh(EMPTY, T0 + hours(10)))
