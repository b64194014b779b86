"""The end of a lease, announced: when both sides are warned, and when its nodes are gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from inventory import actors, journal
from inventory.periods import Period
from marketplace.models import Lease

ACTOR = actors.system("leases")


@dataclass(frozen=True, slots=True)
class Ending:
    """The instants around a lease's end, as things stand; an amendment moves them all."""

    warns_at: datetime
    ends_at: datetime
    torn_down_at: datetime  # access is shut at the end itself
    wiped_by: datetime  # the turnaround kept for it is over


def of(lease: Lease) -> Ending:
    """Not before the start: a lease shorter than the warning is warned of as it begins."""
    period = Period.of(lease.period)
    warns_at = max(period.start, period.end - timedelta(hours=settings.LEASE_WARNING_HOURS))
    turnaround = timedelta(seconds=lease.allocation.turnaround_seconds)
    return Ending(warns_at, period.end, period.end, period.end + turnaround)


def warn_due(*, at: datetime, limit: int) -> int:
    """Running leases that end soon are journalled as such, once for each end; returns how many.

    Locks each lease; one that somebody else works on is left to the next run. Idempotent.
    """
    soon = at + timedelta(hours=settings.LEASE_WARNING_HOURS)
    rows = Lease.objects.filter(
        state=Lease.State.ACTIVE, end_reason="", period__endswith__lte=soon
    ).exclude(warned_of=F("period__endswith"))
    warned = 0
    for pk in list(rows.order_by("pk").values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            locked = Lease.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
            lease = locked.filter(pk=pk, state=Lease.State.ACTIVE).first()
            if lease is None or lease.warned_of == lease.period.upper:
                continue  # somebody else was faster
            if lease.period.upper <= soon:
                _warn(lease, at)
                warned += 1
    return warned


def _warn(lease: Lease, at: datetime) -> None:
    lease.warned_of = lease.period.upper
    lease.save(update_fields=["warned_of"])
    journal.record(
        event="lease.ending_soon",
        object_id=lease.public_id,
        actor=ACTOR,
        at=at,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        data={"end": lease.period.upper.isoformat()},
    )
