"""Listings: what goes on sale, at what price, and what a withdrawal leaves alone."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from inventory import transitions
from inventory.errors import Invalid, NotFound
from inventory.models import Block, JournalEntry, Organisation, Verification
from marketplace import asking, floors, listings, policy
from marketplace.asking import PriceInput, TermsInput
from marketplace.models import Listing, PriceVersion
from tests import world
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db
PRICE = PriceInput(basis="card_hour", amount_micro=6_800_000)


def publish(pool, actor, **changes):
    facts = {
        "unit_count": 4,
        "sellable": period(0, 100),
        "price": PRICE,
        "terms": TermsInput(),
        "at": T0,
    }
    return listings.publish(pool_id=pool.pk, actor=actor, **{**facts, **changes})


def test_published_capacity_has_version_1_of_price_and_terms() -> None:
    pool = world.pool(nodes=4)

    listing = publish(pool, world.actor(pool.provider))

    assert listing.state == "published"
    assert (listing.block.unit_count, listing.block.state) == (4, "open")
    price, terms = listing.prices.get(), listing.terms.get()
    assert (price.version, price.amount_micro, price.fee_bps) == (1, 6_800_000, 800)
    assert (terms.version, terms.cancellation[0]) == (1, [168, 10_000])
    entry = JournalEntry.objects.get(event="listing.published")
    assert entry.object_id == listing.public_id
    assert entry.data["amount_micro"] == 6_800_000


def test_first_start_and_last_end_leave_room_for_lead_and_turnaround() -> None:
    pool = world.pool(nodes=2, lead_seconds=1800, turnaround_seconds=5400)
    first = publish(pool, world.actor(pool.provider), unit_count=2, sellable=period(0, 10))
    touching = publish(pool, world.actor(pool.provider), unit_count=2, sellable=period(10, 20))

    assert listings.serves(block=first.block, grid_seconds=3600) is not None
    window = listings.serves(block=Block.objects.get(pk=touching.block_id), grid_seconds=3600)
    block = Block.objects.get(pk=touching.block_id)
    assert window is not None
    assert window.start >= block.period.lower + hours(0.5)
    assert window.end <= block.period.upper - hours(1.5)


def test_another_organisation_cannot_tell_that_the_pool_exists() -> None:
    pool = world.pool()

    for actor in (world.actor(world.stranger()), world.actor(world.operator())):
        with refused(NotFound):
            publish(pool, actor)

    assert not Listing.objects.exists()
    assert not Block.objects.exists()


def test_an_unverified_provider_sells_nothing() -> None:
    pool = world.pool()
    Organisation.objects.filter(pk=pool.provider_id).update(state=Verification.PENDING)

    with refused(policy.OrganisationUnverified):
        publish(pool, world.actor(pool.provider))

    assert not Block.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [{"selling": "whatever"}, {"mode": "whatever"}],
)
def test_ways_of_selling_that_are_unknown_are_refused(changes) -> None:
    pool = world.pool()

    with refused(listings.WayOfSellingUnknown):
        publish(pool, world.actor(pool.provider), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_micro": 0},
        {"amount_micro": -1},
        {"amount_micro": 10**18 + 1},
        {"basis": "card_second"},
        {"currency": "XXX"},
        {"schedule": "someday"},
        {"vat_code": "xx-1"},
        {"deposit_bps": -1},
        {"billing_zone": "Nowhere/Land"},
        {"billing_zone": "../etc/passwd"},
        {"billing_zone": "Asia/Kolkata"},
    ],
)
def test_a_price_that_cannot_be_counted_is_refused(changes) -> None:
    pool = world.pool()
    facts = {"basis": "card_hour", "amount_micro": 6_800_000, **changes}

    with refused(Invalid):
        publish(pool, world.actor(pool.provider), price=PriceInput(**facts))

    assert not Listing.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"minimum_hours": 0},
        {"minimum_hours": 5, "maximum_hours": 4},
        {"minimum_units": 5},
        {"start_grid_seconds": 7000},
        {"start_grid_seconds": 0},
        {"cancellation": [[24, 5000], [72, 10_000]]},
        {"cancellation": [[72, 5000], [24, 6000]]},
        {"cancellation": [[72, 10_001]]},
        {"cancellation": [[72]]},
        {"minimum_hours": 101},
    ],
)
def test_terms_that_contradict_themselves_are_refused(changes) -> None:
    pool = world.pool()

    with refused(asking.InvalidTerms):
        publish(pool, world.actor(pool.provider), terms=TermsInput(**changes))

    assert not Listing.objects.exists()


def floor(pool, *components, currency="CNY"):
    names = ("power_micro", "depreciation_micro", "network_micro", "operations_micro")
    return floors.set_floor(
        pool_id=pool.pk,
        currency=currency,
        at=T0,
        actor=world.actor(pool.provider),
        **dict(zip(names, components, strict=True)),
    )


def test_nothing_sells_below_the_floor_and_the_refusal_names_the_components() -> None:
    pool = world.pool()
    floor(pool, 500_000, 2_000_000, 300_000, 200_000)

    with pytest.raises(policy.BelowFloor) as refusal:
        publish(pool, world.actor(pool.provider), price=PriceInput("card_hour", 3_456_520))

    # 3.45652 / 1.06 x 0.92 = 2.99999...
    assert refusal.value.fields()["keeps_micro"] == 2_999_998
    assert refusal.value.fields()["floor_micro"] == 3_000_000
    assert refusal.value.fields()["depreciation_micro"] == 2_000_000
    assert publish(pool, world.actor(pool.provider), price=PriceInput("card_hour", 3_456_522))


def test_a_monthly_price_is_held_against_the_longest_month() -> None:
    pool = world.pool()
    floor(pool, 0, 920_000, 0, 0)
    enough = 744 * 8 * 1_060_000

    with refused(policy.BelowFloor):
        publish(pool, world.actor(pool.provider), price=PriceInput("node_month", enough - 10**4))
    assert publish(pool, world.actor(pool.provider), price=PriceInput("node_month", enough))


def test_a_price_in_another_currency_than_the_costs_is_refused() -> None:
    pool = world.pool()
    floor(pool, 0, 1, 0, 0, currency="USD")

    with refused(Invalid):
        publish(pool, world.actor(pool.provider))


def test_the_newest_floor_counts_and_older_ones_stay() -> None:
    pool = world.pool()
    floor(pool, 10**9, 0, 0, 0)
    floor(pool, 1_000, 0, 0, 0)

    assert publish(pool, world.actor(pool.provider))
    assert [row.version for row in pool.floors.order_by("version")] == [1, 2]


def test_a_new_price_touches_no_lease_and_no_signed_offer() -> None:
    listing = scene.listing(amount=6.80)
    signed = scene.offer(listing)
    lease = scene.lease(listing, start=30, end=40)

    version = listings.reprice(
        listing_id=listing.pk,
        price=PriceInput("card_hour", 9_900_000),
        at=T0,
        actor=world.actor(listing.provider),
    )

    assert version.version == 2
    held = scene.hold(signed)
    lease.refresh_from_db()
    assert held.gross_minor == lease.gross_minor == 680 * 8 * 10
    assert held.price.version == lease.price.version == 1
    assert scene.hold(listing, start=50, end=60).gross_minor == 990 * 8 * 10


def test_a_price_version_is_never_edited() -> None:
    listing = scene.listing()

    with refused(DatabaseError):
        PriceVersion.objects.filter(listing=listing).update(amount_micro=1)

    assert listing.prices.get().amount_micro == 6_800_000


def test_withdrawing_ends_selling_and_leaves_deals_alone() -> None:
    listing = scene.listing()
    actor = world.actor(listing.provider)
    lease, held = scene.lease(listing), scene.hold(listing, start=30, end=40)
    assert listings.touched_deals(listing) == [held, lease]

    listings.withdraw(listing_id=listing.pk, at=T0, actor=actor, reason="sold elsewhere")

    listing.refresh_from_db()
    lease.refresh_from_db()
    assert (listing.state, listing.block.state) == ("withdrawn", "closed")
    assert lease.state == "scheduled"
    assert lease.allocation.claims.get().state == "confirmed"
    with refused(transitions.IllegalTransition):
        listings.resume(listing_id=listing.pk, at=T0, actor=actor)
    with refused(transitions.IllegalTransition):
        listings.reprice(listing_id=listing.pk, price=PRICE, at=T0, actor=actor)


def test_a_paused_listing_sells_again_when_resumed() -> None:
    listing = scene.listing()
    actor = world.actor(listing.provider)

    listings.pause(listing_id=listing.pk, at=T0, actor=actor)
    assert scene.search().offers == ()
    listings.resume(listing_id=listing.pk, at=T0, actor=actor)

    assert [found.listing_id for found in scene.search().offers] == [listing.public_id]


def test_only_the_provider_changes_its_listing() -> None:
    listing = scene.listing()

    for verb in (listings.pause, listings.withdraw):
        with refused(NotFound):
            verb(listing_id=listing.pk, at=T0, actor=world.actor(world.stranger()))

    listing.refresh_from_db()
    assert listing.state == "published"
