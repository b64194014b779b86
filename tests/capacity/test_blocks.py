import pytest

from inventory import capacity
from inventory.capacity import CapacityTaken
from inventory.errors import NotFound
from inventory.models import Block, PoolEvent
from tests import world
from tests.capacity.deals import all_is_well, deal, hold, open_block
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db


def span(block: Block) -> tuple[float, float]:
    block.refresh_from_db()
    return (block.period.lower - T0) / hours(1), (block.period.upper - T0) / hours(1)


def test_blocks_never_promise_spares() -> None:
    pool = world.pool(nodes=5, spare_count=1)

    open_block(pool, 3, 0, 100)
    with pytest.raises(CapacityTaken) as refused:
        open_block(pool, 2, 50, 150)

    assert refused.value.free_units == 1
    open_block(pool, 1, 50, 150)
    all_is_well()


def test_a_window_is_widened_where_the_pool_has_room() -> None:
    pool = world.pool(nodes=4, lead_seconds=3600, turnaround_seconds=7200)

    assert span(open_block(pool, 4, 10, 20)) == (9, 22)


def test_a_window_is_widened_only_as_far_as_there_is_room() -> None:
    pool = world.pool(nodes=4, lead_seconds=7200, turnaround_seconds=7200)
    capacity.claim_external(
        pool_id=pool.pk,
        kind="own_use",
        unit_count=1,
        period=world.period(1, 9),
        note="training",
        at=T0,
        actor=SYSTEM,
    )

    assert span(open_block(pool, 4, 10, 20)) == (9, 22)
    all_is_well()


def test_a_window_is_not_widened_over_a_touching_block() -> None:
    pool = world.pool(nodes=4, lead_seconds=3600, turnaround_seconds=3600)
    first = open_block(pool, 2, 10, 20)

    second = open_block(pool, 2, 20, 30)

    assert span(first) == (9, 21)
    assert span(second) == (20, 31)
    all_is_well()


def test_margins_nobody_uses_give_way_to_an_adjoining_block() -> None:
    pool = world.pool(nodes=4, lead_seconds=3600, turnaround_seconds=3600)
    first = open_block(pool, 4, 10, 20)

    second = open_block(pool, 4, 20, 30)

    assert span(first) == (9, 20)
    assert span(second) == (20, 31)
    assert PoolEvent.objects.filter(block=first, kind="block_resized").count() == 1
    deal(first, second, units=4, start=15, end=25)
    all_is_well()


def test_margins_in_use_stay() -> None:
    pool = world.pool(nodes=4, turnaround_seconds=3600)
    first = open_block(pool, 4, 10, 20)
    deal(first, units=1, start=10, end=20)

    with pytest.raises(CapacityTaken):
        open_block(pool, 4, 20, 30)

    assert span(first) == (10, 21)


def test_a_block_shrinks_to_what_it_sold_and_no_further() -> None:
    block = open_block(world.pool(nodes=4), 4, 0, 100)
    deal(block, units=2, start=10, end=20)

    assert (
        capacity.resize_block(block_id=block.pk, unit_count=2, at=T0, actor=SYSTEM).unit_count == 2
    )
    with pytest.raises(CapacityTaken):
        capacity.resize_block(block_id=block.pk, unit_count=1, at=T0, actor=SYSTEM)
    with pytest.raises(CapacityTaken):
        capacity.resize_block(block_id=block.pk, unit_count=5, at=T0, actor=SYSTEM)
    all_is_well()


def test_a_closed_block_keeps_what_it_sold_and_gives_back_the_rest() -> None:
    pool = world.pool(nodes=4)
    first = open_block(pool, 4, 0, 100)
    sold = deal(first, units=1, start=10, end=20)

    for _ in range(2):
        capacity.close_block(block_id=first.pk, at=T0, actor=SYSTEM)
    open_block(pool, 3, 0, 100)
    with pytest.raises(CapacityTaken):
        open_block(pool, 1, 0, 100)
    with pytest.raises(CapacityTaken):
        capacity.reopen_block(block_id=first.pk, at=T0, actor=SYSTEM)

    capacity.release(allocation_id=sold.pk, at=T0, actor=SYSTEM, reason="cancelled")
    open_block(pool, 1, 0, 100)
    assert PoolEvent.objects.filter(kind="block_closed").count() == 1
    all_is_well()


def test_another_providers_pool_and_block_do_not_exist() -> None:
    pool = world.pool(nodes=2)
    block = open_block(pool, 1, 0, 100)
    stranger = world.actor(world.stranger())

    with pytest.raises(NotFound):
        capacity.open_block(
            pool_id=pool.pk, unit_count=1, sellable=world.period(0, 1), at=T0, actor=stranger
        )
    with pytest.raises(NotFound):
        capacity.close_block(block_id=block.pk, at=T0, actor=stranger)
    assert Block.objects.get().state == "open"


def test_slices_of_a_node_are_counted_as_units() -> None:
    pool = world.pool(nodes=1, unit_cards=2)
    block = open_block(pool, 4, 0, 100)

    deal(block, units=3, start=0, end=10)
    with pytest.raises(CapacityTaken) as refused:
        hold(block, units=2, start=5, end=6)

    assert refused.value.free_units == 1
    with pytest.raises(CapacityTaken):
        open_block(pool, 1, 0, 10)
