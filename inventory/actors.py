"""Who asks: a person, a key, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Actor:
    """The party behind a request, as reads and the journal know it."""

    kind: Literal["user", "key", "system"]
    label: str  # public id of the user or key, or the name of the sweep
    organisation_id: int | None = None
    role: str | None = None  # a Membership.Role for people; keys carry scopes instead
    scopes: frozenset[str] = field(default_factory=frozenset)
    project_id: int | None = None  # a key may be bound to one project
    sees_everything: bool = False  # staff of the operator, its auditors, and the system

    def may(self, scope: str) -> bool:
        return scope in self.scopes


def system(name: str) -> Actor:
    """A sweep or a command, by its name."""
    return Actor(kind="system", label=name, sees_everything=True)
