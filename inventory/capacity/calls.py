"""How a verb reaches its SQL function, and what the function's refusals are called."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection

from inventory.errors import Busy, DomainError, Invalid, NotFound
from inventory.transitions import IllegalTransition


class CapacityTaken(DomainError):
    """Fewer units are free over the whole period than were asked for."""

    code = "capacity_taken"
    title = "The capacity is taken"

    @property
    def free_units(self) -> int:
        return int(self.fields().get("free_units", 0))


class NotOffered(DomainError):
    """Not for sale: the pool drains, the block is closed, or the period lies outside its window."""

    code = "not_offered"
    title = "Not offered"


class HoldExpired(DomainError):
    """The hold lapsed before it was confirmed; what it held may be somebody else's."""

    code = "hold_expired"
    title = "The hold has expired"
    status = 410


class HoldStillValid(DomainError):
    """By the pool's clock the hold has not lapsed yet."""

    code = "hold_still_valid"
    title = "The hold is still valid"


class ClockAhead(DomainError):
    """The instant lies ahead of the database's clock: it would let living holds die early."""

    code = "clock_ahead"
    title = "The instant lies in the future"


class NotDue(DomainError):
    """Nodes are named only within the blocking period, so that counting stays enough."""

    code = "not_due"
    title = "Not due yet, or over"


class NoNodeFree(DomainError):
    """Too few clean, healthy nodes now; failures or an unfinished wipe stand in the way."""

    code = "no_node_free"
    title = "No node is free"
    status = 503
    retry_after_seconds = 60


class NodeInUse(DomainError):
    """A node that was named serves somebody, or is out of use, in the period asked for."""

    code = "node_in_use"
    title = "A named node is in use, or out of use"


class NodeNotClean(DomainError):
    """A machine on the node is not wiped: retry the wipe, or confirm that it was done by hand."""

    code = "node_not_clean"
    title = "The node is not clean"


class InvalidEnd(Invalid):
    """The new end does not lie where this change may put it."""

    code = "invalid_end"
    title = "The new end is not acceptable"


_REFUSALS: dict[str, type[DomainError]] = {
    error.code: error
    for error in (
        CapacityTaken,
        NotOffered,
        HoldExpired,
        HoldStillValid,
        ClockAhead,
        NotDue,
        NoNodeFree,
        NodeInUse,
        NodeNotClean,
        InvalidEnd,
        IllegalTransition,
    )
}
_REFUSED = "CH001"  # raised by capacity_refuse(): the code as message, its particulars as detail
_NO_SUCH_ROW = "P0002"  # SELECT INTO STRICT found nothing
_BUSY = {"55P03", "40P01", "40001"}  # lock not granted in time, deadlock, serialisation
_OVERLAP = "23P01"  # the exclusion constraint: the last word

_replaying: ContextVar[bool] = ContextVar("capacity_replaying", default=False)


@contextmanager
def replaying() -> Iterator[None]:
    """Inside, instants may run ahead of the database's clock: replays, the demo world, tests.

    Holds for this thread or task only.
    """
    token = _replaying.set(True)
    try:
        yield
    finally:
        _replaying.reset(token)


def is_replaying() -> bool:
    return _replaying.get()


def call(function: str, /, **arguments: Any) -> Any:
    """One capacity function, called by argument names without their `p_`.

    Raises what the function refused, Busy where a lock was not granted in time, NotFound
    where a row it needs does not exist.
    """
    names = ", ".join(f"p_{name} => %s" for name in arguments)
    with connection.cursor() as cursor:
        try:
            cursor.execute(f"SELECT {function}({names})", list(arguments.values()))
            rows = cursor.fetchall()
        except DatabaseError as error:
            raise _translated(error) from error
    return rows[0][0] if rows else None


def lock(pool_id: int, at: datetime) -> None:
    """The pool's capacity is ours until the transaction ends. Raises Busy, ClockAhead, NotFound."""
    call("capacity_lock", pool=pool_id, at=at, replay=is_replaying())


def _translated(error: DatabaseError) -> Exception:
    cause = error.__cause__
    state = getattr(cause, "sqlstate", None)
    if state == _REFUSED:
        diagnosis = cause.diag  # type: ignore[union-attr]
        return refusal(diagnosis.message_primary, json.loads(diagnosis.message_detail or "{}"))
    if state in _BUSY:
        return Busy()
    if state == _NO_SUCH_ROW:
        return NotFound()
    if state == _OVERLAP:
        return CapacityTaken(free_units=0)
    return error


def refusal(code: str, particulars: Mapping[str, Any]) -> DomainError:
    return _REFUSALS[code](**particulars)
