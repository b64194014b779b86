"""All of a verb or nothing of it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.db import connection, transaction


def whole() -> AbstractContextManager[None]:
    """A verb's own block: a transaction where none is open, else a savepoint.

    Directly within an entry's durable transaction it is neither: a refusal gives up all of
    that one, and a savepoint would cost two statements for nothing. Who wants to go on after
    a refusal there opens a block of its own around the verb, as `attempt` does.
    """
    entered = any(getattr(block, "durable", False) for block in connection.atomic_blocks)
    return transaction.atomic(savepoint=not entered)
