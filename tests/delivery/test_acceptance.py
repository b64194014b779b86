"""A delivery's time counts once a test of all of it has passed and its tenant took it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from inventory import acceptance, metering, provisioning
from inventory.acceptance import NotBeingTested, NothingPassed, OtherMachines, ReportInvalid
from inventory.acceptance.reports import read
from inventory.errors import Forbidden, NotFound
from inventory.models import Acceptance, AcceptanceRun, Allocation, Fabric, UsageHour
from inventory.periods import Period
from tests import world
from tests.delivery import scene
from tests.delivery.scene import events, run, seconds
from tests.world import T0, hours

pytestmark = pytest.mark.django_db
State = Acceptance.State
GIB16 = 2**34


def nccl(
    hosts: list[str],
    *,
    cards: int = 8,
    algbw: float = 190.0,
    size: int = GIB16,
    wrong: int = 0,
    test: str = "all_reduce_perf",
) -> str:
    """As all_reduce_perf 2.17 prints it."""
    ranks = [(host, device) for host in hosts for device in range(cards)]
    count = len(ranks)
    micros = size / (algbw * 1000)
    bus = algbw * 2 * (count - 1) / count
    lines = [
        f"# Collective test starting: {test}",
        "# nThread 1 nGpus 1 minBytes 1073741824 maxBytes 17179869184 step: 2(factor)"
        " warmup iters: 1 iters: 20 agg iters: 1 validation: 1 graph: 0",
        "#",
        "# Using devices",
        *(
            f"#  Rank {number:2d} Group  0 Pid {4000 + number:6d} on {host:>10s} device {device:2d}"
            f" [0000:{device:02x}:00] NVIDIA H100 80GB HBM3"
            for number, (host, device) in enumerate(ranks)
        ),
        "#",
        "#                                                              out-of-place"
        "                       in-place          ",
        "#       size         count      type   redop    root     time   algbw   busbw #wrong"
        "     time   algbw   busbw #wrong",
        "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)       "
        "     (us)  (GB/s)  (GB/s)       ",
        f"{size:12d} {size // 4:13d}     float     sum      -1  {micros:7.0f}  {algbw:6.2f}"
        f"  {bus:6.2f}      {wrong}  {micros:7.0f}  {algbw:6.2f}  {bus:6.2f}      0",
        f"# Out of bounds values : {wrong} {'FAILED' if wrong else 'OK'}",
        f"# Avg bus bandwidth    : {bus:g} ",
        "#",
        f"# Collective test concluded: {test}",
        "",
    ]
    return "\n".join(lines)


def hccl(*, algbw: float = 100.0, size: int = GIB16, found: str = "success") -> str:
    """As all_reduce_test of CANN 8 prints it."""
    return (
        "the minbytes is 1073741824, maxbytes is 17179869184, iters is 20, warmup_iters is 5\n"
        "data_size(Bytes): | aveg_time(us): | alg_bandwidth(GB/s): | check_result:\n"
        f"{size}       | {size / (algbw * 1000):.2f}        | {algbw:.5f}        | {found}\n"
    )


def gated(*, nodes: int = 4, units: int = 2, threshold: int = 300_000) -> Allocation:
    row = scene.sold(
        scene.pool(nodes=nodes, chip="h100-80g"), units=units, period=world.period(0, 48)
    )
    acceptance.require(
        allocation=row,
        threshold_mb_per_second=threshold,
        patience_hours=4,
        at=T0 - hours(1),
        actor=world.SYSTEM,
    )
    return row


def being_tested(**facts: Any) -> tuple[Allocation, Acceptance]:
    row = gated(**facts)
    run(T0, seconds(30))
    row.refresh_from_db()
    return row, Acceptance.objects.get()


def names(row: Allocation) -> list[str]:
    return [each.node.hostname for each in row.bindings.select_related("node").order_by("pk")]


def post(gate: Acceptance, text: str, at: datetime, *, who: Any = None, **facts: Any) -> Any:
    return acceptance.report(
        acceptance_public_id=gate.public_id,
        tool=facts.pop("tool", "nccl"),
        text=text,
        hosts=facts.pop("hosts", ""),
        at=at,
        actor=who or world.actor(world.provider()),
    )


def test_machines_that_run_wait_for_the_test_and_let_the_tenant_in() -> None:
    row, gate = being_tested()

    assert (row.state, row.active_at) == ("delivering", None)
    assert gate.testing_at is not None
    assert (gate.state, gate.due_at) == (State.TESTING, gate.testing_at + hours(4))
    assert row.credentials.filter(revoked_at=None).count() == 1


def test_time_counts_from_the_signature_and_the_difference_is_recorded() -> None:
    row, gate = being_tested()
    done = post(gate, nccl(names(row)), T0 + hours(1))
    run(T0 + hours(1), T0 + hours(1.1), every=60)
    row.refresh_from_db()
    before = row.state

    acceptance.sign(
        acceptance_public_id=gate.public_id, at=T0 + hours(2), actor=world.actor(world.tenant())
    )
    run(T0 + hours(2), T0 + hours(2) + timedelta(seconds=5))
    row.refresh_from_db()
    gate.refresh_from_db()
    metering.sweep(at=T0 + hours(4.5))
    hours_counted = UsageHour.objects.filter(allocation_id=row.pk).order_by("hour")

    assert done.passed
    assert before == "delivering"
    assert (row.state, row.active_at) == ("active", T0 + hours(2))
    assert (gate.state, gate.signed_by) == (State.ACCEPTED, world.actor(world.tenant()).label)
    assert [(each.card_seconds, each.gap_card_seconds) for each in hours_counted] == [
        (0, 16 * 3600), (0, 16 * 3600), (16 * 3600, 0), (16 * 3600, 0),
    ]  # fmt: skip


def test_silence_after_a_pass_is_acceptance() -> None:
    row, gate = being_tested()
    post(gate, nccl(names(row)), T0 + hours(1))

    run(T0 + hours(4.9), T0 + hours(5.1), every=60)
    row.refresh_from_db()
    gate.refresh_from_db()

    assert (gate.state, gate.deemed_at) == (State.DEEMED, row.active_at)
    assert row.active_at is not None
    assert row.active_at >= T0 + hours(5)


def test_a_failing_run_costs_nothing_and_restarts_the_clock() -> None:
    row, gate = being_tested()
    slow = post(gate, nccl(names(row), algbw=100.0), T0 + hours(3))
    run(T0 + hours(6.5), T0 + hours(6.6), every=60)
    gate.refresh_from_db()
    row.refresh_from_db()

    assert not slow.passed
    assert (gate.state, gate.due_at) == (State.TESTING, T0 + hours(7))
    assert row.state == "delivering"
    post(gate, nccl(names(row)), T0 + hours(6.7))
    gate.refresh_from_db()
    assert (gate.state, gate.due_at) == (State.PASSED, T0 + hours(10.7))


def test_a_tenants_failing_run_takes_a_pass_back() -> None:
    row, gate = being_tested()
    post(gate, nccl(names(row)), T0 + hours(1))
    tenant = world.actor(world.tenant())

    post(gate, nccl(names(row), wrong=3), T0 + hours(2), who=tenant)
    gate.refresh_from_db()

    assert gate.state == State.TESTING
    with pytest.raises(NothingPassed):
        acceptance.sign(acceptance_public_id=gate.public_id, at=T0 + hours(2), actor=tenant)
    assert events(gate.public_id) == [
        "acceptance.asked", "acceptance.testing", "acceptance.run_passed", "acceptance.passed",
        "acceptance.run_failed", "acceptance.testing",
    ]  # fmt: skip


def test_without_a_pass_in_time_the_delivery_is_given_up_and_nothing_was_used() -> None:
    row, gate = being_tested()

    run(T0 + hours(3.9), T0 + hours(4.2), every=60)
    row.refresh_from_db()
    gate.refresh_from_db()

    assert (row.state in ("releasing", "ended"), row.failure_code) == (True, "acceptance_failed")
    assert row.active_at is None
    assert gate.state == State.LAPSED
    assert row.credentials.filter(revoked_at=None).count() == 0
    with pytest.raises(NotBeingTested):
        post(gate, nccl(names(row)), T0 + hours(4.5))


def test_a_node_that_breaks_while_it_is_tested_is_replaced() -> None:
    row, gate = being_tested()
    broken = row.bindings.order_by("pk")[0].node
    provisioning.fail_node(
        node_id=broken.pk, expected_back_at=T0 + hours(30), at=T0 + hours(3),
        actor=world.actor(world.provider()), reason="XID 79",
    )  # fmt: skip

    run(T0 + hours(3), T0 + hours(3.2), every=5)
    standing = [
        each.node.hostname for each in row.bindings.filter(during__endswith__gt=T0 + hours(4))
    ]
    done = post(gate, nccl(standing), T0 + hours(3.5))

    assert broken.hostname not in standing
    assert done.passed


def test_a_pass_proves_the_fabric_and_a_smaller_one_later_does_not_unprove_it() -> None:
    row, gate = being_tested(nodes=6, units=3)
    Fabric.objects.update(proved_node_count=2, proved_on_date=(T0 - timedelta(days=9)).date())
    post(gate, nccl(names(row)), T0 + hours(1))
    fabric = Fabric.objects.get()
    proved = (fabric.proved_node_count, fabric.proved_on_date)
    Fabric.objects.update(proved_node_count=9)
    post(gate, nccl(names(row)), T0 + hours(2))
    fabric.refresh_from_db()

    assert proved == (3, T0.date())
    assert fabric.proved_node_count == 9


def test_a_report_about_other_machines_is_no_run() -> None:
    row, gate = being_tested()
    mine = names(row)

    for hosts, cards in (
        (mine[:1] * 1 + ["other"], 8),
        (mine[:1], 8),
        (mine, 4),
        ([*mine, "x"], 8),
    ):
        with pytest.raises(OtherMachines):
            post(gate, nccl(hosts, cards=cards), T0 + hours(1))
    gate.refresh_from_db()

    assert AcceptanceRun.objects.count() == 0
    assert gate.state == State.TESTING


def test_hccl_names_its_machines_by_its_hostfile() -> None:
    row, gate = being_tested(threshold=180_000)
    hosts = "# npus\n" + "\n".join(f"{name}:8" for name in names(row))

    done = post(gate, hccl(), T0 + hours(1), tool="hccl", hosts=hosts)

    assert (done.passed, done.busbw_mb_per_second, done.rank_count) == (True, 187_500, 16)


def test_it_is_the_tenant_who_signs_and_strangers_see_nothing() -> None:
    row, gate = being_tested()
    post(gate, nccl(names(row)), T0 + hours(1))

    with pytest.raises(Forbidden):
        acceptance.sign(
            acceptance_public_id=gate.public_id, at=T0, actor=world.actor(world.provider())
        )
    for verb in (acceptance.sign,):
        with pytest.raises(NotFound):
            verb(acceptance_public_id=gate.public_id, at=T0, actor=world.actor(world.stranger()))
    with pytest.raises(NotFound):
        post(gate, nccl(names(row)), T0, who=world.actor(world.stranger()))


GOOD = nccl(["a", "b"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "all is well, 400 GB/s",
        GOOD[: GOOD.index("# Out of bounds")],  # cut off
        GOOD.replace("# Avg bus bandwidth", "# Average"),
        GOOD.replace("all_reduce_perf", "all_gather_perf"),
        GOOD + GOOD,
        GOOD.replace("Rank  3", "Rank  5"),
        GOOD.replace("on          b device  3", "on          a device  3"),
        GOOD.replace("356.25", "399.99"),  # a better figure, written by hand
        GOOD.replace("190.00", "290.00").replace("356.25", "543.75"),  # both of them
        GOOD.replace("    float     sum", "    float"),
        nccl(["a", "b"], size=2**20),
        nccl(["a"], cards=1),
        "x" * (1024 * 1024 + 1),
    ],
    ids=range(14),
)
def test_junk_is_refused(text: str) -> None:
    with pytest.raises(ReportInvalid):
        read("nccl", text)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        (hccl(), ""),
        (hccl(), "a:8\na:8"),
        (hccl(), "a"),
        (hccl(), "a:1"),
        (hccl().replace("success", "great"), "a:8"),
        (hccl().replace("100.00000", "400.00000"), "a:8"),
        (hccl() + hccl(), "a:8"),
        ("", "a:8"),
        (hccl(size=2**20), "a:8"),
    ],
    ids=range(9),
)
def test_junk_of_hccl_is_refused(text: str, hosts: str) -> None:
    with pytest.raises(ReportInvalid):
        read("hccl", text, hosts=hosts)


def test_unchecked_and_failed_values_do_not_pass() -> None:
    assert not read("hccl", hccl(found="NULL"), hosts="a:8").is_correct
    assert not read("hccl", hccl(found="failed"), hosts="a:8").is_correct
    assert not read("nccl", nccl(["a", "b"], wrong=1)).is_correct
    assert read("nccl", GOOD.replace("\n", "\r\n")).busbw_mb_per_second == 356_250


def test_an_allocation_without_a_gate_is_active_as_soon_as_it_is_up() -> None:
    row = scene.sold(scene.pool(), period=Period(T0, T0 + hours(5)))

    run(T0, seconds(30))
    row.refresh_from_db()

    assert row.state == "active"
