"""Samples into hours of nodes: each slot once, whatever way it comes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory import telemetry
from inventory.models import TelemetryHour, TelemetrySource
from tests import world
from tests.telemetry.scene import at, dcgm, scene, send
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db


def counts(source) -> dict[str, int]:
    row = TelemetrySource.objects.get(pk=source.pk)
    names = ("stored", "repeated", "unused", "unknown", "late", "early", "void")
    return {name: value for name in names if (value := getattr(row, f"{name}_count"))}


def test_facts_of_a_card_become_sums_over_slots() -> None:
    s = scene()
    node = s.nodes[0]

    send(
        s.source,
        dcgm(node, 3, 0, 80),
        dcgm(node, 3, 30, 41),
        dcgm(node, 3, 30, 500.4, "POWER_USAGE"),
        dcgm(node, 3, 30, 61, "GPU_TEMP"),
        dcgm(node, 3, 60, 58, "GPU_TEMP"),
        dcgm(node, 3, 30, 40960, "FB_USED"),
        dcgm(node, 3, 30, 0, "XID_ERRORS"),
        dcgm(node, 3, 0, 1, "SM_CLOCK"),
        seconds=90,
    )

    (row,) = s.hours()
    assert row.hour == T0
    assert row.seen_slots == [0, 0, 0, 2, 0, 0, 0, 0]
    assert row.busy_permille_sum[3] == 1210
    assert row.busy_slots[3] == 2
    assert (row.power_watt_sum[3], row.power_slots[3]) == (500, 1)
    assert row.temperature_max[3] == 61
    assert row.memory_permille_sum[3] == 500  # of 80 GiB
    assert (row.last_error[3], row.unhealthy_slots[3]) == (0, 0)
    assert counts(s.source) == {"stored": 7, "unused": 1}


def test_a_slot_counts_once_and_its_first_sample_wins() -> None:
    s = scene()
    node = s.nodes[0]

    for value in (70, 20):
        send(s.source, dcgm(node, 0, 14, value), dcgm(node, 0, 29.9, value), seconds=40)

    (row,) = s.hours()
    assert (row.seen_slots[0], row.busy_permille_sum[0]) == (1, 700)
    assert counts(s.source) == {"stored": 1, "repeated": 3}


def test_metrics_of_one_card_may_come_in_different_bodies() -> None:
    s = scene()
    node = s.nodes[0]

    send(s.source, dcgm(node, 0, 10, 50), seconds=20)
    send(s.source, dcgm(node, 0, 10, 300, "POWER_USAGE"), seconds=20)

    (row,) = s.hours()
    assert (row.busy_slots[0], row.power_slots[0], row.power_watt_sum[0]) == (1, 1, 300)


def test_a_card_that_is_not_well_stays_so_in_its_slot() -> None:
    s = scene()
    node = s.nodes[0]

    send(s.source, dcgm(node, 0, 0, 0, "XID_ERRORS"), dcgm(node, 0, 31, 79, "XID_ERRORS"))
    send(s.source, dcgm(node, 0, 40, 0, "XID_ERRORS"), dcgm(node, 0, 45, 31, "XID_ERRORS"))

    (row,) = s.hours()
    assert (row.seen_slots[0], row.unhealthy_slots[0], row.last_error[0]) == (2, 1, 79)


def test_what_is_no_measurement_is_counted_and_not_stored() -> None:
    s = scene()
    node = s.nodes[0]
    stale = float("nan")

    send(
        s.source,
        dcgm(node, 0, 0, stale),
        dcgm(node, 0, 0, 9.223372036854775794e18),
        dcgm(node, 0, 0, float("inf")),
        dcgm(node, 0, 0, -1),
        dcgm(node, 0, 0, 7000),
        dcgm(node, 0, 400, 50),
        dcgm(node, 0, -8 * 3600, 50),
        dcgm(node, 1, 5, 50),
        seconds=60,
    )

    (row,) = s.hours()
    assert row.seen_slots == [0, 1, 0, 0, 0, 0, 0, 0]
    assert counts(s.source) == {"stored": 1, "void": 5, "early": 1, "late": 1}


def test_a_sealed_hour_takes_nothing_more() -> None:
    s = scene()
    node = s.nodes[0]
    send(s.source, dcgm(node, 0, 0, 50), seconds=60)
    done = at(3600) + telemetry.LATE

    assert telemetry.seal(at=done - timedelta(seconds=1)) == 0
    assert telemetry.seal(at=done) == 1
    assert telemetry.seal(at=done) == 0
    # A process whose clock is behind.
    send(s.source, dcgm(node, 0, 60, 90), seconds=120)

    (row,) = s.hours()
    assert (row.seen_slots[0], row.busy_permille_sum[0], bytes(row.fact_slots)) == (1, 500, b"")
    assert counts(s.source) == {"stored": 1, "late": 1}


def test_both_members_of_a_pair_count_once_and_fill_each_others_gaps() -> None:
    s = scene()
    node = s.nodes[0]

    for second in range(0, 300, 15):
        if second < 120:
            send(
                s.source,
                dcgm(node, 0, second, 50, prometheus_replica="a"),
                seconds=second + 5,
            )
        if second >= 60:
            send(
                s.source,
                dcgm(node, 0, second + 3, 51, prometheus_replica="b"),
                seconds=second + 8,
            )

    (row,) = s.hours()
    assert row.seen_slots[0] == 10
    assert row.busy_permille_sum[0] == 4 * 500 + 6 * 510
    source = TelemetrySource.objects.get(pk=s.source.pk)
    assert source.replica == "b"


def test_a_feed_reaches_the_nodes_of_its_own_centre_only() -> None:
    s = scene()
    other = world.pool(nodes=1, owner=world.stranger())
    foreign = other.nodes.get()
    foreign_twin = {"Hostname": "elsewhere", "node_serial": foreign.serial}

    send(s.source, dcgm(foreign, 0, 0, 50, **foreign_twin), seconds=5)

    assert not TelemetryHour.objects.exists()
    assert counts(s.source) == {"unknown": 1}
    (found,) = telemetry.unmatched(source=s.source)
    assert (found.row.value, found.row.sample_count, found.guess) == ("elsewhere", 1, None)
    with pytest.raises(Exception, match="No such node"):
        telemetry.bind(
            source_id=s.source.pk, identity="hostname", value="elsewhere",
            node_id=foreign.pk, at=at(0), actor=SYSTEM,
        )  # fmt: skip
