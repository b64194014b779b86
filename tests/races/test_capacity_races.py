"""Verbs that meet on one pool, each beside a control that shows what the lock prevents."""

from __future__ import annotations

import random
import threading
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from inventory import capacity, verification
from inventory.capacity import CapacityTaken, HoldExpired, HoldStillValid
from inventory.errors import Busy
from inventory.models import Allocation, Block, Claim
from inventory.transitions import IllegalTransition
from tests import database, world
from tests.capacity.deals import deal, hold, open_block
from tests.races.crowd import CLIENTS, busy_tolerant, together
from tests.world import SYSTEM, T0, hours, period

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("many_connections")]
SPAN = 24


def peak(block: Block) -> int:
    """The most units live at one hour, counted by hand."""
    rows = Claim.objects.filter(block=block, state__in=("held", "confirmed"))
    spans: list[tuple[int, float, float]] = [
        (c.unit_count, (c.blocking.lower - T0) / hours(1), (c.blocking.upper - T0) / hours(1))
        for c in rows
    ]
    return max(sum(n for n, s, e in spans if s <= hour < e) for hour in range(SPAN))


def ten_units() -> Block:
    with capacity.replaying():
        world.tenant()
        return open_block(world.pool(nodes=10), 10, 0, SPAN)


@pytest.mark.parametrize("releasing", [False, True])
def test_sixteen_clients_never_oversell_ten_units(releasing: bool) -> None:
    block = ten_units()

    def client(number: int) -> int:
        draw, granted = random.Random(number), 0
        mine: list[int] = []
        for _ in range(12):
            if releasing and mine and draw.random() < 0.4:
                pk = mine.pop(draw.randrange(len(mine)))
                busy_tolerant(
                    lambda: capacity.release(allocation_id=pk, at=T0, actor=SYSTEM, reason="x")  # noqa: B023
                )
                continue
            start = draw.randrange(SPAN - 4)
            try:
                row = busy_tolerant(
                    lambda: hold(block, units=draw.randrange(1, 4), start=start, end=start + 4)  # noqa: B023
                )
                mine.append(row.pk)
                granted += 1
            except CapacityTaken:
                pass
        return granted

    granted = together(*[lambda n=n: client(n) for n in range(CLIENTS)])

    assert 0 < peak(block) <= 10
    assert all(isinstance(count, int) for count in granted)
    assert sum(granted) >= Claim.objects.filter(state="held").count() > 0
    assert verification.verify() == []


ONE_STATEMENT = """
    WITH lock AS (SELECT pool_id FROM inventory_poollock WHERE pool_id = %(pool)s FOR UPDATE),
    free AS (
        SELECT 10 - coalesce(sum(c.unit_count), 0) AS units
        FROM lock LEFT JOIN inventory_claim c ON c.pool_id = lock.pool_id AND c.state = 'held'
    )
    INSERT INTO inventory_claim (public_id, allocation_id, pool_id, block_id, unit_count, blocking,
                                 state, held_until)
    SELECT gen_random_uuid(), %(allocation)s, %(pool)s, %(block)s, 3, %(span)s, 'held',
           '2100-01-01'
    FROM free WHERE units >= 3
"""


def test_control_lock_and_sweep_in_one_statement_oversell() -> None:
    """Its snapshot is older than the wait for the lock: it counts what was there before."""
    block = ten_units()
    with capacity.replaying():
        row = hold(block, units=1, start=0, end=4)
    values = {
        "pool": block.pool_id,
        "allocation": row.pk,
        "block": block.pk,
        "span": period(0, 4).range,
    }

    def client() -> None:  # as the owner: the runtime role writes no claims
        with database.owner_connection(database.test_database_name()) as owner:
            owner.execute(ONE_STATEMENT, values)

    with transaction.atomic():  # hold the lock until all of them wait for it
        capacity.lock(block.pool_id, T0)
        threads_done = threading.Thread(target=lambda: together(*[client] * 8))
        threads_done.start()
        _wait_for_waiters(8)
    threads_done.join(timeout=120)

    assert peak(block) > 10


def test_the_verb_does_not_oversell_where_the_control_does() -> None:
    block = ten_units()
    results: list[Any] = []

    def client() -> Allocation:
        return busy_tolerant(lambda: hold(block, units=3, start=0, end=4))  # type: ignore[no-any-return]

    with transaction.atomic():
        capacity.lock(block.pool_id, T0)
        waiting = threading.Thread(target=lambda: results.extend(together(*[client] * 8)))
        waiting.start()
        _wait_for_waiters(8)
    waiting.join(timeout=120)

    assert sum(isinstance(r, Allocation) for r in results) == 3
    assert sum(isinstance(r, CapacityTaken) for r in results) == 5
    assert peak(block) == 9


def test_a_pool_locked_too_long_is_busy_and_nothing_happens() -> None:
    block = ten_units()
    results: list[Any] = []

    with transaction.atomic():
        capacity.lock(block.pool_id, T0)
        waiting = threading.Thread(
            target=lambda: results.extend(together(lambda: hold(block, units=1, start=0, end=4)))
        )
        waiting.start()
        waiting.join(timeout=60)

    assert isinstance(results[0], Busy)
    assert not Claim.objects.exists()


def test_confirm_and_expire_have_one_winner() -> None:
    for number in range(5):
        block = ten_units()
        with capacity.replaying():
            row = hold(block, units=1, start=10, end=20, until=1)
        late = T0 + hours(1)
        early = T0 + hours(0.9)

        confirmed, expired = together(
            lambda: capacity.confirm(allocation_id=row.pk, at=early, actor=SYSTEM),  # noqa: B023
            lambda: capacity.expire(allocation_id=row.pk, at=late, actor=SYSTEM),  # noqa: B023
        )

        row.refresh_from_db()
        if row.state == "scheduled":
            assert isinstance(expired, IllegalTransition), number
        else:
            assert row.state == "expired"
            assert isinstance(confirmed, HoldExpired), number
    assert verification.verify() == []


def test_cancel_and_extend_have_one_order() -> None:
    block = ten_units()
    with capacity.replaying():
        row = deal(block, units=1, start=4, end=8)

    cancelled, extended = together(
        lambda: capacity.release(allocation_id=row.pk, at=T0, actor=SYSTEM, reason="x"),
        lambda: capacity.extend(allocation_id=row.pk, end=T0 + hours(12), at=T0, actor=SYSTEM),
    )

    assert isinstance(cancelled, Allocation)
    assert isinstance(extended, Allocation | IllegalTransition)
    row.refresh_from_db()
    assert row.state == "cancelled"
    assert peak(block) == 0
    assert verification.verify() == []


def test_two_listings_of_the_same_nodes_cannot_both_open() -> None:
    with capacity.replaying():
        pool = world.pool(nodes=10)

    results = together(*[lambda: open_block(pool, 6, 0, SPAN)] * 4)

    assert sum(isinstance(r, Block) for r in results) == 1
    assert verification.verify() == []


def test_publishing_and_holding_at_once() -> None:
    block = ten_units()
    with capacity.replaying():
        capacity.close_block(block_id=block.pk, at=T0, actor=SYSTEM)

    together(
        lambda: capacity.reopen_block(block_id=block.pk, at=T0, actor=SYSTEM),
        lambda: open_block(block.pool, 6, 0, SPAN),
        lambda: hold(block, units=10, start=0, end=4),
    )

    assert verification.verify() == []


def test_a_backend_killed_in_the_middle_of_a_claim_leaves_nothing() -> None:
    block = ten_units()
    arguments = (
        "SELECT capacity_claim(%s, ARRAY[%s]::bigint[], 3, %s, %s, '2100-01-01', gen_random_uuid(),"
        " '[]', %s, true, 'system', 'test')"
    )
    tenant = world.tenant()
    with database.owner_connection(database.test_database_name()) as watcher:
        with psycopg.connect(**_runtime()) as victim:  # type: ignore[arg-type]
            pid = victim.info.backend_pid
            victim.execute(arguments, [block.pool_id, block.pk, period(0, 4).range, tenant.pk, T0])
            # It holds the lock and has written its rows, uncommitted.
            assert isinstance(together(lambda: hold(block, units=1, start=0, end=4))[0], Busy)
            victim.execute("SELECT 1")
            with psycopg.connect(**_runtime()) as killer:  # type: ignore[arg-type]
                killer.execute("SELECT pg_terminate_backend(%s)", [pid])
            with pytest.raises(psycopg.OperationalError):
                victim.execute("SELECT 1")
        assert watcher is not None

    assert not Claim.objects.exists()
    assert not Allocation.objects.exists()
    with capacity.replaying():
        hold(block, units=10, start=0, end=4)
    assert verification.verify() == []


def test_expiring_early_is_refused_while_others_hold() -> None:
    block = ten_units()
    with capacity.replaying():
        row = hold(block, units=10, start=0, end=4, until=1)

    (early,) = together(lambda: capacity.expire(allocation_id=row.pk, at=T0, actor=SYSTEM))

    assert isinstance(early, HoldStillValid)


def _runtime() -> dict[str, object]:
    settings = connection.settings_dict
    return {
        "host": settings["HOST"],
        "port": settings["PORT"],
        "user": settings["USER"],
        "password": settings["PASSWORD"],
        "dbname": database.test_database_name(),
    }


def _wait_for_waiters(count: int) -> None:
    waited = threading.Event()
    for _ in range(3000):
        with connection.cursor() as cursor:
            # A transaction sees the sessions there were when it first looked, unless told to look.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " WHERE NOT l.granted AND a.datname = current_database()"
            )
            if cursor.fetchone()[0] >= count:
                return
        waited.wait(0.02)
    raise AssertionError(f"fewer than {count} wait")
