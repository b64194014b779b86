"""How often somebody may try a secret: five failures close it for fifteen minutes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

LIMIT = 5
MEMORY_SECONDS = 15 * 60


def key(purpose: str, *whose: str) -> str:
    """The name under which tries are counted; says nothing about whose they are."""
    return f"{purpose}:{hashlib.sha256('|'.join(whose).encode()).hexdigest()}"


def attempt(name: str, check: Callable[[], object]) -> None:
    """Runs the check, unless it has failed too often; raises its refusal.

    Attempts of one name queue up on an advisory lock, so that a burst of parallel guesses is
    counted like any other. A success forgets the failures.
    """
    refusal: ValidationError | None = None
    with transaction.atomic():
        failures = _locked_count(name)
        if failures >= LIMIT:
            refusal = ValidationError(
                _("Too many failed attempts; try again in 15 minutes."), code="throttled"
            )
        else:
            try:
                check()
            except ValidationError as error:
                cache.set(name, failures + 1, MEMORY_SECONDS)
                refusal = error
    if refusal is not None:
        raise refusal  # after the commit, which keeps the count
    forget(name)


def may_ask(name: str) -> bool:
    """Counts one more request that anybody may make; False where there were too many."""
    with transaction.atomic():
        count = _locked_count(name)
        if count >= LIMIT:
            return False
        cache.set(name, count + 1, MEMORY_SECONDS)
    return True


def forget(name: str) -> None:
    cache.delete(name)


def _locked_count(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
    return int(cache.get(name, 0))
