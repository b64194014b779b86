from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from inventory import capacity
from inventory.capacity import (
    CapacityTaken,
    ClockAhead,
    HoldExpired,
    HoldStillValid,
    NotOffered,
    calls,
)
from inventory.errors import Invalid, NotFound
from inventory.models import Allocation, Claim, JournalEntry, PoolEvent, PoolVersion
from inventory.transitions import IllegalTransition
from tests import world
from tests.capacity.deals import FAR, all_is_well, deal, free, hold, open_block
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db


def test_a_hold_takes_its_units_over_its_blocking_period() -> None:
    pool = world.pool(nodes=4, lead_seconds=3600, turnaround_seconds=1800)
    block = open_block(pool, 4, 0, 100)

    held = hold(block, units=3, start=10, end=20)

    assert free(block, 0, 40) == [(0, 9, 4), (9, 20.5, 1), (20.5, 40, 4)]
    stored = Allocation.objects.get(pk=held.pk)
    assert (stored.public_id, stored.state, stored.provider_id) == (
        held.public_id,
        "held",
        pool.provider_id,
    )
    assert (stored.period, stored.blocking) == (held.period, held.blocking)
    entry = JournalEntry.objects.get(object_id=held.public_id)
    assert (entry.event, entry.tenant_id) == ("allocation.held", held.tenant_id)
    all_is_well()


def test_refuses_more_than_is_free_and_says_how_much_is() -> None:
    block = open_block(world.pool(nodes=4), 4, 0, 100)
    deal(block, units=3, start=10, end=20)
    before = (Claim.objects.count(), PoolEvent.objects.count(), PoolVersion.objects.get().ver)

    with pytest.raises(CapacityTaken) as refused:
        hold(block, units=2, start=19, end=30)

    assert refused.value.free_units == 1
    assert before == (
        Claim.objects.count(),
        PoolEvent.objects.count(),
        PoolVersion.objects.get().ver,
    )


def test_what_ends_and_what_starts_at_one_instant_do_not_meet() -> None:
    block = open_block(world.pool(nodes=2), 2, 0, 100)
    deal(block, units=2, start=0, end=10)

    deal(block, units=2, start=10, end=20)

    with pytest.raises(CapacityTaken):
        hold(block, units=1, start=19.9999, end=20.5)
    all_is_well()


def test_a_lapsed_hold_counts_no_more_and_never_comes_back() -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)
    lapsed = hold(block, units=1, start=50, end=60, until=1)

    with pytest.raises(CapacityTaken):
        hold(block, units=1, start=50, end=60, at=0.99, until=5)
    hold(block, units=1, start=50, end=60, at=1, until=5)

    # The caller's clock steps back; the pool's does not.
    with pytest.raises(HoldExpired):
        capacity.confirm(allocation_id=lapsed.pk, at=T0 + hours(0.5), actor=SYSTEM)
    all_is_well()


def test_confirming_makes_it_due_when_its_blocking_period_begins() -> None:
    pool = world.pool(nodes=1, lead_seconds=1800)
    block = open_block(pool, 1, 0, 100)

    row = deal(block, units=1, start=10, end=20)

    assert row.state == "scheduled"
    assert row.next_step_at == T0 + hours(9.5)
    with pytest.raises(IllegalTransition):
        capacity.confirm(allocation_id=row.pk, at=T0, actor=SYSTEM)


def test_expiring_waits_for_the_clock_and_is_idempotent() -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)
    row = hold(block, units=1, start=10, end=20, until=1)

    with pytest.raises(HoldStillValid):
        capacity.expire(allocation_id=row.pk, at=T0 + hours(0.9), actor=SYSTEM)
    for _ in range(2):
        row = capacity.expire(allocation_id=row.pk, at=T0 + hours(1), actor=SYSTEM)

    assert row.state == "expired"
    assert PoolEvent.objects.filter(kind="expired").count() == 1
    with pytest.raises(HoldExpired):
        capacity.confirm(allocation_id=row.pk, at=T0 + hours(1), actor=SYSTEM)
    all_is_well()


def test_releasing_gives_back_and_is_idempotent() -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)
    row = deal(block, units=1, start=10, end=20)

    for _ in range(2):
        row = capacity.release(allocation_id=row.pk, at=T0, actor=SYSTEM, reason="not needed")

    assert row.state == "cancelled"
    assert free(block, 0, 100) == [(0, 100, 1)]
    assert PoolEvent.objects.get(kind="released").reason == "not needed"
    all_is_well()


@pytest.mark.parametrize(("start", "end"), [(-1, 10), (90, 101), (200, 210)])
def test_refuses_a_period_outside_the_sellable_window(start: float, end: float) -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)

    with pytest.raises(NotOffered) as refused:
        hold(block, units=1, start=start, end=end)

    assert refused.value.fields()["why"] == "outside_the_sellable_window"


def test_refuses_a_closed_block_and_a_draining_pool() -> None:
    pool = world.pool(nodes=2)
    block = open_block(pool, 1, 0, 100)
    other = open_block(pool, 1, 0, 100)
    capacity.close_block(block_id=block.pk, at=T0, actor=SYSTEM)

    with pytest.raises(NotOffered) as refused:
        hold(block, units=1, start=1, end=2)
    assert refused.value.fields()["why"] == "block_closed"

    capacity.turn_pool(pool_id=pool.pk, to="draining", at=T0, actor=SYSTEM)
    with pytest.raises(NotOffered):
        hold(other, units=1, start=1, end=2)
    with pytest.raises(NotOffered):
        open_block(pool, 1, 200, 300)


def test_a_period_over_adjoining_blocks_takes_one_claim_of_each() -> None:
    pool = world.pool(nodes=2, lead_seconds=3600, turnaround_seconds=3600)
    first, second = open_block(pool, 2, 0, 100), open_block(pool, 2, 100, 200)

    row = deal(first, second, units=2, start=90, end=110)

    pieces = Claim.objects.filter(allocation=row).order_by("blocking")
    assert [
        (p.block_id, (p.blocking.lower - T0) / hours(1), (p.blocking.upper - T0) / hours(1))
        for p in pieces
    ] == [(first.pk, 89, 100), (second.pk, 100, 111)]
    with pytest.raises(CapacityTaken):
        hold(first, units=1, start=80, end=98)
    all_is_well()


def test_refuses_blocks_that_do_not_adjoin_or_are_not_needed() -> None:
    pool = world.pool(nodes=1)
    first, second = open_block(pool, 1, 0, 100), open_block(pool, 1, 101, 200)

    with pytest.raises(NotOffered) as apart:
        hold(first, second, units=1, start=90, end=110)
    third = open_block(pool, 1, 200, 300)
    with pytest.raises(NotOffered) as needless:
        hold(second, third, units=1, start=110, end=120)
    elsewhere = open_block(world.pool(nodes=1), 1, 100, 200)
    with pytest.raises(NotOffered) as foreign:
        hold(first, elsewhere, units=1, start=90, end=110)

    assert apart.value.fields()["why"] == "blocks_do_not_adjoin"
    assert needless.value.fields()["why"] == "a_block_is_not_needed"
    assert foreign.value.fields()["why"] == "no_such_block"


def test_an_instant_ahead_of_the_database_is_refused() -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 10**6)
    calls._replaying.set(False)
    with pytest.raises(ClockAhead):
        hold(block, units=1, start=10**6 - 2, end=10**6 - 1, at=10**6 - 3)


def test_refuses_counts_and_rows_that_cannot_be() -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)

    for units in (0, -1, 10**9):
        with pytest.raises(Invalid):
            hold(block, units=units, start=1, end=2)
    with pytest.raises(Invalid):
        hold(block, block, units=1, start=1, end=2)
    with pytest.raises(NotOffered):
        hold(block, units=1, start=1, end=2, at=3, until=2)
    with pytest.raises(NotFound):
        capacity.confirm(allocation_id=10**12, at=T0, actor=SYSTEM)


def test_a_basket_is_confirmed_together_or_not_at_all() -> None:
    first = hold(open_block(world.pool(nodes=1), 1, 0, 100), units=1, start=1, end=2)
    second = hold(open_block(world.pool(nodes=1), 1, 0, 100), units=1, start=1, end=2, until=0.5)

    with pytest.raises(HoldExpired):
        capacity.confirm_all(
            allocation_ids=[first.pk, second.pk], at=T0 + timedelta(hours=1), actor=SYSTEM
        )
    assert Allocation.objects.get(pk=first.pk).state == "held"

    capacity.confirm_all(allocation_ids=[first.pk, second.pk], at=T0, actor=SYSTEM)
    assert set(Allocation.objects.values_list("state", flat=True)) == {"scheduled"}


def test_one_claim_is_one_statement(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)
    tenant = world.tenant()

    with django_assert_num_queries(1):
        capacity.claim(
            pool_id=block.pool_id,
            block_ids=[block.pk],
            unit_count=1,
            period=world.period(1, 2),
            tenant_id=tenant.pk,
            held_until=FAR,
            at=T0,
            actor=SYSTEM,
        )
