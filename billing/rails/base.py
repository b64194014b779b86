"""What every rail promises."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from inventory.errors import DomainError
from inventory.models import Organisation


class Status(StrEnum):
    """What a rail knows of an order."""

    UNKNOWN = "unknown"
    """It never took it; it may be sent (again) under the same key."""
    PENDING = "pending"
    """It has it; ask again later."""
    PAID = "paid"
    """The money has left."""
    FAILED = "failed"
    """It will not leave: final for this key, whatever is sent under it afterwards."""
    RETURNED = "returned"
    """It had left, and all of it came back."""


@dataclass(frozen=True, slots=True)
class Order:
    """One payment to be made. `key` is the same in every attempt, and no other order's."""

    key: str
    amount_minor: int
    currency: str
    payee_name: str
    destination: str  # account number or connected account
    purpose: str


@dataclass(frozen=True, slots=True)
class Outcome:
    status: Status
    reference: str = ""  # the rail's own name for it
    reason: str = ""


class RailBusy(Exception):
    """No answer, or "later": nobody knows whether the order was taken. Look it up."""


class RailRefused(DomainError):
    """The rail will not take such an order at all; nothing was sent."""

    code = "rail_refused"
    title = "The payment was refused before it was sent"


class Rail(Protocol):
    """Called outside of transactions only; blocks for seconds at most.

    `send` is idempotent by the order's key: the same order again is not paid again, and
    another one under a known key is refused with RailRefused.
    """

    def destination(self, provider: Organisation, currency: str) -> str:
        """Where this rail would pay the provider, from our own rows, without a call.

        Empty where it cannot be paid this way yet.
        """
        ...

    def send(self, order: Order) -> Outcome:
        """Raises RailBusy, RailRefused."""
        ...

    def look_up(self, key: str) -> Outcome:
        """What became of an order; Status.UNKNOWN where it was never taken. Raises RailBusy."""
        ...

    def returned(self, *, since: datetime) -> list[tuple[str, Outcome]]:
        """Orders whose whole money came back since then, by key, each named by what brought it
        back: as far as is known here, without a call. Says so of one again and again."""
        ...
