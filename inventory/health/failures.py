"""A node that is down counts as failed in its pool, until it is back.

Its own outages alone are opened and closed here. What a person closes stays closed for as long as
the node stays down, and what a person opened only a person closes.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from inventory import actors, capacity
from inventory.errors import DomainError
from inventory.models import HealthSource, HealthState, Node, NodeHealth, Outage
from inventory.periods import Period

logger = logging.getLogger(__name__)
ACTOR = actors.system("health")
# Nobody knows yet; past that it counts as out for good, which is reported. The median repair of
# a server with a part on site takes about a shift.
EXPECTED_BACK = timedelta(hours=8)


def follow(*, at: datetime) -> int:
    """Nodes that went down have their outage, those that came back have none; how many moved.

    One transaction each: health row, then the pool. One that cannot move waits for the next
    look and is logged. Idempotent.
    """
    gone = NodeHealth.objects.filter(
        state=HealthState.DOWN,
        source__in=[HealthSource.TELEMETRY, HealthSource.REPORT],
        outage__isnull=True,
        node__state=Node.State.SERVICEABLE,
    )
    back = NodeHealth.objects.filter(outage__isnull=False).exclude(state=HealthState.DOWN)
    moved = 0
    for rows, act in ((gone, _open), (back, _close)):
        for pk in list(rows.order_by("pk").values_list("pk", flat=True)):
            try:
                with transaction.atomic():
                    moved += act(pk, at)
            except DomainError as error:
                logger.warning("the outage of node %s waits: %s", pk, error)
    return moved


def _lock(pk: int) -> NodeHealth | None:
    rows = NodeHealth.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
    return rows.select_related("node", "outage").filter(pk=pk).first()


def _open(pk: int, at: datetime) -> bool:
    row = _lock(pk)
    if row is None or row.state != HealthState.DOWN or row.outage_id is not None:
        return False
    capacity.lock(row.node.pool_id, at)
    node = Node.objects.get(pk=pk)
    if node.state != Node.State.SERVICEABLE:
        return False  # somebody was faster
    row.outage = capacity.set_outage(
        pool_id=node.pool_id,
        kind=Outage.Kind.FAILED,
        period=Period(at, at + EXPECTED_BACK),
        node_id=node.pk,
        reason=f"health: {row.evidence}"[:200],
        at=at,
        actor=ACTOR,
    )
    row.save(update_fields=["outage"])
    return True


def _close(pk: int, at: datetime) -> bool:
    row = _lock(pk)
    if row is None or row.state == HealthState.DOWN or row.outage is None:
        return False
    was_open = row.outage.state == Outage.State.OPEN
    if was_open:
        capacity.close_outage(
            outage_id=row.outage.pk, at=at, actor=ACTOR, reason="health: it is back"
        )
    row.outage = None
    row.save(update_fields=["outage"])
    return was_open
