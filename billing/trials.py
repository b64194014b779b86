"""Trials: held like any deal, and converted while they run; money and machines together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from billing import checkout, funding
from inventory import identifiers, transactions
from inventory.actors import Actor
from inventory.errors import NotFound
from marketplace import leases, policy, reservations, trials
from marketplace.models import Lease, Reservation
from marketplace.trials import Conversion


def hold(
    *,
    listing_public_id: str,
    unit_count: int | None = None,
    hours: int | None = None,
    start_at: datetime | None = None,
    project_id: int | None,
    at: datetime,
    actor: Actor,
    ssh_keys: Sequence[str] = (),
) -> Reservation:
    """A trial is held until its `expires_at`; it is confirmed like any other reservation.

    Locks as `checkout.hold`. Not idempotent: the entry's key is. Raises what
    `trials.prospect` and `checkout.keep` raise.
    """
    with transactions.whole():
        tenant = reservations.lock_tenant(actor.organisation_id)
        prospect = trials.prospect(
            listing_id=listing_public_id,
            tenant=tenant,
            unit_count=unit_count,
            hours=hours,
            start_at=start_at,
            at=at,
        )
        checkout.require_tradable(prospect.listing, tenant)
        return checkout.keep(
            prospect, tenant=tenant, project_id=project_id, at=at, actor=actor, ssh_keys=ssh_keys
        )


def quote_conversion(
    *, lease_public_id: str, hours: int, from_at: datetime | None, at: datetime, actor: Actor
) -> Conversion:
    """What `convert` at that instant would make. Changes nothing, locks nothing.

    Raises NotFound, and what `trials.conversion` raises.
    """
    rows = Lease.objects.visible_to(actor).filter(tenant_id=actor.organisation_id)
    trial = identifiers.find(rows, lease_public_id, "No such lease")
    return trials.conversion(trial=trial, hours=hours, from_at=from_at, at=at)


def convert(
    *, lease_public_id: str, hours: int, from_at: datetime | None, at: datetime, actor: Actor
) -> Lease:
    """The running trial goes on as a lease on the same nodes; what is due moves at once.

    Locks the tenant's organisation, the trial's lease, the wallet, and the pool last. Not
    idempotent: the entry's key is. Raises NotFound, DebtOpen, QuotaExceeded, InsufficientFunds,
    CapacityTaken, and what `trials.conversion` and `trials.convert` raise.
    """
    with transactions.whole():
        tenant = reservations.lock_tenant(actor.organisation_id)
        trial = leases.lock(lease_public_id)
        if trial.tenant_id != tenant.pk or actor.project_id not in (None, trial.project_id):
            raise NotFound("No such lease")
        agreed = trials.conversion(trial=trial, hours=hours, from_at=from_at, at=at)
        standing = checkout.standing_of(tenant, project_id=trial.project_id, at=at, actor=actor)
        policy.check_quotas(standing, agreed.ask)
        public_id = identifiers.new("rsv")
        funding.lock_purse(tenant, agreed.quote.currency)
        funding.fund(
            tenant,
            currency=agreed.quote.currency,
            due_minor=agreed.quote.due_minor,
            security_minor=agreed.quote.security_minor,
            public_id=public_id,
            at=at,
            actor=actor,
        )
        lease = trials.convert(agreed=agreed, reservation_public_id=public_id, at=at, actor=actor)
        funding.open_books([lease], at=at, actor=actor)
    return lease
