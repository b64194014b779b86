"""How instances change their state: journalled, and written into the history that is metered."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models.functions import Coalesce, Greatest

from inventory import actors, capacity, transitions
from inventory.actors import Actor
from inventory.models import (
    Allocation,
    Binding,
    Credential,
    Instance,
    InstanceHistory,
    Node,
    Outage,
)
from inventory.periods import Period
from inventory.provisioning.pacing import QUARANTINE, Deadlines

ACTOR = actors.system("provisioning")

# Shall serve, or does already.
SERVING = (Instance.State.PLANNED, Instance.State.PROVISIONING, Instance.State.ACTIVE)


def move(
    instance: Instance,
    *,
    to: str,
    at: datetime,
    actor: Actor = ACTOR,
    reason: str = "",
    changed: tuple[str, ...] = (),
) -> None:
    """The locked instance is in the state `to`, with an entry in its history. A new state
    starts with no failed tries."""
    instance.attempt_count = 0
    transitions.advance(
        instance, to=to, at=at, actor=actor, reason=reason, changed=("attempt_count", *changed)
    )
    InstanceHistory.objects.create(instance=instance, state=to, at=at, recorded_at=at)


def plan(allocation: Allocation, bindings: Iterable[Binding], *, at: datetime) -> None:
    """Each binding has a planned instance, due at once. The allocation is locked."""
    rows = Instance.objects.bulk_create(
        Instance(
            allocation=allocation,
            binding=binding,
            driver=allocation.pool.driver,
            card_count=binding.cards.upper - binding.cards.lower,
            created_at=at,
        )
        for binding in bindings
    )
    InstanceHistory.objects.bulk_create(
        InstanceHistory(instance=row, state=row.state, at=at, recorded_at=at) for row in rows
    )


def take_down(instance: Instance, *, at: datetime, reason: str, actor: Actor = ACTOR) -> None:
    """The locked instance is being released.

    A step that another worker has in flight is waited out, not raced: otherwise its machine
    could come up after it was wiped.
    """
    in_flight = instance.claimed_until if instance.claim_token is not None else None
    pool = instance.allocation.pool
    instance.claim_token = None
    instance.claimed_until = None
    instance.next_step_at = in_flight
    instance.deadline_at = at + timedelta(seconds=Deadlines.of(pool).release_seconds)
    move(
        instance,
        to=Instance.State.RELEASING,
        at=at,
        actor=actor,
        reason=reason,
        changed=("claim_token", "claimed_until", "next_step_at", "deadline_at"),
    )


def quarantine(node: Node, *, at: datetime, reason: str, actor: Actor = ACTOR) -> None:
    """The locked node serves nobody until a person brings it back. The pool's lock is held.

    Idempotent.
    """
    if node.state != Node.State.SERVICEABLE:
        return
    capacity.set_outage(
        pool_id=node.pool_id,
        kind=Outage.Kind.FAILED,
        period=Period(at, at + QUARANTINE),
        node_id=node.pk,
        reason=reason[:200],
        at=at,
        actor=actor,
    )


def needed_cards(allocation: Allocation) -> int:
    """What drivers owe it."""
    return allocation.unit_count * allocation.pool.unit_cards


def has_stale_access(allocation: Allocation, instances: Iterable[Instance]) -> bool:
    """Whether a machine came up, or got another way in, since the customer was last told."""
    told = (
        Credential.objects.filter(allocation=allocation, revoked_at=None)
        .annotate(said_at=Greatest("created_at", Coalesce("told_at", "created_at")))
        .order_by("-said_at")
        .values_list("said_at", flat=True)
        .first()
    )
    up = [each for each in instances if each.state == Instance.State.ACTIVE]
    since = [at for each in up for at in (each.active_at, each.renewed_at) if at is not None]
    return told is None or any(at > told for at in since)
