"""The end of a lease's money: what is left of its deposit goes back."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Sum

from billing import chart, instalments, ledger, payments, security, selling
from billing.ledger import Kind
from billing.models import Charge, LeaseTally, PriceTally
from inventory import actors, journal
from inventory.actors import Actor
from inventory.errors import DomainError
from marketplace import leases, reservations
from marketplace.models import Lease
from marketplace.selling import parties

logger = logging.getLogger(__name__)
ACTOR = actors.system("closing")


def close_leases(*, at: datetime, limit: int) -> int:
    """Leases that are over and charged to the end give back what is left; returns how many.

    A lease that failed, or was cancelled by its provider, gives back everything at once. One
    transaction each. Locks the reservation, the lease, its tally, then balances. Idempotent.
    """
    closed = 0
    for lease_id in _due(limit):
        try:
            with transaction.atomic():
                closed += _close(lease_id, at)
        except DomainError as error:
            logger.warning("lease %s does not close: %s", lease_id, error)
    return closed


def _due(limit: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT l.id FROM marketplace_lease l
            JOIN inventory_allocation a ON a.id = l.allocation_id
            LEFT JOIN inventory_meteringcursor c ON c.allocation_id = a.id
            LEFT JOIN billing_leasetally t ON t.lease_id = l.id
            WHERE l.closed_at IS NULL AND (
                l.state IN ('failed', 'cancelled')
                -- A node that cannot be wiped is no reason to keep the tenant's money.
                OR (l.state IN ('ending', 'ended') AND c.metered_until >= upper(a.period)
                    AND t.rated_until >= c.metered_until))
              -- Nor are those looked at whose last months are not due yet.
              AND NOT EXISTS (
                SELECT FROM billing_instalment i
                WHERE i.lease_id = l.id AND i.kind = 'arrears'
                  AND i.state IN ('planned', 'unpaid') AND upper(i.period) <= upper(a.period))
            ORDER BY l.id LIMIT %s
            """,
            [limit],
        )
        return [row[0] for row in cursor.fetchall()]


def _close(lease_id: int, at: datetime) -> bool:
    reservation = reservations.lock_of(lease_id)
    lease = leases.lock(lease_id)
    if lease.closed_at is not None:
        return False
    tally = tally_of(lease)
    if not instalments.wind_up(lease=lease, tally=tally, at=at):
        return False
    rest = tally.deposit_left_minor
    if rest:
        if not selling.is_direct(lease):  # else the centre pays it back
            _give_back(lease, rest, at)
        tally.deposit_left_minor = 0
        tally.save(update_fields=["deposit_left_minor"])
    rest += _give_security_back(lease, tally, at)
    mark_closed(lease, charged_minor=tally.gross_minor, returned_minor=rest, at=at, actor=ACTOR)
    # What was not delivered is the tenant's to commit again.
    delivered = PriceTally.objects.filter(price__lease=lease).aggregate(
        card_seconds=Sum("card_seconds", default=0)
    )["card_seconds"]
    reservation.save(
        update_fields=reservations.commits(
            reservation,
            minor=max(tally.gross_minor, 0) + kept_minor(lease),
            card_seconds=max(delivered, 0),
        )
    )
    return True


def tally_of(lease: Lease) -> LeaseTally:
    """The lease's tally, locked: nothing is charged while its deposit is divided."""
    return LeaseTally.objects.select_for_update(no_key=True).get(lease=lease)


def kept_minor(lease: Lease) -> int:
    """What the lease's changes have left with its provider, fee and VAT included."""
    kept = lease.charges.filter(kind=Charge.Kind.LEAVING)
    return int(kept.aggregate(minor=Sum("gross_minor", default=0))["minor"])


def mark_closed(
    lease: Lease, *, charged_minor: int, returned_minor: int, at: datetime, actor: Actor
) -> None:
    """The locked lease's money is settled to the end; journalled."""
    lease.closed_at = at
    lease.save(update_fields=["closed_at"])
    journal.record(
        event="lease.closed",
        object_id=lease.public_id,
        actor=actor,
        at=at,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        data={
            "charged_minor": charged_minor,
            "returned_minor": returned_minor,
            "returned_by": parties(lease.selling).payee,
            "currency": lease.currency,
        },
    )


def _give_security_back(lease: Lease, tally: LeaseTally, at: datetime) -> int:
    """What the lease itself still owes is taken from it, then whatever else its tenant owes."""
    returned = security.give_back(
        lease=lease, tally=tally, debt_minor=instalments.open_debt_minor(lease), at=at, actor=ACTOR
    )
    payments.clear_receivable(
        lease.tenant,
        currency=lease.currency,
        up_to_minor=returned,
        cause=f"lease:{lease.public_id}:security",
        at=at,
        actor=ACTOR,
    )
    return returned


def _give_back(lease: Lease, amount_minor: int, at: datetime) -> None:
    """Deposit → wallet; what the tenant owes is paid from it first."""
    tenant, currency = lease.tenant, lease.currency
    deposit, wallet = chart.deposit(tenant, currency), chart.wallet(tenant, currency)
    ledger.lock([deposit, wallet, chart.receivable(tenant, currency)])
    ledger.post(
        kind=Kind.DEAL_CLOSED,
        key=f"lease:{lease.public_id}:closed",
        entries=[(deposit, amount_minor), (wallet, -amount_minor)],
        at=at,
        actor=ACTOR,
        external_reference=lease.public_id,
    )
    payments.clear_receivable(
        tenant,
        currency=currency,
        up_to_minor=amount_minor,
        cause=f"lease:{lease.public_id}",
        at=at,
        actor=ACTOR,
    )
