"""The journal: every state change and recorded fact, in the transaction of the change."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.db import connection

from inventory.actors import Actor


def record(
    *,
    event: str,
    object_id: str,
    actor: Actor,
    at: datetime,
    reason: str = "",
    from_state: str = "",
    to_state: str = "",
    provider_id: int | None = None,
    tenant_id: int | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Writes one entry. `data` must be JSON-ready. Not idempotent: call it once per change."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_journalentry (at, event, object_id, from_state, to_state,"
            " actor_kind, actor, reason, data, provider_id, tenant_id)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s)",
            [
                at,
                event,
                object_id,
                from_state,
                to_state,
                actor.kind,
                actor.label,
                reason[:500],
                json.dumps(data or {}, ensure_ascii=False),
                provider_id,
                tenant_id,
            ],
        )
