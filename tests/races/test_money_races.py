"""Checkout, rating and settlement that meet, each beside a control that shows the race."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from billing import chart, checkout, ledger, rating, settlement_lines
from billing.models import Charge, LedgerTransaction, Settlement, SettlementLine
from inventory import capacity
from marketplace import money, reservations
from marketplace.models import Lease, Reservation
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.races.crowd import together
from tests.world import SYSTEM, T0, hours

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
    pytest.mark.usefixtures("many_connections"),
]

MONEY = 10**7
MONTH = money.month_of(T0 + timedelta(days=14), "Asia/Shanghai")


def held() -> Reservation:
    books.top_up(world.tenant(), MONEY)
    return books.hold(scene.listing())


def test_a_deal_is_confirmed_or_lapses_and_its_money_goes_one_way() -> None:
    books.top_up(world.tenant(), MONEY)
    for number in range(5):
        row = books.hold(scene.listing())
        before = books.available() + row.hold_deposit_minor

        confirmed, lapsed = together(
            lambda: books.confirm(row, at=row.expires_at - timedelta(milliseconds=1)),  # noqa: B023
            lambda: checkout.expire_due(at=row.expires_at, limit=10),  # noqa: B023
        )

        row.refresh_from_db()
        won = isinstance(confirmed, Lease)
        assert (row.state, lapsed) == (("confirmed", 0) if won else ("expired", 1)), number
        wallet = ledger.balance(row.tenant)
        assert wallet.held_minor == 0
        assert wallet.available_minor == before - (row.due_minor if won else 0)
    assert not books.differences()


def test_control_without_the_reservations_lock_it_is_paid_and_lapsed() -> None:
    row = held()
    both_read = threading.Barrier(2)

    def is_held() -> bool:
        state = Reservation.objects.values_list("state", flat=True).get(pk=row.pk)
        both_read.wait(timeout=30)
        return state == "held"

    def pay() -> bool:
        with transaction.atomic():
            if is_held():
                ledger.post(
                    kind="deal_funded",
                    key="naive",
                    entries=[
                        (chart.wallet(row.tenant, "CNY"), row.due_minor),
                        (chart.deposit(row.tenant, "CNY"), -row.due_minor),
                    ],
                    at=T0,
                    actor=SYSTEM,
                )
        return True

    def lapse() -> bool:
        with transaction.atomic():
            if is_held():
                reservations.expire(reservation=reservations.lock(row.pk), at=row.expires_at)
        return True

    together(pay, lapse)

    row.refresh_from_db()
    assert row.state == "expired"
    assert ledger.balance(row.tenant).deposit_minor == row.due_minor > 0


def test_one_month_is_settled_once_however_many_ask() -> None:
    books.top_up(world.tenant(), MONEY)
    books.live(books.lease(scene.listing()))

    rows = together(*[books.settle] * 8)

    assert len({row.pk for row in rows}) == 1
    assert Settlement.objects.count() == 1
    assert LedgerTransaction.objects.filter(kind="settled").count() == 1
    assert SettlementLine.objects.count() == Charge.objects.count() > 0
    assert not books.differences()


def test_control_two_that_add_up_without_the_lock_find_the_same_money() -> None:
    books.top_up(world.tenant(), MONEY)
    books.live(books.lease(scene.listing()))
    both_read = threading.Barrier(2)

    def naive() -> int:
        (row,) = settlement_lines.sums_of([world.provider().pk], "CNY", MONTH).values()
        both_read.wait(timeout=30)
        return int(row.net_minor)

    first, second = together(naive, naive)

    assert first == second > 0


def test_hours_charged_while_a_month_is_settled_are_settled_once_or_later() -> None:
    books.top_up(world.tenant(), 100 * MONEY)
    listing = scene.listing(world.pool(nodes=8), units=8)
    leases = [
        books.activate(books.lease(listing, start=10, end=10 + 20 * number))
        for number in range(1, 7)
    ]
    for lease in leases:
        books.meter(lease, until=T0 + hours(200))
    with capacity.replaying():
        rating.rate_due(at=T0 + hours(30), limit=40)

    together(
        lambda: rating.rate_due(at=T0 + hours(300), limit=10**6),
        books.settle,
        lambda: rating.rate_due(at=T0 + hours(300), limit=10**6),
        books.settle,
    )
    late = books.settle(1)

    assert Charge.objects.count() == 20 * (1 + 2 + 3 + 4 + 5 + 6)
    settled = SettlementLine.objects.values_list("charge_id", flat=True)
    assert sorted(settled) == sorted(Charge.objects.values_list("pk", flat=True))
    nets = sum(Settlement.objects.values_list("net_minor", flat=True))
    assert nets == sum(Charge.objects.values_list("provider_minor", flat=True))
    assert late is None or late.line_count > 0
    assert not books.differences()


def test_what_is_busy_is_charged_by_a_later_run() -> None:
    books.top_up(world.tenant(), MONEY)
    lease = books.activate(books.lease(scene.listing()))
    books.meter(lease, until=T0 + hours(14))

    def rate_impatiently() -> list[Charge]:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
            try:
                return list(rating.rate_due(at=T0 + hours(15), limit=100))
            finally:
                cursor.execute("RESET lock_timeout")

    with transaction.atomic():  # somebody else has the accounts
        ledger.lock([chart.deposit(lease.tenant, "CNY"), chart.fee("CNY")])
        (busy,) = together(rate_impatiently)
    made = rating.rate_due(at=T0 + hours(15), limit=100)

    assert (busy, len(made)) == ([], 4)
    assert not books.differences()
