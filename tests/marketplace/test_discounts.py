"""Discounts for long leases and many cards: what they take off, and what is frozen."""

from __future__ import annotations

import pytest

from inventory.models import JournalEntry
from marketplace import asking, floors, listings, policy
from marketplace.asking import PriceInput
from marketplace.discounts import MOST_TIERS
from marketplace.money import Price
from tests import world
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours

pytestmark = pytest.mark.django_db
TIERS = (("hours", 100, 500), ("hours", 500, 1_000), ("cards", 16, 300))


def test_the_deepest_tier_of_each_kind_counts_and_the_two_add_up() -> None:
    row = scene.listing(amount=10, discounts=TIERS)

    plain = scene.hold(row, units=1, start=10, end=109)
    long = scene.hold(row, units=1, start=10, end=110)
    wide = scene.hold(row, units=2, start=10, end=20)
    both = scene.hold(row, units=2, start=200, end=700)

    assert [held.discount_bps for held in (plain, long, wide, both)] == [0, 500, 300, 1_300]
    assert plain.gross_minor == 1000 * 8 * 99
    assert long.gross_minor == 950 * 8 * 100
    assert wide.gross_minor == 970 * 16 * 10
    assert both.gross_minor == 870 * 16 * 500


def test_a_lease_keeps_its_discount_whatever_the_listing_asks_later() -> None:
    row = scene.listing(amount=10, discounts=TIERS)
    lease = scene.lease(row, start=10, end=110)

    listings.reprice(
        listing_id=row.pk,
        price=PriceInput("card_hour", 20_000_000),
        at=T0,
        actor=world.actor(row.provider),
    )

    lease.refresh_from_db()
    assert (lease.discount_bps, lease.gross_minor) == (500, 950 * 8 * 100)
    assert Price.agreed(lease).discount_bps == 500


def test_an_offer_shows_the_listed_price_what_comes_off_and_what_is_left() -> None:
    scene.listing(amount=10, discounts=TIERS)

    found = scene.search(hours=100).offers[0]

    assert found.amount_micro == 10_000_000
    assert (found.list_minor, found.discount_bps, found.gross_minor) == (800_000, 500, 760_000)
    assert found.card_hour_micro == 9_500_000


def test_the_search_ranks_by_what_is_paid() -> None:
    dear_but_less = scene.listing(amount=10, discounts=(("hours", 100, 4_000),))
    cheap = scene.listing(amount=7)

    short = scene.search(hours=99, limit=1).offers
    long = scene.search(hours=100, limit=1).offers

    assert [found.listing_id for found in short] == [cheap.public_id]
    assert [found.listing_id for found in long] == [dear_but_less.public_id]
    limited = scene.search(hours=100, max_card_hour_micro=6_000_000).offers
    assert [found.listing_id for found in limited] == [dear_but_less.public_id]


def test_the_floor_is_held_against_the_deepest_discounts() -> None:
    pool = world.pool()
    floors.set_floor(
        pool_id=pool.pk,
        power_micro=4_000_000,
        depreciation_micro=0,
        network_micro=0,
        operations_micro=0,
        at=T0,
        actor=world.actor(pool.provider),
    )

    # 5.00 keeps 4.339..; a tenth less keeps 3.905..
    assert scene.listing(pool, units=1, amount=5)
    with pytest.raises(policy.BelowFloor) as refusal:
        scene.listing(pool, units=1, amount=5, discounts=(("hours", 24, 500), ("cards", 8, 500)))

    assert refusal.value.fields()["keeps_micro"] == 3_905_660
    assert scene.listing(pool, units=1, amount=5, discounts=(("hours", 24, 500),))


def test_a_floor_set_later_pauses_what_its_discounts_take_below() -> None:
    row = scene.listing(amount=5, discounts=(("hours", 24, 1_000),))

    floors.set_floor(
        pool_id=row.pool_id,
        power_micro=4_000_000,
        depreciation_micro=0,
        network_micro=0,
        operations_micro=0,
        at=T0,
        actor=world.actor(row.provider),
    )

    row.refresh_from_db()
    assert row.state == "paused"
    with refused(policy.BelowFloor):
        listings.resume(listing_id=row.pk, at=T0, actor=world.actor(row.provider))


@pytest.mark.parametrize(
    "tiers",
    [
        [("nodes", 1, 100)],
        [("hours", 0, 100)],
        [("hours", 24, 0)],
        [("hours", 24, 500), ("hours", 24, 600)],
        [("hours", 48, 500), ("hours", 24, 600)],
        [("hours", 24, 500), ("hours", 48, 500)],
        [("hours", 24, 9_001)],
        [("hours", 24, 5_000), ("cards", 8, 4_001)],
        [("hours", number, number) for number in range(1, MOST_TIERS + 2)],
    ],
)
def test_discounts_that_do_not_go_up_or_leave_too_little_are_refused(tiers) -> None:
    with refused(asking.InvalidPrice):
        scene.listing(discounts=tiers)


def test_a_new_price_is_journalled_with_its_discounts() -> None:
    row = scene.listing()

    listings.reprice(
        listing_id=row.pk,
        price=PriceInput("card_hour", 9_000_000, discounts=TIERS),
        at=T0,
        actor=world.actor(row.provider),
    )

    entry = JournalEntry.objects.get(event="listing.repriced")
    assert entry.data["discounts"] == [list(tier) for tier in TIERS]
    assert scene.hold(row, start=10, end=110).discount_bps == 500


@pytest.mark.parametrize("basis", ["card_hour", "node_hour"])
def test_a_price_at_which_nothing_could_be_booked_is_refused(basis) -> None:
    row = scene.listing()
    impossible = PriceInput(basis, 10**18)

    with refused(asking.InvalidPrice):
        scene.listing(amount=10**12, basis=basis)
    with refused(asking.InvalidPrice):
        listings.reprice(
            listing_id=row.pk, price=impossible, at=T0, actor=world.actor(row.provider)
        )

    assert row.prices.count() == 1


def test_hours_are_counted_as_the_lease_has_them() -> None:
    row = scene.listing(discounts=(("hours", 10, 500),))

    assert scene.hold(row, start=10, end=20).discount_bps == 500
    assert scene.hold(row, start=30, end=39).discount_bps == 0
    assert T0 + hours(39) == scene.offer(row, start=30, end=39).period.end
