"""What the people of a centre answer to their tasks; the reconcile loop goes on from there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from inventory import actors, identifiers, transitions, wrapping
from inventory.actors import Actor
from inventory.drivers import manual
from inventory.errors import DomainError, Invalid
from inventory.models import Allocation, Instance, ManualTask

Kind, State = ManualTask.Kind, ManualTask.State
MOST_SECRET_LETTERS = 20_000
MOST_FINGERPRINTS = 8
_HOSTNAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.IGNORECASE)
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class TaskNotOpen(DomainError):
    """Somebody answered it already, or it is no longer wanted."""

    code = "task_not_open"
    title = "The task is no longer open"


class WrongAnswer(DomainError):
    """A hand-over says how to get in; other tasks are only confirmed."""

    code = "wrong_answer"
    title = "This task is answered in another way"


class WayInInvalid(Invalid):
    """The address, the user, the port, a fingerprint or the secret cannot be right."""

    code = "way_in_invalid"
    title = "Nobody could get in like this"


@dataclass(frozen=True, slots=True)
class WayIn:
    """How a customer gets into a machine that people set up. Checked when it is made.

    `secret` is a password or a private key, and empty where the customer's own keys let it in.
    Raises WayInInvalid.
    """

    address: str
    user: str
    host_fingerprints: Sequence[str]  # SHA256:…, as `ssh-keygen -l` prints them
    port: int = 22
    secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not _is_address(self.address):
            raise WayInInvalid("The address is an IP address or a host name")
        if not _USER.fullmatch(self.user):
            raise WayInInvalid("The user is a login of a Unix system, such as ubuntu")
        if not 1 <= self.port <= 65_535:
            raise WayInInvalid("The port lies between 1 and 65535")
        if not 1 <= len(self.host_fingerprints) <= MOST_FINGERPRINTS:
            raise WayInInvalid("Name 1 to 8 fingerprints of the host's keys")
        if any(not _FINGERPRINT.fullmatch(each) for each in self.host_fingerprints):
            raise WayInInvalid("A fingerprint is SHA256: and 43 characters, as ssh-keygen -l says")
        if len(self.secret) > MOST_SECRET_LETTERS or "\x00" in self.secret:
            raise WayInInvalid("The secret is too long, or is no text")


def hand_over(*, task_public_id: str, way_in: WayIn, at: datetime, actor: Actor) -> ManualTask:
    """The machine is set up, and the customer can get in like this.

    Locks the task. Raises NotFound, TaskNotOpen, WrongAnswer (another kind of task),
    WayInInvalid (no secret, and the deal names no keys), ImproperlyConfigured without
    CREDENTIAL_KEYS. Not idempotent.
    """
    with transaction.atomic():
        task = _lock(task_public_id, actor)
        if not task.hands_over:
            raise WrongAnswer(kind=task.kind)
        if not way_in.secret and not task.allocation.ssh_keys:
            raise WayInInvalid("The tenant named no keys: it needs a secret")
        task.address, task.port, task.user = way_in.address, way_in.port, way_in.user
        task.host_fingerprints = list(way_in.host_fingerprints)
        task.ciphertext = wrapping.wrap(way_in.secret) if way_in.secret else None
        _finish(
            task, at, actor, "address", "port", "user", "host_fingerprints", "ciphertext"
        )  # fmt: skip
    return task


def confirm(*, task_public_id: str, at: datetime, actor: Actor) -> ManualTask:
    """It is done. What was wiped keeps no secret of its customer.

    Locks the task. Raises NotFound, TaskNotOpen, WrongAnswer (a hand-over). Not idempotent.
    """
    with transaction.atomic():
        task = _lock(task_public_id, actor)
        if task.hands_over:
            raise WrongAnswer(kind=task.kind)
        if task.kind == Kind.WIPE:
            secrets = ManualTask.objects.filter(name=task.name, ciphertext__isnull=False)
            secrets.update(ciphertext=None)
        _finish(task, at, actor)
    return task


def give_up(*, task_public_id: str, reason: str, at: datetime, actor: Actor) -> ManualTask:
    """It cannot be done: the machine counts as failed, and the loop looks for another.

    A node that is not handed over or not wiped is quarantined. Locks the task. Raises
    NotFound, TaskNotOpen, Invalid without a reason. Not idempotent.
    """
    if not reason.strip():
        raise Invalid("Say why it cannot be done")
    with transaction.atomic():
        task = _lock(task_public_id, actor)
        task.reason, task.done_by = reason.strip()[:200], actor.label
        transitions.advance(
            task,
            to=State.GIVEN_UP,
            at=at,
            actor=actor,
            reason=task.reason,
            changed=("reason", "done_by"),
        )
        _wake(task, at)
    return task


def sweep(*, at: datetime, limit: int = 500) -> int:
    """Open tasks past their deadline are journalled as late, once each; returns how many.

    The reconcile loop counts the machine as failed at the same instant, by the same deadline.
    Locks each task. Idempotent.
    """
    told = 0
    late = ManualTask.objects.filter(state=State.OPEN, due_at__lte=at, overdue_at=None)
    for pk in list(late.order_by("due_at", "pk").values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            rows = ManualTask.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
            task = rows.filter(pk=pk, state=State.OPEN, overdue_at=None).first()
            if task is None:
                continue
            manual.tell_late(task, at)
            told += 1
    return told


def drop_doors(allocation: Allocation, *, kind: str, at: datetime, reason: str) -> None:
    """Nobody shuts, or opens, the allocation's machines any more; it was decided otherwise.

    Locks the tasks. Idempotent.
    """
    rows = ManualTask.objects.select_for_update(of=("self",), no_key=True)
    for task in rows.filter(allocation=allocation, kind=kind, state=State.OPEN).order_by("pk"):
        transitions.advance(
            task, to=State.DROPPED, at=at, actor=actors.system("manual tasks"), reason=reason
        )


def rewrap_secrets() -> int:
    """Secrets of hand-overs are encrypted with the first of CREDENTIAL_KEYS; how many.

    Raises CredentialUnreadable.
    """
    return wrapping.rewrap_each(ManualTask.objects.all(), "ciphertext")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # Digits and dots alone were meant to be an address of version 4.
        is_number = re.fullmatch(r"[0-9.]+", text) is not None
        return len(text) <= 253 and not is_number and _HOSTNAME.fullmatch(text) is not None
    return "%" not in text


def _lock(public_id: str, actor: Actor) -> ManualTask:
    rows = ManualTask.objects.visible_to(actor).select_related("allocation")
    task = identifiers.find(
        rows.select_for_update(of=("self",), no_key=True), public_id, "No such task"
    )
    if task.state != State.OPEN:
        raise TaskNotOpen(state=task.state)
    return task


def _finish(task: ManualTask, at: datetime, actor: Actor, *changed: str) -> None:
    task.done_by = actor.label
    transitions.advance(task, to=State.DONE, at=at, actor=actor, changed=("done_by", *changed))
    _wake(task, at)


def _wake(task: ManualTask, at: datetime) -> None:
    """The reconcile loop looks again soon. A hint: it looks anyway in a while."""
    Instance.objects.filter(
        allocation_id=task.allocation_id, binding__node_id=task.node_id, next_step_at__gt=at
    ).update(next_step_at=at)
    Allocation.objects.filter(pk=task.allocation_id, next_step_at__gt=at).update(next_step_at=at)
