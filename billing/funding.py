"""What a hold keeps aside of a wallet, and what a deal is paid with when it is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from billing import chart, credit, instalments, ledger, payments, security
from billing.ledger import Kind
from billing.payments import DebtOpen
from inventory.actors import Actor
from inventory.models import Organisation
from marketplace.models import Basket, Lease, Reservation


def lock_purse(tenant: Organisation, currency: str) -> None:
    """The balances that funding a deal touches are locked. Raises DebtOpen."""
    owed = chart.receivable(tenant, currency)
    wallet, deposit = chart.wallet(tenant, currency), chart.deposit(tenant, currency)
    debt_minor = ledger.lock([wallet, deposit, owed, chart.security(tenant, currency)])[owed]
    if debt_minor := debt_minor or instalments.overdue_minor(tenant.pk, currency):
        raise DebtOpen(owed_minor=debt_minor, currency=currency)


def open_books(leases: Sequence[Lease], *, at: datetime, actor: Actor) -> None:
    """Leases confirmed just now have tallies and instalments, within their tenant's credit.

    Raises CreditExceeded.
    """
    instalments.begin(leases, at=at)
    for lease in leases:
        credit.check(lease, at=at)


def fund(
    tenant: Organisation,
    *,
    currency: str,
    due_minor: int,
    public_id: str,
    at: datetime,
    actor: Actor,
    security_minor: int = 0,
) -> None:
    """Wallet → deposit and, of what is due, → security, for the reservation or basket of that
    id. Raises InsufficientFunds."""
    security.take(
        public_id,
        wallet=chart.wallet(tenant, currency),
        security=chart.security(tenant, currency),
        amount_minor=security_minor,
        at=at,
        actor=actor,
    )
    due_minor -= security_minor
    if due_minor:
        ledger.post(
            kind=Kind.DEAL_FUNDED,
            key=f"deal:{public_id}:funded",
            entries=[
                (chart.wallet(tenant, currency), due_minor),
                (chart.deposit(tenant, currency), -due_minor),
            ],
            at=at,
            actor=actor,
            external_reference=public_id,
        )


def keep_aside(
    tenant: Organisation,
    *,
    currency: str,
    deposit_minor: int,
    public_id: str,
    expires_at: datetime,
    at: datetime,
) -> None:
    """A hold's deposit, for the reservation or basket of that id. Raises InsufficientFunds."""
    if deposit_minor:
        ledger.place_hold(
            key=_hold_key(public_id),
            account=chart.wallet(tenant, currency),
            amount_minor=deposit_minor,
            expires_at=expires_at,
            at=at,
        )


def release_hold(held: Reservation | Basket, at: datetime) -> None:
    """What was kept aside for a hold is free again: it goes into the deal."""
    if held.hold_deposit_minor:
        ledger.release_hold(key=_hold_key(held.public_id), at=at)


def give_hold_back(held: Reservation | Basket, *, at: datetime, actor: Actor) -> None:
    """What was kept aside for a hold is the tenant's again, and pays what it owes first."""
    if not held.hold_deposit_minor:
        return
    release_hold(held, at)
    payments.clear_receivable(
        held.tenant,
        currency=held.currency,
        up_to_minor=held.hold_deposit_minor,
        cause=_hold_key(held.public_id),
        at=at,
        actor=actor,
    )


def _hold_key(public_id: str) -> str:
    return f"hold:{public_id}"
