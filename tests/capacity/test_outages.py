import pytest
from django.db import transaction

from inventory import capacity
from inventory.capacity import CapacityTaken, NodeInUse
from inventory.capacity.external import NodesNeeded
from inventory.errors import Invalid
from inventory.models import Allocation, Binding, JournalEntry, Node, Outage, Pool
from tests import database, world
from tests.capacity.deals import all_is_well, deal, hold, open_block
from tests.metering import timeline
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db


def fail(pool: Pool, node: Node, start: float = 0, end: float = 50) -> Outage:
    return capacity.set_outage(
        pool_id=pool.pk,
        kind="failed",
        node_id=node.pk,
        period=period(start, end),
        reason="fell off the bus",
        at=T0 + hours(start),
        actor=SYSTEM,
    )


def plan(pool: Pool, count: int, start: float, end: float, at: float = 0) -> Outage:
    return capacity.set_outage(
        pool_id=pool.pk,
        kind="planned",
        node_count=count,
        period=period(start, end),
        reason="service",
        at=T0 + hours(at),
        actor=SYSTEM,
    )


def test_a_planned_outage_needs_nodes_that_nobody_was_promised() -> None:
    pool = world.pool(nodes=4, spare_count=1)
    open_block(pool, 2, 0, 100)

    plan(pool, 1, 10, 20)
    with pytest.raises(CapacityTaken):
        plan(pool, 1, 19, 30)
    with pytest.raises(CapacityTaken):
        open_block(pool, 1, 15, 16)

    open_block(pool, 1, 20, 30)
    all_is_well()


def test_a_planned_outage_picks_its_nodes_when_it_starts() -> None:
    pool = world.pool(nodes=4)
    block = open_block(pool, 2, 0, 100)
    bound = capacity.bind(
        allocation_id=deal(block, units=2, start=0, end=100).pk, at=T0, actor=SYSTEM
    )
    plan(pool, 2, 10, 20)

    assert capacity.sweep(at=T0 + hours(9)) == 0
    assert capacity.sweep(at=T0 + hours(10)) == 1
    assert capacity.sweep(at=T0 + hours(11)) == 0

    picked = set(Outage.objects.values_list("node_id", flat=True))
    assert len(picked) == 2
    assert not picked & {b.node_id for b in bound}
    with pytest.raises(Invalid):
        capacity.set_outage(
            pool_id=pool.pk,
            kind="planned",
            node_id=picked.pop(),
            period=period(50, 60),
            reason="too early",
            at=T0,
            actor=SYSTEM,
        )


def test_a_failure_within_the_spares_changes_nothing_for_sale() -> None:
    pool = world.pool(nodes=3, spare_count=1)
    block = open_block(pool, 2, 0, 100)

    fail(pool, pool.nodes.earliest("pk"))

    deal(block, units=2, start=0, end=10)
    assert not JournalEntry.objects.filter(event="pool.overcommitted").exists()


def test_failures_beyond_the_spares_leave_only_what_still_stands() -> None:
    pool = world.pool(nodes=4, spare_count=1)
    block = open_block(pool, 3, 0, 100)
    deal(block, units=1, start=0, end=100)
    first, second = pool.nodes.all()[:2]
    fail(pool, first, end=30)
    outage = fail(pool, second, end=40)

    with pytest.raises(CapacityTaken) as refused:
        hold(block, units=2, start=20, end=25)
    assert refused.value.free_units == 1
    hold(block, units=2, start=30, end=35)  # by then the first is expected back

    capacity.close_outage(outage_id=outage.pk, at=T0 + hours(1), actor=SYSTEM)
    hold(block, units=2, start=20, end=25, at=1)
    second.refresh_from_db()
    assert second.state == "serviceable"


def test_a_failure_that_breaks_the_count_names_who_is_in_danger() -> None:
    pool = world.pool(nodes=3)
    block = open_block(pool, 3, 0, 100)
    running = deal(block, units=2, start=0, end=40)
    bound = capacity.bind(allocation_id=running.pk, at=T0, actor=SYSTEM)
    coming = deal(block, units=1, start=10, end=20)
    later = deal(block, units=1, start=60, end=70)
    idle = pool.nodes.exclude(pk__in=[b.node_id for b in bound]).get()

    fail(pool, idle, end=50)

    entry = JournalEntry.objects.get(event="pool.overcommitted")
    assert entry.object_id == pool.public_id
    assert entry.data["allocations"] == [coming.public_id]
    assert entry.data["short_units"] == 1
    assert later.public_id not in entry.data["allocations"]
    assert Allocation.objects.get(pk=running.pk).state == "scheduled"


def test_an_overdue_failure_counts_until_somebody_ends_it() -> None:
    pool = world.pool(nodes=1)
    block = open_block(pool, 1, 0, 100)
    fail(pool, pool.nodes.get(), end=5)

    hold(block, units=1, start=5, end=6, until=0.1)
    with pytest.raises(CapacityTaken):
        hold(block, units=1, start=50, end=60, at=5)


def test_a_node_retires_only_when_nothing_needs_it() -> None:
    pool = world.pool(nodes=2)
    block = open_block(pool, 1, 0, 100)
    (bound,) = capacity.bind(
        allocation_id=deal(block, units=1, start=0, end=10).pk, at=T0, actor=SYSTEM
    )
    idle = pool.nodes.exclude(pk=bound.node_id).get()

    with pytest.raises(NodeInUse):
        capacity.retire_node(node_id=bound.node_id, at=T0, actor=SYSTEM, reason="old")
    for _ in range(2):
        row = capacity.retire_node(node_id=idle.pk, at=T0, actor=SYSTEM, reason="old")

    assert row.state == "retired"
    with pytest.raises(CapacityTaken):
        open_block(pool, 1, 0, 10)
    with pytest.raises(CapacityTaken):
        capacity.retire_pool(pool_id=pool.pk, at=T0, actor=SYSTEM, reason="gone")
    retired = capacity.retire_pool(pool_id=pool.pk, at=T0 + hours(10), actor=SYSTEM, reason="gone")
    assert retired.state == "retired"
    all_is_well()


def test_promises_that_follow_each_other_are_not_added_up_when_a_node_retires() -> None:
    pool = world.pool(nodes=3)
    for start in (0, 10, 20):
        deal(open_block(pool, 2, start, start + 10), units=2, start=start, end=start + 10)
    node = pool.nodes.earliest("pk")

    row = capacity.retire_node(node_id=node.pk, at=T0, actor=SYSTEM, reason="old")

    assert row.state == "retired"
    with pytest.raises(CapacityTaken):
        capacity.retire_node(node_id=pool.nodes.latest("pk").pk, at=T0, actor=SYSTEM, reason="old")
    all_is_well()


def test_own_use_follows_the_clock() -> None:
    pool = world.pool(nodes=2)

    def own(start: float, end: float, *nodes: int) -> Allocation:
        return capacity.claim_external(
            pool_id=pool.pk,
            kind="own_use",
            unit_count=1,
            period=period(start, end),
            note="pre-training",
            at=T0,
            actor=SYSTEM,
            node_ids=nodes,
        )

    node = pool.nodes.last()
    assert node is not None
    running, coming = own(-10, 20, node.pk), own(10, 30)
    assert running.bindings.get().node_id == node.pk
    with pytest.raises(CapacityTaken):
        own(15, 16)
    with pytest.raises(Invalid):
        own(50, 60, node.pk)

    for hour, states in ((9, "active scheduled"), (10, "active active"), (30, "ended ended")):
        capacity.sweep(at=T0 + hours(hour))
        running.refresh_from_db()
        coming.refresh_from_db()
        assert f"{running.state} {coming.state}" == states
    assert coming.bindings.get().node_id != node.pk
    all_is_well()


def test_what_runs_already_names_nodes_that_are_free() -> None:
    pool = world.pool(nodes=4)
    first, second, *_ = pool.nodes.order_by("pk")

    def runs(units: int, *nodes: Node) -> Allocation:
        return capacity.claim_external(
            pool_id=pool.pk,
            kind="elsewhere",
            unit_count=units,
            period=period(-10, 20),
            note="a contract of last year",
            at=T0,
            actor=SYSTEM,
            node_ids=[node.pk for node in nodes],
        )

    for units, nodes, error in (
        (1, (), NodesNeeded),
        (2, (first,), Invalid),
        (1, (first, second), Invalid),
        (2, (first, first), Invalid),
    ):
        with pytest.raises(error):
            runs(units, *nodes)
    row = runs(1, first)
    with pytest.raises(NodeInUse), transaction.atomic():
        runs(2, first, second)

    assert [binding.node for binding in row.bindings.all()] == [first]
    assert Allocation.objects.count() == 1
    all_is_well()


def test_what_was_counted_as_serviceable_stays_so() -> None:
    pool = world.pool(nodes=2)

    def out(kind: str, start: float, end: float) -> Outage:
        node = pool.nodes.all()[0].pk if kind == "failed" else None
        return capacity.set_outage(
            pool_id=pool.pk,
            kind=kind,
            period=period(start, end),
            node_id=node,
            reason="fans",
            at=T0,
            actor=SYSTEM,
        )

    for kind, start, end in (("planned", -9, -1), ("planned", -9, 0), ("failed", -200, 5)):
        with pytest.raises(Invalid):
            out(kind, start, end)
    assert not Outage.objects.exists()

    assert out("planned", -9, 5).period == period(0, 5).range
    assert out("failed", -9, 5).period == period(-9, 5).range


def test_maintenance_of_nodes_in_use_needs_notice() -> None:
    """Of three nodes one serves, by a binding that no claim of the pool's counts stands for."""
    pool = world.pool(nodes=3)
    row = timeline.allocation(pool, period=period(0, 500), active_at=T0, state="active")
    database.write(
        Binding(
            allocation=row, node=pool.nodes.order_by("pk")[0], cards=(0, 8),
            during=period(0, 500).range, created_at=T0,
        )
    )  # fmt: skip

    plan(pool, 2, 1, 3)
    with pytest.raises(capacity.MaintenanceTooSoon) as refusal, transaction.atomic():
        plan(pool, 3, 10, 12)
    plan(pool, 3, 72, 74)

    assert refusal.value.fields()["earliest_start"] == T0 + hours(72)
    assert pool.outages.count() == 2
