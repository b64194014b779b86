"""Leases whose instalments are overdue: warned, shut out, and ended, by the days of their price.

While a lease is suspended its machines stay the tenant's own, so that they are charged: they
serve nobody else. Leases paid by the hour are not dunned: their deposit is their grace, and
`arrears` ends them when it is used up.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from billing.models import Dunning, Instalment
from inventory import actors, journal, suspensions, transitions
from inventory.errors import DomainError
from marketplace import leases, months
from marketplace.models import Lease

logger = logging.getLogger(__name__)
ACTOR = actors.system("dunning")
State = Dunning.State
REASON = "not paid when due"


def sweep(*, at: datetime, limit: int) -> int:
    """Every lease stands where its overdue instalments put it; returns how many steps were made.

    One transaction for each step, so that one that cannot be made holds up no other. Locks the
    lease, its dunning, and the pool last. Idempotent.
    """
    steps = 0
    for lease_id in _due(at, limit):
        try:
            with transaction.atomic():
                steps += _step(lease_id, at)
        except DomainError as error:
            logger.warning("lease %s is not dunned: %s", lease_id, error)
    return steps


def of(lease: Lease) -> Dunning | None:
    """What the lease stands in now, if it is dunned."""
    return Dunning.objects.filter(lease=lease, state__in=Dunning.OPEN).first()


def _due(at: datetime, limit: int) -> list[int]:
    """Leases with something overdue and no dunning yet, and dunnings that would move now."""
    overdue = Instalment.objects.filter(state=Instalment.State.OVERDUE)
    running = Lease.objects.filter(state=Lease.State.ACTIVE, end_reason="")
    fresh = running.filter(instalments__in=overdue).exclude(dunnings__state__in=Dunning.OPEN)
    rows = Dunning.objects.filter(state__in=Dunning.OPEN)
    moving = rows.filter(
        Q(state=State.NOTICED, suspends_at__lte=at)
        | Q(state=State.SUSPENDED, ends_at__lte=at)
        | ~Q(lease__instalments__state=Instalment.State.OVERDUE)
        | ~Q(lease__state=Lease.State.ACTIVE, lease__end_reason="")
    )
    found = set(moving.order_by("lease_id").values_list("lease_id", flat=True)[:limit])
    found |= set(fresh.order_by("pk").values_list("pk", flat=True).distinct()[:limit])
    return sorted(found)[:limit]


def _step(lease_id: int, at: datetime) -> int:
    locked = Lease.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
    lease = locked.select_related("price").filter(pk=lease_id).first()
    if lease is None:
        return 0
    rows = Dunning.objects.select_for_update(of=("self",), no_key=True).select_related("lease")
    row = rows.filter(lease=lease, state__in=Dunning.OPEN).first()
    runs = lease.state == Lease.State.ACTIVE and not lease.end_reason
    overdue = Instalment.objects.filter(lease=lease, state=Instalment.State.OVERDUE)
    late = overdue.order_by("due_at", "pk").first()
    if row is None:
        return _notice(lease, at) if late is not None and runs else 0
    if not runs:
        return _advance(row, State.ENDED, at, reason="the lease is over")
    if late is None:
        suspensions.resume(allocation_id=lease.allocation_id, at=at, actor=ACTOR, reason="paid")
        return _advance(row, State.SETTLED, at, reason="paid")
    if row.state == State.NOTICED and row.suspends_at <= at:
        row.ends_at = _days_later(lease, at, lease.price.suspension_days)
        suspensions.suspend(allocation_id=lease.allocation_id, at=at, actor=ACTOR, reason=REASON)
        return _advance(row, State.SUSPENDED, at, reason=REASON, changed=("ends_at",))
    if row.state == State.SUSPENDED and row.ends_at is not None and row.ends_at <= at:
        leases.end_unpaid(lease_id=lease.pk, evidence=late.public_id, at=at, actor=ACTOR)
        return _advance(row, State.ENDED, at, reason=REASON)
    return 0


def _notice(lease: Lease, at: datetime) -> int:
    row = Dunning(
        lease=lease,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        suspends_at=_days_later(lease, at, lease.price.notice_days),
        created_at=at,
    )
    journal.create(
        row,
        event="dunning.noticed",
        actor=ACTOR,
        at=at,
        data={"lease": lease.public_id, "suspends_at": row.suspends_at.isoformat()},
    )
    return 1


def _advance(
    row: Dunning, to: State, at: datetime, *, reason: str, changed: tuple[str, ...] = ()
) -> int:
    transitions.advance(
        row,
        to=to,
        at=at,
        actor=ACTOR,
        reason=reason,
        changed=changed,
        data={"lease": row.lease.public_id},
    )
    return 1


def _days_later(lease: Lease, at: datetime, days: int) -> datetime:
    return months.days_later(at, days, lease.price.billing_zone)
