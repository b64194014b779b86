"""One call of a function of the ledger, and what it refuses, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connection

from inventory.errors import Busy, DomainError, Invalid, NotFound


class InsufficientFunds(DomainError):
    """A guarded account has less than what was asked of it."""

    code = "insufficient_funds"
    title = "Not enough money in the wallet"
    status = 402


class IdempotencyConflict(DomainError):
    """The key names another posting or hold."""

    code = "idempotency_conflict"
    title = "The key was used for something else"
    status = 409


class HoldClosed(DomainError):
    """The hold was captured or released before, or its time is over."""

    code = "hold_closed"
    title = "The money is no longer held"
    status = 409


class AlreadyReversed(DomainError):
    """A transaction is reversed once."""

    code = "already_reversed"
    title = "Already reversed"
    status = 409


class AmountOutOfRange(Invalid):
    """No deal is that large; it is refused before it could overflow a sum."""

    code = "amount_out_of_range"
    title = "The amount is out of range"


class PeriodClosed(DomainError):
    """Nothing is posted into a closed accounting period any more."""

    code = "period_closed"
    title = "The books of that month are closed"


class Unbalanced(Invalid):
    """Fewer than two entries, a zero entry, or entries that do not sum to zero per currency."""

    code = "unbalanced"
    title = "The entries do not sum to zero"


def call(sql: str, parameters: list[Any]) -> Any:
    """The value of one statement; one that is no row is None."""
    with errors(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row = cursor.fetchone()
        return row[0] if row else None


@contextmanager
def errors() -> Iterator[None]:
    """Says the database's refusals in the words of this module."""
    try:
        yield
    except DatabaseError as error:
        state = getattr(error.__cause__, "sqlstate", None)
        diagnosis = getattr(error.__cause__, "diag", None)
        message = str(getattr(diagnosis, "message_primary", "") or "")
        match state:
            case "LG001":
                raise IdempotencyConflict(message) from error
            case "LG002":
                found = json.loads(diagnosis.message_detail)  # type: ignore[union-attr]
                raise InsufficientFunds(
                    account=found["account"],
                    available=found["available"],
                    needed=found["needed"],
                ) from error
            case "LG003":
                raise HoldClosed(message) from error
            case "LG004":
                raise AlreadyReversed(message) from error
            case "LG006":
                raise Unbalanced(message) from error
            case "LG007":
                raise NotFound(message) from error
            case "LG008":
                raise PeriodClosed(message) from error
            case "22003":  # a balance that no longer fits a bigint
                raise AmountOutOfRange() from error
            case "40P01" | "55P03":  # deadlock, lock timeout
                raise Busy() from error
        raise
