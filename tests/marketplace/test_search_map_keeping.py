"""The process's map: fresh while somebody searches, and right whatever the order of commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from inventory import journal
from inventory.models import Fabric, Organisation, Pool
from inventory.periods import Period
from marketplace import asking, listings, search_map
from marketplace.models import Listing
from marketplace.search_map import EMPTY, keeping, loading
from tests import world
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def no_follower_is_left() -> Iterator[None]:
    yield
    search_map.forget()


def eventually(is_so: Callable[[], bool]) -> bool:
    """Asked again and again, for as long as a busy machine may need."""
    until = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not is_so():
        if time.monotonic() > until:
            return False
        pause.wait(0.01)
    return True


def published() -> Listing:
    with transaction.atomic():
        return scene.listing()


def reprice(row: Listing, amount: int) -> None:
    listings.reprice(
        listing_id=row.pk,
        price=asking.PriceInput("card_hour", amount),
        at=T0,
        actor=world.actor(row.provider),
    )


def amounts(map_: search_map.SearchMap) -> list[int]:
    return [stall.ware.price.amount_micro for stall in map_.stalls]


def test_the_map_is_kept_fresh_beside_the_searches(settings) -> None:
    settings.SEARCH_MAP_SECONDS = 0.2
    at = datetime.now(UTC)
    with transaction.atomic():
        pool = world.pool()
        listing = scene.listing(pool, sellable=Period(at, at + timedelta(days=9)), at=at)
    kept = search_map.current(at)
    assert kept.goods.stalls[0].ware.public_id == listing.public_id

    with transaction.atomic():
        reprice(listing, 9_000_000)

    # Nobody asks for a map meanwhile.
    assert eventually(lambda: amounts(keeping._Kept.pair[1]) == [9_000_000])
    follower = keeping._Kept.follower
    assert follower is not None
    keeping._Kept.asked = float("-inf")
    assert eventually(lambda: not follower.is_alive())


def test_a_search_finds_a_fresh_map_and_waits_for_none(settings) -> None:
    published()
    settings.SEARCH_MAP_SECONDS = 3600
    search_map.keep(search_map.refresh(EMPTY, T0))

    with CaptureQueriesContext(connection) as spent:
        search_map.current(T0)

    assert len(spent) == 0


def test_a_map_older_than_the_bound_is_not_used(settings) -> None:
    settings.SEARCH_MAP_SECONDS = 0.05
    listing = published()
    search_map.keep(search_map.refresh(EMPTY, T0))
    with transaction.atomic():
        reprice(listing, 9_000_000)
    made, kept = keeping._Kept.pair
    keeping._Kept.pair = (made - 0.06, kept)

    assert amounts(search_map.current(T0)) == [9_000_000]


def test_a_follower_that_fails_leaves_the_search_to_say_so(settings, monkeypatch) -> None:
    published()
    settings.SEARCH_MAP_SECONDS = 0.05

    def broken(old: object, at: object) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(keeping, "refresh", broken)
    with pytest.raises(RuntimeError):
        search_map.current(T0)
    follower = keeping._Kept.follower
    assert follower is not None
    assert eventually(lambda: not follower.is_alive())
    monkeypatch.undo()
    settings.SEARCH_MAP_SECONDS = 0

    assert len(search_map.current(T0).stalls) == 1


def test_a_price_committed_late_is_seen_although_a_later_one_was_read_before() -> None:
    slow, quick = published(), published()
    before = search_map.refresh(EMPTY, T0)
    written, finish = threading.Event(), threading.Event()

    def slowly() -> None:
        with transaction.atomic():
            reprice(slow, 7_000_000)
            written.set()
            assert finish.wait(PATIENCE)
        connection.close()

    writer = threading.Thread(target=slowly)
    writer.start()
    assert written.wait(PATIENCE)
    with transaction.atomic():
        reprice(quick, 8_000_000)
    between = search_map.refresh(before, T0)
    finish.set()
    writer.join(PATIENCE)
    after = search_map.refresh(between, T0)

    assert amounts(between) == [6_800_000, 8_000_000]
    assert amounts(after) == [7_000_000, 8_000_000]
    # The control: a cursor at the newest transaction read so far passes over the late one.
    _, following, running = between.snapshot.split(":")
    assert running
    assert loading.news(f"1:{following}:", T0)[1] == frozenset()


def test_facts_of_the_fabric_and_of_nodes_are_followed() -> None:
    listing = published()
    pool = Pool.objects.get(pk=listing.pool_id)
    kept = search_map.refresh(EMPTY, T0)
    with transaction.atomic():
        Fabric.objects.filter(pk=pool.fabric_id).update(
            proved_node_count=4, proved_on_date=T0.date()
        )
        journal.record(event="fabric.proved", object_id=pool.fabric.public_id, actor=SYSTEM, at=T0)
    kept = search_map.refresh(kept, T0)
    assert kept.stalls[0].pool.catalogue.proved_node_count == 4

    with transaction.atomic():
        world.add_nodes(pool, 2)
    after = search_map.refresh(kept, T0)

    assert after.pools[pool.pk] is not kept.pools[pool.pk]


def test_what_an_unverified_provider_lists_leaves_the_map_and_comes_back() -> None:
    listing = published()
    provider = listing.provider
    kept = search_map.refresh(EMPTY, T0)

    def turn(state: str) -> None:
        with transaction.atomic():
            Organisation.objects.filter(pk=provider.pk).update(state=state)
            journal.record(
                event="organisation.turned", object_id=provider.public_id, actor=SYSTEM, at=T0
            )

    turn("rejected")
    gone = search_map.refresh(kept, T0)
    turn("pending")
    turn("verified")
    back = search_map.refresh(gone, T0)

    assert [len(map_.stalls) for map_ in (kept, gone, back)] == [1, 0, 1]


def test_a_locked_pool_keeps_nobody_from_searching() -> None:
    listing = published()
    locked, finish = threading.Event(), threading.Event()

    def lock() -> None:
        with transaction.atomic():
            scene.hold(listing)
            locked.set()
            assert finish.wait(PATIENCE)
        connection.close()

    holder = threading.Thread(target=lock)
    holder.start()
    assert locked.wait(PATIENCE)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1ms'")
        during = search_map.refresh(EMPTY, T0)
    finish.set()
    holder.join(PATIENCE)
    after = search_map.refresh(during, T0)

    assert during.free.tolist() == [4, -1]
    assert after.free.tolist() == [4, 3, 4, -1]
    assert period(0, 2000).start + hours(10) == search_map.instant(int(after.start[1]))


def test_a_glance_waits_for_no_map_and_has_one_made(settings) -> None:
    settings.SEARCH_MAP_SECONDS = 0.2
    at = datetime.now(UTC)
    with transaction.atomic():
        pool = world.pool()
        scene.listing(pool, sellable=Period(at, at + timedelta(days=9)), at=at)

    with transaction.atomic(), CaptureQueriesContext(connection) as spent:
        first = search_map.glance(at)

    assert (len(spent), len(first.stalls)) == (0, 0)
    assert eventually(lambda: len(search_map.glance(at).stalls) == 1)
