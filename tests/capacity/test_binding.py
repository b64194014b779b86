import contextlib
import random
from collections import Counter

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from inventory import capacity
from inventory.capacity import CapacityTaken, NoNodeFree, NotDue
from inventory.models import Allocation, Binding, Instance, Node
from inventory.transitions import IllegalTransition
from tests import world
from tests.capacity.deals import all_is_well, deal, hold, open_block
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db


def bind(row: Allocation, at: float) -> list[Binding]:
    return capacity.bind(allocation_id=row.pk, at=T0 + hours(at), actor=SYSTEM)


def test_nodes_are_named_from_now_to_the_end_of_the_blocking_period() -> None:
    pool = world.pool(nodes=4, lead_seconds=3600, turnaround_seconds=3600)
    row = deal(open_block(pool, 4, 0, 100), units=2, start=10, end=20)

    with pytest.raises(NotDue):
        bind(row, 8.9)
    bindings = bind(row, 9.5)

    assert [(b.cards.lower, b.cards.upper) for b in bindings] == [(0, 8), (0, 8)]
    assert {(b.during.lower, b.during.upper) for b in bindings} == {
        (T0 + hours(9.5), T0 + hours(21))
    }
    assert [b.pk for b in bind(row, 11)] == [b.pk for b in bindings]
    all_is_well()


def test_whole_nodes_come_from_the_tightest_leaf_that_fits() -> None:
    block = open_block(world.pool(nodes=12), 12, 0, 100)  # three leaves of four
    first = bind(deal(block, units=2, start=0, end=50), 0)

    second = bind(deal(block, units=2, start=1, end=50), 1)
    third = bind(deal(block, units=4, start=2, end=50), 2)

    assert {b.node.leaf for b in first} == {b.node.leaf for b in second}
    assert len({b.node.leaf for b in third}) == 1


def test_slices_fill_nodes_already_cut_into() -> None:
    block = open_block(world.pool(nodes=3, unit_cards=2), 12, 0, 100)

    bound = [bind(deal(block, units=n, start=0, end=50), 0) for n in (1, 2, 3, 1, 5)]

    cards = [[(b.node_id, b.cards.lower, b.cards.upper) for b in some] for some in bound]
    nodes = sorted(Node.objects.values_list("pk", flat=True))
    assert cards[0] == [(nodes[0], 0, 2)]
    assert cards[1] == [(nodes[0], 2, 6)]
    assert cards[3] == [(nodes[0], 6, 8)]
    assert sum(b.cards.upper - b.cards.lower for some in bound for b in some) == 24
    all_is_well()


def test_never_a_broken_node_nor_one_that_is_not_clean() -> None:
    pool = world.pool(nodes=3, spare_count=1)
    block = open_block(pool, 2, 0, 100)
    first = bind(deal(block, units=1, start=0, end=10), 0)[0]
    Allocation.objects.filter(pk=first.allocation_id).update(state="delivering")
    Instance.objects.create(
        allocation_id=first.allocation_id, binding=first, driver="fake", card_count=8, created_at=T0
    )
    broken = Node.objects.exclude(pk=first.node_id).first()
    assert broken is not None
    capacity.set_outage(
        pool_id=pool.pk,
        kind="failed",
        node_id=broken.pk,
        period=world.period(0, 50),
        reason="XID 79",
        at=T0,
        actor=SYSTEM,
    )

    second = deal(block, units=1, start=10, end=20)
    third = deal(block, units=1, start=10, end=20)

    assert bind(second, 10)[0].node_id not in (first.node_id, broken.pk)
    with pytest.raises(NoNodeFree):
        bind(third, 10)
    Instance.objects.update(state="releasing")
    Instance.objects.update(state="released")
    assert bind(third, 11)[0].node_id == first.node_id


def test_another_node_takes_over() -> None:
    pool = world.pool(nodes=2, spare_count=1)
    row = deal(open_block(pool, 1, 0, 100), units=1, start=0, end=50)
    old = bind(row, 0)[0]

    (new,) = capacity.rebind(binding_id=old.pk, at=T0 + hours(5), actor=SYSTEM, reason="broken")

    old.refresh_from_db()
    assert new.node_id != old.node_id
    assert old.during.upper == new.during.lower == T0 + hours(5)
    with pytest.raises(IllegalTransition):
        capacity.rebind(binding_id=old.pk, at=T0 + hours(6), actor=SYSTEM, reason="again")
    all_is_well()


def test_a_hold_is_not_bound() -> None:
    row = hold(open_block(world.pool(nodes=1), 1, 0, 100), units=1, start=0, end=50)

    with pytest.raises(IllegalTransition):
        bind(row, 0)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_exclusion_constraint_has_the_last_word() -> None:
    """Whoever writes: here the owner, since the runtime role may not write bindings at all."""
    block = open_block(world.pool(nodes=1), 1, 0, 100)
    row = deal(block, units=1, start=0, end=50)
    taken = bind(row, 0)[0]

    def write(start: int, *, using: str) -> Binding:
        with transaction.atomic(using=using):
            return Binding.objects.using(using).create(
                allocation_id=row.pk,
                node_id=taken.node_id,
                cards=(7, 8),
                during=(T0 + hours(start), T0 + hours(60)),
                created_at=T0,
            )

    with pytest.raises(ProgrammingError, match="permission denied"):
        write(50, using="default")
    with pytest.raises(IntegrityError):
        write(49, using="owner")
    write(50, using="owner")


@pytest.mark.parametrize(("unit_cards", "seed"), [(8, 1), (8, 2), (2, 3), (1, 4)])
def test_while_the_counts_hold_late_binding_always_succeeds(unit_cards: int, seed: int) -> None:
    """Deals, own use and planned outages of any shape, each bound in order of its start."""
    draw = random.Random(seed)
    pool = world.pool(nodes=5, unit_cards=unit_cards)
    units = 5 * 8 // unit_cards
    whole = unit_cards == 8
    block = open_block(pool, units - units // 5, 0, 60)
    rows = []
    for _ in range(60):
        start, length, n = (
            draw.randrange(0, 55),
            draw.randrange(1, 6),
            draw.randrange(1, units // 2),
        )
        with contextlib.suppress(CapacityTaken):
            rows.append(deal(block, units=n, start=start, end=start + length))
    external = planned = 0
    for _ in range(10):
        window = world.period(start := draw.randrange(1, 50), start + draw.randrange(1, 6))
        try:
            if whole and draw.random() < 0.5:
                capacity.set_outage(
                    pool_id=pool.pk, kind="planned", period=window, reason="x", at=T0, actor=SYSTEM
                )
                planned += 1
            else:
                capacity.claim_external(
                    pool_id=pool.pk,
                    kind="elsewhere",
                    unit_count=1,
                    period=window,
                    note="x",
                    at=T0,
                    actor=SYSTEM,
                )
                external += 1
        except CapacityTaken:
            pass

    for hour in range(61):
        at = T0 + hours(hour)
        for row in rows:
            if row.period.upper == at:
                capacity.finish(allocation_id=row.pk, at=at, actor=SYSTEM)
        due = Allocation.objects.exclude(kind="sale").filter(state="scheduled")
        waiting = due.filter(period__startswith__lte=at).count()
        capacity.sweep(at=at)
        assert waiting == 0 or not due.filter(period__startswith__lte=at).exists()
        for row in rows:
            if row.period.lower == at:
                bindings = bind(row, hour)
                cards = sum(b.cards.upper - b.cards.lower for b in bindings)
                assert cards == row.unit_count * unit_cards

    states = Counter(Allocation.objects.exclude(kind="sale").values_list("state", flat=True))
    assert len(rows) > 10
    assert states == ({"ended": external} if external else {})
    assert pool.outages.filter(state="closed").exclude(node=None).count() == planned
    all_is_well()
