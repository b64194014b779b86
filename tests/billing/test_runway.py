"""Wallets of hourly leases that run short: warned once for each level."""

from __future__ import annotations

import pytest

from billing import rating, runway
from inventory.models import JournalEntry
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import T0, hours

pytestmark = pytest.mark.django_db
HOUR = 8 * 680  # of a node, in fen


def warnings() -> list[int]:
    rows = JournalEntry.objects.filter(event="wallet.runway_short").order_by("pk")
    return [row.data["hours"] for row in rows]


def test_each_level_is_warned_of_once_until_the_wallet_is_filled() -> None:
    listing = scene.listing(schedule="deposit_hourly", deposit_bps=1_000)
    books.top_up(world.tenant(), 30 * HOUR + 10 * HOUR)
    row = books.lease(listing, start=10, end=110)  # 100 hours; the deposit is ten of them
    books.activate(row)

    found = runway.of(world.tenant(), currency="CNY", at=T0 + hours(11))
    assert (found.hourly_minor, found.hours, found.level) == (HOUR, 30, None)
    assert runway.warn_due(at=T0 + hours(11)) == 0

    for hour, level in ((17, 24), (37, 4), (40, 1)):
        books.meter(row, until=T0 + hours(hour))
        rating.rate_due(at=T0 + hours(hour), limit=1000)
        assert runway.warn_due(at=T0 + hours(hour)) == 1
        assert runway.warn_due(at=T0 + hours(hour)) == 0
        assert warnings()[-1] == level

    books.top_up(world.tenant(), 100 * HOUR, reference="B-2")
    assert runway.warn_due(at=T0 + hours(40)) == 0
    assert runway.of(world.tenant(), currency="CNY", at=T0 + hours(40)).level is None
    assert warnings() == [24, 4, 1]


def test_a_lease_that_is_paid_ahead_has_no_runway() -> None:
    books.top_up(world.tenant(), 10_000_000)
    books.activate(books.lease(scene.listing()))

    found = runway.of(world.tenant(), currency="CNY", at=T0 + hours(11))

    assert (found.hourly_minor, found.hours, found.level) == (0, None, None)
    assert runway.warn_due(at=T0 + hours(11)) == 0
