"""Contracts: changed as both sides signed, or moved along after their machines."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from django.db.models import Q

from inventory import actors, capacity, identifiers, journal, transactions, transitions
from inventory.actors import Actor
from inventory.errors import DomainError
from inventory.models import Allocation
from inventory.periods import Period
from marketplace import money
from marketplace.models import Amendment, Lease, Reservation
from marketplace.money import Cancellation, Price

logger = logging.getLogger(__name__)
State = Lease.State
Machine = Allocation.State

# Where a lease stands while its allocation is in a state; see `_target` for those that depend
# on more than the state.
FOLLOWS = {
    Machine.SCHEDULED: State.SCHEDULED,
    Machine.DELIVERING: State.DELIVERING,
    Machine.ACTIVE: State.ACTIVE,
    Machine.CANCELLED: State.CANCELLED,
}
_AGREED_ENDS: dict[str, str] = {
    Amendment.Kind.LEAVE: Lease.EndReason.LEFT_EARLY,
    Amendment.Kind.WITHDRAW: Lease.EndReason.WITHDRAWN_BY_PROVIDER,
}
_WHY = ("end_reason", "end_evidence")
_ROUTE = [State.SCHEDULED, State.DELIVERING, State.ACTIVE, State.ENDING, State.ENDED]


class CancelWindowClosed(DomainError):
    """The lease has started; leaving early goes by another schedule."""

    code = "cancel_window_closed"
    title = "The lease can no longer be cancelled"


def lock(key: int | str) -> Lease:
    """The lease by its number or public id, locked. Raises NotFound."""
    rows = Lease.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows, key, "No such lease")


def quote_cancel(*, lease: Lease, at: datetime) -> Cancellation:
    """What cancelling now gives back, by the terms both sides agreed: all of the security, and
    a share of what was paid ahead.

    Raises CancelWindowClosed.
    """
    start = require_cancellable(lease=lease, at=at)
    found = money.cancellation(
        price=Price.agreed(lease),
        schedule=lease.terms.cancellation,
        due_minor=lease.due_minor - lease.security_minor,
        start=start,
        at=at,
    )
    return replace(found, refund_minor=found.refund_minor + lease.security_minor)


def require_cancellable(*, lease: Lease, at: datetime) -> datetime:
    """The start that is still to come. Raises CancelWindowClosed."""
    start = Period.of(lease.period).start
    if lease.state != State.SCHEDULED or at >= start:
        raise CancelWindowClosed(state=lease.state, start_at=start)
    return start


def cancel(
    *,
    lease: Lease,
    at: datetime,
    actor: Actor,
    reason: str,
    end_reason: str = Lease.EndReason.CANCELLED_BY_TENANT,
    evidence: str = "",
) -> Lease:
    """The locked lease is over before it began; its capacity is free again.

    `evidence` is the public id of what proves the reason; the reservation, where none is said.
    The caller moves the money by `quote_cancel` in the same transaction. Locks the pool.
    Raises CancelWindowClosed, and IllegalTransition where delivery has begun. Not idempotent.
    """
    if lease.state == State.SCHEDULED and at >= Period.of(lease.period).start:
        raise CancelWindowClosed(state=lease.state)
    with transactions.whole():
        _say_why(lease, end_reason, evidence or lease.reservation.public_id)
        transitions.advance(
            lease,
            to=State.CANCELLED,
            at=at,
            actor=actor,
            reason=reason,
            changed=_WHY,
        )
        capacity.release(allocation_id=lease.allocation_id, at=at, actor=actor, reason=reason)
    return lease


def amend(*, lease: Lease, amendment: Amendment) -> Lease:
    """The locked lease is as the signed amendment says; the database refuses any other values.

    The caller changes the capacity and moves the money in the same transaction. Not idempotent.
    """
    lease.period = amendment.period
    lease.gross_minor = amendment.gross_minor
    lease.due_minor = amendment.due_minor
    lease.amendment = amendment
    lease.save(update_fields=["period", "gross_minor", "due_minor", "amendment"])
    return lease


def end_unpaid(*, lease_id: int, evidence: str, at: datetime, actor: Actor) -> Lease:
    """The lease ends now because nobody pays for it; what it was agreed for stays on record.

    `evidence` is the public id of what is not paid: an instalment, or a charge.
    Its machines are taken down by the reconcile loop, and it follows them. Locks the lease,
    then the pool. Raises IllegalTransition where it is not active, InvalidEnd. Not idempotent.
    """
    with transactions.whole():
        lease = lock(lease_id)
        if lease.state != State.ACTIVE or lease.end_reason:
            raise transitions.IllegalTransition(f"{lease.public_id} is not running")
        _say_why(lease, Lease.EndReason.UNPAID, evidence)
        lease.save(update_fields=_WHY)
        journal.record(
            event="lease.end_ordered",
            object_id=lease.public_id,
            actor=actor,
            at=at,
            reason=Lease.EndReason.UNPAID,
            provider_id=lease.provider_id,
            tenant_id=lease.tenant_id,
            data={"evidence": evidence},
        )
        capacity.shorten(
            allocation_id=lease.allocation_id,
            end=at,
            at=at,
            actor=actor,
            reason=Lease.EndReason.UNPAID,
        )
    return lease


def follow(*, lease_id: int, at: datetime) -> Lease:
    """The lease stands where its machines stand, every state on the way journalled.

    Each step bears the instant at which the machines took it, where they recorded one.
    Locks the lease. Idempotent.
    """
    actor = actors.system("leases")
    with transactions.whole():
        lease = lock(lease_id)
        allocation = Allocation.objects.get(pk=lease.allocation_id)
        for to in _way(State(lease.state), _target(allocation)):
            changed: tuple[str, ...] = ()
            if to in (State.ENDING, State.FAILED, State.CANCELLED):
                _say_why(lease, *_why(lease, allocation, to))
                changed = _WHY
            transitions.advance(
                lease,
                to=to,
                at=_instant(to, allocation) or at,
                actor=actor,
                reason=allocation.failure_code,
                changed=changed,
            )
    return lease


def astray(*, limit: int) -> list[int]:
    """Numbers of leases that stand elsewhere than their machines, oldest first."""
    behind = ~Q(allocation__state__in=[Machine.HELD, Machine.SCHEDULED])
    releasing = Q(allocation__state__in=[Machine.RELEASING, Machine.RELEASE_FAILED])
    rows = Lease.objects.filter(
        (Q(state=State.SCHEDULED) & behind)
        | (Q(state=State.DELIVERING) & ~Q(allocation__state=Machine.DELIVERING))
        | (Q(state=State.ACTIVE) & ~Q(allocation__state=Machine.ACTIVE))
        | (Q(state=State.ENDING) & ~releasing)
    )
    return list(rows.order_by("pk").values_list("pk", flat=True)[:limit])


def sweep(*, at: datetime, limit: int = 500) -> int:
    """Every lease that stands elsewhere than its machines follows them; returns how many.

    One transaction each, so that a lease which cannot move holds up no other. Idempotent.
    """
    moved = 0
    for lease_id in astray(limit=limit):
        try:
            follow(lease_id=lease_id, at=at)
        except DomainError as error:
            logger.warning("lease %s stays where it is: %s", lease_id, error)
        else:
            moved += 1
    return moved


def _say_why(lease: Lease, reason: str, evidence: str) -> None:
    lease.end_reason, lease.end_evidence = reason, evidence


def _why(lease: Lease, allocation: Allocation, to: State) -> tuple[str, str]:
    """Why a lease ends that does, and what proves it: what was ordered, else what its last end
    was agreed for, else that its machines' time is over."""
    if to == State.FAILED:
        return Lease.EndReason.DELIVERY_FAILED, allocation.public_id
    if to == State.CANCELLED:
        return Lease.EndReason.CAPACITY_RELEASED, allocation.public_id
    if lease.end_reason:
        return str(lease.end_reason), lease.end_evidence
    amendment = lease.amendment
    if amendment is not None and amendment.kind in _AGREED_ENDS:
        return _AGREED_ENDS[amendment.kind], amendment.public_id
    if lease.kind == Reservation.Kind.TRIAL:
        became = lease.children.exclude(state=State.CANCELLED).order_by("pk").first()
        if became is not None:
            return Lease.EndReason.CONVERTED, became.public_id
    return Lease.EndReason.COMPLETED, allocation.public_id


def _target(allocation: Allocation) -> State:
    state = Machine(allocation.state)
    if state in FOLLOWS:
        return FOLLOWS[state]
    if state in (Machine.RELEASING, Machine.RELEASE_FAILED, Machine.ENDED):
        if allocation.active_at is None:
            return State.FAILED  # taken down before the tenant could use it
        return State.ENDED if state == Machine.ENDED else State.ENDING
    raise transitions.IllegalTransition(
        f"{allocation.public_id} is {state}, which no lease can follow"
    )


def _way(current: State, target: State) -> list[State]:
    """The states after `current` up to `target`; empty where it stands there already."""
    if current == target or Lease.LIFECYCLE.is_final(current):
        return []
    if Lease.LIFECYCLE.allows(current, target):
        return [target]
    route = [State.SCHEDULED, State.DELIVERING, State.FAILED] if target == State.FAILED else _ROUTE
    ahead = dict(pairwise(route))
    way: list[State] = []
    while current != target:
        if current not in ahead:
            raise transitions.IllegalTransition(f"a lease cannot go from {current} to {target}")
        current = ahead[current]
        way.append(current)
    return way


def _instant(to: State, allocation: Allocation) -> datetime | None:
    if to == State.ACTIVE:
        return allocation.active_at
    if to == State.ENDED:
        return allocation.ended_at
    return None
