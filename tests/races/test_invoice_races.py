"""Documents that are numbered at once: no gap, no number twice; with a control that shows both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections, transaction

from billing import invoices, rating
from billing.invoices import finalising
from billing.models import BilledCharge, Charge, Invoice, InvoiceSeries
from inventory import chips
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

FINAL = datetime(2026, 7, 3, 16, tzinfo=UTC)
TENANTS = 6


@pytest.fixture
def month(transactional_db: None) -> None:
    """Six tenants with a lease each, used and charged."""
    chips.load_catalogue()
    world.operator()
    listing = scene.listing(world.pool(nodes=TENANTS), units=TENANTS)
    for number in range(TENANTS):
        tenant = world.tenant(f"T{number}")
        books.top_up(tenant, 10**7, f"B-{number}")
        lease = books.activate(books.lease(listing, tenant=tenant))
        books.meter(lease, until=T0 + hours(15))
    rating.rate_due(at=T0 + timedelta(days=20), limit=100_000)


def at_once(*acts: Callable[[], object]) -> list[BaseException]:
    barrier, errors = threading.Barrier(len(acts)), list[BaseException]()

    def one(act: Callable[[], object]) -> None:
        try:
            barrier.wait(20)
            act()
        except BaseException as error:  # noqa: BLE001 (told to the test)
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def numbers() -> list[int]:
    found = Invoice.objects.exclude(number=None).values_list("number", flat=True)
    return sorted(number for number in found if number is not None)


def test_finalising_four_times_at_once_numbers_each_once(month: None) -> None:
    errors = at_once(*[lambda: invoices.finalise_due(at=FINAL, limit=100)] * 4)

    assert errors == []
    assert numbers() == list(range(1, TENANTS + 1))
    assert InvoiceSeries.objects.get().last_number == TENANTS
    assert BilledCharge.objects.count() == Charge.objects.count() == TENANTS * 5
    assert not books.differences()


def test_refreshing_four_times_at_once_bills_each_charge_once(month: None) -> None:
    errors = at_once(*[lambda: invoices.refresh(at=FINAL, limit=100_000)] * 4)

    assert errors == []
    assert BilledCharge.objects.count() == TENANTS * 5
    assert Invoice.objects.count() == TENANTS
    assert not books.differences()


def test_a_number_that_was_taken_and_not_committed_is_given_again(month: None) -> None:
    """Killed between number and commit: the transaction is gone, and the number with it."""
    invoices.refresh(at=FINAL, limit=100_000)
    first = Invoice.objects.order_by("pk")[0]

    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT id FROM billing_invoice WHERE id = %s FOR UPDATE", [first.pk])
        finalising.finalise([first.pk], at=FINAL, actor=SYSTEM)
        cursor.execute("SELECT last_number FROM billing_invoiceseries")
        assert cursor.fetchone() == (1,)
        pid = connection.connection.info.backend_pid
    killer = threading.Thread(target=_terminate, args=[pid])
    killer.start()
    killer.join()
    connection.close()

    assert numbers() == []
    invoices.finalise_due(at=FINAL, limit=100)
    assert numbers() == list(range(1, TENANTS + 1))
    assert not books.differences()


def test_the_control_a_sequence_leaves_a_gap(month: None) -> None:
    """What a database sequence would do: a number given up is never given again."""
    from_sequence: list[int] = []
    query = "SELECT nextval(pg_get_serial_sequence('billing_invoiceseries', 'id'))"

    def number(commits: bool) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(query)
            taken = int(cursor.fetchone()[0])
            if not commits:
                transaction.set_rollback(True)
                return
        from_sequence.append(taken)

    for commits in (True, False, True):
        number(commits)

    assert from_sequence[1] - from_sequence[0] == 2


def test_the_control_a_counter_that_nobody_locks_gives_a_number_twice(month: None) -> None:
    seen: list[int] = []
    both_read = threading.Barrier(2)

    def number() -> None:
        with transaction.atomic():
            last = Invoice.objects.exclude(number=None).count()
            both_read.wait(20)
            seen.append(last + 1)

    assert at_once(number, number) == []
    assert seen == [1, 1]


def _terminate(pid: int) -> None:
    """A role may end what it runs itself."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    finally:
        connections.close_all()
