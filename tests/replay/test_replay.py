"""Real leases through the admission verbs, against what an independent simulator got."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy
import pytest
from django.core.management import CommandError, call_command

from inventory import provisioning, verification
from inventory.models import Allocation, Claim, Node, Pool
from inventory.periods import Period
from inventory.replay import play, traces
from inventory.replay.traces import Demand, UnreadableTrace

DATA = Path(os.environ.get("CARDHOUR_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
TRACE = DATA / "demand" / "leases_philly_2017oct.csv.gz"
EXPECTED = DATA / "demand" / "expected_leases_philly_2017oct.csv"

real = pytest.mark.skipif(
    not TRACE.is_file() and not os.environ.get("CI"),
    reason=f"no real leases at {TRACE}; set CARDHOUR_DATA",
)


def brute_force(
    asked: list[tuple[object, Demand]], node_count: int, horizon: Period
) -> tuple[set[str], float]:
    """Minutes in one array: no interval, no sweep, nothing of the product."""
    start = horizon.start
    minute = timedelta(minutes=1)
    taken = numpy.zeros(int((horizon.end - start) / minute), dtype=numpy.int64)
    accepted, node_minutes = set(), 0
    for _, demand in asked:
        first = int((demand.period.start - start) / minute)
        last = int((demand.period.end - start) / minute)
        if taken[first:last].max() + demand.node_count <= node_count:
            taken[first:last] += demand.node_count
            accepted.add(demand.id)
            node_minutes += demand.node_count * (last - first)
    return accepted, node_minutes / 60


@real
@pytest.mark.django_db
@pytest.mark.parametrize("nodes", [83, 96, 189])
def test_agrees_with_the_independent_simulator(nodes: int) -> None:
    rows = csv.DictReader(EXPECTED.read_text().splitlines())
    expected = {row["policy"]: row for row in rows if row["servers"] == str(nodes)}["shared,0h"]

    outcome = play.play(traces.read(TRACE), node_count=nodes, policy="shared")

    assert outcome.demanded == 1337
    assert float(outcome.utilisation) == pytest.approx(float(expected["util"]), abs=0.01)
    assert float(outcome.acceptance) == pytest.approx(float(expected["acc_req"]), abs=0.01)
    assert float(outcome.bound) == pytest.approx(float(expected["ub_total"]), abs=0.01)


@real
@pytest.mark.parametrize(
    ("nodes", "utilisation", "acceptance"), [(83, 0.636, 0.524), (96, 0.596, 0.606)]
)
@pytest.mark.django_db
def test_split_agrees_with_the_independent_simulator(
    nodes: int, utilisation: float, acceptance: float
) -> None:
    outcome = play.play(traces.read(TRACE), node_count=nodes, policy="split")

    assert float(outcome.utilisation) == pytest.approx(utilisation, abs=0.01)
    assert float(outcome.acceptance) == pytest.approx(acceptance, abs=0.002)


@real
@pytest.mark.django_db
@pytest.mark.parametrize(("nodes", "flex"), [(83, 24), (83, 72), (96, 6)])
def test_waiting_in_line_agrees_with_the_independent_simulator(nodes: int, flex: int) -> None:
    rows = csv.DictReader(EXPECTED.read_text().splitlines())
    expected = {row["policy"]: row for row in rows if row["servers"] == str(nodes)}

    outcome = play.play(traces.read(TRACE), node_count=nodes, policy="shared", flex_hours=flex)

    wanted = expected[f"shared,{flex}h"]
    assert round(float(outcome.acceptance), 3) == float(wanted["acc_req"])
    assert round(float(outcome.wait_hours), 3) == float(wanted["mean_wait_h"])
    # The simulator's horizon is 43 whole days, ours ends with the last lease, three hours later.
    assert float(outcome.utilisation) == pytest.approx(float(wanted["util"]), abs=0.003)


@real
@pytest.mark.django_db
def test_with_random_leads_the_accepted_set_is_that_of_a_brute_force_array() -> None:
    demands = traces.read(TRACE)
    asked = traces.submissions(demands, lead_hours=336, seed=7)
    accepted, node_hours = brute_force(list(asked), 96, traces.horizon(demands))

    outcome = play.play(demands, node_count=96, policy="shared", lead_hours=336, seed=7)

    assert set(outcome.accepted) == accepted
    assert float(outcome.card_hours) == pytest.approx(node_hours * 8)
    claims = Claim.objects.filter(pool_id=outcome.pool_id, state="confirmed")
    assert claims.count() == len(accepted)
    seconds = sum(
        c.unit_count * (c.blocking.upper - c.blocking.lower).total_seconds() for c in claims
    )
    assert seconds * 8 / 3600 == pytest.approx(float(outcome.card_hours))
    assert verification.verify() == []


SMALL = """lease_id,tenant,start,end,servers
a,t1,2017-10-01T00:00:00Z,2017-10-01T10:00:00Z,2
b,t2,2017-10-01T05:00:00Z,2017-10-01T10:00:00Z,1
c,t2,2017-10-01T06:00:00Z,2017-10-01T08:00:00Z,1
d,t1,2017-10-01T10:00:00Z,2017-10-01T20:00:00Z,3
"""


HEAD = "lease_id,tenant,start,end,servers\n"


def write(tmp_path: Path, text: str, name: str = "trace.csv") -> Path:
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def replay(path: Path, *words: str) -> tuple[list[dict[str, object]], str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("replay", str(path), *words, "--json", stdout=out, stderr=err)
    return json.loads(out.getvalue()), err.getvalue()


@pytest.mark.django_db
def test_prints_one_array_and_keeps_progress_apart(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL, "trace.csv.gz")

    rows, progress = replay(path, "--nodes", "3", "--nodes", "4", "--price", "2")

    # 2·10 + 1·5 + 3·10 node-hours of 20 hours: the third lease finds no node among three.
    assert rows[0] == {
        "nodes": 3,
        "policy": "shared",
        "flex_hours": 0,
        "utilisation": round(55 / 60, 6),
        "acceptance": 0.75,
        "card_hours": 440.0,
        "revenue": 880.0,
        "bound": round(57 / 60, 6),
        "wait_hours": 0,
    }
    assert [(row["nodes"], row["policy"]) for row in rows] == [
        (3, "shared"),
        (3, "split"),
        (4, "shared"),
        (4, "split"),
    ]
    assert rows[2]["acceptance"] == 1.0
    assert "4 leases" in progress


@pytest.mark.django_db
def test_leaves_no_capacity_and_nothing_due_for_delivery(tmp_path: Path) -> None:
    replay(write(tmp_path, SMALL), "--nodes", "3")

    assert set(Pool.objects.values_list("state", flat=True)) == {"retired"}
    assert set(Node.objects.values_list("state", flat=True)) == {"retired"}
    assert Allocation.objects.filter(state="scheduled").exists()
    assert provisioning.sweep_allocations(at=datetime.now(UTC)) == 0
    assert verification.verify() == []


@pytest.mark.django_db
def test_with_flex_a_refused_lease_starts_when_a_node_is_free(tmp_path: Path) -> None:
    text = SMALL.replace("d,t1,2017-10-01T10", "d,t1,2017-10-01T09")
    rows, _ = replay(
        write(tmp_path, text), "--nodes", "3", "--policy", "shared", "--flex-hours", "0", "1", "4"
    )

    assert [row["acceptance"] for row in rows] == [0.5, 0.75, 1.0]


LINE = (
    HEAD
    + """a,t,2017-10-01T00:00:00Z,2017-10-01T04:00:00Z,1
b,t,2017-10-01T00:00:00Z,2017-10-01T04:00:00Z,1
c,t,2017-10-01T01:00:00Z,2017-10-01T03:00:00Z,2
d,t,2017-10-01T02:00:00Z,2017-10-01T04:00:00Z,1
e,t,2017-10-01T03:00:00Z,2017-10-01T05:00:00Z,2
"""
)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("mode", "hours"),
    [
        # At four the nodes come back one after another: with the first, d passes c, which needs
        # two; at six c has its two, and e has waited as long as it may.
        ("wait", {"a": (0, 4), "b": (0, 4), "d": (4, 6), "c": (6, 8)}),
        # c books the hours from four on, d from six on, and nothing is left for e in time.
        ("book", {"a": (0, 4), "b": (0, 4), "c": (4, 6), "d": (6, 8)}),
    ],
)
def test_a_refused_lease_waits_or_books_ahead(
    tmp_path: Path, mode: str, hours: dict[str, tuple[int, int]]
) -> None:
    demands = traces.read(write(tmp_path, LINE))

    outcome = play.play(
        demands, node_count=2, policy="shared", flex_hours=5 if mode == "wait" else 4,
        flex_mode=mode,
    )  # fmt: skip

    zero = outcome.horizon.start
    found = {
        name: (
            int((p.start - zero).total_seconds()) // 3600,
            int((p.end - zero).total_seconds()) // 3600,
        )
        for name, p in outcome.accepted.items()
    }
    assert {name: found[name] for name in hours} == hours
    assert verification.verify() == []


@pytest.mark.django_db
def test_other_traces_by_a_column_mapping(tmp_path: Path) -> None:
    text = "job,who,submit_time,gpus,duration_s\n1,x,1506816000,9,3600\n2,y,1506816000,8,0\n"
    columns = "id=job,tenant=who,start=submit_time,cards=gpus,duration_seconds=duration_s"

    rows, _ = replay(
        write(tmp_path, text), "--nodes", "2", "--policy", "shared", "--columns", columns
    )

    assert rows[0]["card_hours"] == 16.0
    assert rows[0]["utilisation"] == 1.0


def test_nodes_are_dealt_by_largest_remainder_at_least_one_each(tmp_path: Path) -> None:
    text = "lease_id,tenant,start,end,servers\n" + "".join(
        f"{n},{tenant},2017-10-01,2017-10-02,{count}\n"
        for n, (tenant, count) in enumerate([("big", 60), ("mid", 33), ("small", 6), ("tiny", 1)])
    )
    demands = traces.read(write(tmp_path, text))

    assert traces.shares(demands, 10) == {"big": 5, "mid": 3, "small": 1, "tiny": 1}
    assert sum(traces.shares(demands, 4).values()) == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "No column"),
        (HEAD, "empty"),
        (HEAD + "1,t,yesterday,2017-10-02,1\n", "Line 2"),
        (HEAD + "1,t,2017-10-01,2017-10-02,1\n1,t,2017-10-03,2017-10-04,1\n", "Line 3.*line 2"),
        (HEAD + "1,t,2017-10-01,2017-10-02\n", "Line 2"),
        (HEAD + "1,t,2017-10-01\n", "Line 2"),
        (HEAD + "1,t,2017-10-01,2017-10-02,2.7\n", "Line 2.*whole"),
        (HEAD + "1,t,1e18,2e18,1\n", "Line 2"),
        (HEAD + "1,t,2017-10-01,2017-10-02,nan\n", "Line 2"),
    ],
)
@pytest.mark.django_db
def test_says_what_is_wrong_with_a_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        replay(write(tmp_path, text), "--nodes", "1")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--nodes", "0"), ("--nodes", "1.5"), ("--nodes", "x"), ("--cards-per-node", "0"),
        ("--flex-hours", "nan"), ("--flex-hours", "-1"), ("--lead-hours", "inf"),
        ("--price", "x"), ("--price", "NaN"), ("--price", "-1"),
    ],
)  # fmt: skip
def test_says_which_option_is_wrong(tmp_path: Path, option: str, value: str) -> None:
    with pytest.raises(CommandError, match=f"{option}.*not {value}"):
        call_command("replay", write(tmp_path, SMALL), "--nodes=1", f"{option}={value}")


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)
    path.write_bytes(path.read_bytes() + b"\xff\xfe\x00" * 9)

    with pytest.raises(UnreadableTrace, match="UTF-8"):
        traces.read(path)


def test_an_unknown_word_in_the_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTrace, match="gpu"):
        traces.read(write(tmp_path, SMALL), columns={"gpu": "x"})
