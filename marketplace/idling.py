"""Idle while leased: the tenant is told once, and keeps the cards or leaves by the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from inventory import actors, journal, transitions
from inventory.actors import Actor
from inventory.errors import NotFound
from inventory.periods import floor_hour
from marketplace.models import IdleNotice, Lease

# A card of which less than this share of the hours was measured is not called idle.
LEAST_MEASURED = 0.8
SWEEP = "idle cards"

# Cards of active leases over the whole hours [since, until), each with what was measured of it.
_IDLE = """
WITH card AS (
    SELECT l.id AS lease_id, b.node_id, c,
           sum(t.busy_slots[c + 1]) AS slots, sum(t.busy_permille_sum[c + 1]) AS busy
    FROM marketplace_lease l
    JOIN inventory_binding b ON b.allocation_id = l.allocation_id
     AND b.during @> tstzrange(%(since)s, %(until)s)
    JOIN inventory_telemetryhour t ON t.node_id = b.node_id
     AND t.hour >= %(since)s AND t.hour < %(until)s
    CROSS JOIN LATERAL
        generate_series(lower(b.cards), least(upper(b.cards), t.card_count) - 1) AS c
    WHERE l.state = 'active'
    GROUP BY l.id, b.node_id, c
    HAVING sum(t.busy_slots[c + 1]) >= %(least)s
)
SELECT lease_id, count(*) FILTER (WHERE busy < slots * %(limit)s),
       count(*), sum(busy) FILTER (WHERE busy < slots * %(limit)s)
               / nullif(sum(slots) FILTER (WHERE busy < slots * %(limit)s), 0)
FROM card GROUP BY lease_id
"""


@dataclass(frozen=True, slots=True)
class _Found:
    idle: int
    measured: int
    busy_permille: int


def sweep(*, at: datetime) -> int:
    """Leases with a card that stood idle for IDLE_HOURS have a notice; what works again, none.

    One statement over the last hours; locks each lease it tells of. Returns the notices raised.
    Idempotent, and safe beside itself.
    """
    until = floor_hour(at)
    since = until - timedelta(hours=settings.IDLE_HOURS)
    found = _look(since, until)
    open_ones = dict(
        IdleNotice.objects.exclude(state=IdleNotice.State.OVER).values_list("lease_id", "pk")
    )
    raised = 0
    for lease_id in sorted(found):
        if found[lease_id].idle and lease_id not in open_ones:
            raised += _raise(lease_id, found[lease_id], since, at)
    running = set(
        Lease.objects.filter(pk__in=open_ones, state=Lease.State.ACTIVE).values_list(
            "pk", flat=True
        )
    )
    for lease_id, notice_id in sorted(open_ones.items()):
        measured = found.get(lease_id)
        # What is not measured any more is neither idle nor busy: the notice stays.
        if lease_id not in running or (measured is not None and not measured.idle):
            _over(notice_id, at)
    return raised


def keep(*, lease: Lease, at: datetime, actor: Actor) -> IdleNotice:
    """The tenant keeps the cards; it is not told again of this stretch. Idempotent.

    Locks the notice. Raises NotFound where there is none, and for anybody but the tenant.
    """
    with transaction.atomic():
        notice = (
            IdleNotice.objects.select_for_update(of=("self",), no_key=True)
            .filter(lease=lease, tenant_id=actor.organisation_id)
            .exclude(state=IdleNotice.State.OVER)
            .first()
        )
        if notice is None:
            raise NotFound("No cards of this lease stand idle")
        if notice.state == IdleNotice.State.RAISED:
            transitions.advance(notice, to=IdleNotice.State.KEPT, at=at, actor=actor)
    return notice


def of(lease: Lease) -> IdleNotice | None:
    """The notice that is open."""
    return lease.idle_notices.exclude(state=IdleNotice.State.OVER).first()


def _look(since: datetime, until: datetime) -> dict[int, _Found]:
    with connection.cursor() as cursor:
        cursor.execute(
            _IDLE,
            {
                "since": since,
                "until": until,
                "least": int(settings.IDLE_HOURS * 120 * LEAST_MEASURED),
                "limit": settings.IDLE_PERMILLE,
            },
        )
        return {row[0]: _Found(row[1], row[2], int(row[3] or 0)) for row in cursor.fetchall()}


def _raise(lease_id: int, found: _Found, since: datetime, at: datetime) -> int:
    with transaction.atomic():
        lease = (
            Lease.objects.select_for_update(of=("self",), no_key=True)
            .filter(pk=lease_id, state=Lease.State.ACTIVE)
            .first()
        )
        if lease is None or of(lease) is not None:
            return 0
        notice = IdleNotice.objects.create(
            lease=lease,
            provider_id=lease.provider_id,
            tenant_id=lease.tenant_id,
            since=since,
            hour_count=settings.IDLE_HOURS,
            card_count=found.idle,
            measured_count=found.measured,
            busy_permille=found.busy_permille,
            created_at=at,
        )
        journal.record(
            event="idlenotice.raised",
            object_id=notice.public_id,
            actor=actors.system(SWEEP),
            at=at,
            provider_id=lease.provider_id,
            tenant_id=lease.tenant_id,
            to_state=notice.state,
            data={
                "lease": lease.public_id,
                "cards": found.idle,
                "busy_permille": found.busy_permille,
                "hours": settings.IDLE_HOURS,
                "choices": ["keep", "leave"],
            },
        )
    return 1


def _over(notice_id: int, at: datetime) -> None:
    with transaction.atomic():
        rows = IdleNotice.objects.select_for_update(of=("self",), no_key=True)
        notice = rows.get(pk=notice_id)
        if notice.state != IdleNotice.State.OVER:
            transitions.advance(notice, to=IdleNotice.State.OVER, at=at, actor=actors.system(SWEEP))
