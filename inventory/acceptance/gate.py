"""The gate itself: asked for with the deal, looked at by the reconcile loop, and its clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from inventory import actors, identifiers, journal, transitions
from inventory.actors import Actor
from inventory.models import Acceptance, Allocation

State = Acceptance.State
ACTOR = actors.system("acceptance")


class Verdict(Enum):
    """What the gate says to a delivery whose machines are all up."""

    OPEN = "open"
    """There is none, or it was accepted: the customer's time begins."""
    SHUT = "shut"
    """It is being tested, or waits for a signature."""
    LAPSED = "lapsed"
    """No run passed in time: the delivery is given up."""


def require(
    *,
    allocation: Allocation,
    threshold_mb_per_second: int,
    patience_hours: int,
    at: datetime,
    actor: Actor,
) -> Acceptance:
    """Before its time counts, the allocation passes a test of at least so much bandwidth.

    Called once, where the deal is made. Not idempotent.
    """
    assert allocation.tenant_id is not None
    row = Acceptance(
        allocation=allocation,
        provider_id=allocation.provider_id,
        tenant_id=allocation.tenant_id,
        threshold_mb_per_second=threshold_mb_per_second,
        patience_hours=patience_hours,
        created_at=at,
    )
    data = {
        "allocation": allocation.public_id,
        "threshold_mb_per_second": threshold_mb_per_second,
    }
    journal.create(row, event="acceptance.asked", actor=actor, at=at, data=data)
    return row


def look(allocation: Allocation, *, at: datetime) -> Verdict:
    """What the gate of the locked allocation says, now that its machines are all up.

    Its clock begins to run the first time; one that ran out is acted upon. Locks the gate.
    """
    row = _lock_of(allocation)
    if row is None or row.state in Acceptance.OVER:
        return Verdict.OPEN
    if row.state == State.LAPSED:
        return Verdict.LAPSED
    if row.state == State.WAITING:
        restart(row, at)
        transitions.advance(row, to=State.TESTING, at=at, actor=ACTOR, changed=("due_at",))
    assert row.due_at is not None
    if at < row.due_at:
        return Verdict.SHUT
    if row.state == State.PASSED:
        transitions.advance(row, to=State.DEEMED, at=at, actor=ACTOR, reason="nobody spoke")
        return Verdict.OPEN
    transitions.advance(row, to=State.LAPSED, at=at, actor=ACTOR, reason="no run passed in time")
    return Verdict.LAPSED


def clock_of(allocation: Allocation) -> datetime | None:
    """When the running clock of its gate runs out; None where none runs."""
    row = Acceptance.objects.filter(
        allocation=allocation, state__in=[State.TESTING, State.PASSED]
    ).first()
    return None if row is None else row.due_at


def lapse(allocation: Allocation, *, at: datetime, reason: str) -> None:
    """The locked allocation is given up before it was accepted. Locks the gate. Idempotent."""
    row = _lock_of(allocation)
    if row is not None and not Acceptance.LIFECYCLE.is_final(row.state):
        transitions.advance(row, to=State.LAPSED, at=at, actor=ACTOR, reason=reason)


def restart(row: Acceptance, at: datetime) -> None:
    """The locked gate's clock runs from now. The caller saves `due_at`."""
    row.due_at = at + timedelta(hours=row.patience_hours)


def lock(public_id: str, actor: Actor) -> Acceptance:
    """The allocation, then its gate. Raises NotFound."""
    seen = identifiers.find(Acceptance.objects.visible_to(actor), public_id, "No such acceptance")
    allocations = Allocation.objects.select_for_update(of=("self",), no_key=True)
    allocation = allocations.get(pk=seen.allocation_id)
    rows = Acceptance.objects.select_for_update(of=("self",), no_key=True)
    row: Acceptance = rows.get(pk=seen.pk)
    row.allocation = allocation
    return row


def _lock_of(allocation: Allocation) -> Acceptance | None:
    rows = Acceptance.objects.select_for_update(of=("self",), no_key=True)
    return rows.filter(allocation=allocation).first()
