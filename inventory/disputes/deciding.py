"""A dispute of two meters is closed by a person of the operator, with a reason and evidence."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from inventory import identifiers, metering, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import MeterDispute, User

State = MeterDispute.State


class DisputeDecided(DomainError):
    """Somebody has decided it already."""

    code = "dispute_decided"
    title = "The dispute is decided already"


def decide(
    *,
    dispute_public_id: str,
    upheld_for: str,
    reason: str,
    evidence: str,
    at: datetime,
    actor: Actor,
    user: User,
) -> MeterDispute:
    """The dispute is closed: for the tenant the lower count stands, for the provider the higher.

    The hour is counted again at the next sweep, its charges are in payout from now on. Locks the
    dispute, then the allocation's metering cursor. Not idempotent. Raises NotFound,
    DisputeDecided, Invalid.
    """
    if not reason.strip() or not evidence.strip():
        raise Invalid("Say why the dispute is decided so, and what the decision rests on")
    if upheld_for not in ("tenant", "provider"):
        raise Invalid("A dispute is upheld for the tenant or for the provider")
    rows = MeterDispute.objects.visible_to(actor).select_for_update(of=("self",), no_key=True)
    with transaction.atomic():
        row = identifiers.find(rows, dispute_public_id, "No such dispute")
        if row.state != State.OPEN:
            raise DisputeDecided(state=row.state)
        row.reason, row.evidence = reason.strip()[:500], evidence.strip()[:500]
        row.decided_by = user
        transitions.advance(
            row,
            to=State.FOR_TENANT if upheld_for == "tenant" else State.FOR_PROVIDER,
            at=at,
            actor=actor,
            reason=row.reason,
            changed=("reason", "evidence", "decided_by"),
            data={
                "evidence": row.evidence,
                "history_card_seconds": row.history_card_seconds,
                "telemetry_card_seconds": row.telemetry_card_seconds,
            },
        )
        metering.count_again(row.allocation_id, row.hour)
    return row
