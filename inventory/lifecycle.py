"""Tables of states: which state may follow which, one transition per line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, TypeVar

import pgtrigger
from django.db import models

M = TypeVar("M", bound=models.Model)


class Lifecycle:
    """The allowed transitions of one kind of row.

    The same table generates the database trigger, so that raw SQL obeys it too.
    """

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self.table = {str(state): tuple(map(str, nexts)) for state, nexts in table.items()}

    def allows(self, current: str, to: str) -> bool:
        return to in self.table.get(current, ())

    def is_final(self, state: str) -> bool:
        return not self.table.get(state)

    def edges(self) -> list[tuple[str, str]]:
        return [(current, to) for current, nexts in self.table.items() for to in nexts]


class Stateful(Protocol):
    """A row with a state, a lifecycle and a name for the journal."""

    LIFECYCLE: ClassVar[Lifecycle]
    pk: int
    state: str
    public_id: str

    def save(self, *, update_fields: Sequence[str]) -> None: ...


def enforced(model: type[M]) -> type[M]:
    """Puts a model's LIFECYCLE into the database, as a trigger on its `state`."""
    edges = model.LIFECYCLE.edges()  # type: ignore[attr-defined]
    name = f"{model._meta.model_name}_lifecycle"
    pgtrigger.register(pgtrigger.FSM(name=name, field="state", transitions=edges))(model)
    return model


def append_only(name: str) -> pgtrigger.Protect:
    """Rows that are written once and never changed or removed."""
    return pgtrigger.Protect(name=name, operation=pgtrigger.Update | pgtrigger.Delete)


def unchanging(name: str, *fields: str) -> pgtrigger.Protect:
    """Columns that keep the value they were written with, whatever else of the row changes."""
    return pgtrigger.Protect(
        name=name, operation=pgtrigger.Update, condition=pgtrigger.AnyChange(*fields)
    )
