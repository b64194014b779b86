"""The funnel against a recount by hand: every half hour of a small world, looked at on its own."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection

from inventory import capacity
from inventory.models import Allocation, Node, Pool
from inventory.periods import Period
from inventory.transitions import advance
from marketplace import leases, listings, utilisation
from tests import database, world
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db
STEP = timedelta(minutes=30)


def usage(allocation_id: int, start_hour: int, *card_seconds: int, revision: int = 0) -> None:
    with connection.cursor() as cursor:
        for number, amount in enumerate(card_seconds):
            cursor.execute(
                "INSERT INTO inventory_usagehour (allocation_id, hour, revision, card_seconds,"
                " gap_card_seconds) VALUES (%s, %s, %s, %s, 0)",
                [allocation_id, T0 + hours(start_hour + number), revision, amount],
            )


def counted(group_by="pool", span=None, actor=SYSTEM):
    return utilisation.funnel(period=span or period(0, 100), group_by=group_by, actor=actor)


def test_each_stage_of_a_quiet_pool() -> None:
    listing = scene.listing(world.pool(nodes=4), units=3, sellable=period(10, 60))
    lease = scene.lease(listing, units=2, start=20, end=50)
    usage(lease.allocation_id, 20, *[16 * 3600] * 25)

    (row,) = counted()

    assert (row.installed, row.serviceable) == (3200, 3200)
    assert (row.listed, row.sold, row.delivered, row.busy) == (1200, 480, 400, None)
    assert row.undelivered == 80
    assert row.listed_rate == 1200 / 3200
    assert row.sold_rate == 0.4
    assert row.delivered_rate == 0.125
    assert row.busy_rate is None
    assert utilisation.total([row]).delivered == 400


def test_a_hold_and_a_lapsed_hold_and_a_cancelled_lease_are_not_sold() -> None:
    listing = scene.listing(units=4)
    scene.hold(listing, start=1, end=5)
    lease = scene.lease(listing, start=10, end=20)
    leases.cancel(lease=leases.lock(lease.pk), at=T0, actor=SYSTEM, reason="no need")

    (row,) = counted()

    assert row.sold == 0


def test_a_withdrawn_listing_counts_until_then_and_what_it_sold_after() -> None:
    listing = scene.listing(units=4, sellable=period(0, 100))
    scene.lease(listing, units=1, start=20, end=50)

    listings.withdraw(listing_id=listing.pk, at=T0 + hours(30), actor=world.actor(listing.provider))

    (row,) = counted()
    assert row.listed == (30 * 4 + 20 * 1) * 8
    assert row.sold == 30 * 8
    (later,) = counted(span=period(40, 60))
    assert (later.listed, later.sold, later.sold_rate) == (80, 80, 1.0)


def test_a_resized_block_counts_with_the_size_it_had() -> None:
    listing = scene.listing(units=2, sellable=period(0, 100))
    capacity.resize_block(block_id=listing.block_id, unit_count=4, at=T0 + hours(50), actor=SYSTEM)
    capacity.close_block(block_id=listing.block_id, at=T0 + hours(70), actor=SYSTEM)
    capacity.reopen_block(block_id=listing.block_id, at=T0 + hours(90), actor=SYSTEM)

    (row,) = counted()

    assert row.listed == (50 * 2 + 20 * 4 + 10 * 4) * 8


def test_what_is_down_is_neither_listed_nor_sold_but_shown_beside() -> None:
    pool = world.pool(nodes=4)
    listing = scene.listing(pool, units=4, sellable=period(0, 100))
    scene.lease(listing, units=3, start=0, end=100)
    node = Node.objects.filter(pool=pool).first()
    assert node is not None
    for _ in range(2):  # the same node twice is still one node
        capacity.set_outage(
            pool_id=pool.pk,
            kind="failed",
            period=period(10, 30),
            node_id=node.pk,
            reason="fan",
            at=T0 + hours(10),
            actor=SYSTEM,
        )

    (row,) = counted()

    # Not back in time: a failure counts until the node is, whatever was expected.
    assert row.serviceable == (400 - 90) * 8
    assert row.listed == row.serviceable
    assert row.listed_down == 90 * 8
    assert (row.sold, row.sold_down) == (300 * 8, 0)


def test_groups_and_who_sees_them() -> None:
    first = scene.listing(world.pool(nodes=2), units=2)
    world.pool(nodes=3, owner=world.stranger(), chip="ascend-910b-64g")

    assert [row.key for row in counted("chip")] == ["ascend-910b-64g", "h100-80g"]
    assert [row.installed for row in counted("provider")] == [2400, 1600]
    assert [row.installed for row in counted("hub")] == [4000]
    assert len(counted("centre")) == len(counted("pool")) == 2
    assert utilisation.total(counted("chip")).installed == 4000
    own = counted("provider", actor=world.actor(first.provider))
    assert [row.installed for row in own] == [1600]
    assert counted(actor=world.actor(world.tenant())) == []


def test_every_word_of_a_row_is_defined() -> None:
    keys = {definition.key for definition in utilisation.DEFINITIONS}

    assert keys >= {"installed", "serviceable", "listed", "sold", "delivered", "busy"}
    assert keys >= {"listed_rate", "sold_rate", "delivered_rate", "busy_rate"}
    for definition in utilisation.DEFINITIONS:
        assert hasattr(utilisation.Row, definition.key)
    assert utilisation.definitions("zh-hans")[6][0] == "挂牌率"
    assert len(utilisation.definitions("en")) == len(keys)


def a_busy_world() -> list[Pool]:
    """Two pools with late and retired nodes, slices, outages, two listings, deals of all ends."""
    nodes = world.pool(nodes=5, spare_count=1)
    slices = world.pool(nodes=2, unit_cards=2, owner=world.stranger())
    late, gone, *_ = Node.objects.filter(pool=nodes).order_by("-pk")
    seven = (T0 + hours(7.5)).isoformat()
    database.as_owner(f"UPDATE inventory_node SET installed_at = '{seven}' WHERE id = {late.pk}")
    one = scene.listing(nodes, units=3, sellable=period(5, 80), at=T0)
    two = scene.listing(slices, units=6, sellable=period(0, 90), at=T0 + hours(2.5))
    deals = [
        scene.lease(one, units=2, start=6, end=30, at=T0),
        scene.lease(one, units=1, start=10, end=70, at=T0),
        scene.lease(two, units=4, start=4, end=44, at=T0 + hours(3)),
        scene.lease(two, units=2, start=60, end=88, at=T0 + hours(3)),
    ]
    scene.hold(one, units=1, start=71, end=79)
    capacity.set_outage(
        pool_id=nodes.pk,
        kind="planned",
        period=period(81, 95.5),
        node_count=3,
        reason="cooling",
        at=T0,
        actor=SYSTEM,
    )
    scene.deliver(deals[0], start=T0 + hours(6), active=T0 + hours(6.5))
    ended = Allocation.objects.get(pk=deals[0].allocation_id)
    advance(ended, to="releasing", at=T0 + hours(25), actor=SYSTEM)
    advance(ended, to="ended", at=T0 + hours(26), actor=SYSTEM)
    failing = Node.objects.filter(pool=slices).order_by("pk").first()
    assert failing is not None
    outage = capacity.set_outage(
        pool_id=slices.pk,
        kind="failed",
        period=period(20, 40),
        node_id=failing.pk,
        reason="link",
        at=T0 + hours(20),
        actor=SYSTEM,
    )
    capacity.close_outage(outage_id=outage.pk, at=T0 + hours(33), actor=SYSTEM)
    gone_at = (T0 + hours(97)).isoformat()
    database.as_owner(f"UPDATE inventory_node SET retired_at = '{gone_at}' WHERE id = {gone.pk}")
    listings.withdraw(listing_id=two.pk, at=T0 + hours(50), actor=world.actor(two.provider))
    usage(deals[0].allocation_id, 6, 16 * 1800, *[16 * 3600] * 18)
    usage(deals[1].allocation_id, 10, *[8 * 3600] * 40)
    usage(deals[1].allocation_id, 12, -3600, revision=1)
    usage(deals[2].allocation_id, 4, *[8 * 3600] * 40)
    usage(deals[3].allocation_id, 60, *[4 * 3600] * 10)
    return [nodes, slices]


def by_hand(pool: Pool, span: Period) -> list[float]:
    """Installed, serviceable, listed, sold, delivered card-hours, instant by instant."""
    outages = [
        (
            row.kind,
            row.node_id,
            row.node_count,
            row.period.lower,
            min(row.period.upper, row.closed_at)
            if row.closed_at and row.kind == "planned"
            else row.closed_at or (row.period.upper if row.kind == "planned" else None),
        )
        for row in pool.outages.all()
    ]
    nodes = list(pool.nodes.all())
    withdrawn_at = {1: T0 + hours(50)} if pool.unit_cards == 2 else {}
    sales = [
        (row, Period.of(row.period), row.ended_at or row.period.upper)
        for row in pool.allocations.filter(kind="sale").exclude(
            state__in=["held", "expired", "cancelled"]
        )
    ]
    totals, hour_sold = [0.0] * 5, 0.0
    instant = span.start
    while instant < span.end:
        there = [
            node
            for node in nodes
            if node.installed_at <= instant and not (node.retired_at and node.retired_at <= instant)
        ]
        down: set[object] = set()
        for _, node_id, count, start, end in outages:
            if start <= instant and (end is None or instant < end):
                down |= {node_id} if node_id else {(start, n) for n in range(count)}
        installed = len(there) * pool.cards_per_node
        serviceable = max(0, installed - len(down) * pool.cards_per_node)
        sold = sum(
            row.unit_count * pool.unit_cards
            for row, when, end in sales
            if when.start <= instant < min(when.end, end)
        )
        listed = 0
        for block in pool.blocks.all():
            open_until = withdrawn_at.get(1, T0 + hours(10_000))
            if block.sellable.lower <= instant < block.sellable.upper:
                if block.created_at <= instant < open_until:
                    listed += block.unit_count * pool.unit_cards
                elif instant >= open_until:
                    listed += sold
        listed = min(listed, serviceable)
        sold = min(sold, listed)
        for place, cards in enumerate((installed, serviceable, listed, sold)):
            totals[place] += cards / 2
        hour_sold += sold / 2
        if (instant + STEP).minute == 0:
            totals[4] += min(delivered_in(pool, instant + STEP - hours(1)), hour_sold)
            hour_sold = 0.0
        instant += STEP
    return totals


def delivered_in(pool: Pool, hour: datetime) -> float:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(u.card_seconds), 0) FROM inventory_usagehour u"
            " JOIN inventory_allocation a ON a.id = u.allocation_id"
            " WHERE a.pool_id = %s AND u.hour = %s",
            [pool.pk, hour],
        )
        return int(cursor.fetchone()[0]) / 3600


@pytest.mark.parametrize("span", [(0, 100), (3, 9), (19, 34), (48, 61), (80, 100)])
def test_the_funnel_equals_a_recount_by_hand(span) -> None:
    pools = a_busy_world()

    rows = {row.key: row for row in counted(span=period(*span))}

    for pool in pools:
        row = rows[pool.public_id]
        found = [row.installed, row.serviceable, row.listed, row.sold, row.delivered]
        assert found == pytest.approx(by_hand(pool, period(*span)), abs=1e-9)
        assert row.installed >= row.serviceable >= row.listed >= row.sold >= row.delivered
