"""The journal: every state change and recorded fact, in the transaction of the change."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection

from inventory.actors import Actor

_INSERT = (
    "INSERT INTO inventory_journalentry (at, event, object_id, from_state, to_state, actor_kind,"
    " actor, reason, data, provider_id, tenant_id)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s)"
)


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
            _INSERT,
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


def create(row: Any, *, event: str, actor: Actor, at: datetime, data: dict[str, Any]) -> None:
    """Inserts a new row of two parties and the entry that says so, in one statement.

    Sets the row's key. As `row.save(force_insert=True)` and `record` do, for paths on which
    two statements are one too many.
    """
    fields = [field for field in row._meta.concrete_fields if not field.primary_key]
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields]
    entry = [
        at,
        event,
        row.public_id,
        "",
        str(row.state),
        actor.kind,
        actor.label,
        "",
        json.dumps(data, ensure_ascii=False),
        row.provider_id,
        row.tenant_id,
    ]
    with connection.cursor() as cursor:
        cursor.execute(_insert_with_entry(row.__class__), [*values, *entry])
        (row.pk,) = cursor.fetchone()
    row._state.adding = False
    row._state.db = connection.alias


@cache
def _insert_with_entry(model: type[Any]) -> str:
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    names = ", ".join(f'"{field.column}"' for field in fields)
    marks = ", ".join("%s" for _ in fields)
    insert = f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({marks}) RETURNING id"  # noqa: S608
    return f"WITH made AS ({insert}), entry AS ({_INSERT}) SELECT id FROM made"  # noqa: S608
