"""kill -9 in the middle of a delivery: the next worker finishes, and nothing is doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection, connections

from inventory import provisioning, tasks
from inventory.drivers.fake import FakeDriver
from inventory.models import Allocation, Binding, FakeMachine, Instance, InstanceHistory
from inventory.periods import Period
from inventory.provisioning.claims import CLAIM, claim_due
from tests.delivery import scene
from tests.delivery.scene import seconds
from tests.world import T0

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"provision_seconds": 5, "release_seconds": 5}
WAIT_SECONDS = 120


@contextmanager
def _worker(at: datetime, stop_in: str) -> Iterator[subprocess.Popen[str]]:
    """A real process on the test's own database."""
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.delivery.worker", at.isoformat(), stop_in],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _kill_when_stopped(at: datetime, stop_in: str) -> None:
    with _worker(at, stop_in) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "stopped"
        process.send_signal(signal.SIGKILL)
        assert process.wait(WAIT_SECONDS) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("stop_in", "untouched"),
    [("bind", 0), ("before:provision", 1), ("after:provision", 1), ("apply", 2)],
)
def test_killed_while_delivering(stop_in: str, untouched: int) -> None:
    allocation = scene.sold(scene.pool(options=OPTIONS))
    if stop_in != "bind":
        provisioning.sweep_allocations(at=T0)

    _kill_when_stopped(T0, stop_in)
    early = scene.tick(T0 + CLAIM / 2)
    after = T0 + CLAIM
    scene.run(after, after + timedelta(seconds=60))
    allocation.refresh_from_db()

    # A killed worker's rows wait until its claim has lapsed; then they are anybody's.
    assert early == untouched
    assert allocation.state == Allocation.State.ACTIVE
    assert scene.states(allocation) == ["active", "active"]
    assert Binding.objects.count() == Instance.objects.count() == 2
    assert list(FakeMachine.objects.values_list("boot_count", flat=True)) == [1, 1]
    assert InstanceHistory.objects.filter(state="active").count() == 2
    assert scene.events(allocation.public_id).count("allocation.delivering") == 1
    assert scene.events(allocation.public_id).count("allocation.active") == 1


def test_killed_while_wiping() -> None:
    allocation = scene.sold(scene.pool(options=OPTIONS))
    scene.run(seconds(0), seconds(60))
    end = Period.of(allocation.period).end
    provisioning.sweep_allocations(at=end)

    _kill_when_stopped(end, "after:release")
    scene.run(end + CLAIM, end + CLAIM + timedelta(seconds=60))
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.ENDED
    assert list(FakeMachine.objects.values_list("wipe_count", flat=True)) == [1, 1]


def test_two_workers_at_once_share_the_rows() -> None:
    row = scene.pool(nodes=6, options=OPTIONS)
    for _ in range(6):
        scene.sold(row, units=1)
    stepped: list[int] = []

    def work() -> None:
        stepped.append(scene.tick(T0))
        connections.close_all()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scene.run(seconds(1), seconds(60))

    assert sum(stepped) >= 6
    assert Allocation.objects.filter(state=Allocation.State.ACTIVE).count() == 6
    assert Binding.objects.count() == Instance.objects.count() == 6
    assert set(FakeMachine.objects.values_list("boot_count", flat=True)) == {1}
    assert InstanceHistory.objects.filter(state="active").count() == 6


def test_a_result_that_comes_after_its_claim_lapsed_is_dropped() -> None:
    allocation = scene.sold(scene.pool(options=OPTIONS), units=1)
    provisioning.sweep_allocations(at=T0)
    instance = allocation.instances.get()
    slow = claim_due(Instance, states=["planned"], at=T0, limit=9)

    provisioning.sweep_instances(at=T0 + CLAIM)
    moved = scene.history(allocation)
    provisioning.instances._step(slow[0], T0)

    instance.refresh_from_db()
    assert scene.history(allocation) == moved
    assert instance.next_step_at == T0 + CLAIM + timedelta(seconds=5)


def test_a_driver_is_never_asked_inside_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: set[bool] = set()
    for verb in ("provision", "poll", "access", "release"):
        original = getattr(FakeDriver, verb)

        def asked(self, target, *, at, original=original):
            inside.add(connection.in_atomic_block)
            return original(self, target, at=at)

        monkeypatch.setattr(FakeDriver, verb, asked)
    allocation = scene.sold(scene.pool(options=OPTIONS))

    scene.run(seconds(0), seconds(60))
    end = Period.of(allocation.period).end
    scene.run(end, end + timedelta(seconds=60))

    assert inside == {False}


def test_every_task_runs_twice_without_harm_and_tolerates_more_arguments() -> None:
    scene.sold(scene.pool(options=OPTIONS))
    sweeps = [
        tasks.step_allocations,
        tasks.step_instances,
        tasks.follow_calendar,
        tasks.meter_usage,
        tasks.seal_records,
        tasks.ensure_partitions,
    ]

    for sweep in sweeps:
        sweep(added_later=1)
    before = (Binding.objects.count(), InstanceHistory.objects.count())
    again = [sweep() for sweep in (tasks.step_instances, tasks.ensure_partitions)]

    assert again == [0, 0]
    assert (Binding.objects.count(), InstanceHistory.objects.count()) == before
