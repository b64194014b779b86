"""Card-hours counted while corrections come in; the control shows what the cursor's lock is for."""

from __future__ import annotations

import threading
from datetime import date
from typing import Any

import pytest
from django.db import connection, connections, transaction

from marketplace.models import Lease, RollupCursor
from marketplace.utilisation import readings, rollups
from marketplace.utilisation.readings import Days
from tests import database, world
from tests.marketplace import scene
from tests.marketplace.test_rollups import END, FIRST, LAST
from tests.marketplace.test_utilisation import usage
from tests.races.crowd import together

pytestmark = [
    pytest.mark.race,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("many_connections"),
]


@pytest.fixture
def lease() -> Lease:
    """Ten hours of the second day are metered, and counted three days later."""
    with transaction.atomic():
        row = scene.lease(scene.listing(world.pool(nodes=4)), units=2, start=24, end=90)
        usage(row.allocation_id, 24, *[16 * 3600] * 10)
    database.outwait()
    rollups.sweep(at=END)
    return row


def delivered() -> int:
    return readings.of_pools(Days(FIRST, LAST))[0].amounts["delivered"]


def corrected_while_it_is_counted(lease: Lease) -> None:
    """A correction begins; its pool is counted without it; it commits, and marks the pool before
    that one is marked as done. What begins later is read later: the counting is older then."""
    RollupCursor.objects.update(dirty_since=FIRST)
    written, counted, marked = threading.Event(), threading.Event(), threading.Event()

    def mark() -> None:
        try:
            with transaction.atomic():
                usage(lease.allocation_id, 26, -7200, revision=1)
                mine = database.present()
                written.set()
                assert counted.wait(timeout=60)
            database.outwait(mine)
            rollups.read_changes(at=END)
        finally:
            marked.set()
            connections.close_all()

    def meet(execute: Any, sql: Any, *rest: Any) -> Any:
        if "SET dirty_since = NULL" in sql:
            counted.set()
            while not marked.wait(timeout=0.02) and not somebody_waits():
                pass
        return execute(sql, *rest)

    thread = threading.Thread(target=mark)
    thread.start()
    assert written.wait(timeout=60)
    with connection.execute_wrapper(meet):
        rollups._count_due(END, END)
    thread.join(timeout=60)


def somebody_waits() -> bool:
    found = connection.connection.execute(
        "SELECT count(*) FROM pg_locks WHERE NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " OR NOT granted AND locktype = 'transactionid'"
    )
    return bool(found.fetchone()[0])


def test_a_correction_that_comes_while_its_pool_is_counted_is_counted_next(lease) -> None:
    before = delivered()

    corrected_while_it_is_counted(lease)

    assert RollupCursor.objects.get().dirty_since == date(2026, 6, 2)
    rollups.sweep(at=END)
    assert delivered() == before - 7200
    assert rollups.verify(at=END) == []


def test_control_without_the_cursors_lock_it_is_lost(lease, monkeypatch) -> None:
    monkeypatch.setattr(rollups, "_DUE", rollups._DUE.replace("FOR UPDATE SKIP LOCKED", ""))
    before = delivered()

    corrected_while_it_is_counted(lease)

    rollups.sweep(at=END)
    assert delivered() == before
    assert rollups.verify(at=END)  # and this is how it is found


def test_sweeps_at_once_count_each_pool_once_and_alike(lease) -> None:
    usage(lease.allocation_id, 26, -7200, revision=1)
    before = delivered()
    database.outwait()

    together(*[lambda: rollups.sweep(at=END)] * 4)

    assert delivered() == before - 7200
    assert rollups.verify(at=END) == []
