"""People as the engine: what they confirm happens, what they leave undone is seen."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from inventory import actors, credentials, manual_tasks, provisioning, suspensions
from inventory.drivers.base import DriverError
from inventory.drivers.manual import SECONDS, ManualDriver
from inventory.errors import NotFound
from inventory.manual_tasks import TaskNotOpen, WayIn, WayInInvalid, WrongAnswer
from inventory.models import Allocation, ManualTask, Node, Outage
from inventory.provisioning.instances import target_of
from inventory.provisioning.pacing import Deadlines
from tests import world
from tests.delivery import scene
from tests.delivery.scene import events, run, seconds, states
from tests.world import T0

pytestmark = pytest.mark.django_db
PRINT = "SHA256:" + "A" * 43
KEYS = ("ssh-ed25519 AAAA me",)
Kind, State = ManualTask.Kind, ManualTask.State


def sold(*, units: int = 1, keys: tuple[str, ...] = KEYS, **facts: Any) -> Allocation:
    pool = scene.pool(
        driver="manual", nodes=facts.pop("nodes", 3), options=facts.pop("options", {})
    )
    return scene.sold(pool, units=units, ssh_keys=keys, period=world.period(0, 24), **facts)


def open_tasks(kind: str | None = None) -> list[ManualTask]:
    rows = ManualTask.objects.filter(state=State.OPEN).order_by("pk")
    return list(rows.filter(kind=kind) if kind else rows)


def operator() -> actors.Actor:
    return world.actor(world.provider(), "operator")


def hand_over(task: ManualTask, at: datetime, **facts: Any) -> ManualTask:
    way = {"address": "10.1.2.3", "user": "root", "host_fingerprints": [PRINT], **facts}
    return manual_tasks.hand_over(
        task_public_id=task.public_id, way_in=WayIn(**way), at=at, actor=operator()
    )


def confirm(kind: str, at: datetime) -> None:
    (task,) = open_tasks(kind)
    manual_tasks.confirm(task_public_id=task.public_id, at=at, actor=operator())


def delivered(*, way: dict[str, Any] | None = None, **facts: Any) -> Allocation:
    row = sold(**facts)
    run(T0, seconds(2))
    for number, task in enumerate(open_tasks(Kind.HAND_OVER)):
        hand_over(task, seconds(60), address=f"10.0.0.{number + 1}", **(way or {}))
    run(seconds(60), seconds(90))
    row.refresh_from_db()
    return row


def test_its_deadlines_are_those_of_the_loop() -> None:
    usual = Deadlines()
    known = {each.name for each in fields(Deadlines)} & set(SECONDS)

    assert known == {"provision_seconds", "release_seconds"}
    assert all(SECONDS[name] == getattr(usual, name) for name in known)


def test_a_machine_is_used_once_a_person_has_handed_it_over() -> None:
    row = sold(units=2)

    run(T0, seconds(30))
    row.refresh_from_db()
    waiting = (row.state, states(row))
    tasks = open_tasks(Kind.HAND_OVER)
    for number, task in enumerate(tasks):
        hand_over(task, seconds(600), address=f"10.0.0.{number + 1}")
    run(seconds(600), seconds(630))
    row.refresh_from_db()
    secret = credentials.reveal(
        allocation_id=row.pk, at=seconds(700), actor=world.actor(world.tenant())
    )

    assert waiting == ("delivering", ["provisioning"] * 2)
    assert [task.due_at for task in tasks] == [seconds(1800)] * 2
    assert (row.state, row.active_at) == ("active", seconds(601))
    assert [each.address for each in secret.machines] == ["10.0.0.1", "10.0.0.2"]
    assert [each.secret for each in secret.machines] == ["", ""]
    assert events(tasks[0].public_id) == ["manualtask.opened", "manualtask.done"]


def test_asking_again_makes_no_second_task() -> None:
    row = sold()
    run(T0, seconds(2))
    instance = row.instances.select_related("allocation__pool", "binding__node").get()

    for _ in range(3):
        ManualDriver().provision(target_of(instance), at=seconds(3))

    assert len(open_tasks()) == 1


def test_what_is_to_be_wiped_is_known_as_handed_over_no_more() -> None:
    row = delivered()
    instance = row.instances.select_related("allocation__pool", "binding__node").get()
    driver, target = ManualDriver(), target_of(instance)

    driver.release(target, at=seconds(100))

    with pytest.raises(DriverError) as polled:
        driver.poll(target, at=seconds(101))
    with pytest.raises(DriverError):
        driver.access(target, at=seconds(101))
    with pytest.raises(DriverError) as again:
        driver.provision(target, at=seconds(101))
    confirm(Kind.WIPE, seconds(102))
    assert driver.release(target, at=seconds(103)).done
    assert not driver.provision(target, at=seconds(104)).done  # set up anew
    assert (polled.value.permanent, again.value.permanent) == (True, False)


def test_a_secret_is_kept_encrypted_and_gone_with_the_wipe() -> None:
    row = delivered(keys=(), way={"secret": "pa55word"})
    task = ManualTask.objects.get()
    shown = credentials.reveal(
        allocation_id=row.pk, at=seconds(100), actor=world.actor(world.tenant())
    )

    run(T0 + timedelta(hours=24), T0 + timedelta(hours=24, seconds=5))
    end = T0 + timedelta(hours=24, minutes=20)
    confirm(Kind.WIPE, end)
    run(end, end + timedelta(seconds=30))
    task.refresh_from_db()
    row.refresh_from_db()

    assert shown.machines[0].secret == "pa55word"
    assert task.ciphertext is None
    assert (row.state, states(row)) == ("ended", ["released"])


def test_secrets_survive_another_key_of_ours(settings: Any) -> None:
    row = delivered(keys=(), way={"secret": "pa55word"})
    new = Fernet.generate_key().decode()
    settings.CREDENTIAL_KEYS = [new, *settings.CREDENTIAL_KEYS]

    done = manual_tasks.rewrap_secrets()
    settings.CREDENTIAL_KEYS = [new]
    instance = row.instances.select_related("allocation__pool", "binding__node").get()

    assert done == 1
    assert ManualDriver().access(target_of(instance), at=seconds(99)).secret == "pa55word"


def test_a_missed_deadline_is_told_once_and_counts_as_a_failure() -> None:
    row = sold(options={"deadlines": {"provision_seconds": 300}})
    run(T0, seconds(310), every=20)
    (task,) = ManualTask.objects.filter(kind=Kind.HAND_OVER).order_by("pk")[:1]
    late = seconds(301)

    run(seconds(310), seconds(330), every=5)
    told = ManualTask.objects.filter(state=State.OPEN, due_at__lte=seconds(400)).count()
    assert told == 0  # the loop gave it up by the same deadline, and dropped the task
    task.refresh_from_db()

    assert task.state == State.DROPPED
    assert Outage.objects.get().node_id == task.node_id
    assert "deadline exceeded" in states_error(row)
    assert [each.kind for each in open_tasks()] == [Kind.HAND_OVER, Kind.WIPE]
    assert "manualtask.overdue" in events(task.public_id)
    assert manual_tasks.sweep(at=late) == 0


def states_error(row: Allocation) -> str:
    return row.instances.order_by("pk")[0].last_error


def test_a_late_shutting_is_told_once() -> None:
    row = delivered()
    suspensions.suspend(allocation_id=row.pk, at=seconds(100), actor=world.SYSTEM, reason="unpaid")
    run(seconds(100), seconds(120), every=10)
    (task,) = open_tasks(Kind.SHUT)

    counts = [manual_tasks.sweep(at=seconds(120 + 900)) for _ in range(2)]

    assert counts == [1, 0]
    assert events(task.public_id)[-1] == "manualtask.overdue"


def test_a_customer_is_shut_out_and_let_in_by_hand() -> None:
    row = delivered()
    suspensions.suspend(allocation_id=row.pk, at=seconds(100), actor=world.SYSTEM, reason="unpaid")
    run(seconds(100), seconds(120), every=10)
    confirm(Kind.SHUT, seconds(130))
    run(seconds(130), seconds(150), every=10)
    shut_at = row.instances.get().shut_at

    suspensions.resume(allocation_id=row.pk, at=seconds(200), actor=world.SYSTEM, reason="paid")
    run(seconds(200), seconds(220), every=10)
    confirm(Kind.OPEN, seconds(230))
    run(seconds(230), seconds(260), every=10)

    assert shut_at is not None
    assert row.instances.get().shut_at is None
    assert row.credentials.filter(revoked_at=None).count() == 1


def test_paying_before_anybody_shut_it_drops_the_task() -> None:
    row = delivered()
    suspensions.suspend(allocation_id=row.pk, at=seconds(100), actor=world.SYSTEM, reason="unpaid")
    run(seconds(100), seconds(120), every=10)
    (task,) = open_tasks(Kind.SHUT)

    suspensions.resume(allocation_id=row.pk, at=seconds(125), actor=world.SYSTEM, reason="paid")
    run(seconds(125), seconds(150), every=10)

    assert open_tasks() == []
    with pytest.raises(TaskNotOpen):
        manual_tasks.confirm(task_public_id=task.public_id, at=seconds(151), actor=operator())


def test_one_that_cannot_be_set_up_is_replaced_and_its_node_kept_out() -> None:
    row = sold()
    run(T0, seconds(2))
    (task,) = open_tasks()

    manual_tasks.give_up(
        task_public_id=task.public_id, reason="no power", at=seconds(60), actor=operator()
    )
    run(seconds(60), seconds(90))
    kinds = {each.kind: each.node_id for each in open_tasks()}

    assert Node.objects.get(pk=task.node_id).state == Node.State.BROKEN
    assert kinds[Kind.WIPE] == task.node_id
    assert kinds[Kind.HAND_OVER] != task.node_id
    assert row.instances.count() == 2


def test_one_that_cannot_be_wiped_is_kept_out_until_a_person_wiped_it() -> None:
    row = delivered()
    end = T0 + timedelta(hours=24)
    run(end, end + timedelta(seconds=5))
    (task,) = open_tasks(Kind.WIPE)
    manual_tasks.give_up(
        task_public_id=task.public_id, reason="disk is stuck", at=end, actor=operator()
    )
    run(end + timedelta(seconds=60), end + timedelta(seconds=90))
    instance = row.instances.get()
    failed = instance.state

    later = end + timedelta(hours=1)
    provisioning.retry_release(
        instance_id=instance.pk, at=later, actor=operator(), reason="new disk"
    )
    run(later, later + timedelta(seconds=30))
    confirm(Kind.WIPE, later + timedelta(seconds=60))
    run(later + timedelta(seconds=60), later + timedelta(seconds=90))

    assert failed == "release_failed"
    assert states(row) == ["released"]


def test_a_machine_wiped_by_hand_leaves_no_task_behind() -> None:
    row = delivered(options={"deadlines": {"release_seconds": 60}})
    end = T0 + timedelta(hours=24)
    run(end, end + timedelta(minutes=3), every=10)
    instance = row.instances.get()

    provisioning.mark_clean(
        instance_id=instance.pk, at=end + timedelta(hours=1), actor=operator(), reason="dd"
    )

    assert open_tasks() == []
    assert instance.state == "release_failed"


def test_cards_that_were_not_wiped_serve_nobody_else() -> None:
    row = delivered(nodes=1)
    instance = row.instances.select_related("allocation__pool", "binding__node").get()
    other = target_of(instance)
    other = type(other)(**{**{f.name: getattr(other, f.name) for f in fields(other)}, "name": "b"})

    with pytest.raises(DriverError) as refused:
        ManualDriver().provision(other, at=seconds(200))

    assert not refused.value.permanent


@pytest.mark.parametrize(
    "facts",
    [
        {"address": "10.1.2"},
        {"address": "a b"},
        {"address": "fe80::1%eth0"},
        {"address": "-x.example"},
        {"user": "Root User"},
        {"port": 0},
        {"port": 65_536},
        {"host_fingerprints": []},
        {"host_fingerprints": ["MD5:aa:bb"]},
        {"host_fingerprints": [PRINT] * 9},
        {"secret": "x" * 20_001},
        {"secret": "a\x00b"},
    ],
)
def test_a_way_in_that_cannot_be_right_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(WayInInvalid):
        WayIn(**{"address": "10.0.0.1", "user": "root", "host_fingerprints": [PRINT], **facts})


def test_refusals_change_nothing() -> None:
    sold(keys=())
    run(T0, seconds(2))
    (task,) = open_tasks()

    with pytest.raises(WayInInvalid):  # no keys of the tenant's, and no secret
        hand_over(task, seconds(5))
    with pytest.raises(WrongAnswer):
        manual_tasks.confirm(task_public_id=task.public_id, at=seconds(5), actor=operator())
    with pytest.raises(NotFound):
        manual_tasks.confirm(
            task_public_id=task.public_id, at=seconds(5), actor=world.actor(world.stranger())
        )
    with pytest.raises(NotFound):
        manual_tasks.confirm(
            task_public_id=task.public_id, at=seconds(5), actor=world.actor(world.tenant())
        )

    task.refresh_from_db()
    assert (task.state, task.done_by, task.address) == (State.OPEN, "", "")
