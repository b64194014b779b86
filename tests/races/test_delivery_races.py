"""People answering at once: each task, signature and key once; controls show what else."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from inventory import acceptance, chips, identifiers, manual_tasks, ssh_keys
from inventory.acceptance import gate as gates
from inventory.acceptance.runs import NotBeingTested, NothingPassed
from inventory.drivers.manual import ManualDriver
from inventory.manual_tasks import TaskNotOpen
from inventory.models import Acceptance, Instance, JournalEntry, ManualTask, SshKey
from inventory.provisioning.instances import target_of
from inventory.ssh_keys import SshKeyExists
from tests import world
from tests.delivery.scene import run, seconds
from tests.delivery.test_acceptance import being_tested, names, nccl
from tests.delivery.test_manual import PRINT, sold
from tests.delivery.test_ssh_keys import fresh
from tests.races.crowd import together
from tests.world import T0, hours

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]
CROWD = 6


def refused(results: list[Any], *kinds: type[Exception]) -> int:
    return sum(isinstance(each, kinds) for each in results)


@pytest.fixture
def task(transactional_db: None) -> ManualTask:
    chips.load_catalogue()
    sold()
    run(T0, seconds(2))
    return ManualTask.objects.get()


def test_workers_that_ask_at_once_make_one_task(task: ManualTask) -> None:
    instance = Instance.objects.select_related("allocation__pool", "binding__node").get()
    target = target_of(instance)
    manual_tasks.give_up(
        task_public_id=task.public_id, reason="no power", at=seconds(5), actor=world.SYSTEM
    )

    together(*[partial(ManualDriver().release, target, at=seconds(60))] * CROWD)

    wipes = ManualTask.objects.filter(kind=ManualTask.Kind.WIPE)
    assert wipes.count() == 1


def test_control_the_database_refuses_a_second_open_task(task: ManualTask) -> None:
    """Without the engine's lock two workers would both find none, and make one each."""
    facts = {each.name: getattr(task, each.name) for each in task._meta.fields}
    again = ManualTask(**{**facts, "id": None, "public_id": identifiers.new("mtk")})

    with pytest.raises(IntegrityError), transaction.atomic():
        again.save(force_insert=True)


def test_a_task_is_answered_once(task: ManualTask) -> None:
    actor = world.actor(world.provider())
    ways = [
        manual_tasks.WayIn(address=f"10.0.0.{n}", user="root", host_fingerprints=[PRINT])
        for n in range(CROWD)
    ]
    facts: dict[str, Any] = {
        "task_public_id": task.public_id, "at": seconds(60), "actor": actor
    }  # fmt: skip
    works = [partial(manual_tasks.hand_over, way_in=way, **facts) for way in ways]

    results = together(*works)

    assert refused(results, TaskNotOpen) == CROWD - 1
    assert JournalEntry.objects.filter(event="manualtask.done").count() == 1


def test_control_without_the_lock_a_task_is_answered_by_many(task: ManualTask) -> None:
    """Read, then written: everybody saw it open."""
    seen, answers = threading.Barrier(2), []

    def answer(number: int) -> None:
        row = ManualTask.objects.get(pk=task.pk)
        seen.wait(timeout=60)
        if row.state == ManualTask.State.OPEN:
            answers.append(number)

    together(lambda: answer(1), lambda: answer(2))

    assert len(answers) == 2


def test_a_failing_run_and_a_signature_at_once_leave_one_of_them() -> None:
    """Whoever comes second finds what the first left: a signature under a failed run is none."""
    chips.load_catalogue()
    row, gate = being_tested()
    hosts = names(row)
    tenant, provider = world.actor(world.tenant()), world.actor(world.provider())

    def post(text: str, actor: Any) -> Any:
        return acceptance.report(
            acceptance_public_id=gate.public_id, tool="nccl", text=text, hosts="",
            at=T0 + hours(1), actor=actor,
        )  # fmt: skip

    post(nccl(hosts), provider)
    fails = nccl(hosts, algbw=50.0)

    results = together(
        lambda: post(fails, tenant),
        lambda: acceptance.sign(
            acceptance_public_id=gate.public_id, at=T0 + hours(1), actor=tenant
        ),
    )
    gate.refresh_from_db()

    assert refused(results, NotBeingTested, NothingPassed) == 1
    last = gate.runs.latest("pk")
    assert (gate.state == Acceptance.State.ACCEPTED) == last.passed


def test_control_without_the_gates_lock_both_would_go_on() -> None:
    chips.load_catalogue()
    row, gate = being_tested()
    looked = threading.Barrier(2)
    states: list[str] = []

    def look() -> None:
        states.append(Acceptance.objects.get(pk=gate.pk).state)
        looked.wait(timeout=60)

    together(look, look)
    assert states == [Acceptance.State.TESTING] * 2

    def locked(number: int) -> None:
        with transaction.atomic():
            gates.lock(gate.public_id, world.SYSTEM)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.2)")
            order.append(number)
            order.append(number)

    order: list[int] = []
    together(lambda: locked(1), lambda: locked(2))
    assert order in ([1, 1, 2, 2], [2, 2, 1, 1])
    assert row.pk == gate.allocation_id


def test_the_same_key_is_added_once_and_the_twenty_are_kept(transactional_db: None) -> None:
    org = world.tenant()
    actor, text = world.actor(org), fresh()

    def add(line: str) -> Any:
        return ssh_keys.add(organisation_id=org.pk, name="k", text=line, at=T0, actor=actor)

    results = together(*[partial(add, text)] * CROWD)
    for _ in range(17):
        add(fresh())
    lines = [fresh() for _ in range(CROWD)]
    more = together(*[partial(add, line) for line in lines])

    assert refused(results, SshKeyExists) == CROWD - 1
    assert refused(more, ssh_keys.TooManySshKeys) == CROWD - 2
    assert SshKey.objects.filter(removed_at=None).count() == ssh_keys.MOST_KEYS
