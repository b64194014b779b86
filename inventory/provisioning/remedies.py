"""What a person does about machines that went wrong."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from inventory import capacity, transitions
from inventory.actors import Actor
from inventory.drivers import manual
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Allocation, Instance, Node, Outage
from inventory.periods import Period
from inventory.provisioning import claims, moves
from inventory.provisioning.instances import name_of

State = Instance.State


class NothingToRemedy(DomainError):
    """The instance is not in a state that this helps."""

    code = "nothing_to_remedy"
    title = "There is nothing to remedy"


def retry_release(*, instance_id: int, at: datetime, actor: Actor, reason: str) -> None:
    """A machine that could not be wiped is tried again; its node stays quarantined meanwhile.

    Raises NothingToRemedy, NotFound.
    """
    with transaction.atomic():
        allocation, instance, _ = _lock(instance_id, at, actor)
        if instance.state != State.RELEASE_FAILED:
            raise NothingToRemedy(state=instance.state)
        moves.take_down(instance, at=at, reason=reason, actor=actor)
        _reopen(allocation, at=at, actor=actor, reason=reason)


def mark_clean(*, instance_id: int, at: datetime, actor: Actor, reason: str) -> None:
    """A person has wiped the machine by hand. The node stays quarantined while its outage is open.

    Raises NothingToRemedy, NotFound.
    """
    with transaction.atomic():
        allocation, instance, _ = _lock(instance_id, at, actor)
        if instance.state != State.RELEASE_FAILED:
            raise NothingToRemedy(state=instance.state)
        moves.move(instance, to=State.RELEASED, at=at, actor=actor, reason=reason)
        manual.drop(name_of(instance), at=at, reason="wiped")
        _reopen(allocation, at=at, actor=actor, reason=reason)


def replace(*, instance_id: int, at: datetime, actor: Actor, reason: str) -> None:
    """A machine that broke in a customer's hands is taken down and its node quarantined.

    The reconcile loop puts another in its place as soon as a node is free; until then its
    time is a gap. Raises NothingToRemedy, NotFound.
    """
    with transaction.atomic():
        allocation, instance, node = _lock(instance_id, at, actor)
        if instance.state != State.ACTIVE or allocation.state != Allocation.State.ACTIVE:
            raise NothingToRemedy(state=instance.state)
        moves.quarantine(node, at=at, reason=reason, actor=actor)
        moves.take_down(instance, at=at, reason=reason, actor=actor)
        claims.rest(allocation, until=None)


def fail_node(
    *, node_id: int, expected_back_at: datetime, at: datetime, actor: Actor, reason: str
) -> Outage:
    """The node serves nobody from now on: it counts as failed until it is expected back.

    Every machine on it is taken down, and the reconcile loop puts others in their place, on
    spares first. Locks: pool, allocations, node, instances. Raises NotFound, Invalid,
    IllegalTransition (retired).
    """
    if not at < expected_back_at:
        raise Invalid("The node is expected back later than now")
    node = Node.objects.visible_to(actor).filter(pk=node_id).first()
    if node is None:
        raise NotFound("No such node")
    with transaction.atomic():
        capacity.lock(node.pool_id, at)
        standing = Instance.objects.filter(binding__node=node, state__in=moves.SERVING)
        rows = Allocation.objects.select_for_update(of=("self",), no_key=True)
        served = {
            row.pk: row for row in rows.filter(pk__in=standing.values("allocation")).order_by("pk")
        }
        outage = capacity.set_outage(
            pool_id=node.pool_id,
            kind=Outage.Kind.FAILED,
            period=Period(at, expected_back_at),
            node_id=node.pk,
            reason=reason,
            at=at,
            actor=actor,
        )
        locked = standing.select_for_update(of=("self",), no_key=True).order_by("pk")
        for instance in locked.select_related("allocation__pool"):
            moves.take_down(instance, at=at, reason=reason, actor=actor)
        for allocation in served.values():
            claims.rest(allocation, until=None)
    return outage


def _lock(instance_id: int, at: datetime, actor: Actor) -> tuple[Allocation, Instance, Node]:
    """Pool, allocation, node, instance: in the order that everybody takes them."""
    visible = Instance.objects.visible_to(actor).select_related("allocation__pool", "binding")
    seen = visible.filter(pk=instance_id).first()
    if seen is None:
        raise NotFound("No such instance")
    capacity.lock(seen.allocation.pool_id, at)
    allocation = Allocation.objects.select_for_update(of=("self",), no_key=True).get(
        pk=seen.allocation_id
    )
    node = Node.objects.select_for_update(of=("self",), no_key=True).get(pk=seen.binding.node_id)
    instance = Instance.objects.select_for_update(of=("self",), no_key=True).get(pk=instance_id)
    allocation.pool = seen.allocation.pool
    instance.allocation = allocation
    return allocation, instance, node


def _reopen(allocation: Allocation, *, at: datetime, actor: Actor, reason: str) -> None:
    if allocation.state == Allocation.State.RELEASE_FAILED:
        transitions.advance(
            allocation, to=Allocation.State.RELEASING, at=at, actor=actor, reason=reason
        )
    claims.rest(allocation, until=None)
