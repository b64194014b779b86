import pytest

from inventory import capacity
from inventory.capacity import CapacityTaken, HoldExpired, NotOffered
from inventory.errors import Invalid
from inventory.models import Allocation, Binding, Claim
from inventory.transitions import IllegalTransition
from tests import world
from tests.capacity.deals import all_is_well, deal, free, hold, open_block
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db


def extend(row: Allocation, end: float, at: float = 0, *blocks: int) -> Allocation:
    return capacity.extend(
        allocation_id=row.pk, end=T0 + hours(end), at=T0 + hours(at), actor=SYSTEM, block_ids=blocks
    )


def shorten(row: Allocation, end: float, at: float = 0) -> Allocation:
    return capacity.shorten(
        allocation_id=row.pk, end=T0 + hours(end), at=T0 + hours(at), actor=SYSTEM, reason="early"
    )


def test_extending_takes_only_what_is_new() -> None:
    block = open_block(world.pool(nodes=2, turnaround_seconds=3600), 2, 0, 100)
    row = deal(block, units=2, start=0, end=10)
    deal(block, units=1, start=20, end=30)

    assert extend(row, 19).blocking.upper == T0 + hours(20)
    with pytest.raises(CapacityTaken):
        extend(row, 19.5)

    assert free(block, 0, 40) == [(0, 20, 0), (20, 31, 1), (31, 40, 2)]
    all_is_well()


def test_extending_reaches_into_an_adjoining_block() -> None:
    pool = world.pool(nodes=2, turnaround_seconds=3600)
    first = open_block(pool, 1, 0, 10)
    row = deal(first, units=1, start=0, end=10)
    assert Claim.objects.get().blocking.upper == T0 + hours(11)
    second = open_block(pool, 1, 10, 50)

    with pytest.raises(NotOffered):
        extend(row, 20)
    extend(row, 20, 0, second.pk)

    pieces = Claim.objects.filter(allocation=row).order_by("blocking")
    assert [c.blocking.upper for c in pieces] == [T0 + hours(10), T0 + hours(21)]
    all_is_well()


def test_extending_moves_the_bindings_along() -> None:
    block = open_block(world.pool(nodes=2), 2, 0, 100)
    row = deal(block, units=2, start=0, end=10)
    capacity.bind(allocation_id=row.pk, at=T0, actor=SYSTEM)

    extend(row, 30, 1)

    assert {b.during.upper for b in Binding.objects.all()} == {T0 + hours(30)}
    all_is_well()


def test_refuses_to_extend_backwards_too_late_or_a_lapsed_hold() -> None:
    block = open_block(world.pool(nodes=2), 2, 0, 100)
    row = deal(block, units=1, start=0, end=10)
    lapsed = hold(block, units=1, start=5, end=15, until=1)

    with pytest.raises(Invalid):
        extend(row, 10)
    with pytest.raises(HoldExpired):
        extend(lapsed, 20, 2)
    with pytest.raises(Invalid):
        extend(row, 20, 10)
    with pytest.raises(NotOffered):
        extend(row, 101, 9)


def test_shortening_frees_all_after_the_turnaround() -> None:
    block = open_block(world.pool(nodes=1, turnaround_seconds=3600), 1, 0, 100)
    row = deal(block, units=1, start=0, end=50)

    shorten(row, 20, 5)

    assert free(block, 0, 60) == [(0, 21, 0), (21, 60, 1)]
    all_is_well()
    with pytest.raises(Invalid):
        shorten(row, 6, 7)


def test_shortening_gives_back_a_whole_block_that_is_not_reached() -> None:
    pool = world.pool(nodes=1)
    first, second = open_block(pool, 1, 0, 10), open_block(pool, 1, 10, 20)
    row = deal(first, second, units=1, start=0, end=20)

    shorten(row, 5)

    states = Claim.objects.filter(allocation=row).order_by("pk").values_list("state", flat=True)
    assert list(states) == ["confirmed", "released"]
    assert free(second, 10, 20) == [(10, 20, 1)]
    all_is_well()


def test_finishing_frees_what_is_left_and_is_idempotent() -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)
    row = deal(block, units=1, start=0, end=50)
    capacity.bind(allocation_id=row.pk, at=T0, actor=SYSTEM)

    for _ in range(2):
        capacity.finish(allocation_id=row.pk, at=T0 + hours(8), actor=SYSTEM)

    assert Claim.objects.get().state == "ended"
    assert Binding.objects.get().during.upper == T0 + hours(8)
    assert free(block, 0, 100, at=8) == [(0, 100, 1)]
    deal(block, units=1, start=8, end=10, at=8)


def test_refuses_to_finish_what_was_never_confirmed() -> None:
    row = hold(open_block(world.pool(nodes=1), 1, 0, 100), units=1, start=0, end=50)

    with pytest.raises(IllegalTransition):
        capacity.finish(allocation_id=row.pk, at=T0, actor=SYSTEM)
