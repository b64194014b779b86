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
    warns_last_at: datetime  # to save what runs
    ends_at: datetime
    torn_down_at: datetime  # access is shut at the end itself
    wiped_by: datetime  # the turnaround kept for it is over


def of(lease: Lease) -> Ending:
    """Not before the start: a lease shorter than the warning is warned of as it begins."""
    period = Period.of(lease.period)
    warns_at = max(period.start, period.end - _first())
    warns_last_at = max(period.start, period.end - _last())
    turnaround = timedelta(seconds=lease.allocation.turnaround_seconds)
    return Ending(warns_at, warns_last_at, period.end, period.end, period.end + turnaround)


def _first() -> timedelta:
    return timedelta(hours=settings.LEASE_WARNING_HOURS)


def _last() -> timedelta:
    return timedelta(minutes=settings.LEASE_LAST_WARNING_MINUTES)


def warn_due(*, at: datetime, limit: int) -> int:
    """Running leases that end soon, or very soon, are journalled as such, each once for each
    end; returns how many warnings it made.

    Locks each lease; one that somebody else works on is left to the next run. Idempotent.
    """
    return sum(
        _warn_within(ahead, field, event, at=at, limit=limit)
        for ahead, field, event in (
            (_first(), "warned_of", "lease.ending_soon"),
            (_last(), "last_warned_of", "lease.ending_shortly"),
        )
    )


def _warn_within(ahead: timedelta, field: str, event: str, *, at: datetime, limit: int) -> int:
    soon = at + ahead
    rows = Lease.objects.filter(
        state=Lease.State.ACTIVE, end_reason="", period__endswith__lte=soon
    ).exclude(**{field: F("period__endswith")})
    warned = 0
    for pk in list(rows.order_by("pk").values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            locked = Lease.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
            lease = locked.filter(pk=pk, state=Lease.State.ACTIVE).first()
            if lease is None or getattr(lease, field) == lease.period.upper:
                continue  # somebody else was faster
            if lease.period.upper <= soon:
                _warn(lease, field, event, at)
                warned += 1
    return warned


def _warn(lease: Lease, field: str, event: str, at: datetime) -> None:
    setattr(lease, field, lease.period.upper)
    lease.save(update_fields=[field])
    journal.record(
        event=event,
        object_id=lease.public_id,
        actor=ACTOR,
        at=at,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        data={"end": lease.period.upper.isoformat()},
    )
