"""What telemetry saw of a lease, for its two sides."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from inventory import telemetry
from inventory.models import Binding
from inventory.periods import Period
from inventory.telemetry import reception
from marketplace.models import Lease
from tests import database
from tests.api.market import Market, text
from tests.telemetry import bodies
from tests.telemetry.scene import dcgm, ms
from tests.world import SYSTEM

pytestmark = pytest.mark.django_db


@pytest.fixture
def measured(market: Market) -> Lease:
    """The first hour of a lease, each slot of which one of its cards worked half of."""
    reception.forget()
    market.listing()
    market.fund()
    lease = Lease.objects.get(public_id=market.lease(hours=4)["id"])
    start: datetime = lease.period.lower
    node = lease.allocation.pool.nodes.order_by("pk")[0]
    database.write(
        Binding(
            allocation_id=lease.allocation_id, node=node, cards=(0, 8),
            during=lease.period, created_at=start,
        )
    )  # fmt: skip
    source, _ = telemetry.open_source(
        centre_id=lease.allocation.pool.fabric.centre_id, name="p", at=start, actor=SYSTEM
    )
    labels, _ = dcgm(node, 3, 0, 0)
    points = [(ms(start + timedelta(seconds=30 * slot)), 50.0) for slot in range(120)]
    telemetry.receive(
        source=source, body=bodies.body([(labels, points)]), at=start + timedelta(hours=1)
    )
    return lease


def address(lease: Lease, hours: int = 4) -> str:
    period = Period.of(lease.period)
    until = period.start + timedelta(hours=hours)
    return f"/leases/{lease.public_id}/utilisation?from={text(period.start)}&to={text(until)}"


@pytest.mark.parametrize("side", ["as_tenant", "as_provider", "as_operator"])
def test_both_sides_read_it_by_hour_and_in_total(
    market: Market, measured: Lease, side: str
) -> None:
    reply = getattr(market, side).get(address(measured))

    assert reply.status == 200, reply
    total = {
        "seen_card_seconds": 3600,
        "healthy_card_seconds": 3600,
        "measured_card_seconds": 3600,
        "busy_card_seconds": 1800,
        "busy_share": 0.5,
    }
    assert reply.json["total"] == total
    (hour,) = reply.json["hours"]
    assert hour == {
        **total, "hour": text(measured.period.lower), "card_count": 1, "memory_share": None,
        "power_watts": None, "temperature_celsius": None, "last_error": None,
    }  # fmt: skip


def test_a_stranger_sees_no_such_lease(market: Market, measured: Lease) -> None:
    assert market.as_stranger.get(address(measured)).status == 404


def test_more_than_a_month_at_once_is_too_much(market: Market, measured: Lease) -> None:
    assert market.as_tenant.get(address(measured, 24 * 32)).code == "range_too_large"
