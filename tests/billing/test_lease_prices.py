"""A lease's price changes on an hour; each price has a total of its own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from billing import amending, rating
from billing.amending import Proposal
from billing.models import Charge, LeaseTally, PriceTally
from inventory.models import JournalEntry
from inventory.transitions import IllegalTransition
from marketplace import floors, lease_prices, listings, policy
from marketplace.asking import PriceInput
from marketplace.models import Amendment, Lease, LeasePrice, Listing, PriceVersion
from marketplace.repricings import NewPrice
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db

LATER = T0 + hours(3000)


def agree(lease: Lease, amount: float, from_at: datetime, at: datetime = T0) -> LeasePrice:
    """Another price per card-hour, signed by both."""
    amendment = amending.propose(
        lease_public_id=lease.public_id,
        proposal=Proposal(price=NewPrice("card_hour", round(amount * 10**6)), price_from=from_at),
        at=at,
        actor=world.actor(lease.tenant),
    )
    amending.sign(amendment_public_id=amendment.public_id, at=at, actor=world.actor(lease.provider))
    return lease.prices.get(from_at=from_at)


def listed(listing: Listing, **changes: Any) -> PriceVersion:
    """A price version of another kind."""
    return listings.reprice(
        listing_id=listing.pk,
        price=PriceInput(**{"basis": "card_hour", "amount_micro": 5_000_000, **changes}),
        at=T0,
        actor=world.actor(listing.provider),
    )


def charged(lease: Lease) -> dict[int, int]:
    """By the price, in fen per card-hour."""
    totals: dict[int, int] = {}
    for charge in Charge.objects.filter(lease=lease):
        fen = charge.price.amount_micro // 10**4
        totals[fen] = totals.get(fen, 0) + charge.gross_minor
    return totals


def test_a_confirmed_lease_has_its_price_from_its_first_hour() -> None:
    books.top_up(world.tenant(), 10**9)
    lease = books.lease(scene.listing())

    first = lease.prices.get()

    assert (first.from_at, first.price_id, first.created_at) == (
        T0 + hours(10),
        lease.price_id,
        T0,
    )


def test_hours_are_charged_at_the_price_they_were_agreed_at() -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing(amount=6.80)
    lease = books.lease(listing, start=10, end=20)
    agree(lease, 5.00, T0 + hours(13))
    agree(lease, 7.77, T0 + hours(18))

    books.live(lease)

    assert charged(lease) == {680: 3 * 8 * 680, 500: 5 * 8 * 500, 777: 2 * 8 * 777}
    whole = lease_prices.quote(lease=lease, period=period(10, 20))
    charges = Charge.objects.filter(lease=lease)
    assert sum(c.gross_minor for c in charges) == whole.gross_minor
    assert sum(c.vat_minor for c in charges) == whole.vat_minor
    assert sum(c.fee_minor for c in charges) == whole.fee_minor
    assert LeaseTally.objects.get().gross_minor == whole.gross_minor
    assert not books.differences()


def test_a_correction_moves_the_total_of_its_own_hour() -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing(amount=6.80)
    lease = books.activate(books.lease(listing, start=10, end=20))
    agree(lease, 5.00, T0 + hours(15))
    books.meter(lease, until=T0 + hours(18))
    rating.rate_due(at=LATER, limit=1000)
    before = {t.price.price.amount_micro: t.gross_minor for t in PriceTally.objects.all()}

    books.correct(lease, T0 + hours(11), -8 * 3600)
    (correction,) = rating.rate_due(at=LATER, limit=1000)

    after = {t.price.price.amount_micro: t.gross_minor for t in PriceTally.objects.all()}
    assert correction.price == lease.price
    assert correction.gross_minor == -8 * 680
    assert after == {6_800_000: before[6_800_000] - 8 * 680, 5_000_000: before[5_000_000]}
    assert not books.differences()


def test_rounding_begins_anew_at_each_price() -> None:
    """A third of a fen an hour, then two thirds: each price is rounded by itself."""
    books.top_up(world.tenant(), 10**6)
    listing = scene.listing(world.pool(unit_cards=1), amount=0.003333)
    lease = books.lease(listing, start=10, end=15)  # 5 x 0.3333 fen = 1.67
    agree(lease, 0.006667, T0 + hours(11))

    books.live(lease)

    by_price = {c.price_id for c in Charge.objects.all()}
    assert len(by_price) == 2
    assert Charge.objects.filter(price=lease.price).aggregate(Sum("gross_minor")) == {
        "gross_minor__sum": 0
    }
    assert (
        LeaseTally.objects.get().gross_minor
        == lease_prices.quote(lease=lease, period=period(10, 15)).gross_minor
        == 3
    )  # 0.33 -> 0; 4 x 0.6667 = 2.67 -> 3
    assert not books.differences()


@pytest.mark.parametrize(
    ("from_at", "at"),
    [
        (T0 + hours(12.5), T0),  # no full hour
        (T0 + hours(10), T0),  # the first price begins there
        (T0 + hours(20), T0),  # the lease is over
        (T0 + hours(12), T0 + hours(12)),  # not in the future
        (T0 + hours(11), T0 + hours(12)),
    ],
)
def test_a_price_changes_on_a_full_hour_to_come(from_at: datetime, at: datetime) -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing()
    lease = books.lease(listing, start=10, end=20)

    with scene.refused(lease_prices.InvalidPriceHour):
        agree(lease, 5.00, from_at, at)

    assert lease.prices.count() == 1
    assert not Amendment.objects.exists()


def test_what_was_agreed_for_an_hour_stays() -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing()
    lease = books.lease(listing, start=10, end=20)
    row = agree(lease, 5.00, T0 + hours(12))

    with scene.refused(lease_prices.PriceAlreadyAgreed):
        agree(lease, 4.00, T0 + hours(12))
    with pytest.raises(DatabaseError), transaction.atomic():
        LeasePrice.objects.filter(pk=row.pk).update(price=lease.price)

    assert LeasePrice.objects.get(pk=row.pk).price.amount_micro == 5_000_000
    assert JournalEntry.objects.get(event="lease.price_set").data == {
        "price": row.price.public_id,
        "amendment": Amendment.objects.get().public_id,
        "from_at": "2026-06-01T12:00:00+00:00",
    }


def test_a_lease_stays_in_its_currency_and_its_way_of_paying() -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing()
    lease = books.lease(listing, start=10, end=20)

    for other in ({"schedule": "deposit_hourly"}, {"currency": "USD"}):
        with scene.refused(lease_prices.PriceOfAnotherKind):
            lease_prices.check(
                lease=lease, price=listed(listing, **other), from_at=T0 + hours(12), at=T0
            )

    assert lease.prices.count() == 1


def test_no_price_is_agreed_below_the_floor() -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing()
    lease = books.lease(listing, start=10, end=20)
    floors.set_floor(
        pool_id=listing.pool_id,
        power_micro=10**6,
        depreciation_micro=10**6,
        network_micro=0,
        operations_micro=0,
        at=T0,
        actor=world.actor(listing.provider),
    )

    with scene.refused(policy.BelowFloor):
        agree(lease, 1.00, T0 + hours(12))

    assert lease.prices.count() == 1


def test_a_lease_that_is_over_gets_no_price() -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing()
    lease = books.lease(listing, start=10, end=20)
    books.end(books.activate(lease), at=T0 + hours(11))

    with scene.refused(IllegalTransition):
        agree(lease, 5.00, T0 + hours(15), T0 + hours(11))

    assert lease.prices.count() == 1


def test_rating_takes_no_more_statements_for_more_prices() -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing()
    counts = []
    for changes in (0, 5):
        lease = books.activate(books.lease(listing, start=10, end=20))
        for change in range(changes):
            agree(lease, 5.00 + change, T0 + hours(12 + change))
        books.meter(lease, until=T0 + hours(20))
        with CaptureQueriesContext(
            connection,
        ) as statements:
            rating.rate_due(at=LATER, limit=10)
        counts.append(len(statements))

    assert counts[0] == counts[1]
    assert Charge.objects.count() == 20


def test_a_charge_at_the_wrong_price_shows() -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing()
    lease = books.activate(books.lease(listing, start=10, end=20))
    books.meter(lease, until=T0 + hours(20))
    rating.rate_due(at=LATER, limit=100)

    agree(lease, 5.00, T0 + hours(15))  # a clock that went back

    found = " ".join(books.differences())
    assert "an hour is charged at the price its lease had then" in found
    assert "the total at each price of a lease is the sum of its charges" in found


def test_the_database_lets_nobody_give_a_lease_another_price_without_an_amendment() -> None:
    books.top_up(world.tenant(), 10**9)
    lease = books.lease(scene.listing(), start=10, end=20)
    other = books.lease(scene.listing(), start=10, end=20)
    agreed = agree(lease, 5.00, T0 + hours(12))

    for wrong in (
        {"lease": lease, "price": lease.price},
        {"lease": lease, "price": agreed.price, "amendment": agreed.amendment},  # again
        {"lease": other, "price": agreed.price, "amendment": agreed.amendment},
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            LeasePrice.objects.create(from_at=T0 + hours(15), created_at=T0, **wrong)

    assert (lease.prices.count(), other.prices.count()) == (2, 1)


def test_a_price_begins_on_an_hour_in_the_database_too() -> None:
    books.top_up(world.tenant(), 10**9)
    lease = books.lease(scene.listing())

    with pytest.raises(DatabaseError), transaction.atomic():
        LeasePrice.objects.create(
            lease=lease,
            from_at=T0 + hours(12) + timedelta(microseconds=1),
            price=lease.price,
            created_at=T0,
        )

    assert lease.prices.count() == 1
