"""Troubles of pools: opened by what failed, followed to their end, told in a timeline.

Nobody pushes: a sweep reads the outages and the machines as they stand. One transaction for each
pool, which locks the pool's catalogue row, so that a pool never has two incidents open.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from inventory import actors, identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, Invalid
from inventory.models import JournalEntry, Outage, Pool
from inventory.periods import HOUR
from marketplace.models import Incident, IncidentEntry, IncidentLease, IncidentOutage, Lease

logger = logging.getLogger(__name__)
ACTOR = actors.system("incidents")
State = Incident.State
Kind = IncidentEntry.Kind

# The leases whose machines stood on a node when it failed.
_STRUCK = """
    SELECT l.id FROM inventory_binding b
    JOIN marketplace_lease l ON l.allocation_id = b.allocation_id
    WHERE b.node_id = %(node)s AND lower(b.during) <= %(at)s AND upper(b.during) >= %(at)s
      AND l.state IN ('scheduled', 'delivering', 'active')
"""

# Of an incident's leases, those that are to be served now and are not, whole, by healthy nodes.
_LACKING = """
    SELECT l.id FROM marketplace_incidentlease t
    JOIN marketplace_lease l ON l.id = t.lease_id
    JOIN inventory_allocation a ON a.id = l.allocation_id
    LEFT JOIN LATERAL (
        SELECT sum(upper(b.cards) - lower(b.cards)) AS cards,
               bool_and(n.state = 'serviceable') AS healthy
        FROM inventory_binding b JOIN inventory_node n ON n.id = b.node_id
        WHERE b.allocation_id = a.id AND b.during @> %(at)s) s ON true
    WHERE t.incident_id = %(incident)s AND a.state IN ('delivering', 'active')
      AND lower(a.period) <= %(at)s AND upper(a.period) > %(at)s
      AND (coalesce(s.cards, 0) < l.card_count OR NOT s.healthy)
"""


def sweep(*, at: datetime, limit: int = 200) -> int:
    """Failed nodes have their incident, and each incident stands where its nodes and leases do.

    Returns how many it changed. One transaction for each pool. Idempotent.
    """
    failed = Outage.objects.filter(
        kind=Outage.Kind.FAILED, state=Outage.State.OPEN, incident__isnull=True
    )
    pools = set(failed.order_by("pk").values_list("pool_id", flat=True)[:limit])
    pools |= set(
        Incident.objects.exclude(state=State.RESOLVED)
        .order_by("pk")
        .values_list("pool_id", flat=True)[: 5 * limit]
    )
    return sum(_attempt(pool_id, at) for pool_id in sorted(pools))


def follow(*, pool_id: int, at: datetime) -> bool:
    """Whether anything changed. Locks the pool's catalogue row, then its incident."""
    with transaction.atomic():
        pool = Pool.objects.select_for_update(of=("self",), no_key=True).get(pk=pool_id)
        failed = list(
            Outage.objects.filter(
                pool=pool, kind=Outage.Kind.FAILED, state=Outage.State.OPEN, incident__isnull=True
            ).select_related("node").order_by("pk")
        )  # fmt: skip
        rows = Incident.objects.select_for_update(of=("self",), no_key=True)
        incident = rows.filter(pool=pool).exclude(state=State.RESOLVED).first()
        if incident is None:
            if not failed:
                return False
            incident = _open(pool, at)
        changed = bool(failed)
        for outage in failed:
            _join(incident, outage)
        changed |= _touch(incident, _endangered(incident), at)
        changed |= _move(incident, at)
    return changed


def note(*, incident_public_id: str, text: str, at: datetime, actor: Actor) -> IncidentEntry:
    """A person's line in the timeline, read by everybody whom the incident concerns.

    Raises NotFound, Forbidden where it is not the provider's own or the operator's, Invalid.
    """
    with transaction.atomic():
        incident = _own(incident_public_id, actor)
        entry = _write(incident, Kind.NOTE, at, text=_said(text), author_id=actor.organisation_id)
        _record(incident, "incident.noted", at, actor)
    return entry


def explain(*, incident_public_id: str, cause: str, at: datetime, actor: Actor) -> Incident:
    """The cause as it was found; it may be found anew, and each finding stays in the timeline.

    Locks the incident. Raises NotFound, Forbidden, Invalid.
    """
    with transaction.atomic():
        incident = _own(incident_public_id, actor)
        incident.cause = _said(cause)[:500]
        incident.save(update_fields=["cause"])
        _write(incident, Kind.CAUSE, at, text=incident.cause, author_id=actor.organisation_id)
        _record(incident, "incident.explained", at, actor)
    return incident


def timeline(incident: Incident, actor: Actor) -> QuerySet[IncidentEntry]:
    """The lines this reader may see, in their order."""
    rows = incident.entries.select_related(
        "lease__tenant", "lease__provider", "outage__node", "author"
    ).order_by("at", "pk")
    if actor.sees_everything or actor.organisation_id == incident.provider_id:
        return rows
    # Of nodes a tenant knows none, and of leases its own.
    seen = Q(outage__isnull=True, lease__isnull=True) | Q(lease__tenant_id=actor.organisation_id)
    return rows.filter(seen)


def leases_of(incident: Incident, actor: Actor) -> QuerySet[IncidentLease]:
    """The leases it touched that this reader may know of."""
    rows = incident.leases.select_related("lease__tenant", "lease__provider").order_by("pk")
    if actor.sees_everything or actor.organisation_id == incident.provider_id:
        return rows
    rows = rows.filter(lease__tenant_id=actor.organisation_id)
    return rows.filter(lease__project_id=actor.project_id) if actor.project_id else rows


def _attempt(pool_id: int, at: datetime) -> bool:
    try:
        return follow(pool_id=pool_id, at=at)
    except DomainError as error:
        logger.warning("the incident of pool %s is not followed: %s", pool_id, error)
        return False


def _open(pool: Pool, at: datetime) -> Incident:
    incident = Incident.objects.create(provider_id=pool.provider_id, pool=pool, opened_at=at)
    _write(incident, Kind.OPENED, at)
    _record(incident, "incident.opened", at, ACTOR, to_state=State.OPEN)
    return incident


def _join(incident: Incident, outage: Outage) -> None:
    failed_at = outage.period.lower
    IncidentOutage.objects.create(incident=incident, outage=outage)
    _write(incident, Kind.NODE_FAILED, failed_at, outage=outage, text=outage.reason)
    with connection.cursor() as cursor:
        cursor.execute(_STRUCK, {"node": outage.node_id, "at": failed_at})
        struck = [row[0] for row in cursor.fetchall()]
    _touch(incident, struck, failed_at)


def _endangered(incident: Incident) -> list[int]:
    """The leases that capacity reported to be in danger of too few nodes since it is open."""
    entries = JournalEntry.objects.filter(
        object_id=incident.pool.public_id,
        event="pool.overcommitted",
        at__gte=_since(incident),
    ).values_list("data", flat=True)
    named = {name for data in entries for name in data.get("allocations", [])}
    if not named:
        return []
    rows = Lease.objects.filter(allocation__public_id__in=sorted(named))
    return list(rows.filter(state__in=Lease.RUNNING).values_list("pk", flat=True))


def _since(incident: Incident) -> datetime:
    """From the first failure on, which was entered before the sweep saw it."""
    first = incident.outages.order_by("outage__created_at").first()
    return min(incident.opened_at, first.outage.created_at) if first else incident.opened_at


def _touch(incident: Incident, lease_ids: Iterable[int], at: datetime) -> bool:
    known = set(incident.leases.values_list("lease_id", flat=True))
    fresh = sorted(set(lease_ids) - known)
    for lease in Lease.objects.filter(pk__in=fresh).order_by("pk"):
        IncidentLease.objects.create(incident=incident, lease=lease, touched_at=at)
        _write(incident, Kind.LEASE_TOUCHED, at, lease=lease)
        _record(
            incident,
            "incident.lease_touched",
            at,
            ACTOR,
            tenant_id=lease.tenant_id,
            data={"lease": lease.public_id},
        )
    return bool(fresh)


def _move(incident: Incident, at: datetime) -> bool:
    back = incident.outages.filter(outage__state=Outage.State.CLOSED)
    told = set(incident.entries.filter(kind=Kind.NODE_BACK).values_list("outage_id", flat=True))
    changed = False
    for row in back.select_related("outage").order_by("pk"):
        if row.outage_id not in told:
            _write(incident, Kind.NODE_BACK, row.outage.closed_at or at, outage=row.outage)
            changed = True
    still_out = incident.outages.exclude(outage__state=Outage.State.CLOSED).exists()
    lacking = _lacking(incident, at) if still_out else []
    changed |= _tell_late(incident, lacking, at)
    to = State.RESOLVED if not still_out else State.OPEN if lacking else State.MITIGATED
    if to == incident.state:
        return changed
    kinds = {
        State.OPEN: Kind.REOPENED, State.MITIGATED: Kind.MITIGATED, State.RESOLVED: Kind.RESOLVED
    }  # fmt: skip
    transitions.advance(incident, to=to, at=at, actor=ACTOR)
    _write(incident, kinds[to], at)
    for lease in Lease.objects.filter(incidents__incident=incident).order_by("pk"):
        _record(
            incident,
            f"incident.lease_{to}",
            at,
            ACTOR,
            tenant_id=lease.tenant_id,
            provider_id=None,
            data={"lease": lease.public_id},
        )
    return True


def _lacking(incident: Incident, at: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_LACKING, {"incident": incident.pk, "at": at})
        return [row[0] for row in cursor.fetchall()]


def _tell_late(incident: Incident, lacking: list[int], at: datetime) -> bool:
    """Leases that lack nodes for longer than their terms give for replacing one; each once."""
    told = set(incident.entries.filter(kind=Kind.LATE).values_list("lease_id", flat=True))
    rows = incident.leases.filter(lease_id__in=lacking, lease__terms__sla_replacement_hours__gt=0)
    late = [
        row.lease
        for row in rows.exclude(lease_id__in=told).select_related("lease__terms").order_by("pk")
        if row.touched_at + row.lease.terms.sla_replacement_hours * HOUR <= at
    ]
    for lease in late:
        _write(incident, Kind.LATE, at, lease=lease)
        _record(
            incident,
            "incident.replacement_late",
            at,
            ACTOR,
            tenant_id=lease.tenant_id,
            data={"lease": lease.public_id},
        )
    return bool(late)


def _own(public_id: str, actor: Actor) -> Incident:
    rows = Incident.objects.visible_to(actor).select_for_update(of=("self",), no_key=True)
    incident = identifiers.find(rows, public_id, "No such incident")
    if not actor.sees_everything and actor.organisation_id != incident.provider_id:
        raise Forbidden("Only the provider and the operator write into an incident")
    return incident


def _said(text: str) -> str:
    if not text.strip():
        raise Invalid("Say something")
    return text.strip()[:1000]


def _write(incident: Incident, kind: str, at: datetime, **facts: Any) -> IncidentEntry:
    return IncidentEntry.objects.create(incident=incident, kind=kind, at=at, **facts)


_PROVIDERS = object()


def _record(
    incident: Incident,
    event: str,
    at: datetime,
    actor: Actor,
    *,
    to_state: str = "",
    tenant_id: int | None = None,
    provider_id: object = _PROVIDERS,
    data: dict[str, Any] | None = None,
) -> None:
    journal.record(
        event=event,
        object_id=incident.public_id,
        actor=actor,
        at=at,
        to_state=to_state,
        provider_id=incident.provider_id if provider_id is _PROVIDERS else None,
        tenant_id=tenant_id,
        data={"pool": incident.pool.public_id, **(data or {})},
    )
