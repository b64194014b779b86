"""A lock that is not granted in time is "busy, try again": 503 with Retry-After, nothing done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from django.db import connections, transaction

from billing.models import LedgerHold
from inventory import capacity
from inventory.models import Allocation, JournalEntry
from marketplace.models import IdempotencyRecord, Lease, Reservation
from tests.api.market import Market

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def somebody_changes(pool_id: int) -> Iterator[None]:
    """Another transaction has the pool, and keeps it."""
    taken, done = threading.Event(), threading.Event()

    def keep() -> None:
        try:
            with transaction.atomic():
                capacity.lock(pool_id, datetime.now(UTC))
                taken.set()
                done.wait(30)
        finally:
            connections.close_all()

    other = threading.Thread(target=keep)
    other.start()
    assert taken.wait(30)
    try:
        yield
    finally:
        done.set()
        other.join()


def test_a_hold_on_a_pool_that_is_busy_may_be_tried_again(market: Market) -> None:
    market.fund()
    market.listing()
    offer = market.offer()
    before = (IdempotencyRecord.objects.count(), JournalEntry.objects.count())

    with somebody_changes(market.pool.pk):
        busy = market.as_tenant.post(
            "/reservations", {"offer": offer["token"]}, idempotency_key="again"
        )

    assert (busy.status, busy.code) == (503, "busy")
    assert busy.headers["Retry-After"] == "1"
    assert not Reservation.objects.exists()
    assert not Allocation.objects.exists()
    assert not LedgerHold.objects.exists()
    assert (IdempotencyRecord.objects.count(), JournalEntry.objects.count()) == before
    # The same key, because nothing happened under it.
    again = market.as_tenant.post(
        "/reservations", {"offer": offer["token"]}, idempotency_key="again"
    )
    assert again.status == 201


def test_a_confirmation_waits_longer_and_is_then_busy_too(market: Market) -> None:
    market.fund()
    market.listing()
    held = market.as_tenant.do("/reservations", {"offer": market.offer()["token"]})
    path = f"/reservations/{held['id']}/confirm"

    with somebody_changes(market.pool.pk):
        busy = market.as_tenant.post(path, idempotency_key="again")

    assert (busy.status, busy.code, busy.headers["Retry-After"]) == (503, "busy", "1")
    assert not Lease.objects.exists()
    assert market.as_tenant.post(path, idempotency_key="again").status == 201
    assert Lease.objects.count() == 1
