"""People instead of an engine: each step is a task in the console of the centre's operators.

A pool names it where nobody automates its machines. What a person confirmed is to this driver
what an engine's answer is to another: it never believes that something happened because it
asked for it. Deadlines are the pool's own, of `driver_options.deadlines`; `shut_seconds` there
is for shutting, opening and renewing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from inventory import actors, journal, transitions, wrapping
from inventory.drivers.base import Access, DriverError, Progress, Target
from inventory.models import Allocation, ManualTask, Node

ACTOR = actors.system("provisioning")
# As long as the reconcile loop waits where the pool says nothing; shutting out is urgent.
SECONDS = {
    "provision_seconds": 1_800.0,
    "release_seconds": 3_600.0,
    "shut_seconds": 900.0,
}
_DEADLINE = {
    ManualTask.Kind.HAND_OVER: "provision_seconds",
    ManualTask.Kind.WIPE: "release_seconds",
}
CHECK_AFTER_SECONDS = 60.0  # a task that is done wakes the loop; this is where the hint got lost


class ManualDriver:
    """Reads tasks and makes them; one at a time for a machine."""

    def provision(self, target: Target, *, at: datetime) -> Progress:
        with transaction.atomic():
            _lock_node(target.node)
            task = _standing(target.name)
            if task is None:
                _refuse_if_taken(target)
                task = _make(target, ManualTask.Kind.HAND_OVER, at)
            return _progress(task)

    def poll(self, target: Target, *, at: datetime) -> Progress:
        task = _standing(target.name)
        if task is None:
            raise DriverError("nobody was asked to hand this machine over", permanent=True)
        return _progress(task)

    def access(self, target: Target, *, at: datetime) -> Access:
        last = _latest(target.name, ManualTask.Kind.SHUT, ManualTask.Kind.OPEN)
        if (
            last is not None
            and last.kind == ManualTask.Kind.SHUT
            and last.state == ManualTask.State.DONE
        ):
            raise DriverError("the machine is shut", permanent=False)
        task = _latest(target.name, ManualTask.Kind.HAND_OVER, ManualTask.Kind.RENEW, done=True)
        if task is None or _standing(target.name) is None:
            raise DriverError("the machine is not handed over", permanent=False)
        return Access(
            kind="ssh",
            hostname=target.hostname or target.serial,
            address=task.address,
            port=task.port or 22,
            user=task.user,
            secret=wrapping.unwrap(bytes(task.ciphertext)) if task.ciphertext else "",
            host_fingerprints=tuple(task.host_fingerprints),
        )

    def shut(self, target: Target, *, at: datetime) -> Progress:
        return self._ask(target, ManualTask.Kind.SHUT, ManualTask.Kind.OPEN, at)

    def open(self, target: Target, *, at: datetime) -> Progress:
        return self._ask(target, ManualTask.Kind.OPEN, ManualTask.Kind.SHUT, at)

    def renew(self, target: Target, *, since: datetime, at: datetime) -> Progress:
        """The way in is another one from now on; see `Renewing`."""
        with transaction.atomic():
            _lock_node(target.node)
            task = _latest(target.name, ManualTask.Kind.RENEW)
            if task is None or task.created_at < since:
                _drop_open(target.name, at, reason="another way in is asked for")
                task = _make(target, ManualTask.Kind.RENEW, at)
            return _progress(task)

    def release(self, target: Target, *, at: datetime) -> Progress:
        with transaction.atomic():
            _lock_node(target.node)
            handed = _latest(target.name, ManualTask.Kind.HAND_OVER)
            if handed is None:
                return Progress(done=True)
            task = _latest(target.name, ManualTask.Kind.WIPE)
            if task is not None and task.pk > handed.pk and not _may_be_asked_again(task):
                progress = _progress_of_wipe(task, at)
            else:
                _drop_open(target.name, at, reason="to be wiped")
                progress = _progress(_make(target, ManualTask.Kind.WIPE, at))
        if progress is None:  # outside the transaction, so that the telling stays written
            assert task is not None
            raise DriverError(f"cannot be wiped: {task.reason}", permanent=True)
        return progress

    def _ask(
        self, target: Target, kind: ManualTask.Kind, other: ManualTask.Kind, at: datetime
    ) -> Progress:
        """A machine nobody handed over has no door; one that already is so stays so."""
        with transaction.atomic():
            _lock_node(target.node)
            if _latest(target.name, ManualTask.Kind.HAND_OVER, done=True) is None:
                return Progress(done=True)
            task = _latest(target.name, kind, other)
            if task is None and kind == ManualTask.Kind.OPEN:
                return Progress(done=True)
            if task is None or task.kind != kind or _may_be_asked_again(task):
                _drop_open(target.name, at, reason=f"superseded by {kind}")
                task = _make(target, kind, at)
            return _progress(task)


def drop(name: str, *, at: datetime, reason: str) -> None:
    """Nobody is asked any more to do anything to this machine: a person saw to it otherwise.

    Idempotent.
    """
    _drop_open(name, at, reason=reason, kinds=list(ManualTask.Kind))


def _standing(name: str) -> ManualTask | None:
    """The hand-over that no wipe has followed."""
    task, wipe = _latest(name, ManualTask.Kind.HAND_OVER), _latest(name, ManualTask.Kind.WIPE)
    return None if task is None or (wipe is not None and wipe.pk > task.pk) else task


def _latest(name: str, *kinds: ManualTask.Kind, done: bool = False) -> ManualTask | None:
    rows = ManualTask.objects.filter(name=name, kind__in=kinds)
    rows = rows.filter(state=ManualTask.State.DONE) if done else rows
    return rows.order_by("-pk").first()


def _make(target: Target, kind: ManualTask.Kind, at: datetime) -> ManualTask:
    node = Node.objects.get(public_id=target.node)
    given = target.options.get("deadlines", {})
    name = _DEADLINE.get(kind, "shut_seconds")
    task = ManualTask(
        provider_id=node.provider_id,
        allocation=Allocation.objects.get(public_id=target.allocation),
        node=node,
        name=target.name,
        first_card=target.first_card,
        card_count=target.card_count,
        kind=kind,
        due_at=at + timedelta(seconds=given.get(name, SECONDS[name])),
        created_at=at,
    )
    task.save()
    journal.record(
        event="manualtask.opened",
        object_id=task.public_id,
        actor=ACTOR,
        at=at,
        to_state=task.state,
        reason=str(kind),
        provider_id=node.provider_id,
        data={"node": target.node, "due_at": task.due_at.isoformat()},
    )
    return task


def _progress(task: ManualTask) -> Progress:
    """Raises DriverError where a person gave it up."""
    if task.state == ManualTask.State.GIVEN_UP:
        raise DriverError(f"given up by hand: {task.reason}", permanent=True)
    done = task.state == ManualTask.State.DONE
    wait = 0.0 if done else CHECK_AFTER_SECONDS
    return Progress(done=done, reference=f"manual:{task.name}", check_after_seconds=wait)


def _progress_of_wipe(task: ManualTask, at: datetime) -> Progress | None:
    """None where it was given up: told once, so that a retry asks the people again."""
    if task.state == ManualTask.State.GIVEN_UP:
        task.told_at = at
        task.save(update_fields=["told_at"])
        return None
    return _progress(task)


def _may_be_asked_again(task: ManualTask) -> bool:
    if task.kind == ManualTask.Kind.WIPE:
        return task.state == ManualTask.State.GIVEN_UP and task.told_at is not None
    return task.state in (ManualTask.State.GIVEN_UP, ManualTask.State.DROPPED)


def _drop_open(
    name: str,
    at: datetime,
    *,
    reason: str,
    kinds: Sequence[ManualTask.Kind] = (
        ManualTask.Kind.HAND_OVER,
        ManualTask.Kind.RENEW,
        ManualTask.Kind.SHUT,
        ManualTask.Kind.OPEN,
    ),
) -> None:
    """A wipe is dropped by nothing but a person's word that the machine is clean."""
    rows = ManualTask.objects.select_for_update(of=("self",), no_key=True)
    for task in rows.filter(name=name, state=ManualTask.State.OPEN, kind__in=kinds).order_by("pk"):
        if task.due_at <= at and task.overdue_at is None:
            tell_late(task, at)
        transitions.advance(task, to=ManualTask.State.DROPPED, at=at, actor=ACTOR, reason=reason)


def tell_late(task: ManualTask, at: datetime) -> None:
    """The locked task is journalled as late. Not idempotent."""
    task.overdue_at = at
    task.save(update_fields=["overdue_at"])
    journal.record(
        event="manualtask.overdue",
        object_id=task.public_id,
        actor=ACTOR,
        at=at,
        reason=task.kind,
        provider_id=task.provider_id,
    )


def _lock_node(node: str) -> None:
    """One step at a time per machine, as an engine's own lock would see to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 8))", [node])


def _refuse_if_taken(target: Target) -> None:
    """Cards that were handed over and not wiped yet still serve another name."""
    last = target.first_card + target.card_count
    rows = ManualTask.objects.filter(node__public_id=target.node, first_card__lt=last)
    newest: dict[str, ManualTask] = {}
    for task in rows.filter(kind__in=[ManualTask.Kind.HAND_OVER, ManualTask.Kind.WIPE]).order_by(
        "pk"
    ):
        if task.first_card + task.card_count > target.first_card:
            newest[task.name] = task
    for name, task in newest.items():
        clean = task.kind == ManualTask.Kind.WIPE and task.state in (
            ManualTask.State.DONE,
            ManualTask.State.DROPPED,
        )
        if not clean:
            raise DriverError(f"{target.serial} still serves {name}", permanent=False)
