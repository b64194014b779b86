"""What people say of nodes and cards, and that they take it back."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from inventory import identifiers, journal
from inventory.actors import Actor
from inventory.errors import Invalid
from inventory.models import HealthReport, HealthState, Node

_TELLABLE = (HealthState.JITTERING, HealthState.DEGRADED, HealthState.DOWN)


def report(
    *,
    node_id: int,
    state: str,
    reason: str,
    at: datetime,
    actor: Actor,
    card_index: int | None = None,
) -> HealthReport:
    """The node, or one of its cards, is said not to be well, until that is withdrawn.

    Its condition follows at the next look. Not idempotent. Raises NotFound, Invalid.
    """
    node = identifiers.find(
        Node.objects.visible_to(actor).select_related("pool"), node_id, "No such node"
    )
    if state not in _TELLABLE:
        raise Invalid("A report says jittering, degraded or down")
    if card_index is not None and not 0 <= card_index < node.pool.cards_per_node:
        raise Invalid("The node has no such card")
    if node.state == Node.State.RETIRED:
        raise Invalid("The node is retired")
    if not reason.strip():
        raise Invalid("Say what is wrong")
    with transaction.atomic():
        row = HealthReport.objects.create(
            node=node,
            card_index=card_index,
            state=state,
            reason=reason.strip()[:200],
            reported_by=actor.label,
            created_at=at,
        )
        _journal(row, node, "health.reported", at=at, actor=actor, reason=row.reason)
    return row


def withdraw(*, report_public_id: str, at: datetime, actor: Actor, reason: str) -> HealthReport:
    """The report stands no more. Locks it. Idempotent. Raises NotFound."""
    rows = HealthReport.objects.visible_to(actor).select_related("node")
    with transaction.atomic():
        row = identifiers.find(
            rows.select_for_update(of=("self",), no_key=True), report_public_id, "No such report"
        )
        if row.withdrawn_at is None:
            row.withdrawn_at = at
            row.save(update_fields=["withdrawn_at"])
            _journal(row, row.node, "health.report_withdrawn", at=at, actor=actor, reason=reason)
    return row


def _journal(
    row: HealthReport, node: Node, event: str, *, at: datetime, actor: Actor, reason: str
) -> None:
    journal.record(
        event=event,
        object_id=node.public_id,
        actor=actor,
        at=at,
        reason=reason,
        provider_id=node.provider_id,
        data={"report": row.public_id, "state": row.state, "card": row.card_index},
    )
