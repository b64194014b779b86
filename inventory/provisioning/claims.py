"""Which worker may step a row: a token on the row, for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model

from inventory.errors import Busy, DomainError

logger = logging.getLogger(__name__)

# Longer than a batch may take and a driver may block; after a kill the row waits this long.
CLAIM = timedelta(seconds=60)
# After this much of a claim nothing new is begun on it; the rest of the batch goes back.
WORK_SECONDS = 30.0

Row = TypeVar("Row", bound=Model)

_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM {table}
    WHERE state = ANY(%(states)s) AND (next_step_at IS NULL OR next_step_at <= %(at)s)
      AND (claimed_until IS NULL OR claimed_until <= %(at)s)
      AND NOT ({but})
      AND (%(only)s::bigint IS NULL OR id = %(only)s)
    ORDER BY next_step_at NULLS FIRST, id
    LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE {table} SET claim_token = gen_random_uuid(), claimed_until = %(until)s
FROM due WHERE {table}.id = due.id
RETURNING {table}.id, claim_token
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row this worker may step until `until`, and the token that proves it."""

    id: int
    token: UUID
    until: datetime
    taken: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        """Whether there is time to begin a step, whatever the server's clock says."""
        return time.monotonic() - self.taken < WORK_SECONDS


def claim_due(
    model: type[Model],
    *,
    states: Sequence[str],
    at: datetime,
    limit: int,
    only: int | None = None,
    but: str = "false",
) -> list[Claimed]:
    """Claims up to `limit` rows that are due, longest waiting first, in one statement.

    Rows another worker holds are skipped, not waited for. A null `next_step_at` is due.
    `but` is an SQL condition, written by the caller and not by its caller, on rows left out.
    """
    until = at + CLAIM
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM.format(table=model._meta.db_table, but=but),
            {"states": list(states), "at": at, "limit": limit, "until": until, "only": only},
        )
        return [Claimed(id=id, token=token, until=until) for id, token in cursor.fetchall()]


def work_off(claims: list[Claimed], step: Callable[[Claimed], None], model: type[Model]) -> int:
    """Steps each in turn; what there is no time for, and what is busy, goes back at once.

    Returns how many were stepped. One row's failure holds up no other.
    """
    stepped = 0
    for claim in claims:
        if not claim.is_fresh:
            hand_back(model, claim)
            continue
        try:
            step(claim)
        except Busy:
            hand_back(model, claim)
        except DomainError as error:
            logger.warning("%s %s waits: %s", model._meta.model_name, claim.id, error)
        except Exception:
            # The row keeps its claim until it lapses: a pause before the next try.
            logger.exception("%s %s could not be stepped", model._meta.model_name, claim.id)
        else:
            stepped += 1
    return stepped


def take(model: type[Row], claim: Claimed) -> Row | None:
    """The row, locked, or None where the claim is no longer ours: then the result is dropped."""
    rows: Any = model._default_manager.select_for_update(of=("self",), no_key=True)
    found: Row | None = rows.filter(pk=claim.id, claim_token=claim.token).first()
    return found


def hand_back(model: type[Model], claim: Claimed) -> None:
    """The row may be claimed again at once; nothing happens where the claim is no longer ours."""
    with transaction.atomic():
        model._default_manager.filter(pk=claim.id, claim_token=claim.token).update(
            claim_token=None, claimed_until=None
        )


def rest(row: Any, *, until: datetime | None) -> None:
    """The locked row is given back and due again at `until`, or at once where that is None."""
    row.claim_token = None
    row.claimed_until = None
    row.next_step_at = until
    row.save(update_fields=["claim_token", "claimed_until", "next_step_at"])
