"""One hour closed for more and more allocations, beside a bare COPY of the rows it leaves.

The allocations are copies of one that was bought through checkout, each on a node of its own,
usable since its start and metered up to the hour that is closed; one in ten was down for some
minutes of it. What is timed is `metering.sweep`, called as the task calls it until nothing is
left. The floor is the same rows read from the client by COPY, in one commit, into a table like
the one of the usage hours: with its keys, indexes and checks. `bare` is the same into a table with
the primary key alone. Each load stands on the ones before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from django.db import connections, transaction

from billing.bench import charging, pgbench, processes, world
from billing.bench.measure import Row, ratio
from inventory import metering
from inventory.periods import HOUR, Period
from marketplace.models import Lease

WARM_UP = 200
Progress = Callable[[str], None]
_COLUMNS = "allocation_id, hour, revision, card_seconds, gap_card_seconds, recorded_at, xid"


@dataclass(frozen=True, slots=True)
class Asked:
    """Loads of so many allocations, each closing `rounds` hours one after the other."""

    allocations: Sequence[int] = (1_000, 10_000, 100_000)
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one hour, of its floor, and the processor time of both sides."""

    allocations: int
    seconds: float
    floor_seconds: float
    of_floor: float
    bare_seconds: float
    python_cpu: float
    database_cpu: float | None


def measure(asked: Asked, *, progress: Progress) -> list[Row]:
    """A row a load. Needs both roles of a database with nothing real in it."""
    at = world.now()
    progress("a lease bought through checkout")
    first = charging.first_lease(at)
    start = Period.of(first.period).start
    found, there = [], 0
    for turn, count in enumerate([WARM_UP, *asked.allocations]):
        progress(f"{count} allocations")
        # Those that are there already stay; what is missing of the load is added.
        _copy(first, first_copy=there, count=count - there, metered_until=start + turn * 48 * HOUR)
        _catch_up(start + turn * 48 * HOUR)
        there = count
        hours = [start + (turn * 48 + number) * HOUR for number in range(asked.rounds)]
        took = [_close(hour, count, progress) for hour in hours]
        if turn:
            found.append(_middle(took))
    return [_row(took, found[0]) for took in found]


def _row(took: Took, smallest: Took) -> Row:
    def each_ms(seconds: float) -> float:
        return round(seconds * 1000 / took.allocations, 4)

    per, least = took.seconds / took.allocations, smallest.seconds / smallest.allocations
    return Row(
        case=f"close an hour of {took.allocations} allocations",
        operations=took.allocations,
        per_second=round(took.allocations / took.seconds, 1),
        seconds=round(took.seconds, 3),
        floor_seconds=round(took.floor_seconds, 3),
        of_floor_seconds=round(took.of_floor, 3),
        bare_per_second=round(took.allocations / took.bare_seconds, 1),
        of_bare=ratio(took.bare_seconds, took.seconds),
        of_smaller=None if took is smallest else ratio(per, least),
        python_cpu_ms=each_ms(took.python_cpu),
        db_cpu_ms=None if took.database_cpu is None else each_ms(took.database_cpu),
    )


def _middle(took: Sequence[Took]) -> Took:
    """The round in the middle, with the middle of the ratios of each round to its own floor."""
    of_floor = median(each.seconds / each.floor_seconds for each in took)
    row = sorted(took, key=lambda each: each.seconds)[len(took) // 2]
    return replace(row, of_floor=of_floor)


def _close(hour: datetime, count: int, progress: Progress) -> Took:
    at = hour + HOUR + metering.GRACE
    cpu, database = time.process_time(), processes.cpu_seconds(processes.postmaster())
    began = time.perf_counter()
    written = 0
    while done := metering.sweep(at=at):
        written += done
    seconds = time.perf_counter() - began
    cpu = time.process_time() - cpu
    after = processes.cpu_seconds(processes.postmaster())
    if written != count:
        raise RuntimeError(f"{written} of {count} usage hours were written")
    floor, bare = _floors(hour, count)
    progress(f"{count} allocations: {seconds:.3f} s, floor {floor:.3f} s")
    spent = None if database is None or after is None else after - database
    return Took(count, seconds, floor, seconds / floor, bare, cpu, spent)


def _floors(hour: datetime, count: int) -> tuple[float, float]:
    """The rows of the hour by COPY from here: into a table like theirs, and a bare one."""
    like, bare = f"{pgbench.SCHEMA}.usagehour", f"{pgbench.SCHEMA}.bare"
    pgbench.make_schema(
        f"CREATE TABLE {like} (LIKE inventory_usagehour INCLUDING ALL)",
        f"CREATE TABLE {bare} (LIKE inventory_usagehour)",
        f"ALTER TABLE {bare} ADD PRIMARY KEY (allocation_id, hour, revision)",
    )
    rows = f"SELECT {_COLUMNS} FROM inventory_usagehour WHERE hour = '{hour.isoformat()}'"
    with (
        connections["owner"].cursor() as cursor,
        cursor.copy(f"COPY ({rows} ORDER BY allocation_id) TO STDOUT") as copy,
    ):
        data = b"".join(bytes(block) for block in copy)
    return _copied(like, data, count), _copied(bare, data, count)


def _copied(table: str, data: bytes, count: int) -> float:
    with connections["owner"].cursor() as cursor:
        began = time.perf_counter()
        with cursor.copy(f"COPY {table} ({_COLUMNS}) FROM STDIN") as copy:
            copy.write(data)
        took = time.perf_counter() - began
        if cursor.rowcount != count:
            raise RuntimeError(f"{cursor.rowcount} of {count} rows were copied")
    return took


def _catch_up(hour: datetime) -> None:
    """Nothing before the hour is left to count; the copies' statistics are known."""
    metered = "UPDATE inventory_meteringcursor SET metered_until = %s WHERE metered_until < %s"
    with connections["owner"].cursor() as cursor:
        cursor.execute(metered, [hour, hour])
        cursor.execute(
            "VACUUM ANALYZE inventory_allocation, inventory_instance, inventory_instancehistory,"
            " inventory_meteringcursor, inventory_binding, inventory_usagehour"
        )


def _copy(lease: Lease, *, first_copy: int, count: int, metered_until: datetime) -> None:
    """So many allocations like the lease's, usable since its start."""
    start = Period.of(lease.period).start
    period = Period(start, start + 24 * 365 * HOUR).range
    copies = [10**9 + first_copy, count]
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE copies ON COMMIT DROP AS"
            " SELECT %s + n AS id FROM generate_series(1, %s) n",
            copies,
        )
        cursor.execute(
            "INSERT INTO inventory_allocation SELECT (jsonb_populate_record(a, jsonb_build_object("
            "'id', c.id, 'public_id', gen_random_uuid(), 'state', 'active', 'active_at', %s,"
            " 'period', %s::tstzrange, 'blocking', %s::tstzrange))).*"
            " FROM inventory_allocation a, copies c WHERE a.id = %s",
            [start, period, period, lease.allocation_id],
        )
        cursor.execute(
            "INSERT INTO inventory_node SELECT (jsonb_populate_record(n, jsonb_build_object("
            "'id', c.id, 'public_id', gen_random_uuid(), 'serial', 'bench' || c.id))).*"
            " FROM inventory_node n, copies c WHERE n.id = (SELECT min(m.id) FROM inventory_node m"
            " JOIN inventory_allocation a USING (pool_id) WHERE a.id = %s)",
            [lease.allocation_id],
        )
        cursor.execute(
            "INSERT INTO inventory_binding (id, public_id, allocation_id, node_id, cards, during,"
            " created_at) SELECT c.id, gen_random_uuid(), c.id, c.id,"
            " int4range(0, p.cards_per_node), %s, %s FROM copies c, inventory_allocation a"
            " JOIN inventory_pool p ON p.id = a.pool_id WHERE a.id = %s",
            [period, start, lease.allocation_id],
        )
        cursor.execute(
            "INSERT INTO inventory_instance (id, public_id, allocation_id, binding_id, driver,"
            " engine_reference, engine_name, state, card_count, attempt_count, last_error,"
            " created_at, active_at)"
            " SELECT c.id, gen_random_uuid(), c.id, c.id, 'fake', '', '', 'active',"
            " upper(b.cards), 0, '', %s, %s"
            " FROM copies c JOIN inventory_binding b ON b.id = c.id",
            [start, start],
        )
        cursor.execute(
            "INSERT INTO inventory_instancehistory (instance_id, state, at, recorded_at)"
            " SELECT c.id, s.state, %s + s.late, %s FROM copies c, (VALUES"
            " ('planned', interval '-9 minutes'), ('provisioning', interval '-8 minutes'),"
            " ('active', interval '0')) s (state, late)",
            [start, start],
        )
        # Down for some minutes in one hour of each load, one allocation in ten.
        cursor.execute(
            "INSERT INTO inventory_instancehistory (instance_id, state, at, recorded_at)"
            " SELECT c.id, s.state, %s + s.late, %s FROM copies c, (VALUES"
            " ('provisioning', interval '20 minutes'), ('active', interval '31 minutes'))"
            " s (state, late) WHERE c.id %% 10 = 0",
            [metered_until, metered_until],
        )
        cursor.execute(
            "INSERT INTO inventory_meteringcursor (allocation_id, metered_until)"
            " SELECT id, %s FROM copies",
            [metered_until],
        )
