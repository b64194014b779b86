"""Balances of busy accounts without summing all they ever saw."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from billing.ledger_calls import call

EVERY = 10_000  # entries of an account; a sum over so many takes a few milliseconds
PATIENCE = timedelta(seconds=2)


def take(*, at: datetime, every: int = EVERY, patience: timedelta = PATIENCE) -> int:
    """Accounts without a balance row, with `every` new entries, get a checkpoint; how many did.

    None where postings under way did not end within `patience`: a later sweep takes them. Locks
    nothing that a posting needs. Idempotent. Must not run inside a transaction that has posted
    for long: it would itself be waited for by others.
    """
    with transaction.atomic():
        return int(call("SELECT ledger_take_checkpoints(%s, %s, %s)", [every, at, patience]))
