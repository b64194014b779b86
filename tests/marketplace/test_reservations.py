"""Reservations: placed from an offer, confirmed in time, or given back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection

from inventory import capacity, organisations
from inventory.errors import Forbidden, Invalid, NotFound
from inventory.models import Allocation, JournalEntry, Organisation, Verification
from inventory.transitions import IllegalTransition
from marketplace import asking, listings, offers, policy, prospects, reservations
from marketplace.models import Lease, Reservation
from marketplace.offers import OfferClaim
from tests import database, world
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def test_a_hold_keeps_capacity_at_the_offered_price_until_it_expires() -> None:
    listing = scene.listing()

    held = scene.hold(listing, units=2, deposit_minor=1088)

    assert held.state == "held"
    assert held.expires_at == T0 + 15 * MINUTE
    assert held.gross_minor == 680 * 2 * 8 * 10 == held.due_minor
    assert (held.vat_minor, held.fee_minor) == (6158, 8211)
    assert held.hold_deposit_minor == 1088
    assert (held.allocation.state, held.allocation.unit_count) == ("held", 2)
    entry = JournalEntry.objects.get(event="reservation.held")
    assert entry.data["gross_minor"] == held.gross_minor


def test_a_confirmed_hold_is_a_lease_with_the_same_words() -> None:
    held = scene.hold(scene.listing(), units=3)

    lease = reservations.confirm(
        reservation=reservations.lock(held.public_id),
        at=T0 + MINUTE,
        actor=world.actor(held.tenant),
    )

    lease.refresh_from_db()
    assert (lease.state, lease.unit_count, lease.card_count) == ("scheduled", 3, 24)
    for name in ("price_id", "terms_id", "period", "gross_minor", "due_minor", "allocation_id"):
        assert getattr(lease, name) == getattr(held, name)
    assert lease.allocation.state == "scheduled"
    states = JournalEntry.objects.filter(object_id__in=[held.public_id, lease.public_id])
    assert sorted(states.values_list("event", flat=True)) == [
        "lease.scheduled",
        "reservation.confirmed",
        "reservation.held",
    ]


def test_a_hold_confirmed_too_late_becomes_nothing() -> None:
    held = scene.hold(scene.listing())

    with refused(capacity.HoldExpired):
        reservations.confirm(
            reservation=reservations.lock(held.pk), at=held.expires_at, actor=SYSTEM
        )

    held.refresh_from_db()
    assert held.state == "held"
    assert not Lease.objects.exists()


def test_a_lapsed_hold_frees_its_capacity_and_is_journalled() -> None:
    listing = scene.listing(units=4)
    held = scene.hold(listing, units=4)
    assert reservations.due(at=T0 + 14 * MINUTE, limit=10) == []
    assert reservations.due(at=held.expires_at, limit=10) == [held.pk]

    with refused(reservations.NotYetDue):
        reservations.expire(reservation=reservations.lock(held.pk), at=T0 + 14 * MINUTE)
    reservations.expire(reservation=reservations.lock(held.pk), at=held.expires_at)

    held.refresh_from_db()
    assert (held.state, held.expired_at) == ("expired", held.expires_at)
    assert held.allocation.state == "expired"
    assert scene.hold(listing, units=4, at=held.expires_at).state == "held"


def test_the_next_hold_of_a_tenant_that_let_one_lapse_is_dearer() -> None:
    listing, tenant = scene.listing(), world.tenant()

    def bps(at):
        lapsed = policy.standing(tenant_id=tenant.pk, at=at).lapsed_count
        return policy.hold_terms(lapsed_count=lapsed, at=at).deposit_minor(10_000)

    assert bps(T0) == 100
    for number in range(2):
        held = scene.hold(listing, at=T0 + number * hours(1))
        reservations.expire(reservation=reservations.lock(held.pk), at=held.expires_at)
    later = T0 + hours(2)
    assert bps(later) == 400
    assert bps(later + timedelta(days=31)) == 100
    assert policy.standing(tenant_id=world.tenant("Other").pk, at=later).lapsed_count == 0
    assert policy.hold_bps(200) == 10_000


def test_cancelling_a_lapsed_hold_does_not_hide_the_lapse() -> None:
    held = scene.hold(scene.listing())

    row = reservations.cancel(
        reservation=reservations.lock(held.pk),
        at=held.expires_at,
        actor=world.actor(held.tenant),
        reason="changed my mind",
    )

    assert row.state == "expired"


def test_a_cancelled_hold_is_free_for_the_next() -> None:
    listing = scene.listing(units=4)
    held = scene.hold(listing, units=4)
    actor = world.actor(held.tenant)

    reservations.cancel(
        reservation=reservations.lock(held.pk), at=T0 + MINUTE, actor=actor, reason="no need"
    )

    held.refresh_from_db()
    assert (held.state, held.allocation.state) == ("cancelled", "cancelled")
    assert JournalEntry.objects.get(event="reservation.cancelled").reason == "no need"
    scene.hold(listing, units=4)
    with refused(IllegalTransition):
        reservations.cancel(
            reservation=reservations.lock(held.pk), at=T0 + MINUTE, actor=actor, reason="again"
        )


def test_refuses_when_the_last_node_is_taken() -> None:
    listing = scene.listing(units=4)
    scene.hold(listing, units=3)

    with refused(capacity.CapacityTaken):
        scene.hold(listing, units=2, start=15, end=25)

    assert Reservation.objects.count() == Allocation.objects.count() == 1
    assert scene.hold(listing, units=2, start=20, end=30).state == "held"


def test_a_paused_or_withdrawn_listing_refuses_its_signed_offers() -> None:
    listing = scene.listing()
    actor = world.actor(listing.provider)
    signed = scene.offer(listing)

    listings.pause(listing_id=listing.pk, at=T0, actor=actor)
    with refused(reservations.ListingClosed):
        scene.hold(signed)
    listings.withdraw(listing_id=listing.pk, at=T0, actor=actor)
    with refused(reservations.ListingClosed):
        scene.hold(signed)

    assert not Allocation.objects.exists()


def test_the_listing_of_a_provider_that_lost_its_verification_sells_nothing() -> None:
    listing = scene.listing()
    provider = Organisation.objects.filter(pk=listing.provider_id)
    assert len(scene.search().offers) == 1
    signed = scene.offer(listing)

    provider.update(state=Verification.REJECTED)

    assert scene.search().offers == ()
    with refused(reservations.ListingClosed):
        scene.hold(signed)
    assert not Allocation.objects.exists()
    for state in (Verification.PENDING, Verification.VERIFIED):
        provider.update(state=state)
    assert scene.hold(signed).state == "held"


def test_who_may_hold() -> None:
    listing = scene.listing()
    unverified = world.tenant("Ghost")
    Organisation.objects.filter(pk=unverified.pk).update(state=Verification.REJECTED)

    with refused(policy.OrganisationUnverified):
        scene.hold(listing, tenant=unverified)
    with refused(Forbidden):
        scene.hold(listing, tenant=world.provider("Seller"))
    database.as_owner(
        f"UPDATE inventory_organisation SET is_tenant = true WHERE id = {listing.provider_id}"
    )
    with refused(reservations.SelfTrade):
        scene.hold(listing, tenant=listing.provider)

    assert not Reservation.objects.exists()


def test_a_project_of_another_tenant_does_not_exist() -> None:
    listing = scene.listing()
    theirs = organisations.create_project(
        organisation_id=world.stranger().pk, name="Secret", at=T0, actor=SYSTEM
    )

    with refused(NotFound):
        reservations.place(
            reservation_public_id=None,
            prospect=prospects.of(scene.offer(listing), at=T0),
            tenant=reservations.lock_tenant(world.tenant().pk),
            standing=policy.standing(tenant_id=world.tenant().pk, at=T0),
            project_id=theirs.pk,
            hold_deposit_minor=0,
            at=T0,
            actor=SYSTEM,
        )


@pytest.mark.parametrize(
    ("start", "end", "units"), [(10.5, 20, 1), (10, 20.5, 1), (10, 11, 2), (10, 90, 2), (10, 20, 1)]
)
def test_an_offer_made_by_hand_is_held_to_the_terms(start, end, units) -> None:
    terms = asking.TermsInput(minimum_hours=2, maximum_hours=48, minimum_units=2)
    listing = scene.listing(terms=terms)

    with refused(Invalid):
        scene.hold(listing, start=start, end=end, units=units)

    assert not Reservation.objects.exists()


def test_an_offer_of_two_listings_at_once_is_no_offer() -> None:
    one, other = scene.listing(), scene.listing(amount=0.01)
    cheap = scene.offer(other)
    mixed = OfferClaim(
        listing_id=one.public_id,
        price_id=cheap.price_id,
        terms_id=cheap.terms_id,
        unit_count=1,
        period=cheap.period,
        expires_at=cheap.expires_at,
    )

    with refused(offers.OfferInvalid):
        scene.hold(mixed)
    with refused(offers.OfferInvalid):
        prospects.of(mixed, at=T0)


def test_a_tenant_holds_no_more_than_the_limit(settings) -> None:
    settings.HOLD_CARD_HOURS_LIMIT = 8 * 10 * 3
    first, second, third = scene.listing(), scene.listing(), scene.listing()
    scene.hold(first, units=2)

    scene.hold(second, units=2)  # an alternative: the same hours of the same class count once
    scene.hold(third, units=3)  # the largest counts
    with pytest.raises(policy.HoldLimit) as refusal:
        scene.hold(first, start=20, end=21)

    assert refusal.value.fields() == {"card_hours": 248, "limit_card_hours": 240}
    assert Reservation.objects.count() == 3
    scene.hold(first, start=20, end=30, tenant=world.tenant("Other"))
    scene.hold(first, start=20, end=30, at=T0 + hours(1))  # the others have lapsed


def test_another_class_counts_beside(settings) -> None:
    settings.HOLD_CARD_HOURS_LIMIT = 8 * 10
    scene.hold(scene.listing())
    other = scene.listing(world.pool(chip="rtx4090-24g"))

    with refused(policy.HoldLimit):
        scene.hold(other)


AMENDABLE = {"gross_minor", "period", "due_minor"}


@pytest.mark.parametrize(
    "change",
    [
        "gross_minor = 1",
        "unit_count = 9",
        "period = '[2026-01-01,2027-01-01)'",
        "price_id = price_id + 1",
        "tenant_id = provider_id",
        "currency = 'USD'",
        "due_minor = 0",
    ],
)
@pytest.mark.parametrize("table", ["marketplace_lease", "marketplace_reservation"])
def test_the_database_refuses_a_change_of_what_was_agreed(table, change) -> None:
    scene.lease(scene.listing())

    with refused(DatabaseError) as refusal, connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {change}")
    with refused(DatabaseError) as owners, connection.cursor() as cursor:
        # Not even with the switch that the triggers' library offers.
        cursor.execute(
            "SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, true) FROM pg_trigger"
        )
        database.as_owner(f"UPDATE {table} SET {change}")

    # Some of a lease may change, but by a signed amendment alone.
    amendable = table == "marketplace_lease" and change.split()[0] in AMENDABLE
    unsigned = "a lease changes by a signed amendment only"
    assert (unsigned if amendable else "permission denied") in str(refusal.value)
    assert (unsigned if amendable else "Cannot update rows") in str(owners.value)


def test_nobody_else_sees_a_deal() -> None:
    held = scene.hold(scene.listing())
    lease = scene.lease(held.listing, start=30, end=40)

    for own in (held.tenant, held.provider, world.operator()):
        assert held in Reservation.objects.visible_to(world.actor(own))
        assert lease in Lease.objects.visible_to(world.actor(own))
    assert not Reservation.objects.visible_to(world.actor(world.stranger())).exists()
    assert not Lease.objects.visible_to(world.actor(world.stranger())).exists()


@pytest.mark.parametrize("key", ["rsv_" + "0" * 32, "lse_" + "0" * 32, "", "\x00", 2**40])
def test_a_deal_that_is_not_there_is_not_found(key) -> None:
    with refused(NotFound):
        reservations.lock(key)
