"""An instalment that is collected while its lease is left, or by two sweeps at once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import transaction

from billing import chart, collecting, ledger, quotes
from billing.models import Instalment, LeaseTally
from marketplace.models import Lease
from tests import world
from tests.billing import books
from tests.billing.test_instalments import lease, start_of
from tests.races.crowd import together
from tests.world import SYSTEM

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
    pytest.mark.usefixtures("many_connections"),
]


def due_lease() -> Lease:
    row = lease("advance", months=5)
    books.activate(row)
    row.refresh_from_db()
    return row


def test_two_sweeps_collect_it_once() -> None:
    row = due_lease()
    due = start_of(row) + timedelta(days=92)

    moved = together(*[lambda: collecting.collect_due(at=due, limit=10)] * 4)

    assert sorted(moved) == [0, 0, 0, 1]
    assert books.available() == 10**9 - row.security_minor - row.gross_minor
    assert not books.differences()


def test_it_is_collected_or_the_lease_is_left_and_the_money_goes_one_way() -> None:
    row = due_lease()
    due = start_of(row) + timedelta(days=92)
    tenant = world.actor(world.tenant())
    end = due + timedelta(days=5)
    quote = quotes.ask(lease_public_id=row.public_id, kind="leave", end=end, at=due, actor=tenant)

    together(
        lambda: collecting.collect_due(at=due, limit=10),
        lambda: quotes.accept(quote_public_id=quote.public_id, at=due, actor=tenant),
    )

    collecting.collect_due(at=due, limit=10)
    row.refresh_from_db()
    asked = Instalment.objects.filter(lease=row, state__in=Instalment.OPEN)
    assert (
        LeaseTally.objects.get(lease=row).paid_minor + sum(each.open_minor for each in asked)
        == row.gross_minor
    )
    assert not books.differences()


def test_control_without_the_lease_its_lock_it_is_paid_twice() -> None:
    row = due_lease()
    found = Instalment.objects.get(lease=row, state="planned")
    both_read = threading.Barrier(2)

    def collect(key: str) -> bool:
        with transaction.atomic():
            state = Instalment.objects.values_list("state", flat=True).get(pk=found.pk)
            both_read.wait(timeout=30)
            if state == "planned":
                ledger.post(
                    kind="instalment_collected",
                    key=key,
                    entries=[
                        (chart.wallet(row.tenant, "CNY"), found.amount_minor),
                        (chart.deposit(row.tenant, "CNY"), -found.amount_minor),
                    ],
                    at=found.due_at,
                    actor=SYSTEM,
                )
            return state == "planned"

    assert together(lambda: collect("one"), lambda: collect("two")) == [True, True]
    assert books.differences()
