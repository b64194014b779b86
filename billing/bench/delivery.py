"""Reconcile steps of one worker while more and more deliveries are in flight, on the fake engine.

The allocations are copies of one that was bought through checkout, each on a node of its own that
the engine is still setting up, so that every step asks the engine, finds that it is not done, and
writes down when to ask again. What is timed is one worker calling the sweeps as the tasks call
them, over so many due rows. `of_smaller` says how a step's time grows with what is in flight. The
floor is the rows of such a step written by pgbench in as many commits, with nothing decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections, transaction

from billing.bench import charging, floor, processes, world
from billing.bench.measure import Row, ratio
from inventory import provisioning
from inventory.models import Allocation, Instance
from inventory.periods import HOUR, Period
from marketplace.models import Lease

FIRST_ID = 2 * 10**9  # far from any row of the bench's own world
Progress = Callable[[str], None]
Sweep = Callable[[datetime], int]


@dataclass(frozen=True, slots=True)
class Asked:
    """Loads of so many allocations in flight; of each, so many steps are timed."""

    allocations: Sequence[int] = (1_000, 10_000)
    steps: int = 1_000
    warm_up: int = 200
    seconds: float = 5  # of the floor's measurement


@dataclass(frozen=True, slots=True)
class Took:
    """What one worker took for its steps, and the processor time of both sides."""

    steps: int
    seconds: float
    python_cpu: float
    database_cpu: float | None


def measure(asked: Asked, *, progress: Progress) -> list[Row]:
    """Two rows a load: steps of machines, and of the allocations that wait for them.

    Needs both roles of a database with nothing real in it.
    """
    progress("a lease bought through checkout")
    first = charging.first_lease(world.now())
    _copy(first, already=0, count=asked.warm_up)
    floors = {}
    for what, sweep in _SWEEPS.items():
        _make_due()
        _run(sweep, asked.warm_up)
        _make_due()
        written = floor.writes_of(lambda step=_STEPS[what]: step(world.now()))  # type: ignore[misc]
        floors[what] = floor.per_second([written], pool_count=1, clients=1, seconds=asked.seconds)
    found: list[Row] = []
    smallest: dict[str, Took] = {}
    there = asked.warm_up
    for count in sorted(asked.allocations):
        progress(f"{count} deliveries in flight")
        _copy(first, already=there, count=count - there)
        there = max(there, count)
        for what, sweep in _SWEEPS.items():
            _make_due()
            took = _run(sweep, min(asked.steps, count))
            found.append(_row(what, count, took, floors[what], smallest.setdefault(what, took)))
            progress(f"{what}: {took.steps / took.seconds:.0f} steps a second")
    return found


def _row(what: str, count: int, took: Took, floor_per_second: float, smallest: Took) -> Row:
    per, least = took.seconds / took.steps, smallest.seconds / smallest.steps
    per_second = round(took.steps / took.seconds, 1)
    database = took.database_cpu
    return Row(
        case=f"{what}, {count} deliveries in flight",
        clients=1,
        operations=took.steps,
        per_second=per_second,
        floor_per_second=round(floor_per_second, 1),
        of_floor=ratio(per_second, floor_per_second),
        of_smaller=None if took is smallest else ratio(per, least),
        python_cpu_ms=round(took.python_cpu * 1000 / took.steps, 3),
        db_cpu_ms=None if database is None else round(database * 1000 / took.steps, 3),
    )


def _instances(at: datetime) -> int:
    return provisioning.sweep_instances(at=at, limit=500)


def _allocations(at: datetime) -> int:
    return provisioning.sweep_allocations(at=at, limit=200)


def _one_instance(at: datetime) -> int:
    due = Instance.objects.filter(state=Instance.State.PROVISIONING, next_step_at__lte=at)
    return provisioning.step_instance(instance_id=due.values_list("pk", flat=True)[0], at=at)


def _one_allocation(at: datetime) -> int:
    due = Allocation.objects.filter(state=Allocation.State.DELIVERING, next_step_at__lte=at)
    return provisioning.step_allocation(allocation_id=due.values_list("pk", flat=True)[0], at=at)


_SWEEPS: dict[str, Sweep] = {"steps of machines": _instances, "steps of allocations": _allocations}
_STEPS: dict[str, Sweep] = {
    "steps of machines": _one_instance,
    "steps of allocations": _one_allocation,
}


def _run(sweep: Sweep, steps: int) -> Took:
    """One worker's sweeps until so many steps are made."""
    database = processes.cpu_seconds(processes.postmaster())
    cpu, began, done = time.process_time(), time.perf_counter(), 0
    while done < steps:
        made = sweep(world.now())
        if not made:
            raise RuntimeError(f"only {done} of {steps} steps were due")
        done += made
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    after = processes.cpu_seconds(processes.postmaster())
    spent = None if database is None or after is None else after - database
    return Took(done, seconds, cpu, spent)


def _make_due() -> None:
    """Everything in flight waits to be stepped; what the last steps left behind is swept up."""
    with connections["owner"].cursor() as cursor:
        for table in ("inventory_instance", "inventory_allocation"):
            cursor.execute(
                f"UPDATE {table} SET next_step_at = now() - interval '1 second',"
                " claim_token = NULL, claimed_until = NULL WHERE id > %s",
                [FIRST_ID],
            )
        cursor.execute("VACUUM ANALYZE inventory_instance, inventory_allocation")
        cursor.execute("VACUUM ANALYZE inventory_binding, inventory_node, inventory_fakemachine")


def _copy(lease: Lease, *, already: int, count: int) -> None:
    """So many more allocations like the lease's, each with a machine that is being set up."""
    now = world.now()
    start = Period.of(lease.period).start - 48 * HOUR
    period = Period(min(start, now - HOUR), now + 24 * 30 * HOUR).range
    copies = [FIRST_ID + already, max(0, count)]
    facts = {"now": now, "ready": now + timedelta(days=1), "period": period}
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE copies ON COMMIT DROP AS SELECT %s + n AS id, gen_random_uuid() AS"
            " allocation, gen_random_uuid() AS node FROM generate_series(1, %s) n",
            copies,
        )
        facts |= {"allocation": lease.allocation_id}
        cursor.execute(
            "INSERT INTO inventory_allocation SELECT (jsonb_populate_record(a, jsonb_build_object("
            "'id', c.id, 'public_id', c.allocation, 'state', 'delivering', 'active_at', NULL,"
            " 'period', %(period)s::tstzrange, 'blocking', %(period)s::tstzrange))).*"
            " FROM inventory_allocation a, copies c WHERE a.id = %(allocation)s",
            facts,
        )
        cursor.execute(
            "INSERT INTO inventory_node SELECT (jsonb_populate_record(n, jsonb_build_object("
            "'id', c.id, 'public_id', c.node, 'serial', 'flight' || c.id))).*"
            " FROM inventory_node n, copies c WHERE n.id = (SELECT min(m.id) FROM inventory_node m"
            " JOIN inventory_allocation a USING (pool_id) WHERE a.id = %(allocation)s)",
            facts,
        )
        cursor.execute(
            "INSERT INTO inventory_binding (id, public_id, allocation_id, node_id, cards, during,"
            " created_at) SELECT c.id, gen_random_uuid(), c.id, c.id,"
            " int4range(0, p.cards_per_node), %(period)s, %(now)s FROM copies c,"
            " inventory_allocation a JOIN inventory_pool p ON p.id = a.pool_id"
            " WHERE a.id = %(allocation)s",
            facts,
        )
        cursor.execute(
            "INSERT INTO inventory_instance (id, public_id, allocation_id, binding_id, driver,"
            " engine_reference, engine_name, state, card_count, attempt_count, last_error,"
            " deadline_at, created_at) SELECT c.id, gen_random_uuid(), c.id, c.id, 'fake',"
            " 'fake:' || c.id, 'flight-' || c.id, 'provisioning', upper(b.cards), 0, '',"
            " %(ready)s, %(now)s FROM copies c JOIN inventory_binding b ON b.id = c.id",
            facts,
        )
        cursor.execute(
            "INSERT INTO inventory_instancehistory (instance_id, state, at, recorded_at)"
            " SELECT c.id, s.state, %(now)s, %(now)s FROM copies c, (VALUES ('planned'),"
            " ('provisioning')) s (state)",
            facts,
        )
        cursor.execute(
            "INSERT INTO inventory_fakemachine (name, node, first_card, card_count, started_at,"
            " ready_at, boot_count, wipe_count)"
            " SELECT 'flight-' || c.id, 'nod_' || replace(c.node::text, '-', ''), 0,"
            " upper(b.cards), %(now)s, %(ready)s, 1, 0"
            " FROM copies c JOIN inventory_binding b ON b.id = c.id",
            facts,
        )
