"""The only way a row changes its state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from inventory import journal
from inventory.actors import Actor
from inventory.errors import DomainError


class IllegalTransition(DomainError):
    """The row's present state does not lead to the state asked for."""

    code = "invalid_state"
    title = "Not possible in the present state"
    status = 409


def advance(
    row: Any,
    *,
    to: str,
    at: datetime,
    actor: Actor,
    reason: str = "",
    changed: tuple[str, ...] = (),
    data: dict[str, Any] | None = None,
) -> None:
    """Moves a locked row to the state `to`, stamps `<state>_at` where it has one, journals it.

    `changed` names further fields that the caller has set and wants saved with the state.
    The caller holds the row's lock. Raises IllegalTransition. Not idempotent: arriving
    twice is a fault of the caller.
    """
    current = str(row.state)
    if not row.LIFECYCLE.allows(current, to):
        raise IllegalTransition(
            f"{row.public_id} is {current} and cannot become {to}",
            current=current,
            wanted=str(to),
        )
    row.state = to
    stamp = f"{to}_at"
    fields = ["state", *changed]
    if any(field.name == stamp for field in row._meta.concrete_fields):
        setattr(row, stamp, at)
        fields.append(stamp)
    journal.update(
        row,
        fields,
        event=f"{row._meta.model_name}.{to}",
        actor=actor,
        at=at,
        from_state=current,
        to_state=to,
        reason=reason,
        data=data,
    )
