"""The benches in their smallest form: few statements a hold, each figure beside its floor."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.urls import NoReverseMatch, get_resolver, reverse
from pytest_django import Settings

from billing.bench import audit, delivery, direct, holds, search, soak, telemetry, world
from billing.bench.clients import InProcess
from billing.bench.measure import Row
from billing.nation import Plan
from inventory import verification
from inventory.models import Allocation, Claim
from marketplace.models import Reservation
from tests import database

TINY = Plan(site_count=3, pool_sizes=(160, 24, 12, 11, 11), tenant_count=6)
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture(autouse=True)
def _nothing_real(settings: Settings) -> None:
    settings.DEMO = True


def quietly(_text: str) -> None:
    """Nobody reads along."""


def by_case(rows: list[Row]) -> dict[str, Row]:
    return {row.case: row for row in rows}


def test_a_hold_takes_few_statements_and_its_rows_are_counted() -> None:
    trip = InProcess(world.small(pool_count=1, buyer_count=1, at=world.now()))

    statements = trip.statements()
    hold, cancel = trip.writes(times=3)

    assert statements <= 19
    assert hold.inserts["marketplace_reservation"] == 1
    assert hold.inserts["inventory_claim"] == 1
    assert hold.inserts["marketplace_idempotencyrecord"] == 1
    assert hold.inserts["inventory_poolevent"] == 1
    assert cancel.inserts["inventory_poolevent"] == 1
    assert cancel.updates["marketplace_reservation"] == 1


def test_the_rows_of_the_verbs_alone_are_counted() -> None:
    scene = world.small(pool_count=1, buyer_count=1, at=world.now())

    claim, release = direct.writes(scene)

    assert claim.inserts["inventory_claim"] == claim.inserts["inventory_poolevent"] == 1
    assert release.updates["inventory_claim"] == release.inserts["inventory_poolevent"] == 1
    assert claim.updates == {"inventory_poolversion": 1}


@pytest.mark.slow
def test_holds_are_measured_beside_floor_and_bare_view_and_leave_nothing_held() -> None:
    asked = holds.Asked(clients=[2], claims=[400], seconds=0.5, buyers=4, plan=TINY)

    rows = by_case(holds.run(asked, progress=quietly))

    assert list(rows) == [
        "http bare view", "http spread", "database spread", "http hot", "database hot",
    ]  # fmt: skip
    for case in ("http spread", "http hot"):
        row = rows[case]
        assert (row.claims, row.clients) == (400, 2)
        assert row.per_second is not None
        assert row.per_second > 0
        assert row.sql is not None
        assert 0 < row.sql <= 19
        assert row.of_floor is not None
        assert row.of_bare is not None
        assert row.python_cpu_ms is not None
    for case in ("database spread", "database hot"):
        assert rows[case].of_floor is not None
    assert not Reservation.objects.filter(state="held").exists()
    assert not Claim.objects.filter(state="held").exists()
    assert verification.verify() == []


@pytest.mark.slow
def test_search_is_measured_while_the_market_moves() -> None:
    asked = search.Asked(clients=[2], claims=[400], seconds=0.5, plan=TINY)

    rows = by_case(search.run(asked, progress=quietly))

    assert rows["map cold start"].mebibytes is not None
    for case in ("in process 8 nodes, moving", "http moving", "http quiet"):
        row = rows[case]
        assert row.per_second is not None
        assert row.per_second > 0
        assert row.p99_ms is not None
    assert rows["map refresh, 1000 changes"].p50_ms is not None
    # Holds were made all the while, and are given back or left to lapse.
    assert Allocation.objects.filter(state="cancelled").count() > 50
    assert verification.verify() == []


def test_a_soak_ends_clean_and_goes_on_where_it_stopped() -> None:
    asked = soak.Asked(operations=240, claims=400, plan=TINY)
    scene = soak.scene_on_nation(asked, quietly)

    first = by_case(soak.run(asked, scene, progress=quietly))
    again = by_case(soak.run(asked, scene, progress=quietly))
    more = by_case(
        soak.run(soak.Asked(operations=600, claims=400, plan=TINY), scene, progress=quietly)
    )

    runs = [rows["operations of this run"].operations for rows in (first, again, more)]
    assert runs == [240, 0, 360]
    assert more["operations so far, verified clean"].operations == 600
    done = {case for case in more if case.endswith(": done")}
    assert {"hold: done", "confirm: done", "release: done", "block_opened: done"} <= done
    assert sum(row.operations or 0 for case, row in more.items() if ": " in case) == 360


def test_a_soak_says_what_it_broke() -> None:
    asked = soak.Asked(operations=20, claims=400, plan=TINY)
    scene = soak.scene_on_nation(asked, quietly)
    database.plant("UPDATE inventory_block SET unit_count = 1")

    with pytest.raises(soak.SoakFailed, match="a block is never oversold"):
        soak.run(asked, scene, progress=quietly)


def test_the_bare_view_is_no_part_of_the_product() -> None:
    assert "bench" not in str(get_resolver("marketplace.urls").reverse_dict.keys())
    with pytest.raises(NoReverseMatch):
        reverse("bench-bare")


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_the_figures(tmp_path: Path) -> None:
    out, file = StringIO(), tmp_path / "holds.json"

    call_command(
        "bench", "holds", "--seconds", "1", "--clients", "1", "--pools", "2",
        "--output", str(file), stdout=out,
    )  # fmt: skip

    lines = out.getvalue().splitlines()
    assert lines[0].split()[:3] == ["case", "claims", "clients"]
    cases = [row["case"] for row in json.loads(file.read_text())]
    assert cases == [
        "http bare view", "http spread", "database spread",
        "http bare view", "http hot", "database hot",
    ]  # fmt: skip


def test_telemetry_stands_beside_decoding_and_copying() -> None:
    asked = telemetry.Asked(nodes=10, scrapes=10, connections=2)

    rows = by_case(telemetry.measure(asked, progress=quietly))

    alone, end = rows["protobuf decode alone"], rows["end to end, per core of the web server"]
    assert alone.per_second
    assert end.of_floor
    assert end.floor_per_second == alone.per_second
    assert rows["COPY alone"].per_second
    assert 0 < (rows["sealed"].bytes_per_card_hour or 0) < (end.bytes_per_card_hour or 0)


@pytest.mark.slow
def test_steps_of_deliveries_stand_beside_their_rows_written_bare() -> None:
    asked = delivery.Asked(allocations=[60, 80], steps=30, warm_up=40, seconds=0.5)

    rows = by_case(delivery.measure(asked, progress=quietly))

    assert len(rows) == 4
    for case, row in rows.items():
        assert (row.operations or 0) >= 30, case
        assert row.of_floor
        assert row.python_cpu_ms
    assert rows["steps of machines, 80 deliveries in flight"].of_smaller
    assert verification.verify() == []


@pytest.mark.slow
def test_the_audit_is_measured_at_two_numbers_of_leases() -> None:
    plan = replace(TINY, past_days=20, listed_shares=(0.9, 0.5))
    asked = audit.Asked(runs=5, leases_times=(1, 3), plan=plan)

    with connection.cursor() as cursor:  # tables so small are else read whole, as it happens
        cursor.execute("SET enable_seqscan = off")
        try:
            rows = audit.measure(asked, progress=quietly)
        finally:
            cursor.execute("RESET enable_seqscan")

    pages = [row for row in rows if row.case == "funnel and quadrant"]
    few, many = (row.claims for row in pages)
    assert few is not None
    assert many is not None
    assert many > 2 * few
    # Whatever the number of leases: two readings of each pool, and who asks.
    assert {row.sql for row in pages} == {5}
    assert max(row.rows_read or 0 for row in pages) < 200
    assert {row.sql for row in rows if row.case == "heatmaps and stack"} == {7}
