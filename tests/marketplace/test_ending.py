"""The end of a lease is announced once, and again where it moves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory.models import JournalEntry
from marketplace import ending
from marketplace.models import Lease
from tests import world
from tests.billing.test_quotes import accept, ask, running
from tests.marketplace import scene
from tests.world import T0, hours

pytestmark = pytest.mark.django_db


def warned() -> list[str]:
    entries = JournalEntry.objects.filter(event="lease.ending_soon").order_by("id")
    return [entry.data["end"] for entry in entries]


def lasting(until: float) -> Lease:
    return running(scene.listing(world.pool(turnaround_seconds=1800)), until=until)


def test_the_instants_of_an_end_are_those_of_the_lease_and_its_pool() -> None:
    lease = lasting(200)

    found = ending.of(lease)

    assert found.warns_at == T0 + hours(200 - 72)
    assert (found.ends_at, found.torn_down_at) == (T0 + hours(200),) * 2
    assert found.wiped_by == T0 + hours(200.5)


def test_both_sides_are_warned_once_and_anew_of_a_later_end() -> None:
    lease = lasting(200)
    at = T0 + hours(128)

    assert ending.warn_due(at=at - timedelta(seconds=1), limit=10) == 0
    assert ending.warn_due(at=at, limit=10) == 1
    assert ending.warn_due(at=at + hours(1), limit=10) == 0
    accept(ask(lease, "extend", 300, at=at + hours(2)))
    assert ending.warn_due(at=at + hours(3), limit=10) == 0
    assert ending.warn_due(at=T0 + hours(228), limit=10) == 1

    assert warned() == [(T0 + hours(end)).isoformat() for end in (200, 300)]
    entry = JournalEntry.objects.filter(event="lease.ending_soon").first()
    assert entry is not None
    assert (entry.provider_id, entry.tenant_id) == (lease.provider_id, lease.tenant_id)


def test_a_short_lease_warns_as_it_begins_and_one_that_waits_does_not() -> None:
    lease = lasting(20)
    assert ending.of(lease).warns_at == T0 + hours(10)
    scene.lease(scene.listing(), start=50, end=60)

    assert ending.warn_due(at=T0 + hours(10), limit=10) == 1

    assert warned() == [(T0 + hours(20)).isoformat()]
