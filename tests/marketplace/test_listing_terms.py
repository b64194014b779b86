"""What may be asked for: minimum, step and maximum; new terms, other sizes, trials."""

from __future__ import annotations

import pytest

from inventory import capacity
from inventory.errors import Invalid, NotFound
from inventory.models import JournalEntry, Organisation, Verification
from inventory.transitions import IllegalTransition
from marketplace import asking, listings, policy, reservations
from marketplace.asking import FIVE_YEARS_HOURS, TermsInput
from marketplace.models import TermsVersion
from tests import world
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db


def codes(results) -> dict[str, int | None]:
    return {rejection.code: rejection.nearest for rejection in results.rejections}


def stepped(**shape):
    terms = TermsInput(
        minimum_hours=24,
        hour_step=12,
        maximum_hours=240,
        minimum_units=4,
        unit_step=2,
        maximum_units=8,
    )
    return scene.listing(world.pool(nodes=12), units=12, terms=terms, **shape)


@pytest.mark.parametrize(
    ("asked", "code", "nearest"),
    [
        ({"units": 2}, "too_few_units", 4),
        ({"units": 5}, "off_unit_step", 6),
        ({"units": 9}, "over_maximum_units", 8),
        ({"hours": 23}, "too_short", 24),
        ({"hours": 25}, "off_hour_step", 36),
        ({"hours": 241}, "too_long", 240),
    ],
)
def test_the_search_says_what_the_terms_do_not_sell_and_what_comes_nearest(
    asked, code, nearest
) -> None:
    stepped()

    results = scene.search(**{"units": 6, "hours": 36, **asked})

    assert codes(results) == {code: nearest}


@pytest.mark.parametrize("asked", [{"units": 4}, {"units": 8}, {"hours": 24}, {"hours": 240}])
def test_the_search_offers_what_lies_on_the_steps(asked) -> None:
    row = stepped()

    results = scene.search(**{"units": 6, "hours": 36, **asked})

    assert [found.listing_id for found in results.offers] == [row.public_id]


@pytest.mark.parametrize(
    "asked",
    [
        {"units": 2},
        {"units": 5},
        {"units": 10},
        {"start": 10, "end": 33},
        {"start": 10, "end": 35},
        {"start": 10, "end": 46.5},
        {"start": 10, "end": 262},
        {"start": 10.5, "end": 46.5},
    ],
)
def test_a_hold_outside_the_terms_is_refused(asked) -> None:
    row = stepped()
    shape = {"units": 6, "start": 10, "end": 46, **asked}

    with refused(Invalid):
        scene.hold(row, **shape)

    assert scene.hold(row, units=6, start=10, end=46)


def test_a_lease_may_last_five_years_and_no_hour_more() -> None:
    row = scene.listing(world.pool(nodes=1), units=1, sellable=period(0, FIVE_YEARS_HOURS + 200))

    held = scene.hold(row, start=10, end=10 + FIVE_YEARS_HOURS)

    assert held.gross_minor == 680 * 8 * FIVE_YEARS_HOURS
    with refused(Invalid):
        scene.hold(row, start=10, end=11 + FIVE_YEARS_HOURS)


@pytest.mark.parametrize(
    "changes",
    [
        {"hour_step": 0},
        {"unit_step": 0},
        {"unit_step": 5},
        {"minimum_units": 3, "maximum_units": 2},
        {"maximum_hours": FIVE_YEARS_HOURS + 1},
        {"decide_hours": 0},
        {"decide_hours": 721},
        {"trial_units": 1},
        {"trial_hours": 1},
        {"trial_amount_micro": 1},
        {"trial_convertible": True},
        {"trial_units": 5, "trial_hours": 24},
        {"trial_units": 1, "trial_hours": 721},
        {"trial_units": 1, "trial_hours": 24, "trial_amount_micro": -1},
    ],
)
def test_terms_that_cannot_be_kept_are_refused(changes) -> None:
    row = scene.listing()

    with refused(asking.InvalidTerms):
        scene.listing(units=4, terms=TermsInput(**changes))
    with refused(asking.InvalidTerms):
        listings.reterm(
            listing_id=row.pk,
            terms=TermsInput(**changes),
            at=T0,
            actor=world.actor(row.provider),
        )

    assert TermsVersion.objects.count() == 1


def test_new_terms_are_for_new_deals_only() -> None:
    row = scene.listing()
    signed, lease = scene.offer(row), scene.lease(row, start=30, end=40)

    version = listings.reterm(
        listing_id=row.pk,
        terms=TermsInput(minimum_hours=24, cancellation=()),
        at=T0,
        actor=world.actor(row.provider),
    )

    assert version.version == 2
    held = scene.hold(signed)
    lease.refresh_from_db()
    assert held.terms.version == lease.terms.version == 1
    assert lease.terms.cancellation[0] == [168, 10_000]
    assert codes(scene.search(hours=10)) == {"too_short": 24}
    assert scene.hold(row, start=50, end=74).terms.version == 2
    entry = JournalEntry.objects.get(event="listing.terms_changed")
    assert entry.data == {"terms": version.public_id, "version": 2}


def test_only_the_provider_changes_terms_and_size_and_never_of_a_withdrawn_listing() -> None:
    row = scene.listing()
    actor = world.actor(row.provider)

    for stranger in (world.actor(world.stranger()), world.actor(world.operator())):
        with refused(NotFound):
            listings.reterm(listing_id=row.pk, terms=TermsInput(), at=T0, actor=stranger)
        with refused(NotFound):
            listings.resize(listing_id=row.pk, unit_count=1, at=T0, actor=stranger)
    listings.withdraw(listing_id=row.pk, at=T0, actor=actor)
    with refused(IllegalTransition):
        listings.reterm(listing_id=row.pk, terms=TermsInput(), at=T0, actor=actor)
    with refused(IllegalTransition):
        listings.resize(listing_id=row.pk, unit_count=1, at=T0, actor=actor)

    assert row.terms.count() == 1
    assert row.block.unit_count == 4


def test_a_listing_shrinks_down_to_what_it_has_sold_and_says_how_much() -> None:
    row = scene.listing(units=4)
    actor = world.actor(row.provider)
    scene.lease(row, units=2, start=10, end=20)
    scene.hold(row, units=1, start=15, end=30)

    with pytest.raises(capacity.CapacityTaken) as refusal:
        listings.resize(listing_id=row.pk, unit_count=2, at=T0, actor=actor)
    smaller = listings.resize(listing_id=row.pk, unit_count=3, at=T0, actor=actor)

    assert refusal.value.fields()["sold_units"] == 3
    assert smaller.block.unit_count == 3
    entry = JournalEntry.objects.get(event="listing.resized")
    assert entry.data == {"from_unit_count": 4, "unit_count": 3}
    with refused(capacity.CapacityTaken):
        scene.hold(row, units=1, start=16, end=18)


def test_a_listing_grows_by_what_its_pool_has_free() -> None:
    pool = world.pool(nodes=6)
    row = scene.listing(pool, units=2)
    scene.listing(pool, units=1)
    actor = world.actor(pool.provider)

    with pytest.raises(capacity.CapacityTaken) as refusal:
        listings.resize(listing_id=row.pk, unit_count=6, at=T0, actor=actor)
    listings.resize(listing_id=row.pk, unit_count=5, at=T0, actor=actor)

    assert refusal.value.free_units == 3
    row.block.refresh_from_db()
    assert row.block.unit_count == 5


def test_a_listing_does_not_shrink_below_its_own_terms() -> None:
    terms = TermsInput(minimum_units=2, trial_units=3, trial_hours=24)
    row = scene.listing(terms=terms)

    with refused(asking.InvalidTerms):
        listings.resize(listing_id=row.pk, unit_count=2, at=T0, actor=world.actor(row.provider))

    assert row.block.unit_count == 4


def test_listings_of_one_pool_at_different_prices_never_sell_more_than_it_has() -> None:
    pool = world.pool(nodes=4)
    dear = scene.listing(pool, units=2, amount=8, sellable=period(0, 100))
    cheap = scene.listing(pool, units=2, amount=6, sellable=period(50, 200))

    with pytest.raises(capacity.CapacityTaken):
        scene.listing(pool, units=1, amount=1, sellable=period(60, 90))
    later = scene.listing(pool, units=2, amount=7, sellable=period(100, 200))

    def found(**asked):
        window = {"earliest_start": T0 + hours(60), "latest_end": T0 + hours(80)}
        results = scene.search(**{"units": 2, "hours": 20, **window, **asked})
        return [offer.listing_id for offer in results.offers]

    assert found() == [cheap.public_id, dear.public_id]
    assert found(units=3) == []  # one lease is of one listing
    scene.hold(cheap, units=2, start=60, end=80)
    assert found() == [dear.public_id]
    scene.hold(dear, units=2, start=60, end=80)
    assert found() == []
    for row in (dear, cheap):
        with refused(capacity.CapacityTaken):
            scene.hold(row, units=1, start=70, end=75)
    late = {"earliest_start": T0 + hours(100), "latest_end": T0 + hours(120)}
    assert found(**late) == [cheap.public_id, later.public_id]


def test_a_trial_is_of_the_terms_size_at_its_own_price_and_knows_no_floor() -> None:
    terms = TermsInput(trial_units=2, trial_hours=24, trial_amount_micro=0, trial_convertible=True)
    row = scene.listing(terms=terms, discounts=(("hours", 1, 500),))
    version = row.terms.get()

    policy.check_trial(terms=version, unit_count=2, hours=24)
    price = policy.trial_price(price=row.prices.get(), terms=version)

    assert (price.amount_micro, price.discount_bps, price.basis) == (0, 0, "card_hour")
    for unit_count, length in ((3, 24), (2, 25), (0, 1)):
        with pytest.raises(policy.NoSuchTrial) as refusal:
            policy.check_trial(terms=version, unit_count=unit_count, hours=length)
        assert refusal.value.fields()["trial_hours"] == 24
    without = scene.listing(world.pool()).terms.get()
    with refused(policy.NoSuchTrial):
        policy.check_trial(terms=without, unit_count=1, hours=1)


def test_a_provider_that_is_verified_no_more_sells_nothing_at_once() -> None:
    row = scene.listing()
    signed = scene.offer(row)
    Organisation.objects.filter(pk=row.provider_id).update(state=Verification.REJECTED)

    assert scene.search().offers == ()
    with refused(reservations.ListingClosed):
        scene.hold(signed)


def test_its_listings_are_paused_and_resumed_by_it_when_it_is_verified_again() -> None:
    row, other = scene.listing(), scene.listing(world.pool(owner=world.stranger()))
    lease = scene.lease(row)
    Organisation.objects.filter(pk=row.provider_id).update(state=Verification.REJECTED)

    assert listings.pause_unverified(at=T0) == 1
    assert listings.pause_unverified(at=T0) == 0

    row.refresh_from_db()
    other.refresh_from_db()
    lease.refresh_from_db()
    assert (row.state, other.state, lease.state) == ("paused", "published", "scheduled")
    entry = JournalEntry.objects.get(event="listing.paused")
    assert (entry.actor, entry.reason) == ("listings", "provider not verified")
    with refused(policy.OrganisationUnverified):
        listings.resume(listing_id=row.pk, at=T0, actor=world.actor(row.provider))
    Organisation.objects.filter(pk=row.provider_id).update(state=Verification.PENDING)
    Organisation.objects.filter(pk=row.provider_id).update(state=Verification.VERIFIED)
    assert listings.resume(listing_id=row.pk, at=T0, actor=world.actor(row.provider))
    assert len(scene.search(units=1).offers) == 2
