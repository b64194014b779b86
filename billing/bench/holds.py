"""Holds over HTTP and in the database, beside the bare row writes and a bare view.

Over HTTP nothing but holds is measured; they are given back afterwards. In the database, as in
the prototype's measurements, a claim and its release alternate: claims are what is counted, a
time is that of both, and the floor writes the rows of both. `spread` goes to pools chosen by
chance, `hot` to the largest alone. The machine
is shared by clients, web server and database, and with whatever else it does: ratios and
processor time say more than rates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from billing.bench import direct, floor, processes, world
from billing.bench.buyers import Buyer
from billing.bench.clients import Holder, HttpClient, InProcess
from billing.bench.floor import Writes
from billing.bench.measure import Load, Operation, Row, percentile, ratio, run_clients
from billing.bench.server import Server, serving
from billing.bench.views import TABLE as BARE_TABLE
from billing.bench.world import Scene
from billing.nation import NATION, Plan

WARM_UP_SECONDS = 2.0
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run measures. No claims: the small world, with nothing sold before."""

    clients: Sequence[int] = (8,)
    claims: Sequence[int] = ()
    seconds: float = 5
    pools: int = 32  # of the small world
    buyers: int = 64  # so many that none of them holds much at once
    plan: Plan = NATION


@dataclass(frozen=True, slots=True)
class _Costs:
    """What one hold does to the database, over HTTP and by the verb alone."""

    statements: int
    over_http: Sequence[Writes]
    in_database: Sequence[Writes]


def run(asked: Asked, *, progress: Progress) -> list[Row]:
    """A row a case. Needs both roles of a database with nothing real in it."""
    rows: list[Row] = []
    for claims, scene in _scenes(asked, progress):
        progress("statements of a hold; rows of a hold and of its cancellation")
        direct.prepare(scene, BARE_TABLE)
        trip = InProcess(scene)
        costs = _Costs(trip.statements(), trip.writes(), direct.writes(scene))
        with serving() as server:
            for count in asked.clients:
                measured = _with_clients(scene, server, costs, count, asked.seconds, progress)
                rows += [replace(row, claims=claims) for row in measured]
    return rows


def _scenes(asked: Asked, progress: Progress) -> Iterator[tuple[int, Scene]]:
    buyers = max(asked.buyers, *asked.clients)
    if not asked.claims:
        progress(f"a world of {asked.pools} pools")
        yield 0, world.small(pool_count=asked.pools, buyer_count=buyers, at=world.now())
    for count in sorted(asked.claims):
        progress(f"a nation with {count} claims")
        yield (
            count,
            world.on_nation(
                plan=asked.plan,
                claim_count=count,
                buyer_count=buyers,
                at=world.now(),
                progress=progress,
            ),
        )


def _with_clients(
    scene: Scene, server: Server, costs: _Costs, clients: int, seconds: float, progress: Progress
) -> list[Row]:
    rows = []
    for case, goods in (("spread", len(scene.goods)), ("hot", 1)):
        progress(f"http {case}, {clients} clients: floor, bare view, holds, {seconds:g} s each")
        lowest = floor.per_second(
            costs.over_http[:1], pool_count=goods, clients=clients, seconds=seconds
        )
        bare = _bare(scene, server, clients, seconds)
        held = _holds(scene, server, clients, seconds, goods)
        for code, count in sorted(held.load.refused.items()):
            progress(f"{count} refused with {code}")
        row = held.row(f"http {case}", clients)
        rows += [
            bare.row("http bare view", clients),
            replace(
                row,
                sql=costs.statements,
                floor_per_second=round(lowest, 1),
                of_floor=ratio(row.per_second, lowest),
                bare_per_second=bare.load.per_second,
                of_bare=ratio(row.per_second, bare.load.per_second),
            ),
            direct.measure(
                scene,
                case=case,
                good_count=goods,
                clients=clients,
                seconds=seconds,
                writes=costs.in_database,
                progress=progress,
            ),
        ]
    return rows


@dataclass(frozen=True, slots=True)
class Measured:
    """A load, and the processor time it took of each side."""

    load: Load
    web_seconds: float | None
    database_seconds: float | None

    def row(self, case: str, clients: int) -> Row:
        took = self.load.took_ms
        tried = len(took) + self.load.refused.total()
        return Row(
            case=case,
            clients=clients,
            per_second=self.load.per_second,
            p50_ms=percentile(took, 0.50),
            p95_ms=percentile(took, 0.95),
            p99_ms=percentile(took, 0.99),
            python_cpu_ms=_each(self.web_seconds, tried),
            db_cpu_ms=_each(self.database_seconds, tried),
            refused=self.load.refused.total(),
        )


def _each(seconds: float | None, count: int) -> float | None:
    return round(seconds * 1000 / count, 2) if seconds is not None and count else None


def _bare(scene: Scene, server: Server, clients: int, seconds: float) -> Measured:
    asking = [
        HttpClient(server.port, _buyers(scene, number, clients), number)
        for number in range(clients)
    ]
    return measured([client.ask_bare for client in asking], server, seconds)


def _holds(scene: Scene, server: Server, clients: int, seconds: float, goods: int) -> Measured:
    holding = [
        Holder(server.port, _buyers(scene, number, clients), number, scene.goods[:goods])
        for number in range(clients)
    ]
    load = measured([client.hold for client in holding], server, seconds)
    with ThreadPoolExecutor(max_workers=clients) as threads:
        list(threads.map(Holder.give_back, holding))
    return load


def _buyers(scene: Scene, number: int, clients: int) -> Sequence[Buyer]:
    return scene.buyers[number::clients]


def measured(operations: Sequence[Operation], server: Server, seconds: float) -> Measured:
    """The operations repeated for `seconds`, after a warm-up."""
    run_clients(operations, seconds=min(WARM_UP_SECONDS, seconds))
    database = processes.postmaster()
    web_before, database_before = map(processes.cpu_seconds, (server.process_id, database))
    load = run_clients(operations, seconds=seconds)
    web_after, database_after = map(processes.cpu_seconds, (server.process_id, database))
    return Measured(
        load, _between(web_before, web_after), _between(database_before, database_after)
    )


def _between(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
