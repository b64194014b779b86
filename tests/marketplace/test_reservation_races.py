"""One tenant's holds at once: counted one by one, and the control that shows why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from inventory import capacity
from inventory.errors import DomainError
from inventory.models import Organisation
from marketplace import policy, quotas, reservations
from marketplace.models import Lease, Reservation
from marketplace.quotas import Limit
from tests import world
from tests.marketplace import scene
from tests.world import SYSTEM, T0

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
    pytest.mark.race,
]
THREADS = 4


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Runs `work(number)` in threads that start together; their results or refusals."""
    start = threading.Barrier(THREADS)
    results: list[Any] = [None] * THREADS

    def body(number: int) -> None:
        try:
            start.wait(30)
            with transaction.atomic():
                results[number] = work(number)
        except DomainError as refusal:
            results[number] = refusal
        finally:
            connection.close()

    threads = [threading.Thread(target=body, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def four_offers_apart() -> tuple[list[Any], Organisation]:
    """On four pools and at four times, so that nothing but the tenant is shared."""
    shelves = [scene.listing(world.pool(nodes=1), units=1) for _ in range(THREADS)]
    offers = [
        scene.offer(shelf, start=10 + 10 * number, end=20 + 10 * number)
        for number, shelf in enumerate(shelves)
    ]
    return offers, world.tenant()


def test_holds_at_once_stay_within_the_tenant_s_limit(settings) -> None:
    settings.HOLD_CARD_HOURS_LIMIT = 2 * 80
    offers, tenant = four_offers_apart()

    results = at_once(lambda number: scene.hold(offers[number], tenant=tenant))

    refused = [result for result in results if isinstance(result, policy.HoldLimit)]
    assert len(refused) == 2
    assert Reservation.objects.count() == 2


def test_control_without_the_tenant_s_lock_all_of_them_pass(settings, monkeypatch) -> None:
    settings.HOLD_CARD_HOURS_LIMIT = 2 * 80
    offers, tenant = four_offers_apart()
    checked = threading.Barrier(THREADS)
    check = policy.check_hold_limit

    def check_together(*facts: Any) -> None:
        check(*facts)
        checked.wait(30)

    monkeypatch.setattr(reservations, "lock_tenant", lambda pk: Organisation.objects.get(pk=pk))
    monkeypatch.setattr(policy, "check_hold_limit", check_together)

    results = at_once(lambda number: scene.hold(offers[number], tenant=tenant))

    assert not [result for result in results if isinstance(result, policy.HoldLimit)]
    assert Reservation.objects.count() == 4


def spend_two_deals(tenant: Organisation) -> None:
    quotas.put(
        organisation_id=tenant.pk,
        limit=Limit("spend", "total", "CNY", limit_minor=2 * 680 * 80),
        at=T0,
        actor=world.actor(tenant),
    )


def test_holds_at_once_stay_within_a_quota() -> None:
    offers, tenant = four_offers_apart()
    spend_two_deals(tenant)

    results = at_once(lambda number: scene.hold(offers[number], tenant=tenant))

    refused = [result for result in results if isinstance(result, policy.QuotaExceeded)]
    assert len(refused) == 2
    assert Reservation.objects.count() == 2


def test_control_without_the_tenant_s_lock_all_of_them_pass_a_quota(monkeypatch) -> None:
    offers, tenant = four_offers_apart()
    spend_two_deals(tenant)
    checked = threading.Barrier(THREADS)
    check = policy.check_quotas

    def check_together(*facts: Any) -> None:
        check(*facts)
        checked.wait(30)

    monkeypatch.setattr(reservations, "lock_tenant", lambda pk: Organisation.objects.get(pk=pk))
    monkeypatch.setattr(policy, "check_quotas", check_together)

    results = at_once(lambda number: scene.hold(offers[number], tenant=tenant))

    assert not [result for result in results if isinstance(result, policy.QuotaExceeded)]
    assert Reservation.objects.count() == 4


def test_the_last_node_is_held_once() -> None:
    listing = scene.listing(world.pool(nodes=1), units=1)
    tenants = [world.tenant(f"Tenant {number}") for number in range(THREADS)]

    results = at_once(lambda number: scene.hold(listing, tenant=tenants[number]))

    assert sum(isinstance(result, capacity.CapacityTaken) for result in results) == 3
    assert Reservation.objects.count() == 1


def test_confirming_and_expiring_at_once_has_one_winner() -> None:
    held = scene.hold(scene.listing())
    last = held.expires_at

    def either(number: int) -> str:
        row = reservations.lock(held.pk)
        if number % 2:
            return reservations.expire(reservation=row, at=last).state
        return reservations.confirm(reservation=row, at=T0, actor=SYSTEM).state

    results = at_once(either)

    assert sum(isinstance(result, DomainError) for result in results) == 3
    held.refresh_from_db()
    assert (held.state == "confirmed") == Lease.objects.exists()
