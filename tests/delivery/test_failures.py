from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from inventory import capacity, metering, provisioning, verification
from inventory.drivers.base import DriverError, Target
from inventory.drivers.fake import FakeDriver
from inventory.models import (
    Allocation,
    Credential,
    FakeMachine,
    Instance,
    Node,
    Outage,
    UsageHour,
)
from inventory.periods import Period
from inventory.pools import NodeRow
from inventory.provisioning.pacing import retry_at
from tests import world
from tests.delivery import scene
from tests.delivery.scene import seconds
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db

QUICK = {"provision_seconds": 5, "release_seconds": 5}
SHORT = {"provision_seconds": 120, "delivery_seconds": 300, "release_seconds": 120}


def _pool(fail: dict[str, Any] | None = None, *, nodes: int = 4, **facts: Any) -> Any:
    options = {**QUICK, "deadlines": SHORT, "fail": fail or {}}
    return scene.pool(nodes=nodes, options=options, **facts)


def test_a_passing_failure_is_tried_again_on_the_same_node() -> None:
    allocation = scene.sold(_pool({"provision": {"nth": [0], "times": 2}}))

    scene.run(seconds(0), seconds(60))
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.ACTIVE
    assert scene.states(allocation) == ["active", "active"]
    assert Node.objects.filter(state=Node.State.BROKEN).count() == 0
    assert allocation.instances.order_by("pk")[0].last_error == "provision fails on command"


def test_tries_come_back_later_and_later_and_apart() -> None:
    delays = [
        (retry_at(name="ins_1", attempt=attempt, at=T0) - T0).total_seconds()
        for attempt in range(1, 12)
    ]
    others = {retry_at(name=f"ins_{number}", attempt=3, at=T0) for number in range(20)}

    bounds = [min(300, 2**attempt) for attempt in range(1, 12)]
    assert all(most / 2 <= delay <= most for delay, most in zip(delays, bounds, strict=True))
    assert len(others) == 20


def test_the_good_machines_are_kept_and_the_failed_one_replaced() -> None:
    row = _pool()
    bad = row.nodes.order_by("pk")[0]
    row.driver_options["fail"] = {"provision": {"serials": [bad.serial], "permanent": True}}
    row.save(update_fields=["driver_options"])
    allocation = scene.sold(row, units=3)

    scene.run(seconds(0), seconds(120))
    allocation.refresh_from_db()
    bad.refresh_from_db()

    assert allocation.state == Allocation.State.ACTIVE
    assert sorted(scene.states(allocation)) == ["active", "active", "active", "released"]
    assert bad.state == Node.State.BROKEN
    outage = Outage.objects.get()
    assert (outage.kind, outage.node_id, outage.state) == ("failed", bad.pk, "open")
    assert FakeMachine.objects.filter(clean_at=None).count() == 3
    assert set(FakeMachine.objects.values_list("boot_count", flat=True)) == {1}


def test_a_delivery_without_a_replacement_fails_is_wiped_and_frees_its_time() -> None:
    row = _pool({"provision": {"nth": [0], "permanent": True}}, nodes=2)
    allocation = scene.sold(row, units=2)
    block = row.blocks.get()

    scene.run(seconds(0), seconds(400))
    allocation.refresh_from_db()
    free = capacity.availability(block_id=block.pk, period=world.period(1, 9), at=seconds(400))

    assert allocation.state == Allocation.State.ENDED
    assert allocation.failure_code == "provision_failed"
    assert allocation.active_at is None
    assert Credential.objects.count() == 0
    assert set(scene.states(allocation)) == {"released"}
    assert FakeMachine.objects.filter(clean_at=None).count() == 0
    assert seconds(300) <= Period.of(allocation.period).end <= seconds(310)
    assert min(step.free_units for step in free) >= 1


def test_time_before_a_failed_delivery_is_owed_but_not_delivered() -> None:
    row = _pool({"provision": {"nth": [0], "permanent": True}}, nodes=2)
    allocation = scene.sold(row, units=2)
    scene.run(seconds(0), seconds(400))

    metering.sweep(at=T0 + timedelta(hours=2))

    hours = list(UsageHour.objects.filter(allocation_id=allocation.pk))
    assert [each.card_seconds for each in hours] == [0]
    assert hours[0].gap_card_seconds == 16 * Period.of(Allocation.objects.get().period).seconds


def test_an_engine_that_never_answers_ends_in_deadline_exceeded() -> None:
    row = scene.pool(
        options={"provision_seconds": 10_000, "deadlines": SHORT | {"provision_seconds": 9e3}}
    )
    allocation = scene.sold(row)

    scene.run(seconds(0), seconds(360))
    allocation.refresh_from_db()

    assert (allocation.state, allocation.failure_code) == ("ended", "deadline_exceeded")


def test_a_machine_that_hangs_is_given_up_for_another() -> None:
    row = _pool()
    allocation = scene.sold(row, units=1)
    scene.tick(T0)
    FakeMachine.objects.update(ready_at=T0 + timedelta(days=9))

    scene.run(seconds(5), seconds(180))
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.ACTIVE
    assert scene.states(allocation) == ["released", "active"]
    assert allocation.instances.order_by("pk")[0].last_error == "deadline exceeded"


def test_an_unreachable_engine_quarantines_no_node() -> None:
    allocation = scene.sold(_pool({"provision": {}}))

    scene.run(seconds(0), seconds(400))
    allocation.refresh_from_db()

    assert (allocation.state, allocation.failure_code) == ("ended", "provision_failed")
    assert Node.objects.filter(state=Node.State.BROKEN).count() == 0


def test_a_bad_image_does_not_quarantine_the_whole_pool() -> None:
    allocation = scene.sold(_pool({"provision": {"permanent": True}}, nodes=20), units=1)

    scene.run(seconds(0), seconds(200))
    allocation.refresh_from_db()

    assert allocation.failure_code == "provision_failed"
    assert Node.objects.filter(state=Node.State.BROKEN).count() == 4


def test_no_node_to_bind_fails_the_delivery_at_its_deadline() -> None:
    row = _pool(nodes=2)
    allocation = scene.sold(row, units=2)
    capacity.set_outage(
        pool_id=row.pk,
        kind="failed",
        node_id=row.nodes.first().pk,
        period=world.period(-0.5, 48),
        reason="burnt",
        at=T0 - timedelta(minutes=30),
        actor=SYSTEM,
    )

    scene.run(seconds(0), seconds(330))
    allocation.refresh_from_db()

    assert (allocation.state, allocation.failure_code) == ("ended", "no_node_available")
    assert allocation.instances.count() == 0


def test_a_node_that_cannot_be_wiped_is_quarantined_and_seen() -> None:
    allocation = _stuck_in_release()

    stuck = allocation.instances.get(state=Instance.State.RELEASE_FAILED)
    assert allocation.state == Allocation.State.RELEASE_FAILED
    assert scene.states(allocation).count("released") == 1
    assert stuck.binding.node.state == Node.State.BROKEN
    assert stuck.last_error == "deadline exceeded: release fails on command"


def test_a_quarantined_node_serves_nobody_while_the_others_do() -> None:
    allocation = _stuck_in_release()
    end = Period.of(allocation.period).end
    period = Period(end + timedelta(hours=1), end + timedelta(hours=2))

    successor = scene.sold(allocation.pool, units=1, period=period, at=end + timedelta(minutes=10))
    scene.run(period.start, period.start + timedelta(seconds=60))
    successor.refresh_from_db()

    stuck = allocation.instances.get(state=Instance.State.RELEASE_FAILED)
    assert successor.state == Allocation.State.ACTIVE
    assert successor.instances.get().binding.node_id != stuck.binding.node_id


def test_an_engine_that_comes_back_late_is_given_its_time() -> None:
    """Until then it could not be reached, which says nothing about the node."""
    row = _pool({"provision": {}}, nodes=1)
    allocation = scene.sold(row, units=1)
    scene.tick(seconds(0))
    scene.tick(seconds(1))
    row.driver_options["fail"] = {}
    row.save(update_fields=["driver_options"])

    scene.run(seconds(130), seconds(200))
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.ACTIVE
    assert allocation.instances.count() == 1
    assert Node.objects.filter(state=Node.State.BROKEN).count() == 0


def test_a_failed_node_is_replaced_by_a_spare_and_its_time_is_a_gap() -> None:
    row = _pool(nodes=3, spare_count=1)
    allocation = scene.sold(row, units=2)
    scene.run(seconds(0), seconds(60))
    bad = allocation.bindings.order_by("pk")[0].node

    provisioning.fail_node(
        node_id=bad.pk,
        expected_back_at=T0 + timedelta(days=2),
        at=seconds(600),
        actor=world.actor(world.provider()),
        reason="ECC errors",
    )
    scene.run(seconds(600), seconds(900))
    allocation.refresh_from_db()
    bad.refresh_from_db()

    assert bad.state == Node.State.BROKEN
    assert allocation.state == Allocation.State.ACTIVE
    assert sorted(scene.states(allocation)) == ["active", "active", "released"]
    now_bound = allocation.bindings.filter(during__endswith__gt=seconds(900))
    assert not now_bound.filter(node=bad).exists()
    metering.sweep(at=T0 + timedelta(hours=2))
    first = UsageHour.objects.get(allocation_id=allocation.pk, hour=T0)
    assert 0 < first.gap_card_seconds < 8 * 120


def test_a_repaired_node_takes_its_place_again_where_no_other_is_free() -> None:
    row = _pool(nodes=2)
    allocation = scene.sold(row, units=2)
    scene.run(seconds(0), seconds(60))
    bad = allocation.bindings.order_by("pk")[0].node
    owner = world.actor(world.provider())
    outage = provisioning.fail_node(
        node_id=bad.pk, expected_back_at=T0 + timedelta(days=2),
        at=seconds(600), actor=owner, reason="cable",
    )  # fmt: skip
    scene.run(seconds(600), seconds(900))
    assert sorted(scene.states(allocation)) == ["active", "released"]

    capacity.close_outage(outage_id=outage.pk, at=seconds(900), actor=owner)
    scene.run(seconds(900), seconds(1000))

    assert sorted(scene.states(allocation)) == ["active", "active", "released"]
    assert verification.verify() == []


def test_a_node_that_was_not_wiped_is_not_brought_back() -> None:
    allocation = _stuck_in_release()
    stuck = allocation.instances.get(state=Instance.State.RELEASE_FAILED)
    at = Period.of(allocation.period).end + timedelta(hours=1)
    owner = world.actor(world.provider())
    outage = Outage.objects.get(node=stuck.binding.node, state=Outage.State.OPEN)

    with pytest.raises(capacity.NodeNotClean):
        capacity.close_outage(outage_id=outage.pk, at=at, actor=owner)
    provisioning.mark_clean(instance_id=stuck.pk, at=at, actor=owner, reason="wiped by hand")
    capacity.close_outage(outage_id=outage.pk, at=at, actor=owner)

    assert Node.objects.get(pk=stuck.binding.node_id).state == Node.State.SERVICEABLE


def test_a_person_retries_the_wipe() -> None:
    allocation = _stuck_in_release()
    stuck = allocation.instances.get(state=Instance.State.RELEASE_FAILED)
    at = Period.of(allocation.period).end + timedelta(hours=1)
    allocation.pool.driver_options["fail"] = {}
    allocation.pool.save(update_fields=["driver_options"])

    provisioning.retry_release(
        instance_id=stuck.pk, at=at, actor=world.actor(world.provider()), reason="cable fixed"
    )
    scene.run(at, at + timedelta(seconds=60))
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.ENDED
    assert set(scene.states(allocation)) == {"released"}
    with pytest.raises(provisioning.NothingToRemedy):
        provisioning.retry_release(instance_id=stuck.pk, at=at, actor=SYSTEM, reason="again")


def test_a_person_wipes_by_hand() -> None:
    allocation = _stuck_in_release()
    stuck = allocation.instances.get(state=Instance.State.RELEASE_FAILED)
    at = Period.of(allocation.period).end + timedelta(hours=1)

    provisioning.mark_clean(
        instance_id=stuck.pk, at=at, actor=world.actor(world.provider()), reason="new disks"
    )
    scene.tick(at)
    allocation.refresh_from_db()
    stuck.binding.node.refresh_from_db()

    assert allocation.state == Allocation.State.ENDED
    assert stuck.binding.node.state == Node.State.BROKEN


def test_a_machine_that_breaks_in_use_is_replaced_and_the_customer_told() -> None:
    allocation = scene.sold(_pool(), units=2)
    scene.run(seconds(0), seconds(60))
    broken = allocation.instances.order_by("pk")[0]

    provisioning.replace(instance_id=broken.pk, at=seconds(600), actor=SYSTEM, reason="XID 79")
    scene.run(seconds(600), seconds(700))
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.ACTIVE
    assert scene.states(allocation) == ["released", "active", "active"]
    told = Credential.objects.order_by("pk").values_list("revoked_at", flat=True)
    assert [revoked_at is None for revoked_at in told] == [False, True]


def test_a_driver_nobody_has_installed_does_not_stop_the_others() -> None:
    strange, good = _pool(driver="no-such-engine"), _pool()
    first, second = scene.sold(strange, units=1), scene.sold(good, units=1)

    scene.run(seconds(0), seconds(60))
    first.refresh_from_db()
    second.refresh_from_db()

    assert second.state == Allocation.State.ACTIVE
    assert first.state == Allocation.State.DELIVERING
    assert "no-such-engine" in first.instances.get().last_error


def test_random_failures_are_the_same_for_the_same_seed() -> None:
    def refusals(seed: int, name: str, serial: str = "SN-1") -> list[bool]:
        return [_refuses(seed, name, serial, attempt) for attempt in range(40)]

    first = refusals(3, "one")

    assert first == refusals(3, "another")
    assert first != refusals(4, "one")
    assert first != refusals(3, "one", "SN-2")
    assert 5 < sum(first) < 30


def test_random_failures_are_overcome() -> None:
    row = scene.pool(nodes=0, options={**QUICK, "random_failure_bps": 4000, "seed": 3})
    nodes = [NodeRow(serial=f"SN-{number}") for number in range(4)]
    capacity.put_nodes(pool_id=row.pk, rows=nodes, at=T0 - timedelta(days=60), actor=SYSTEM)
    allocation = scene.sold(row, units=4)

    scene.run(seconds(0), seconds(600))
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.ACTIVE


def _refuses(seed: int, name: str, serial: str, attempt: int) -> bool:
    target = Target(
        name=f"{name}-{attempt}",
        allocation=name,
        node=f"{name}-{attempt}",
        serial=serial,
        hostname="",
        first_card=0,
        card_count=8,
        ordinal=0,
        attempt=attempt,
        reference="",
        options={"random_failure_bps": 4000, "seed": seed},
    )
    try:
        FakeDriver().provision(target, at=T0)
    except DriverError as error:
        return error.detail == "provision failed at random"
    return False


def _stuck_in_release() -> Allocation:
    """One of two machines cannot be wiped until its deadline has passed."""
    row = _pool({"release": {"nth": [0]}}, nodes=3)
    allocation = scene.sold(row, units=2)
    scene.run(seconds(0), seconds(30))
    end = Period.of(allocation.period).end
    scene.run(end, end + timedelta(seconds=400))
    allocation.refresh_from_db()
    return allocation
