"""National search: in process and over HTTP while the market moves, and what the map costs.

Two requests by turns, 128 and 8 nodes for 168 hours anywhere in the next 30 days. The floors of
the same run: one numpy pass over the same arrays, and the statement that asks whether anything
changed. `claims` change at a given rate by another process all the while.
"""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path

import numpy as np
from django.conf import settings

from billing.bench import direct, pgbench, processes, world
from billing.bench.buyers import Buyer
from billing.bench.clients import HttpClient
from billing.bench.holds import Measured, measured
from billing.bench.measure import Row, percentile, ratio
from billing.bench.server import Server, serving
from billing.bench.world import Scene
from billing.nation import NATION, Plan
from inventory.actors import Actor
from inventory.capacity import release
from marketplace import offers, search_map
from marketplace.offers import OfferRequest
from marketplace.search_map import SearchMap, loading

SIZES = (128, 8)  # nodes
HOURS = 168
WINDOW = timedelta(days=30)
CHANGES = (0, 1, 10, 100, 1000)
TOP = 12
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run measures."""

    clients: Sequence[int] = (8,)
    claims: Sequence[int] = (1_000_000,)
    seconds: float = 5
    holds_per_second: int = 50
    profile: bool = False
    plan: Plan = NATION


def run(asked: Asked, *, progress: Progress) -> list[Row]:
    """A row a case. Needs both roles of a database with nothing real in it."""
    rows: list[Row] = []
    for count in sorted(asked.claims):
        progress(f"a nation with {count} claims")
        scene = world.on_nation(
            plan=asked.plan,
            claim_count=count,
            buyer_count=max(asked.clients),
            at=world.now(),
            progress=progress,
        )
        direct.prepare(scene)
        found = [
            *_map_costs(scene, progress),
            *_in_process(scene, asked, progress),
            *_over_http(scene, asked, progress),
        ]
        rows += [replace(row, claims=count) for row in found]
    return rows


def request(nodes: int, at: datetime) -> OfferRequest:
    """So many nodes for a week, anywhere in the next 30 days."""
    return OfferRequest(
        nodes=nodes, hours=HOURS, earliest_start=at, latest_end=at + WINDOW, limit=20
    )


def _map_costs(scene: Scene, progress: Progress) -> Iterator[Row]:
    """Cold start, memory, and a refresh after so many changes."""
    progress("the map: cold start and refreshes")
    empty = SearchMap.build({}, {})
    before = processes.resident_bytes()
    map_, took, cpu = _refreshed(empty)
    grown = (processes.resident_bytes() - before) / 2**20
    progress(f"{len(map_.stalls)} listings, {grown:.0f} MiB more resident")
    yield Row(case="map cold start", p50_ms=took, python_cpu_ms=cpu, mebibytes=round(grown, 1))
    versions = _times(loading.versions, 20)
    yield Row(case="floor: SELECT of versions", p50_ms=percentile(versions, 0.5))
    for changes in CHANGES:
        _change(scene, changes)
        map_, took, cpu = _refreshed(map_)
        yield Row(case=f"map refresh, {changes} changes", p50_ms=took, python_cpu_ms=cpu)


def _refreshed(old: SearchMap) -> tuple[SearchMap, float, float]:
    """A map of now, the milliseconds it took, and those of them that this process worked."""
    began, cpu = time.perf_counter(), time.thread_time()
    map_ = search_map.refresh(old, world.now())
    worked = (time.thread_time() - cpu) * 1000
    return map_, _ms_since(began), round(worked, 2)


def _change(scene: Scene, count: int) -> None:
    """So many changes, half of them holds and half their releases, over as many pools."""
    made = []
    for number in range((count + 1) // 2):
        good = scene.goods[number * 7 % len(scene.goods)]
        held = direct.claim(good, scene.buyers[0].organisation_pk)
        made += [held] if held is not None else []
    for number in made[: count // 2]:
        release(allocation_id=number, at=world.now(), actor=direct.ACTOR, reason="bench")


def _in_process(scene: Scene, asked: Asked, progress: Progress) -> Iterator[Row]:
    buyer = scene.buyers[0]
    actor = Actor(kind="key", label="bench", organisation_id=buyer.organisation_pk)
    for nodes in SIZES:
        progress(f"in process, {nodes} nodes, {asked.seconds:g} s quiet and moving")
        _searches(nodes, actor, 0.1)  # the map is loaded
        quiet, _ = _searches(nodes, actor, asked.seconds)
        map_ = search_map.current(world.now())
        floor = _times(lambda map_=map_: _one_pass(map_), 50)  # type: ignore[misc]
        with pgbench.beside(direct.script(len(scene.goods)), per_second=asked.holds_per_second):
            moving, found = _searches(nodes, actor, asked.seconds)
        progress(f"{found} offers")
        for case, searches in (("quiet", quiet), ("moving", moving)):
            took = [each.ms for each in searches]
            floor_ms = percentile(floor, 0.5)
            yield Row(
                case=f"in process {nodes} nodes, {case}",
                clients=1,
                per_second=round(1000 * len(took) / sum(took), 1),
                p50_ms=percentile(took, 0.50),
                p95_ms=percentile(took, 0.95),
                p99_ms=percentile(took, 0.99),
                python_cpu_ms=percentile([each.cpu_ms for each in searches], 0.5),
                floor_per_second=round(1000 / floor_ms, 1) if floor_ms else None,
                of_floor=ratio(floor_ms, percentile(took, 0.50)),
            )
        if asked.profile:
            _profile(nodes, actor, progress)


@dataclass(frozen=True, slots=True)
class _Took:
    ms: float
    cpu_ms: float


def _searches(nodes: int, actor: Actor, seconds: float) -> tuple[list[_Took], int]:
    """What each search took, and how many offers the last one found."""
    took, found = [], 0
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        at, cpu = world.now(), time.thread_time()
        found = len(offers.search(request=request(nodes, at), actor=actor, at=at).offers)
        took.append(_Took(_ms_since(began), round((time.thread_time() - cpu) * 1000, 3)))
    return took, found


def _one_pass(map_: SearchMap) -> int:
    """The least that a scan of the map's steps can do: compare each with a number, and count."""
    lasting = np.diff(map_.start) > 0
    return int(np.count_nonzero((map_.free[:-1] >= SIZES[0]) & lasting))


def _over_http(scene: Scene, asked: Asked, progress: Progress) -> Iterator[Row]:
    with serving() as server:
        for count in asked.clients:
            progress(f"http, {count} clients, {asked.seconds:g} s, quiet and moving")
            yield _http(scene.buyers, server, count, asked.seconds).row("http quiet", count)
            with pgbench.beside(direct.script(len(scene.goods)), per_second=asked.holds_per_second):
                moving = _http(scene.buyers, server, count, asked.seconds)
            yield moving.row("http moving", count)


def _http(buyers: Sequence[Buyer], server: Server, clients: int, seconds: float) -> Measured:
    searching = [
        _Searcher(server.port, buyers[number::clients], number) for number in range(clients)
    ]
    return measured([client.search for client in searching], server, seconds)


class _Searcher(HttpClient):
    def __init__(self, port: int, buyers: Sequence[Buyer], number: int) -> None:
        super().__init__(port, buyers, number)
        self.sizes = cycle(SIZES)

    def search(self) -> str | None:
        at = world.now()
        body = {
            "nodes": next(self.sizes),
            "hours": HOURS,
            "earliest_start": at.isoformat(),
            "latest_end": (at + WINDOW).isoformat(),
            "limit": 20,
        }
        status, answer = self.post("/api/v1/offers/search", body)
        return None if status == 200 else str(answer.get("code", status))


def _profile(nodes: int, actor: Actor, progress: Progress) -> None:
    """Where the time of a search goes, by function, the most costly first."""
    profile = cProfile.Profile(time.thread_time)  # what others of the machine take is no part
    profile.enable()
    took, _ = _searches(nodes, actor, 3)
    profile.disable()
    stats = pstats.Stats(profile)
    lines = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:TOP]  # type: ignore[attr-defined]
    for (file, line, name), (_, calls, own, total, _) in lines:
        try:
            place = str(Path(file).relative_to(settings.BASE_DIR))
        except ValueError:
            place = Path(file).name
        progress(
            f"{own * 1000 / len(took):.2f} ms own, {total * 1000 / len(took):.2f} ms in all,"
            f" {calls / len(took):.0f} calls: {place}:{line} {name}"
        )


def _times(operation: Callable[[], object], count: int) -> list[float]:
    took = []
    for _ in range(count):
        began = time.perf_counter()
        operation()
        took.append(_ms_since(began))
    return took


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
