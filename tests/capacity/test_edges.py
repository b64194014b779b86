"""Periods at every edge: of each other, of blocks, of months and of time as we count it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from inventory import capacity
from inventory.capacity import CapacityTaken, NotOffered
from inventory.errors import Invalid
from inventory.models import Allocation, Binding, Block, Claim
from inventory.periods import Period
from inventory.transitions import IllegalTransition
from tests import world
from tests.capacity.deals import FAR, all_is_well, deal, free, hold, open_block
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db
LEAST = 1e-6 / 3600  # a microsecond, in hours


@pytest.mark.parametrize(
    ("start", "end", "fits"),
    [
        (10, 20, False),  # the same
        (12, 18, False),  # inside
        (5, 25, False),  # around
        (5, 15, False),  # over its start
        (15, 25, False),  # over its end
        (5, 10, True),  # up to its start
        (20, 25, True),  # from its end on
        (5, 10 + LEAST, False),
        (20 - LEAST, 25, False),
        (19.75, 20, False),
        (20, 20 + LEAST, True),
    ],
)
def test_a_period_meets_another_or_does_not(start: float, end: float, fits: bool) -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)
    deal(block, units=1, start=10, end=20)

    if fits:
        deal(block, units=1, start=start, end=end)
    else:
        with pytest.raises(CapacityTaken):
            hold(block, units=1, start=start, end=end)

    assert Claim.objects.count() == 1 + fits
    all_is_well()


def test_the_peak_between_two_that_never_meet_is_not_their_sum() -> None:
    block = open_block(world.pool(nodes=3), 3, 0, 100)
    deal(block, units=2, start=10, end=20)
    deal(block, units=2, start=20, end=30)
    deal(block, units=2, start=40, end=50)

    deal(block, units=1, start=0, end=100)

    with pytest.raises(CapacityTaken) as refused:
        hold(block, units=2, start=15, end=45)
    assert refused.value.free_units == 0
    all_is_well()


@pytest.mark.parametrize(("start", "end"), [(10, 10), (20, 10)])
def test_nothing_lasts_no_time_or_less(start: float, end: float) -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)

    with pytest.raises(Invalid):
        hold(block, units=1, start=start, end=end)
    with pytest.raises(Invalid):
        open_block(block.pool, 1, start, end)

    assert (Claim.objects.count(), Block.objects.count()) == (0, 1)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(2027, 1, 31, tzinfo=UTC), datetime(2027, 2, 28, tzinfo=UTC)),
        (datetime(2028, 2, 28, 23, tzinfo=UTC), datetime(2028, 3, 1, 1, tzinfo=UTC)),  # leap day
        (datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2026, 9, 30, 16, tzinfo=UTC), datetime(2026, 10, 31, 16, tzinfo=UTC)),  # +08
    ],
)
def test_months_end_like_any_other_instant(start: datetime, end: datetime) -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 24 * 1000)
    begins, ends = (start - T0) / hours(1), (end - T0) / hours(1)

    row = deal(block, units=1, start=begins, end=ends)
    deal(block, units=1, start=begins - 5, end=begins)
    deal(block, units=1, start=ends, end=ends + 5)

    assert (row.period.lower, row.period.upper) == (start, end)
    for instant in (begins, ends):
        with pytest.raises(CapacityTaken):
            hold(block, units=1, start=instant - LEAST, end=instant + LEAST)
    all_is_well()


def test_three_years_are_one_claim_that_every_later_hold_sees() -> None:
    pool = world.pool(nodes=2, lead_seconds=3600, turnaround_seconds=3600)
    block = open_block(pool, 2, 0, 24 * 365 * 5)
    years = 24 * 365 * 3

    row = deal(block, units=1, start=24, end=24 + years)

    assert Claim.objects.filter(allocation=row).count() == 1
    for hour in (24, 24 * 365, years - 1, 24 + years):
        with pytest.raises(CapacityTaken):
            hold(block, units=2, start=hour, end=hour + 2)
    deal(block, units=2, start=24 + years + 2, end=24 + years + 20)
    assert free(block, 24 * 200, 24 * 300) == [(24 * 200, 24 * 300, 1)]  # it ends long after
    all_is_well()


def test_the_far_future_is_counted_like_tomorrow() -> None:
    """Up to the last instant that a period may have."""
    pool = world.pool(nodes=2)
    until = datetime(2199, 12, 31, tzinfo=UTC)
    block = capacity.open_block(
        pool_id=pool.pk, unit_count=2, sellable=Period(T0, until), at=T0, actor=SYSTEM
    )
    last = (until - T0) / hours(1)

    deal(block, units=2, start=last - 24, end=last)

    with pytest.raises(CapacityTaken):
        hold(block, units=1, start=last - 1, end=last)
    with pytest.raises(NotOffered):
        hold(block, units=1, start=last - 1, end=last + 1)
    with pytest.raises(Invalid):
        open_block(pool, 1, last, last + 24 * 400)
    all_is_well()


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (10, 20, None),
        (9.9, 20, "outside_the_sellable_window"),
        (10, 20.1, "outside_the_sellable_window"),
    ],
)
def test_lead_and_turnaround_lie_in_the_margins_of_the_block(
    start: float, end: float, why: str | None
) -> None:
    block = open_block(world.pool(nodes=1, lead_seconds=7200, turnaround_seconds=3600), 1, 10, 20)

    if why is None:
        row = deal(block, units=1, start=start, end=end)
        assert (row.blocking.lower, row.blocking.upper) == (T0 + hours(8), T0 + hours(21))
    else:
        with pytest.raises(NotOffered) as refused:
            hold(block, units=1, start=start, end=end)
        assert refused.value.fields()["why"] == why
    all_is_well()


def test_without_room_in_the_margin_the_first_start_lies_inside_the_window() -> None:
    pool = world.pool(nodes=1, lead_seconds=7200, turnaround_seconds=3600)
    capacity.claim_external(
        pool_id=pool.pk, kind="own_use", unit_count=1, period=world.period(1, 10), note="training",
        at=T0, actor=SYSTEM,
    )  # fmt: skip
    block = open_block(pool, 1, 10, 20)

    with pytest.raises(NotOffered) as refused:
        hold(block, units=1, start=11, end=15)
    assert refused.value.fields()["why"] == "no_room_for_lead_and_turnaround"

    deal(block, units=1, start=12, end=20)
    all_is_well()


def test_between_two_deals_there_is_a_turnaround_and_a_lead() -> None:
    block = open_block(world.pool(nodes=1, lead_seconds=7200, turnaround_seconds=3600), 1, 0, 100)
    deal(block, units=1, start=10, end=20)

    with pytest.raises(CapacityTaken):
        hold(block, units=1, start=22.9, end=30)
    with pytest.raises(CapacityTaken):
        hold(block, units=1, start=2, end=7.1)

    deal(block, units=1, start=23, end=30)
    deal(block, units=1, start=2, end=7)
    all_is_well()


def test_one_deal_over_adjoining_blocks_keeps_its_nodes_and_is_wiped_once() -> None:
    """Its claims are several, its bindings are one for each node, over the whole of it."""
    pool = world.pool(nodes=3, lead_seconds=3600, turnaround_seconds=3600)
    blocks = [open_block(pool, 3, start, start + 10) for start in (0, 10, 20)]

    row = deal(*blocks, units=2, start=2, end=28)
    bindings = capacity.bind(allocation_id=row.pk, at=T0 + hours(1), actor=SYSTEM)

    claims = Claim.objects.filter(allocation=row).order_by("blocking")
    assert [claim.block_id for claim in claims] == [block.pk for block in blocks]
    assert [(c.blocking.lower - T0) / hours(1) for c in claims] == [1, 10, 20]
    assert [(c.blocking.upper - T0) / hours(1) for c in claims] == [10, 20, 29]
    assert len(bindings) == 2
    assert {(b.during.lower, b.during.upper) for b in bindings} == {(T0 + hours(1), T0 + hours(29))}
    assert capacity.bind(allocation_id=row.pk, at=T0 + hours(12), actor=SYSTEM) == bindings
    assert Binding.objects.count() == 2
    # The one node that is left is seen in every block.
    deal(blocks[1], units=1, start=11, end=19)
    with pytest.raises(CapacityTaken):
        hold(*blocks, units=1, start=2, end=28, at=1)
    all_is_well()


def test_over_adjoining_blocks_the_scarcest_decides_and_nothing_is_written() -> None:
    pool = world.pool(nodes=3)
    blocks = [
        open_block(pool, count, start, start + 10) for count, start in ((3, 0), (1, 10), (3, 20))
    ]

    with pytest.raises(CapacityTaken) as refused:
        hold(*blocks, units=2, start=5, end=25)
    assert refused.value.free_units == 1
    assert (Claim.objects.count(), Allocation.objects.count()) == (0, 0)

    hold(*blocks, units=1, start=5, end=25)
    with pytest.raises(CapacityTaken):
        hold(blocks[1], units=1, start=12, end=13)
    all_is_well()


def test_a_deal_over_blocks_lapses_and_is_given_back_as_one() -> None:
    pool = world.pool(nodes=1)
    blocks = [open_block(pool, 1, start, start + 10) for start in (0, 10)]
    lapsing = hold(*blocks, units=1, start=5, end=15, until=1)
    capacity.expire(allocation_id=lapsing.pk, at=T0 + hours(1), actor=SYSTEM)
    row = hold(*blocks, units=1, start=5, end=15, at=1)
    capacity.release(allocation_id=row.pk, at=T0 + hours(1), actor=SYSTEM, reason="x")

    with pytest.raises(IllegalTransition):
        capacity.confirm(allocation_id=row.pk, at=T0 + hours(1), actor=SYSTEM)

    assert set(Claim.objects.values_list("state", flat=True)) == {"expired", "released"}
    deal(*blocks, units=1, start=0, end=20, at=1)
    all_is_well()


def test_spares_cover_what_fails_and_outages_are_planned_around_them() -> None:
    """Four nodes, one spare, one planned out for a while: what is left is sold, and no more."""
    pool = world.pool(nodes=4, spare_count=1)
    capacity.set_outage(
        pool_id=pool.pk, kind="planned", node_count=1, period=world.period(20, 30),
        reason="service", at=T0, actor=SYSTEM,
    )  # fmt: skip

    with pytest.raises(CapacityTaken):
        open_block(pool, 3, 0, 100)
    block = open_block(pool, 2, 0, 100)
    before, after = open_block(pool, 1, 0, 20), open_block(pool, 1, 30, 100)
    for each, start, end, units in ((block, 0, 100, 2), (before, 0, 20, 1), (after, 30, 100, 1)):
        deal(each, units=units, start=start, end=end)

    first, second = pool.nodes.order_by("pk")[:2]
    for node in (first, second):
        capacity.set_outage(
            pool_id=pool.pk, kind="failed", node_id=node.pk, period=world.period(0, 50),
            reason="XID 79", at=T0, actor=SYSTEM,
        )  # fmt: skip
        with pytest.raises(CapacityTaken):
            hold(block, units=1, start=40, end=45, until=None)
    all_is_well()


def test_a_hold_lapses_at_its_instant_and_not_before() -> None:
    block = open_block(world.pool(nodes=1), 1, 0, 100)
    until = T0 + hours(1)
    hold(block, units=1, start=50, end=60, until=1)

    def ask(at: datetime) -> Allocation:
        return capacity.claim(
            pool_id=block.pool_id, block_ids=[block.pk], unit_count=1,
            period=world.period(50, 60), tenant_id=world.tenant().pk, held_until=FAR, at=at,
            actor=SYSTEM,
        )  # fmt: skip

    with pytest.raises(CapacityTaken):
        ask(until - timedelta(microseconds=1))
    ask(until)
    all_is_well()
