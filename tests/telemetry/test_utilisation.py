"""Busy card-hours in the funnel and of a lease, against what the samples said."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection

from inventory.models import Binding, TelemetryHour
from inventory.telemetry import folding, hours
from marketplace import utilisation
from tests import database, world
from tests.engines import require_data
from tests.marketplace import scene as deals
from tests.marketplace.test_utilisation import usage
from tests.telemetry.scene import at, dcgm, ms, scene, send
from tests.world import SYSTEM, T0, period

pytestmark = pytest.mark.django_db


def serve(lease, node, start: float, end: float, cards=(0, 8)) -> None:
    """The lease runs on these cards of this node, and what it uses is metered."""
    database.write(
        Binding(
            allocation_id=lease.allocation_id,
            node=node,
            cards=cards,
            during=period(start, end).range,
            created_at=T0,
        )
    )


def busy(s, node: int, hour: int, percent: float) -> None:
    """All eight cards of the node, every slot of the hour."""
    for slot in range(0, 120, 20):
        seconds = [hour * 3600 + (slot + n) * 30 for n in range(20)]
        series = [
            (labels, [(ms(at(second)), percent) for second in seconds])
            for labels, _ in (dcgm(s.nodes[node], card, 0, percent) for card in range(8))
        ]
        send(s.source, *series, seconds=(hour + 1) * 3600)


@pytest.fixture
def rented():
    """Two nodes of four are leased for hours 10 to 20, delivered in full."""
    s = scene(nodes=4)
    listing = deals.listing(s.pool, units=4, sellable=period(0, 100))
    lease = deals.lease(listing, units=2, start=10, end=20)
    for number in (0, 1):
        serve(lease, s.nodes[number], 10, 20)
    usage(lease.allocation_id, 10, *[16 * 3600] * 10)
    return s, lease


def funnel():
    (row,) = utilisation.funnel(period=period(0, 100), group_by="pool", actor=SYSTEM)
    return row


def test_busy_is_what_telemetry_saw_of_the_delivered(rented) -> None:
    s, _ = rented
    busy(s, 0, 10, 50)
    busy(s, 1, 10, 25)
    busy(s, 0, 11, 100)
    busy(s, 2, 10, 100)  # nobody's
    busy(s, 0, 9, 100)  # before the lease

    row = funnel()

    assert row.delivered == 160
    assert row.busy == pytest.approx(8 * (0.5 + 0.25 + 1))
    assert row.measured == pytest.approx(24)
    assert row.busy_rate == pytest.approx(14 / 3200)


def test_without_telemetry_busy_is_not_measured(rented) -> None:
    assert (funnel().busy, funnel().measured) == (None, 0)
    s, _ = rented
    busy(s, 2, 10, 100)
    assert funnel().busy is None


def test_a_total_is_known_where_each_that_delivered_is(rented) -> None:
    s, _ = rented
    busy(s, 0, 10, 50)
    other = world.pool(nodes=1)
    rows = utilisation.funnel(period=period(0, 100), group_by="pool", actor=SYSTEM)

    assert len(rows) == 2
    assert utilisation.total(rows).busy == pytest.approx(4)
    assert other.pk


def test_a_lease_hour_by_hour(rented) -> None:
    s, lease = rented
    busy(s, 0, 10, 50)
    busy(s, 1, 10, 100)
    send(
        s.source,
        dcgm(s.nodes[0], 3, 11 * 3600, 350, "POWER_USAGE"),
        dcgm(s.nodes[0], 3, 11 * 3600, 64, "GPU_TEMP"),
        dcgm(s.nodes[0], 3, 11 * 3600, 8192, "FB_USED"),
        dcgm(s.nodes[0], 3, 11 * 3600, 48, "XID_ERRORS"),
        seconds=11 * 3600 + 60,
    )

    found = utilisation.leases.of_allocation(lease.allocation_id, period(0, 100))

    assert [row.hour for row in found] == [at(10 * 3600), at(11 * 3600)]
    first, second = found
    assert first.seen_card_seconds == first.measured_card_seconds == 16 * 3600
    assert (first.busy_card_seconds, first.busy_share) == (12 * 3600, 0.75)
    assert (first.memory_share, first.power_watts, first.temperature_celsius) == (None, None, None)
    assert (second.memory_share, second.power_watts, second.temperature_celsius) == (0.1, 350, 64)
    assert (second.seen_card_seconds, second.healthy_card_seconds) == (30, 0)
    assert (second.busy_share, second.last_error, second.card_count) == (None, 48, 1)
    assert utilisation.leases.total(found).busy_share == 0.75


def test_a_card_that_served_for_half_an_hour_counts_by_half() -> None:
    s = scene(nodes=1)
    lease = deals.lease(deals.listing(s.pool, units=1), units=1, start=10, end=20)
    serve(lease, s.nodes[0], 10.5, 20)
    busy(s, 0, 10, 80)

    (row,) = utilisation.leases.of_allocation(lease.allocation_id, period(0, 100))

    assert row.seen_card_seconds == 8 * 1800
    assert row.busy_share == 0.8


def test_real_duty_cycles_give_the_share_that_numpy_gives() -> None:
    """Each pod is a card; its samples are folded as they come and averaged over slots."""
    samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
    path = require_data("telemetry/genai2026_pod_gpu_duty_cycle_anon.csv.gz")
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            samples[row["pod"]].append((float(row["t"]), float(row["value"])))
    pods = sorted(samples)[:64]
    s = scene(nodes=8)
    expected = {}
    for number, pod in enumerate(pods):
        node, card = s.nodes[number // 8], number % 8
        first: dict[int, float] = {}
        for second, value in samples[pod]:
            first.setdefault(int(second) // 30, value)
        expected[node.pk, card] = float(np.mean(list(first.values())))
        by_hour: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for second, value in samples[pod]:
            by_hour[int(second) // 3600].append((ms(at(second)), value))
        for hour, points in by_hour.items():
            labels, _ = dcgm(node, card, 0, 0)
            send(s.source, (labels, points), seconds=(hour + 1) * 3600)

    for (node_id, card), mean in expected.items():
        rows = TelemetryHour.objects.filter(node_id=node_id)
        slots = sum(row.busy_slots[card] for row in rows)
        share = sum(row.busy_permille_sum[card] for row in rows) / slots / 10
        assert share == pytest.approx(mean, abs=0.05)  # half a permille of rounding


def test_a_row_is_within_two_hundred_bytes_a_card() -> None:
    s = scene(nodes=1)
    busy(s, 0, 0, 50)
    hours.seal(at=at(3600) + folding.LATE + timedelta(hours=1))

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_column_size(t.*) / 8 FROM inventory_telemetryhour t")
        assert cursor.fetchone()[0] <= 100
