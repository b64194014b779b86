"""What a customer bought as a whole: bound, delivered, ended. Asks drivers only for access."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from inventory import acceptance, capacity, credentials, transitions
from inventory.acceptance import Verdict
from inventory.drivers import registry
from inventory.drivers.base import Access, Driver, DriverError, Target
from inventory.models import Allocation, Instance
from inventory.periods import Period
from inventory.provisioning import claims, handover, moves, renewing
from inventory.provisioning.claims import Claimed
from inventory.provisioning.instances import ask_each, targets_of
from inventory.provisioning.pacing import LOOK_AGAIN, Deadlines

logger = logging.getLogger(__name__)
State = Allocation.State
DUE = (State.SCHEDULED, State.DELIVERING, State.ACTIVE, State.RELEASING)
_GONE = {Instance.State.RELEASED, Instance.State.HANDED_OVER}
_EXTERNAL = "kind <> 'sale'"  # they bring their own machines; the capacity sweep follows them

# Why a delivery failed: `Allocation.failure_code`, and the reason of the lease's failure.
PROVISION_FAILED = "provision_failed"
"""Machines failed and no other could take their place in time."""
NO_NODE_AVAILABLE = "no_node_available"
"""Too few nodes were fit to be bound."""
DEADLINE_EXCEEDED = "deadline_exceeded"
"""The engine was still at work, or could not be reached, when time ran out."""
ACCEPTANCE_FAILED = "acceptance_failed"
"""No test of it passed in time."""

# So many machines may fail in one delivery: a bad image must not quarantine a whole pool.
MOST_REPLACEMENTS = 3


def sweep_allocations(*, at: datetime, limit: int = 50) -> int:
    """Makes one step for each due allocation; returns how many were stepped.

    Opens its own transactions and must not be called inside one. Idempotent; any number
    may run at once.
    """
    due = claims.claim_due(Allocation, states=DUE, at=at, limit=limit, but=_EXTERNAL)
    return claims.work_off(due, lambda claim: _step(claim, at), Allocation)


def step_allocation(*, allocation_id: int, at: datetime) -> int:
    """As the sweep, for one allocation; 0 where it is not due or another worker has it."""
    due = claims.claim_due(
        Allocation, states=DUE, at=at, limit=1, only=allocation_id, but=_EXTERNAL
    )
    return claims.work_off(due, lambda claim: _step(claim, at), Allocation)


def _step(claim: Claimed, at: datetime) -> None:
    seen = Allocation.objects.select_related("pool").get(pk=claim.id)
    moved = _shut_or_open(seen, at)
    renewed = renewing.step(seen, at)
    accesses = _access(seen, at)
    with transaction.atomic():
        capacity.lock(seen.pool_id, at)
        row = claims.take(Allocation, claim)
        if row is None:
            return
        row.pool = seen.pool
        if moved and row.suspended_at == seen.suspended_at:
            standing = Instance.objects.filter(pk__in=moved, state=Instance.State.ACTIVE)
            standing.update(shut_at=row.suspended_at)
        renewing.note(renewed, at)
        steps = {
            State.SCHEDULED: _scheduled,
            State.DELIVERING: _delivering,
            State.ACTIVE: _active,
            State.RELEASING: _releasing,
        }
        claims.rest(row, until=steps[State(row.state)](row, accesses, at))


def _scheduled(row: Allocation, accesses: list[Access] | None, at: datetime) -> datetime | None:
    opens, end = Period.of(row.blocking).start, Period.of(row.period).end
    if at < opens:
        return opens
    if handover.is_pending(row):
        return at + LOOK_AGAIN
    late = at >= min(end, Period.of(row.period).start + _delivery(row))
    try:
        with transaction.atomic():
            bindings = capacity.bind(allocation_id=row.pk, at=at, actor=moves.ACTOR)
    except (capacity.NoNodeFree, capacity.NotDue) as error:
        if not late:
            logger.warning("%s cannot be bound yet: %s", row, error)
            return at + LOOK_AGAIN
        bindings = []
    transitions.advance(row, to=State.DELIVERING, at=at, actor=moves.ACTOR)
    if not bindings or at >= end:
        _fail(row, DEADLINE_EXCEEDED if at >= end else NO_NODE_AVAILABLE, at)
    else:
        moves.plan(row, bindings, at=at)
    return None


def _delivering(row: Allocation, accesses: list[Access] | None, at: datetime) -> datetime | None:
    period = Period.of(row.period)
    instances = _instances(row)
    needed = moves.needed_cards(row)
    up = sum(each.card_count for each in instances if each.state == Instance.State.ACTIVE)
    failed = [each for each in instances if each.state not in moves.SERVING]
    bound_at = min((each.created_at for each in instances), default=period.start)
    deadline = min(period.end, max(period.start, bound_at) + _delivery(row))
    if up == needed and at < period.start:
        return period.start
    if up == needed and at < period.end:
        if accesses is not None:
            _tell(row, accesses, at)
        if not moves.has_stale_access(row, instances):
            return _accepted(row, at)
    clock = acceptance.clock_of(row)
    if clock:  # what breaks while it is tested is replaced in its time
        deadline = min(period.end, max(deadline, clock))
    if at >= deadline or len(failed) > MOST_REPLACEMENTS:
        late = ACCEPTANCE_FAILED if clock else DEADLINE_EXCEEDED
        _fail(row, PROVISION_FAILED if failed else late, at)
        return None
    _replace_failed(row, instances, at)
    return min(deadline, at + LOOK_AGAIN)


def _accepted(row: Allocation, at: datetime) -> datetime | None:
    """All of it is up and the customer is told how to get in: its time counts from now on, or
    from when it accepted what a test showed."""
    end = Period.of(row.period).end
    verdict = acceptance.look(row, at=at)
    if verdict is Verdict.OPEN:
        transitions.advance(row, to=State.ACTIVE, at=at, actor=moves.ACTOR)
        return end
    if verdict is Verdict.LAPSED:
        _fail(row, ACCEPTANCE_FAILED, at)
        return None
    return min(end, at + LOOK_AGAIN)


def _active(row: Allocation, accesses: list[Access] | None, at: datetime) -> datetime | None:
    end = Period.of(row.period).end
    if at >= end:
        if not handover.hand_over(row, at=at):
            _end(row, at, reason="period over")
        return None
    instances = _instances(row)
    up = sum(each.card_count for each in instances if each.state == Instance.State.ACTIVE)
    if _wrongly_open_or_shut(row, instances):
        return at + LOOK_AGAIN
    if row.suspended_at is not None and up == moves.needed_cards(row):
        return end
    if accesses and row.suspended_at is None:
        _tell(row, accesses, at)
    if renewing.is_pending(instances):
        return at + LOOK_AGAIN
    if up == moves.needed_cards(row) and not moves.has_stale_access(row, instances):
        return end
    _replace_failed(row, instances, at)
    return min(end, at + LOOK_AGAIN)


def _releasing(row: Allocation, accesses: list[Access] | None, at: datetime) -> datetime | None:
    states = {each.state for each in _instances(row)}
    if states <= _GONE:
        capacity.finish(allocation_id=row.pk, at=at, actor=moves.ACTOR)
        transitions.advance(row, to=State.ENDED, at=at, actor=moves.ACTOR)
        return None
    if states <= {*_GONE, Instance.State.RELEASE_FAILED}:
        # The clean nodes are free again; the quarantined ones are kept out by their state.
        capacity.finish(allocation_id=row.pk, at=at, actor=moves.ACTOR)
        reason = "a node could not be wiped"
        transitions.advance(row, to=State.RELEASE_FAILED, at=at, actor=moves.ACTOR, reason=reason)
        return None
    return at + LOOK_AGAIN


def _delivery(row: Allocation) -> timedelta:
    return timedelta(seconds=Deadlines.of(row.pool).delivery_seconds)


def _instances(row: Allocation) -> list[Instance]:
    return list(row.instances.select_related("binding__node").order_by("pk"))


def _wrongly_open_or_shut(row: Allocation, instances: Sequence[Instance]) -> list[Instance]:
    """Machines that let in a customer who is shut out, or do not let in one who is not."""
    up = (each for each in instances if each.state == Instance.State.ACTIVE)
    return [each for each in up if (each.shut_at is None) == (row.suspended_at is not None)]


def _shut_or_open(row: Allocation, at: datetime) -> list[int]:
    """The machines whose engine has done what the allocation's suspension, or its end, asks.

    Asks drivers, outside any transaction.
    """
    if row.state != State.ACTIVE:
        return []

    def ask(driver: Driver, _instance: Instance, target: Target) -> bool:
        step = driver.open if row.suspended_at is None else driver.shut
        return step(target, at=at).done

    return ask_each(row, _wrongly_open_or_shut(row, _instances(row)), ask)


def _access(row: Allocation, at: datetime) -> list[Access] | None:
    """How to get into all machines, where the customer is to be told now; else None.

    Asks drivers, outside any transaction.
    """
    if row.state not in (State.DELIVERING, State.ACTIVE) or row.suspended_at is not None:
        return None
    up = [each for each in _instances(row) if each.state == Instance.State.ACTIVE]
    if not up or sum(each.card_count for each in up) != moves.needed_cards(row):
        return None
    if at < Period.of(row.period).start or not moves.has_stale_access(row, up):
        return None
    try:
        for each in up:
            each.allocation = row
        return [
            registry.get(each.driver).access(target, at=at)
            for each, target in zip(up, targets_of(up), strict=True)
        ]
    except DriverError as error:
        logger.warning("%s: no access yet: %s", row, error)
    except Exception:
        logger.exception("%s: the driver gave no access", row)
    return None


def _tell(row: Allocation, accesses: Sequence[Access], at: datetime) -> None:
    """The customer can read how to get in: one credential per kind, every machine in it."""
    for kind in sorted({each.kind for each in accesses}):
        machines = [each for each in accesses if each.kind == kind]
        credentials.issue(allocation_id=row.pk, kind=kind, machines=machines, at=at)


def _replace_failed(row: Allocation, instances: Sequence[Instance], at: datetime) -> None:
    """Each machine that failed has another on a free node, as far as there are any; the good
    ones are kept."""
    serving = sum(each.card_count for each in instances if each.state in moves.SERVING)
    missing = moves.needed_cards(row) - serving
    for each in instances:
        replaced = each.binding.during.upper <= at  # rebinding cuts the binding it takes over
        if each.state in moves.SERVING or replaced or each.card_count > missing:
            continue
        try:
            with transaction.atomic():
                bindings = capacity.rebind(
                    binding_id=each.binding_id, at=at, actor=moves.ACTOR, reason=each.last_error
                )
        except capacity.NoNodeFree:
            logger.warning("%s: no node in place of %s yet", row, each.binding.node)
            return
        moves.plan(row, bindings, at=at)
        missing -= each.card_count


def _fail(row: Allocation, code: str, at: datetime) -> None:
    """The delivery is given up: everything goes down, and the rest of its time is free."""
    row.failure_code, row.failed_at = code, at
    row.save(update_fields=["failure_code", "failed_at"])
    period = Period.of(row.period)
    if period.start < at < period.end:
        capacity.shorten(allocation_id=row.pk, end=at, at=at, actor=moves.ACTOR, reason=code)
    _end(row, at, reason=code)


def _end(row: Allocation, at: datetime, *, reason: str) -> None:
    """The customer is shut out and every machine is being taken down."""
    credentials.revoke_all(allocation_id=row.pk, at=at)
    if row.active_at is None:
        acceptance.lapse(row, at=at, reason=reason)
    transitions.advance(row, to=State.RELEASING, at=at, actor=moves.ACTOR, reason=reason)
    standing = (*moves.SERVING, Instance.State.PROVISION_FAILED)
    for each in (
        row.instances.select_for_update(of=("self",), no_key=True)
        .filter(state__in=standing)
        .order_by("pk")
    ):
        each.allocation = row
        moves.take_down(each, at=at, reason=reason)
