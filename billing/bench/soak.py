"""Mixed operations on the nation, by several processes, until the pools have seen them all.

Every operation is one capacity function in one transaction, as the runtime role. Each process
draws its own from a seed, keeps to no pool of its own, and counts what it has done in the
database, so that a run that was cut off goes on. What is refused is an operation too: most of
what can go wrong goes wrong there. In the end the rows alone are asked whether anything broke.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

import psycopg
from django.conf import settings
from django.db import connections

from billing.bench import pgbench, world
from billing.bench.measure import Row
from billing.bench.mixture import Crowd, Pick
from billing.bench.world import Scene
from billing.nation import NATION, Plan
from inventory import verification

SCHEMA = "bench_soak"
STEP = 200  # operations between two notes of how far a process is
TENANTS = 8
Progress = Callable[[str], None]


class SoakFailed(RuntimeError):
    """A process ended by an error that no verb raises, or the rows contradict each other."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run does. Operations counted by an earlier run of the same database count."""

    operations: int
    processes: int = 2
    claims: int = 1_000_000
    seed: int = 1
    seconds: float | None = None  # stops early, to be resumed
    plan: Plan = NATION


def run(asked: Asked, scene: Scene, *, progress: Progress) -> list[Row]:
    """Raises SoakFailed where `verify_capacity` finds anything afterwards."""
    _make_ground(asked.processes)
    done_before = _done()
    share = [len(part) for part in _parts(asked.operations, asked.processes)]
    began = time.perf_counter()
    counts = _in_processes(asked, scene, share, progress)
    seconds = time.perf_counter() - began
    done = _done()
    progress(f"{done} operations are done; looking at the rows")
    looked = time.perf_counter()
    faults = verification.verify()
    if faults:
        shown = "; ".join(f"{each.rule}: {each.key}: {each.figures}" for each in faults[:5])
        raise SoakFailed(f"{len(faults)} faults after {done} operations: {shown}")
    rows = [
        Row(
            case="operations of this run",
            clients=asked.processes,
            operations=done - done_before,
            per_second=round((done - done_before) / seconds, 1),
        ),
        Row(case="operations so far, verified clean", operations=done),
        Row(case="verify_capacity", p50_ms=round((time.perf_counter() - looked) * 1000, 1)),
    ]
    for (name, outcome), count in sorted(counts.items()):
        rows.append(Row(case=f"{name}: {outcome}", operations=count))
    return rows


def _parts(count: int, parts: int) -> Sequence[range]:
    return [range(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def _make_ground(processes: int) -> None:
    role = connections["owner"].ops.quote_name(settings.DATABASES["default"]["USER"])
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {SCHEMA}.progress"
            " (process int PRIMARY KEY, done bigint NOT NULL)"
        )
        cursor.execute(
            f"INSERT INTO {SCHEMA}.progress SELECT n, 0 FROM generate_series(0, %s) n"
            " ON CONFLICT DO NOTHING",
            [processes - 1],
        )
        cursor.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")
        cursor.execute(f"GRANT SELECT, UPDATE ON {SCHEMA}.progress TO {role}")


def _done() -> int:
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"SELECT coalesce(sum(done), 0)::bigint FROM {SCHEMA}.progress")
        return int(cursor.fetchone()[0])


def _in_processes(
    asked: Asked, scene: Scene, share: Sequence[int], progress: Progress
) -> Counter[tuple[str, str]]:
    """Forks, each child with a connection of its own; ours are closed so that none is shared."""
    connections.close_all()
    connections["default"].close_pool()  # type: ignore[attr-defined]
    fork = multiprocessing.get_context("fork")
    pipes, children = [], []
    for number in range(asked.processes):
        ours, theirs = fork.Pipe(duplex=False)
        child = fork.Process(
            target=_work, args=(number, share[number], asked, scene, theirs), daemon=True
        )
        child.start()
        theirs.close()
        pipes.append(ours)
        children.append(child)
    counts: Counter[tuple[str, str]] = Counter()
    done, spoke, began = [0] * asked.processes, 0.0, time.monotonic()
    open_pipes = dict(zip(pipes, range(asked.processes), strict=True))
    while open_pipes:
        for pipe in multiprocessing.connection.wait(list(open_pipes)):
            assert isinstance(pipe, Connection)
            try:
                said = pipe.recv()
            except EOFError:
                del open_pipes[pipe]
                continue
            if isinstance(said, int):
                done[open_pipes[pipe]] = said
            else:
                counts += said
        if time.monotonic() - spoke > 5:
            spoke = time.monotonic()
            progress(f"{sum(done)} operations, {sum(done) / (spoke - began + 0.001):.0f} a second")
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        raise SoakFailed("a process failed; what it said stands above")
    return counts


def _work(number: int, share: int, asked: Asked, scene: Scene, pipe: Connection) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    until = None if asked.seconds is None else time.monotonic() + asked.seconds
    # Not the durability of a commit is looked at here, but what many of them leave behind.
    options = "-c synchronous_commit=off"
    with psycopg.connect(pgbench.url("default"), autocommit=True, options=options) as connection:
        ((done,),) = connection.execute(
            f"SELECT done FROM {SCHEMA}.progress WHERE process = %s", [number]
        ).fetchall()
        tenants = [buyer.organisation_pk for buyer in scene.buyers[number :: asked.processes]]
        crowd = Crowd(
            connection=connection,
            goods=scene.goods,
            tenant_ids=tenants,
            rng=random.Random(f"{asked.seed}:{number}:{done}"),
            number=number,
        )
        crowd.recall()
        fresh = 0
        while done < share and (until is None or time.monotonic() < until):
            for _ in range(min(STEP, share - done)):
                pick: Pick = crowd.step()
                counts[pick.name, pick.outcome] += 1
                done += 1
                fresh += 1
            connection.execute(
                f"UPDATE {SCHEMA}.progress SET done = %s WHERE process = %s", [done, number]
            )
            pipe.send(fresh)
    pipe.send(counts)
    pipe.close()


def scene_on_nation(asked: Asked, progress: Progress) -> Scene:
    """The nation, and tenants of the soak's own: enough that each process has some."""
    return world.on_nation(
        plan=asked.plan,
        claim_count=asked.claims,
        buyer_count=max(TENANTS, asked.processes),
        at=world.now(),
        progress=progress,
    )
