"""A customer shut out of its machines, and let in again; the machines stay its own."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from inventory import credentials, journal, manual_tasks, transitions
from inventory.actors import Actor
from inventory.models import Allocation, ManualTask


def suspend(*, allocation_id: int, at: datetime, actor: Actor, reason: str) -> Allocation:
    """The way in is gone at once, and the reconcile loop has the engines shut the machines.

    They stand and are metered: nobody else can have them. Locks the allocation, then its
    credentials. Idempotent. Raises IllegalTransition where the customer does not use it.
    """
    with transaction.atomic():
        row = _lock(allocation_id)
        if row.state != Allocation.State.ACTIVE:
            raise transitions.IllegalTransition(f"{row.public_id} is {row.state}")
        if row.suspended_at is not None:
            return row
        credentials.revoke_all(allocation_id=row.pk, at=at)
        _set(row, at, "allocation.suspended", at=at, actor=actor, reason=reason)
        manual_tasks.drop_doors(row, kind=ManualTask.Kind.OPEN, at=at, reason="suspended")
    return row


def resume(*, allocation_id: int, at: datetime, actor: Actor, reason: str) -> Allocation:
    """The reconcile loop has the engines let the customer in again, and tells it how.

    Locks the allocation. Idempotent.
    """
    with transaction.atomic():
        row = _lock(allocation_id)
        if row.suspended_at is not None:
            _set(row, None, "allocation.resumed", at=at, actor=actor, reason=reason)
            manual_tasks.drop_doors(row, kind=ManualTask.Kind.SHUT, at=at, reason="resumed")
    return row


def _lock(allocation_id: int) -> Allocation:
    rows = Allocation.objects.select_for_update(of=("self",), no_key=True)
    row: Allocation = rows.get(pk=allocation_id)
    return row


def _set(
    row: Allocation,
    suspended_at: datetime | None,
    event: str,
    *,
    at: datetime,
    actor: Actor,
    reason: str,
) -> None:
    row.suspended_at = suspended_at
    row.next_step_at = None  # due at once
    row.save(update_fields=["suspended_at", "next_step_at"])
    journal.record(
        event=event,
        object_id=row.public_id,
        actor=actor,
        at=at,
        reason=reason,
        provider_id=row.provider_id,
        tenant_id=row.tenant_id,
    )
