"""Baskets that meet on the same pools, beside the order of locks that would not do."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest
from django.db import transaction

from billing import baskets
from inventory import capacity, verification
from inventory.errors import Busy, DomainError
from inventory.models import Organisation
from marketplace import policy, prospects, reservations
from marketplace.models import Basket, Listing, Reservation
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.races.crowd import together
from tests.world import T0

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
    pytest.mark.usefixtures("many_connections"),
]
MONEY = 10**8


def market(units: int = 40) -> tuple[list[Listing], list[Organisation]]:
    listings = [scene.listing(world.pool(nodes=units), units=units) for _ in range(2)]
    tenants = [world.tenant("Borealis"), world.tenant("Eos")]
    for number, tenant in enumerate(tenants):
        books.top_up(tenant, MONEY, f"B-{number}")
    return listings, tenants


def test_baskets_over_the_same_pools_in_opposite_order_never_wait_for_each_other() -> None:
    listings, tenants = market()
    offers = [scene.offer(listing) for listing in listings]

    def client(number: int) -> int:
        """The first tenant asks in one order, the second in the other."""
        asked = offers if number == 0 else offers[::-1]
        for _ in range(10):
            books.basket(*asked, tenant=tenants[number])
        return 10

    made = together(lambda: client(0), lambda: client(1))

    assert made == [10, 10]
    assert Basket.objects.count() == 20
    assert Reservation.objects.count() == 40
    assert verification.verify() == []
    assert not books.differences()


def test_control_pools_taken_as_asked_for_wait_for_each_other() -> None:
    listings, tenants = market()
    offers = [scene.offer(listing) for listing in listings]
    first_taken = threading.Barrier(2)

    def client(number: int) -> str:
        asked = offers if number == 0 else offers[::-1]
        tenant = tenants[number]
        try:
            with transaction.atomic():
                locked = reservations.lock_tenant(tenant.pk)
                for step, offer in enumerate(asked):
                    if step == 1:
                        first_taken.wait(timeout=30)
                    reservations.place(
                        reservation_public_id=None,
                        prospect=prospects.of(offer, at=T0),
                        tenant=locked,
                        standing=policy.standing(tenant_id=locked.pk, at=T0),
                        project_id=None,
                        hold_deposit_minor=0,
                        at=T0,
                        actor=world.actor(tenant),
                    )
        except Busy:
            return "deadlock"
        return "held"

    assert "deadlock" in together(lambda: client(0), lambda: client(1))


def test_the_last_units_go_to_one_basket_whole() -> None:
    listings, tenants = market(units=1)
    offers = [scene.offer(listing) for listing in listings]

    outcomes = together(
        *[
            lambda n=n: books.basket(*offers[:: 1 if n % 2 else -1], tenant=tenants[n % 2])
            for n in range(8)
        ]
    )

    held = [row for row in outcomes if isinstance(row, Basket)]
    assert len(held) == 1
    assert all(isinstance(row, Basket | DomainError) for row in outcomes)
    assert {row.basket_id for row in Reservation.objects.all()} == {held[0].pk}
    assert Reservation.objects.count() == 2
    assert not books.differences()


def test_a_basket_is_confirmed_or_lapses_whole() -> None:
    _, tenants = market()
    for number in range(4):
        listings = [scene.listing(), scene.listing()]  # pools whose clock stands at the start
        row = books.basket(*[scene.offer(listing) for listing in listings], tenant=tenants[0])

        def confirm(row: Basket, at: datetime) -> Basket:
            return baskets.confirm(
                basket_public_id=row.public_id, at=at, actor=world.actor(tenants[0])
            )

        just_before = row.expires_at - (row.expires_at - T0) / 10_000
        confirmed, lapsed = together(
            lambda: confirm(row, just_before),  # noqa: B023
            lambda: baskets.expire_due(at=row.expires_at, limit=10),  # noqa: B023
        )

        row.refresh_from_db()
        won = isinstance(confirmed, Basket)
        state = "confirmed" if won else "expired"
        assert (row.state, lapsed) == (state, 0 if won else 1), number
        assert set(row.reservations.values_list("state", flat=True)) == {state}
    with capacity.replaying():
        assert not books.differences()
