"""Money that reached a wallet pays first what its tenant owes."""

from __future__ import annotations

from datetime import datetime

from billing import chart, ledger
from billing.ledger import Kind
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden
from inventory.models import Organisation


class DebtOpen(DomainError):
    """The tenant owes for hours it used; it pays them before it makes another deal."""

    code = "debt_open"
    title = "What was used before has to be paid first"
    status = 402


class SamePerson(Forbidden):
    """Two persons decide about money: whoever did the first step does not do the second."""

    code = "same_person"
    title = "Another person has to decide"


def clear_receivable(
    tenant: Organisation,
    *,
    currency: str,
    up_to_minor: int,
    cause: str,
    at: datetime,
    actor: Actor,
) -> int:
    """What the tenant owes is paid from money that just reached its wallet; returns how much.

    Never more than `up_to_minor`, so that a credit limit is not spent on it. Idempotent by
    `cause`. Locks the wallet and the receivable.
    """
    wallet, owed = chart.wallet(tenant, currency), chart.receivable(tenant, currency)
    cleared = min(up_to_minor, ledger.lock([wallet, owed])[owed])
    if cleared <= 0:
        return 0
    ledger.post(
        kind=Kind.RECEIVABLE_CLEARED,
        key=f"{cause}:cleared",
        entries=[(wallet, cleared), (owed, -cleared)],
        at=at,
        actor=actor,
    )
    return cleared
