"""More units for a lease: a child with an allocation of its own, until the parent's end."""

from __future__ import annotations

from datetime import datetime, timedelta

from inventory.actors import Actor
from inventory.errors import Invalid
from inventory.models import Organisation
from inventory.periods import Period, floor_hour
from marketplace import lease_prices, money, policy, reservations
from marketplace.amendments import AmendmentStale, require_growable
from marketplace.models import Amendment, Lease, LeasePrice, Reservation
from marketplace.money import Price, Quote
from marketplace.offers import OfferClaim
from marketplace.prospects import Prospect

MOST_UNITS = 1_000_000
# The hold of the child lives within the transaction that confirms it.
_HELD = timedelta(minutes=1)


def quote(*, lease: Lease, units: int, start: datetime, at: datetime) -> Quote:
    """What so many more units come to from an hour on, at the price the lease has in that hour.

    Raises Invalid unless `start` is a full hour to come within the lease, AmountTooLarge,
    TrialNotExtended.
    """
    require_growable(lease)
    period = Period.of(lease.period)
    if not 1 <= units <= MOST_UNITS:
        raise Invalid("The number of units lies between 1 and 1000000")
    if start != floor_hour(start) or start <= at or not period.start <= start < period.end:
        raise Invalid("Units are added from a full hour (UTC) of the lease that is to come")
    pool = lease.allocation.pool
    return money.quote(
        price=Price.agreed(_segment(lease, start)),
        unit_cards=pool.unit_cards,
        cards_per_node=pool.cards_per_node,
        unit_count=units,
        period=Period(start, period.end),
    )


def quote_of(amendment: Amendment, *, at: datetime) -> Quote:
    """What the units that an amendment adds come to now. Raises AmendmentStale, and as `quote`."""
    assert amendment.added_units is not None
    assert amendment.added_from_at is not None
    if amendment.added_from_at <= at:
        raise AmendmentStale
    return quote(
        lease=amendment.lease, units=amendment.added_units, start=amendment.added_from_at, at=at
    )


def make(
    *,
    amendment: Amendment,
    reservation_public_id: str,
    tenant: Organisation,
    at: datetime,
    actor: Actor,
) -> Lease:
    """The child lease of a proposal that is being signed, from the lease's own listing.

    By the parent's terms, and for all of its time by the price the parent has in its first
    hour. The caller holds tenant, lease and amendment, and has moved the money in the
    same transaction. Locks the pool. Raises AmendmentStale, CapacityTaken, NotOffered,
    ListingClosed. Not idempotent.
    """
    lease = amendment.lease
    assert amendment.added_units is not None
    assert amendment.added_from_at is not None
    quoted = quote_of(amendment, at=at)
    if (quoted.gross_minor, quoted.due_minor) != (
        amendment.added_gross_minor,
        amendment.added_due_minor,
    ):
        raise AmendmentStale
    price = _segment(lease, amendment.added_from_at).price
    claim = OfferClaim(
        listing_id=lease.listing.public_id,
        price_id=price.public_id,
        terms_id=lease.terms.public_id,
        unit_count=amendment.added_units,
        period=Period(amendment.added_from_at, Period.of(lease.period).end),
        expires_at=at + _HELD,
    )
    own_key = actor.kind == "key" and actor.organisation_id == tenant.pk
    held = reservations.place(
        reservation_public_id=reservation_public_id,
        prospect=Prospect(
            claim,
            lease.listing,
            price,
            lease.terms,
            quoted,
            Reservation.PayBy.WALLET,
            at + _HELD,
            decide_by=None,  # the provider has signed
            approvals_needed=0,
        ),
        tenant=tenant,
        standing=policy.standing(
            tenant_id=tenant.pk,
            project_id=lease.project_id,
            key_id=actor.label if own_key else None,
            discreet=actor.organisation_id != tenant.pk or actor.project_id is not None,
            at=at,
        ),
        project_id=lease.project_id,
        hold_deposit_minor=0,
        at=at,
        actor=actor,
        ssh_keys=lease.allocation.ssh_keys,
    )
    return reservations.confirm(reservation=held, at=at, actor=actor, parent=lease)


def _segment(lease: Lease, hour: datetime) -> LeasePrice:
    return lease_prices.at_hour(lease_prices.of(lease), hour)
