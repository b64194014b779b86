"""Several deals at once: all of them or none, whatever stands in the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from billing import baskets, checkout, ledger
from billing.models import LeaseTally, LedgerHold, LedgerTransaction
from inventory.capacity import CapacityTaken
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Allocation, Claim, JournalEntry
from inventory.transitions import IllegalTransition
from marketplace import policy, prospects, reservations
from marketplace.baskets import MixedCurrencies
from marketplace.models import Basket, Lease, Listing, Reservation
from marketplace.offers import OfferExpired
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours

pytestmark = pytest.mark.django_db

GROSS = 680 * 8 * 10
MONEY = 10 * GROSS
MINUTE = timedelta(minutes=1)


def two_listings() -> tuple[Listing, Listing]:
    return scene.listing(units=2), scene.listing(units=2)


def confirm(basket: Basket, at: Any = T0, tenant: Any = None) -> Basket:
    return baskets.confirm(
        basket_public_id=basket.public_id, at=at, actor=world.actor(tenant or basket.tenant)
    )


def cancel(basket: Basket, at: Any = T0) -> Basket:
    return baskets.cancel(
        basket_public_id=basket.public_id, at=at, actor=world.actor(basket.tenant), reason="no need"
    )


def states(basket: Basket) -> list[str]:
    return sorted(basket.reservations.values_list("state", flat=True))


def test_a_basket_holds_all_its_offers_for_one_deposit_on_the_sum() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()

    basket = books.basket(scene.offer(first), scene.offer(second, units=2))

    assert (basket.state, basket.gross_minor, basket.due_minor) == ("held", 3 * GROSS, 3 * GROSS)
    rows = list(basket.reservations.order_by("pk"))
    assert [row.gross_minor for row in rows] == [GROSS, 2 * GROSS]
    assert {row.expires_at for row in rows} == {basket.expires_at}
    hold = LedgerHold.objects.get()
    assert (hold.idempotency_key, hold.amount_minor) == (f"hold:{basket.public_id}", 1632)
    assert sum(row.hold_deposit_minor for row in rows) == basket.hold_deposit_minor == 1632
    assert Claim.objects.filter(state="held", held_until=basket.expires_at).count() == 2
    assert not books.differences()


def test_all_is_held_until_the_first_would_lapse() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()

    soon = scene.offer(first, start=1, end=2)  # its nodes must be made ready before
    basket = books.basket(soon, scene.offer(second, start=100, end=110), at=T0)

    alone = books.hold(second, start=100, end=110)
    assert basket.expires_at == prospects.of(soon, at=T0).expires_at <= alone.expires_at


@pytest.mark.parametrize("taken", [0, 1])
def test_one_refused_offer_holds_nothing_and_is_named(taken: int) -> None:
    books.top_up(world.tenant(), MONEY)
    listings = two_listings()
    books.hold(listings[taken], units=2)
    before = (Claim.objects.count(), books.available())

    with refused(CapacityTaken) as refusal:
        books.basket(scene.offer(listings[0]), scene.offer(listings[1]))

    error = refusal.value
    assert isinstance(error, DomainError)
    assert error.fields() == {"free_units": 0, "offer_index": taken}
    assert (Claim.objects.count(), books.available()) == before
    assert not Basket.objects.exists()
    assert Reservation.objects.count() == 1


def test_an_expired_offer_is_named() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    late = T0 + hours(11)

    with refused(OfferExpired) as refusal:
        books.basket(scene.offer(first, start=20, end=30), scene.offer(second), at=late)

    assert isinstance(refusal.value, DomainError)
    assert refusal.value.fields()["offer_index"] == 1
    assert not Reservation.objects.exists()


def test_the_same_pool_twice_adds_up() -> None:
    books.top_up(world.tenant(), MONEY)
    listing = scene.listing(units=3)

    basket = books.basket(scene.offer(listing, units=2), scene.offer(listing, units=1))
    with refused(CapacityTaken) as refusal:
        books.basket(scene.offer(listing, start=20, end=30, units=2), scene.offer(listing))

    assert basket.reservations.count() == 2
    assert isinstance(refusal.value, DomainError)
    assert refusal.value.fields()["offer_index"] == 1


def test_confirming_pays_once_and_makes_every_lease() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))

    confirm(basket)

    basket.refresh_from_db()
    assert (basket.state, states(basket)) == ("confirmed", ["confirmed", "confirmed"])
    assert Lease.objects.filter(state="scheduled").count() == 2
    assert sorted(LeaseTally.objects.values_list("deposit_left_minor", flat=True)) == [GROSS] * 2
    assert set(Allocation.objects.values_list("state", flat=True)) == {"scheduled"}
    balance = ledger.balance(world.tenant())
    assert (balance.posted_minor, balance.held_minor) == (MONEY - 2 * GROSS, 0)
    assert LedgerTransaction.objects.get(kind="deal_funded").external_reference == basket.public_id
    assert not books.differences()


def test_too_little_money_confirms_none() -> None:
    books.top_up(world.tenant(), 2 * GROSS - 1)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))

    with refused(ledger.InsufficientFunds):
        confirm(basket)

    basket.refresh_from_db()
    assert (basket.state, states(basket)) == ("held", ["held", "held"])
    assert ledger.balance(world.tenant()).held_minor == basket.hold_deposit_minor
    assert not Lease.objects.exists()
    assert not books.differences()


def test_a_basket_is_confirmed_once_and_in_time() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))
    late = books.basket(scene.offer(first), scene.offer(second))
    confirm(basket)

    with refused(IllegalTransition):
        confirm(basket)
    with refused(DomainError):
        confirm(late, late.expires_at)

    assert states(late) == ["held", "held"]
    assert Lease.objects.count() == 2


def test_nothing_in_a_basket_moves_by_itself() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))
    row = basket.reservations.order_by("pk")[0]

    with refused(reservations.InABasket):
        books.confirm(row)
    with refused(reservations.InABasket):
        checkout.cancel(
            reservation_public_id=row.public_id,
            at=T0,
            actor=world.actor(world.tenant()),
            reason="x",
        )
    assert checkout.expire_due(at=basket.expires_at, limit=10) == 0

    assert states(basket) == ["held", "held"]
    assert ledger.balance(world.tenant()).held_minor == basket.hold_deposit_minor


def test_a_confirmed_one_is_cancelled_like_any_lease() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(
        scene.offer(first, start=500, end=510), scene.offer(second, start=500, end=510)
    )
    confirm(basket)
    row = basket.reservations.order_by("pk")[0]

    checkout.cancel(
        reservation_public_id=row.public_id, at=T0, actor=world.actor(world.tenant()), reason="x"
    )

    assert states(basket) == ["cancelled", "confirmed"]
    assert books.available() == MONEY - GROSS
    assert not books.differences()


def test_a_lapsed_basket_frees_everything_and_is_one_lapse() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))

    assert baskets.expire_due(at=basket.expires_at - MINUTE, limit=10) == 0
    assert baskets.expire_due(at=basket.expires_at, limit=10) == 1
    assert baskets.expire_due(at=basket.expires_at, limit=10) == 0

    basket.refresh_from_db()
    assert (basket.state, states(basket)) == ("expired", ["expired", "expired"])
    assert books.available() == MONEY
    assert set(Allocation.objects.values_list("state", flat=True)) == {"expired"}
    assert policy.lapsed_count(world.tenant().pk, basket.expires_at) == 1
    assert not books.differences()


def test_giving_back_is_free_and_early_counts_as_no_lapse() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    early = books.basket(scene.offer(first), scene.offer(second))
    cancel(early, T0 + MINUTE)
    late = books.basket(scene.offer(first), scene.offer(second))

    cancel(late, late.expires_at - MINUTE)

    assert (states(early), states(late)) == (["cancelled"] * 2, ["cancelled"] * 2)
    assert books.available() == MONEY
    assert set(Allocation.objects.values_list("state", flat=True)) == {"cancelled"}
    assert policy.lapsed_count(world.tenant().pk, late.expires_at) == 1
    assert not books.differences()


def test_giving_back_after_the_time_is_a_lapse() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))

    cancel(basket, basket.expires_at)

    basket.refresh_from_db()
    assert (basket.state, states(basket)) == ("expired", ["expired", "expired"])
    assert ledger.balance(world.tenant()).held_minor == 0


def test_what_lies_in_a_basket_adds_up_towards_the_hold_limit(settings: Any) -> None:
    """Two single holds on one class are alternatives; two in a basket are both wanted."""
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    settings.HOLD_CARD_HOURS_LIMIT = 2 * 8 * 10 - 1
    books.hold(first)
    books.hold(second)

    with refused(policy.HoldLimit):
        books.basket(scene.offer(first), scene.offer(second))
    settings.HOLD_CARD_HOURS_LIMIT += 1
    books.basket(scene.offer(first), scene.offer(second))

    assert Basket.objects.count() == 1


def test_the_deposit_doubles_with_each_lapse() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))
    baskets.expire_due(at=basket.expires_at, limit=10)

    again = books.basket(scene.offer(first), scene.offer(second), at=basket.expires_at)

    assert (basket.hold_deposit_minor, again.hold_deposit_minor) == (1088, 2176)


def test_a_basket_is_in_one_currency() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = scene.listing(), scene.listing(currency="USD")

    with refused(MixedCurrencies):
        books.basket(scene.offer(first), scene.offer(second))

    assert not Allocation.objects.exists()


@pytest.mark.parametrize("count", [0, 21])
def test_a_basket_has_one_to_twenty_offers(count: int) -> None:
    books.top_up(world.tenant(), MONEY)
    offer = scene.offer(scene.listing())

    with refused(Invalid):
        books.basket(*[offer] * count)

    assert not Basket.objects.exists()


def test_another_organisation_does_not_find_it() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))

    for who in (world.stranger(), world.provider()):
        with refused(NotFound):
            confirm(basket, tenant=who)

    assert states(basket) == ["held", "held"]


def test_what_was_held_stays_as_it_was_held() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))
    row = basket.reservations.order_by("pk")[0]

    for change in (
        lambda: Basket.objects.filter(pk=basket.pk).update(due_minor=0),
        lambda: Reservation.objects.filter(pk=row.pk).update(basket=None),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()

    assert basket.reservations.count() == 2


def test_every_step_is_journalled() -> None:
    books.top_up(world.tenant(), MONEY)
    first, second = two_listings()
    basket = books.basket(scene.offer(first), scene.offer(second))
    confirm(basket)

    entries = JournalEntry.objects.filter(object_id=basket.public_id).order_by("pk")

    assert [(e.event, e.from_state, e.to_state) for e in entries] == [
        ("basket.held", "", "held"),
        ("basket.confirmed", "held", "confirmed"),
    ]
    assert set(entries[0].data["reservations"]) == {
        row.public_id for row in basket.reservations.all()
    }
