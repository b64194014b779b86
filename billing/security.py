"""押金: kept apart from the deposit, to the end of a lease, against what it may owe then."""

from __future__ import annotations

from datetime import datetime

from billing import chart, ledger
from billing.ledger import Kind
from billing.models import LeaseTally
from inventory.actors import Actor
from marketplace.models import Lease


def take(
    lease_id: str, *, wallet: str, security: str, amount_minor: int, at: datetime, actor: Actor
) -> None:
    """押金: wallet → security, for the reservation or basket of that id."""
    if amount_minor:
        ledger.post(
            kind=Kind.SECURITY_TAKEN,
            key=f"deal:{lease_id}:security",
            entries=[(wallet, amount_minor), (security, -amount_minor)],
            at=at,
            actor=actor,
            external_reference=lease_id,
        )


def give_back(
    *, lease: Lease, tally: LeaseTally, debt_minor: int, at: datetime, actor: Actor
) -> int:
    """The security is the tenant's again, after what the lease owes; returns what reached the
    wallet. The caller holds lease and tally; locks the balances."""
    if not tally.security_minor:
        return 0
    tenant, currency = lease.tenant, lease.currency
    security, wallet = chart.security(tenant, currency), chart.wallet(tenant, currency)
    receivable = chart.receivable(tenant, currency)
    owed = ledger.lock([security, wallet, receivable])[receivable]
    paid = min(debt_minor, owed, tally.security_minor)
    entries = [
        (security, tally.security_minor),
        (receivable, -paid),
        (wallet, paid - tally.security_minor),
    ]
    ledger.post(
        kind=Kind.SECURITY_RETURNED,
        key=f"lease:{lease.public_id}:security_returned",
        entries=[entry for entry in entries if entry[1]],
        at=at,
        actor=actor,
        external_reference=lease.public_id,
    )
    returned = tally.security_minor - paid
    tally.security_minor = 0
    tally.save(update_fields=["security_minor"])
    return returned
