"""Changes of leases that meet, each beside a control that shows the race."""

from __future__ import annotations

import threading

import pytest
from django.db import transaction

from billing import ledger, quotes
from billing.models import LedgerTransaction, Quote
from inventory import capacity
from inventory.errors import DomainError
from inventory.periods import Period
from marketplace import extensions
from marketplace.models import Amendment, Lease, Listing
from tests import world
from tests.billing import books
from tests.billing.test_quotes import HOUR, accept, ask
from tests.marketplace import scene
from tests.races.crowd import busy_tolerant, together
from tests.world import T0, hours, period

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
    pytest.mark.usefixtures("many_connections"),
]

MONEY = 10**7


def waiting() -> Lease:
    return books.lease(scene.listing(), start=100, end=110)


def test_a_lease_is_cancelled_or_extended_as_quoted_and_never_both() -> None:
    books.top_up(world.tenant(), MONEY)
    for number in range(5):
        lease = waiting()
        before = books.available()
        cancelling, extending = ask(lease, "cancel"), ask(lease, "extend", 120)

        cancelled, extended = together(lambda: accept(cancelling), lambda: accept(extending))  # noqa: B023

        lease.refresh_from_db()
        won = isinstance(extended, Quote)
        assert isinstance(cancelled, Quote) != won, number
        assert isinstance(cancelled if won else extended, DomainError), number
        assert lease.state == ("scheduled" if won else "cancelled")
        moved = -10 * HOUR if won else 10 * HOUR * 5 // 10
        assert books.available() == before + moved, number
    assert not books.differences()


def test_control_without_the_leases_lock_both_quotes_still_look_good() -> None:
    books.top_up(world.tenant(), MONEY)
    lease = waiting()
    both_read = threading.Barrier(2)

    def naive(quote: Quote) -> bool:
        with transaction.atomic():
            quotes._require_open(quote, Lease.objects.get(pk=lease.pk), T0)
            both_read.wait(timeout=30)
        return True

    cancelling, extending = ask(lease, "cancel"), ask(lease, "extend", 120)
    assert together(lambda: naive(cancelling), lambda: naive(extending)) == [True, True]


def test_one_quote_is_done_once_however_many_accept_it() -> None:
    books.top_up(world.tenant(), MONEY)
    quote = ask(waiting(), "extend", 120)

    results = together(*[lambda: busy_tolerant(lambda: accept(quote))] * 8)

    assert sum(isinstance(result, Quote) for result in results) == 1
    assert Amendment.objects.count() == 1
    assert LedgerTransaction.objects.filter(kind="deal_extended").count() == 1
    assert not books.differences()


def contested() -> tuple[Listing, Lease]:
    listing = scene.listing(units=1)
    return listing, books.lease(listing, start=100, end=110)


def test_the_last_unit_goes_to_the_extension_or_to_the_hold() -> None:
    books.top_up(world.tenant(), MONEY)
    for number in range(5):
        listing, lease = contested()
        quote = ask(lease, "extend", 120)

        extended, held = together(
            lambda: accept(quote),  # noqa: B023
            lambda: books.hold(listing, start=112, end=118),  # noqa: B023
        )

        lease.refresh_from_db()
        won = isinstance(extended, Quote)
        lost = held if won else extended
        assert isinstance(lost, capacity.CapacityTaken), (number, extended, held)
        assert Period.of(lease.period) == period(100, 120 if won else 110)
    assert not books.differences()


def test_control_both_find_the_last_unit_free_where_nothing_is_locked() -> None:
    books.top_up(world.tenant(), MONEY)
    listing, lease = contested()
    both_read = threading.Barrier(2)

    def extension_fits() -> bool:
        found = extensions.reach(lease=lease, end=T0 + hours(120), at=T0, by_terms=True)
        both_read.wait(timeout=30)
        return found.latest_end >= T0 + hours(120)

    def hold_fits() -> bool:
        steps = capacity.availability(period=period(112, 118), at=T0, block_id=listing.block_id)
        both_read.wait(timeout=30)
        return all(step.free_units >= 1 for step in steps)

    assert together(extension_fits, hold_fits) == [True, True]


def test_two_extensions_into_one_gap_take_it_once() -> None:
    books.top_up(world.tenant(), MONEY)
    listing = scene.listing(units=2)
    first, second = (books.lease(listing, start=100, end=110) for _ in range(2))
    books.lease(listing, start=115, end=130)
    asked = [ask(lease, "extend", 120) for lease in (first, second)]

    results = together(*[lambda quote=quote: accept(quote) for quote in asked])

    assert sum(isinstance(result, Quote) for result in results) == 1
    assert sum(isinstance(result, capacity.CapacityTaken) for result in results) == 1
    assert ledger.balance(world.tenant()).deposit_minor == (10 + 10 + 15 + 10) * HOUR
    assert not books.differences()
