"""The journal: every state change and recorded fact, in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from django.db import DatabaseError, connection

from inventory.actors import Actor

_ENTRY = (
    "INSERT INTO inventory_journalentry (at, event, object_id, from_state, to_state, actor_kind,"
    " actor, reason, data, provider_id, tenant_id)"
    " SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s"
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
    entry = _entry(
        event, object_id, from_state, to_state, actor, reason, data, provider_id, tenant_id, at
    )
    with connection.cursor() as cursor:
        cursor.execute(_ENTRY, entry)


def create(
    row: Any, *, event: str, actor: Actor, at: datetime, data: dict[str, Any] | None = None
) -> None:
    """A new row of two parties is there, and the entry that says so: one statement.

    Sets the row's key. Not idempotent.
    """
    fields = [field for field in row._meta.concrete_fields if not field.primary_key]
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields]
    entry = _entry(
        event, row.public_id, "", row.state, actor, "", data, row.provider_id, row.tenant_id, at
    )
    with connection.cursor() as cursor:
        cursor.execute(_insertion(row.__class__), [*values, *entry])
        (row.pk,) = cursor.fetchone()
    row._state.adding = False
    row._state.db = connection.alias


def update(
    row: Any,
    changed: Iterable[str],
    *,
    event: str,
    actor: Actor,
    at: datetime,
    from_state: str,
    to_state: str,
    reason: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    """The named fields of a row are saved, and the entry that says why: one statement.

    Not idempotent. Raises DatabaseError where the row is gone.
    """
    names = tuple(changed)
    fields = [row._meta.get_field(name) for name in names]
    values = [field.get_db_prep_save(field.pre_save(row, False), connection) for field in fields]
    provider_id = getattr(row, "provider_id", None)
    tenant_id = getattr(row, "tenant_id", None)
    entry = _entry(
        event, row.public_id, from_state, to_state, actor, reason, data, provider_id, tenant_id, at
    )
    with connection.cursor() as cursor:
        cursor.execute(_change(row.__class__, names), [*values, row.pk, *entry])
        if cursor.rowcount != 1:
            raise DatabaseError(f"{row.public_id} is gone")


def _entry(
    event: str,
    object_id: str,
    from_state: str,
    to_state: str,
    actor: Actor,
    reason: str,
    data: dict[str, Any] | None,
    provider_id: int | None,
    tenant_id: int | None,
    at: datetime,
) -> list[Any]:
    return [
        at,
        event,
        object_id,
        str(from_state),
        str(to_state),
        actor.kind,
        actor.label,
        reason[:500],
        json.dumps(data or {}, ensure_ascii=False),
        provider_id,
        tenant_id,
    ]


@cache
def _insertion(model: type[Any]) -> str:
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    names = ", ".join(f'"{field.column}"' for field in fields)
    marks = ", ".join("%s" for _ in fields)
    insert = f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({marks}) RETURNING id"  # noqa: S608
    return f"WITH made AS ({insert}), entry AS ({_ENTRY}) SELECT id FROM made"  # noqa: S608


@cache
def _change(model: type[Any], names: tuple[str, ...]) -> str:
    columns = ", ".join(f'"{model._meta.get_field(name).column}" = %s' for name in names)
    update = f"UPDATE {model._meta.db_table} SET {columns} WHERE id = %s RETURNING id"  # noqa: S608
    return f"WITH changed AS ({update}) {_ENTRY} FROM changed"
