"""What was kept back of settlements and is free again."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction

from billing import chart, ledger
from billing.ledger import Kind
from billing.models import Settlement
from billing.payout_terms import lock_provider
from inventory import actors, journal
from inventory.errors import DomainError

logger = logging.getLogger(__name__)
ACTOR = actors.system("settlement")


def release_due(*, at: datetime, limit: int) -> int:
    """Reserves whose time is over are payable: provider reserve → settling; how many.

    One transaction each, so that one that is busy holds up no other. Locks the provider's
    organisation, the settlement, then balances. Idempotent.
    """
    due = Settlement.objects.filter(
        reserve_minor__gt=0, reserve_released_at=None, reserve_until__lte=at
    ).order_by("reserve_until", "pk")
    released = 0
    for settlement_id, provider_id in due.values_list("pk", "provider_id")[:limit]:
        try:
            with transaction.atomic():
                lock_provider(provider_id)
                released += _release(settlement_id, at)
        except DomainError as error:
            logger.warning("the reserve of settlement %s stays: %s", settlement_id, error)
    return released


def _release(settlement_id: int, at: datetime) -> bool:
    rows = Settlement.objects.select_for_update(of=("self",), no_key=True)
    row = rows.select_related("provider").get(pk=settlement_id)
    if row.reserve_released_at is not None:
        return False
    ledger.post(
        kind=Kind.RESERVE_RELEASED,
        key=f"settle:{row.public_id}:reserve",
        entries=[
            (chart.provider_reserve(row.provider, row.currency), row.reserve_minor),
            (chart.provider_settling(row.provider, row.currency), -row.reserve_minor),
        ],
        at=at,
        actor=ACTOR,
    )
    row.reserve_released_at = at
    row.save(update_fields=["reserve_released_at"])
    journal.record(
        event="settlement.reserve_released",
        object_id=row.public_id,
        actor=ACTOR,
        at=at,
        provider_id=row.provider_id,
        data={"reserve_minor": row.reserve_minor, "currency": row.currency},
    )
    return True
