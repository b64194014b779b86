"""An allocation goes on as another: the same machines, not a second between, each its hours."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory import capacity, credentials, metering, provisioning, verification
from inventory.capacity import CapacityTaken
from inventory.capacity.calls import InvalidEnd
from inventory.models import Allocation, Binding, Claim, FakeMachine, UsageHour
from inventory.periods import Period
from inventory.transitions import IllegalTransition
from tests import world
from tests.delivery import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db

OPTIONS = {"provision_seconds": 5, "release_seconds": 5}
FACTS = {"lead_seconds": 600, "turnaround_seconds": 1800}
HOUR_CARD_SECONDS = 2 * 8 * 3600


def running(nodes: int = 4, units: int = 2, end: float = 10) -> Allocation:
    """Handed over to its customer at T0, two hours ago."""
    pool = scene.pool(nodes=nodes, options=OPTIONS, **FACTS)
    row = scene.sold(pool, units=units, period=period(0, end))
    scene.run(T0 - hours(1), T0 + hours(2), every=30)
    row.refresh_from_db()
    assert row.state == "active"
    return row


def convert(row: Allocation, *, seam: float = 10, end: float = 20, at: float = 2) -> Allocation:
    return capacity.convert(
        allocation_id=row.pk,
        seam=T0 + hours(seam),
        end=T0 + hours(end),
        at=T0 + hours(at),
        actor=SYSTEM,
    )


def spans(row: Allocation) -> list[tuple[str, Period]]:
    rows = Claim.objects.filter(allocation=row, state__in=["held", "confirmed"]).order_by("pk")
    return [(claim.state, Period.of(claim.blocking)) for claim in rows]


def nodes(row: Allocation) -> list[int]:
    return sorted(Binding.objects.filter(allocation=row).values_list("node_id", flat=True))


def hours_of(row: Allocation) -> dict[int, int]:
    """Delivered card-seconds by hour from T0."""
    found: dict[int, int] = {}
    for usage in UsageHour.objects.filter(allocation_id=row.pk):
        hour = round((usage.hour - T0) / hours(1))
        found[hour] = found.get(hour, 0) + usage.card_seconds
    return {hour: count for hour, count in found.items() if count}


def test_the_claims_are_cut_at_the_seam_and_nothing_is_taken_twice() -> None:
    row = running()

    child = convert(row, seam=10, end=20)

    row.refresh_from_db()
    assert (Period.of(row.period), Period.of(row.blocking).end) == (period(0, 10), T0 + hours(10))
    assert (child.state, child.continues_id, child.unit_count) == ("scheduled", row.pk, 2)
    assert (Period.of(child.period), child.lead_seconds) == (period(10, 20), 0)
    assert Period.of(child.blocking) == period(10, 20.5)
    assert [claim.end for _, claim in spans(row)] == [T0 + hours(10)]
    assert spans(child) == [("confirmed", period(10, 20.5))]
    assert verification.verify() == []


@pytest.mark.parametrize(("seam", "end"), [(5, 20), (5, 8), (10, 11), (3, 10)])
def test_it_may_go_on_earlier_longer_or_shorter(seam: float, end: float) -> None:
    row = running()

    child = convert(row, seam=seam, end=end)

    row.refresh_from_db()
    assert Period.of(row.period) == period(0, seam)
    assert Period.of(child.period) == period(seam, end)
    assert verification.verify() == []


@pytest.mark.parametrize("late", [0, 45, 4000])
def test_the_machines_go_on_as_they_stand(late: int) -> None:
    """However late the step at the seam is."""
    row = running()
    before = credentials.reveal(
        allocation_id=row.pk, at=T0 + hours(2), actor=world.actor(world.tenant())
    )
    child = convert(row, seam=10, end=20)

    scene.run(T0 + hours(10) + timedelta(seconds=late), T0 + hours(12), every=30)

    row.refresh_from_db()
    child.refresh_from_db()
    assert (row.state, child.state, child.active_at) == ("ended", "active", T0 + hours(10))
    assert scene.states(row) == ["handed_over", "handed_over"]
    assert scene.states(child) == ["active", "active"]
    assert nodes(child) == nodes(row)
    machines = FakeMachine.objects.all()
    assert {(m.boot_count, m.wipe_count) for m in machines} == {(1, 0)}
    after = credentials.reveal(
        allocation_id=child.pk, at=T0 + hours(12), actor=world.actor(world.tenant())
    )
    assert after.machines == before.machines
    assert not row.credentials.filter(revoked_at=None).exists()
    assert child.credentials.filter(revoked_at=None).count() == 1
    assert verification.verify() == []


def test_each_hour_is_counted_for_the_allocation_it_belongs_to() -> None:
    row = running()
    child = convert(row, seam=5, end=8)

    scene.run(T0 + hours(5) + timedelta(seconds=90), T0 + hours(9), every=30)
    metering.sweep(at=T0 + hours(10))

    first = hours_of(row)
    assert list(first) == [0, 1, 2, 3, 4]
    assert [first[hour] for hour in (1, 2, 3, 4)] == [HOUR_CARD_SECONDS] * 4
    assert hours_of(child) == dict.fromkeys((5, 6, 7), HOUR_CARD_SECONDS)


def test_a_correction_finds_the_machine_of_its_hour() -> None:
    row = running()
    child = convert(row, seam=5, end=8)
    scene.run(T0 + hours(5), T0 + hours(9), every=30)
    metering.sweep(at=T0 + hours(10))

    old = row.instances.order_by("pk")[0]
    metering.correct(
        instance_id=old.pk,
        state="releasing",
        since=T0 + hours(4.5),
        at=T0 + hours(10),
        actor=SYSTEM,
        reason="it was down",
    )
    metering.sweep(at=T0 + hours(10))

    assert hours_of(row)[4] == HOUR_CARD_SECONDS - 8 * 1800
    assert hours_of(child) == dict.fromkeys((5, 6, 7), HOUR_CARD_SECONDS)


def test_at_the_end_the_machines_are_wiped_once_under_the_name_they_began_with() -> None:
    row = running()
    child = convert(row, seam=10, end=12)

    scene.run(T0 + hours(10), T0 + hours(13), every=30)

    child.refresh_from_db()
    assert (child.state, scene.states(child)) == ("ended", ["released", "released"])
    assert {(m.boot_count, m.wipe_count) for m in FakeMachine.objects.all()} == {(1, 1)}
    assert all(m.name.startswith(row.public_id) for m in FakeMachine.objects.all())
    assert verification.verify() == []


def test_a_machine_that_breaks_before_the_seam_is_replaced_for_both() -> None:
    row = running()
    child = convert(row, seam=10, end=20)
    broken = row.instances.order_by("pk")[0]
    provisioning.replace(instance_id=broken.pk, at=T0 + hours(4), actor=SYSTEM, reason="hot")

    scene.run(T0 + hours(4), T0 + hours(12), every=30)

    child.refresh_from_db()
    assert (child.state, scene.states(child)) == ("active", ["active", "active"])
    assert broken.binding.node_id not in nodes(child)
    broken.refresh_from_db()
    assert broken.state == "released"
    assert verification.verify() == []


def test_a_machine_that_is_down_at_the_seam_is_replaced_after_it() -> None:
    row = running(nodes=2)  # no other node is free
    child = convert(row, seam=10, end=20)
    broken = row.instances.order_by("pk")[0]
    provisioning.replace(instance_id=broken.pk, at=T0 + hours(9), actor=SYSTEM, reason="hot")
    scene.run(T0 + hours(9), T0 + hours(11), every=30)
    child.refresh_from_db()
    assert (child.state, sorted(scene.states(child))) == ("active", ["active", "released"])

    outage = broken.binding.node.outages.get()
    capacity.close_outage(outage_id=outage.pk, at=T0 + hours(11), actor=SYSTEM, reason="ok")
    scene.run(T0 + hours(11), T0 + hours(13), every=30)

    assert sorted(scene.states(child)) == ["active", "active", "released"]
    assert verification.verify() == []


def test_nobody_gets_the_nodes_between() -> None:
    """Another allocation starts at the seam, and the step comes late: it finds other nodes."""
    row = running(nodes=3)
    child = convert(row, seam=10, end=20)
    other = scene.sold(row.pool, units=1, period=period(10.5, 20), at=T0 + hours(3))
    late = T0 + hours(10.5)

    bound = capacity.bind(allocation_id=other.pk, at=late, actor=SYSTEM)
    scene.run(late, T0 + hours(11), every=30)

    child.refresh_from_db()
    assert child.state == "active"
    assert nodes(child) == nodes(row)
    assert not {each.node_id for each in bound} & set(nodes(child))


def test_it_is_refused_where_anothers_hold_has_what_follows() -> None:
    row = running(nodes=2)
    scene.sold(row.pool, units=1, period=period(11, 15), at=T0 + hours(1))
    before = (Period.of(row.period), spans(row))

    with refused(CapacityTaken):
        convert(row, seam=10, end=20)

    row.refresh_from_db()
    assert (Period.of(row.period), spans(row)) == before
    assert not Allocation.objects.filter(continues=row).exists()


@pytest.mark.parametrize(("seam", "end"), [(0, 20), (2, 20), (11, 20), (8, 8)])
def test_the_seam_lies_in_what_is_left(seam: float, end: float) -> None:
    row = running()

    with refused(InvalidEnd):
        convert(row, seam=seam, end=end)

    assert not Allocation.objects.filter(continues=row).exists()


def test_it_goes_on_once_and_only_while_it_runs() -> None:
    row = running()
    child = convert(row)

    with refused(IllegalTransition):
        convert(row, seam=9)
    with refused(IllegalTransition):
        convert(child, seam=15, end=30)

    assert Allocation.objects.filter(continues__isnull=False).count() == 1


def test_called_off_the_first_one_ends_and_is_wiped_as_before() -> None:
    row = running()
    child = convert(row, seam=10, end=20)

    capacity.release(allocation_id=child.pk, at=T0 + hours(3), actor=SYSTEM, reason="no need")
    row.refresh_from_db()
    assert Period.of(row.blocking).end == T0 + hours(10.5)
    assert verification.verify() == []
    scene.run(T0 + hours(10), T0 + hours(12), every=30)

    row.refresh_from_db()
    assert (row.state, scene.states(row)) == ("ended", ["released", "released"])
    assert {m.wipe_count for m in FakeMachine.objects.all()} == {1}
    assert verification.verify() == []


def test_called_off_it_can_be_converted_again() -> None:
    row = running()
    child = convert(row, seam=10, end=20)
    capacity.release(allocation_id=child.pk, at=T0 + hours(3), actor=SYSTEM, reason="no need")

    again = convert(row, seam=9, end=12, at=4)

    assert (again.continues_id, spans(again)) == (row.pk, [("confirmed", period(9, 12.5))])
    assert verification.verify() == []


def test_where_the_first_ends_early_the_second_is_delivered_like_any_other() -> None:
    row = running(nodes=4)
    child = convert(row, seam=10, end=20)
    capacity.shorten(
        allocation_id=row.pk, end=T0 + hours(4), at=T0 + hours(4), actor=SYSTEM, reason="unpaid"
    )
    assert verification.verify() == []

    scene.run(T0 + hours(4), T0 + hours(12), every=30)

    row.refresh_from_db()
    child.refresh_from_db()
    assert (row.state, scene.states(row)) == ("ended", ["released", "released"])
    assert child.state == "active"
    assert child.active_at is not None
    assert T0 + hours(10) < child.active_at < T0 + hours(10.1)
    assert verification.verify() == []
