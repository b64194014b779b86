"""Leased cards that stand idle: told of once, answered once, over when they work."""

from __future__ import annotations

import pytest

from inventory.errors import NotFound
from inventory.models import JournalEntry
from marketplace import idling
from marketplace.models import IdleNotice, Lease
from tests import world
from tests.marketplace import scene as deals
from tests.telemetry.scene import at, scene
from tests.telemetry.test_utilisation import busy, serve
from tests.world import period

pytestmark = pytest.mark.django_db
H = 3600


@pytest.fixture
def rented(settings):
    settings.IDLE_HOURS = 2
    s = scene(nodes=2)
    lease = deals.lease(deals.listing(s.pool, units=2), units=1, start=10, end=40)
    serve(lease, s.nodes[0], 10, 40)
    Lease.objects.filter(pk=lease.pk).update(state=Lease.State.DELIVERING)
    Lease.objects.filter(pk=lease.pk).update(state=Lease.State.ACTIVE)
    lease.refresh_from_db()
    return s, lease


def test_idle_cards_are_told_of_once(rented) -> None:
    s, lease = rented
    busy(s, 0, 10, 2)
    busy(s, 0, 11, 3)

    assert idling.sweep(at=at(12 * H + 60)) == 1
    assert idling.sweep(at=at(12 * H + 120)) == 0

    notice = IdleNotice.objects.get()
    assert (notice.card_count, notice.measured_count, notice.busy_permille) == (8, 8, 25)
    assert notice.since == period(10, 12).start
    entry = JournalEntry.objects.get(event="idlenotice.raised")
    assert entry.data["choices"] == ["keep", "leave"]
    assert entry.tenant_id == lease.tenant_id


def test_one_busy_hour_is_no_idleness(rented) -> None:
    s, _ = rented
    busy(s, 0, 10, 2)
    busy(s, 0, 11, 30)

    assert idling.sweep(at=at(12 * H)) == 0


def test_what_is_not_measured_is_not_idle(rented) -> None:
    s, _ = rented
    busy(s, 0, 10, 0)

    assert idling.sweep(at=at(12 * H)) == 0


def test_kept_ones_are_not_told_of_again_until_they_worked(rented) -> None:
    s, lease = rented
    for hour in (10, 11, 12):
        busy(s, 0, hour, 0)
    idling.sweep(at=at(12 * H))
    with pytest.raises(NotFound):
        idling.keep(lease=lease, at=at(12 * H), actor=world.actor(lease.provider))

    kept = idling.keep(lease=lease, at=at(12 * H), actor=world.actor(lease.tenant))
    idling.keep(lease=lease, at=at(12 * H), actor=world.actor(lease.tenant))

    assert kept.state == IdleNotice.State.KEPT
    assert idling.sweep(at=at(13 * H)) == 0
    busy(s, 0, 13, 90)
    idling.sweep(at=at(14 * H))
    assert IdleNotice.objects.get().state == IdleNotice.State.OVER
    assert idling.of(lease) is None
    for hour in (14, 15):
        busy(s, 0, hour, 0)
    assert idling.sweep(at=at(16 * H)) == 1
