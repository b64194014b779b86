"""How long a lease on bare metal takes to be usable, and how much of it is ours.

Run by hand: `python3 dev test tests/drivers/test_measured.py -m measured -n 0 -s`. The engine's own
time is taken on the same Ironic in the same run, by the same requests without the reconcile loop.
"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from inventory.models import Allocation, Pool
from tests.delivery import scene
from tests.drivers import processes
from tests.drivers.ironic_engine import Ironic, ironic
from tests.drivers.test_loop import pool_on, run
from tests.world import T0

pytestmark = [pytest.mark.measured, pytest.mark.django_db(transaction=True)]


def bare(engine: Ironic, names: list[str]) -> float:
    """Fence, deployment and power of so many nodes, asked for at once and polled.

    Fences one after the other: on SQLite, Ironic loses some of those made at once.
    """
    started = time.monotonic()
    for name in names:
        fence = {"name": f"bare-{name}", "resource_class": "b200x8", "candidate_nodes": [name]}
        engine.ask("POST", "/v1/allocations", fence)
        processes.eventually(lambda name=name: engine.node(name)["instance_uuid"])  # type: ignore[misc]

    def each(what: str, wanted: object) -> None:
        left = set(names)
        while left:
            left = {name for name in left if engine.node(name)[what] != wanted}
            left |= {name for name in names if engine.node(name)["reservation"]}

    for verb, path, what, wanted in (
        ("active", "provision", "provision_state", "active"),
        ("power on", "power", "power_state", "power on"),
    ):
        for name in names:
            processes.eventually(lambda name=name: engine.node(name)["reservation"] is None)  # type: ignore[misc]
            engine.ask("PUT", f"/v1/nodes/{name}/states/{path}", {"target": verb})
        each(what, wanted)
    return time.monotonic() - started


@pytest.mark.parametrize("count", [1, 64])
def test_start_to_usable(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ironic(tmp_path / "home", delay=2) as engine:
        pool: Pool = pool_on(engine, count, poll_seconds=0.5)
        floor = bare(engine, engine.enrol(count))
        allocation = scene.sold(pool, units=count)
        cpu, started = time.process_time(), time.monotonic()
        run(allocation, Allocation.State.ACTIVE, since=T0, seconds=900)
        took, cpu = time.monotonic() - started, time.process_time() - cpu
        started = time.monotonic()
        run(allocation, Allocation.State.ENDED, since=T0 + timedelta(hours=10), seconds=900)
        clean = time.monotonic() - started

    with capsys.disabled():
        print(  # noqa: T201
            f"\n{count} nodes: usable after {took:.1f} s, the engine alone {floor:.1f} s;"
            f" our processor {cpu:.2f} s, {cpu / count * 1000:.0f} ms a node;"
            f" clean after {clean:.1f} s"
        )
