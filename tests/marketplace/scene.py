"""Listings and deals of the small world, by the product's own verbs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction

from inventory import capacity
from inventory.actors import Actor
from inventory.models import Allocation, Organisation, Pool
from inventory.periods import Period
from inventory.transitions import advance
from marketplace import leases, listings, offers, policy, prospects, reservations
from marketplace.asking import PriceInput, TermsInput
from marketplace.models import Lease, Listing, Reservation
from marketplace.offers import OfferClaim, OfferRequest
from tests import world
from tests.world import SYSTEM, T0, hours, period


@contextmanager
def refused(error: type[Exception]) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """The verb raises, and its part of the transaction is undone."""
    with pytest.raises(error) as refusal, transaction.atomic():
        yield refusal


def listing(
    pool: Pool | None = None,
    *,
    units: int = 4,
    sellable: Period | None = None,
    amount: float = 6.80,
    at: datetime = T0,
    terms: TermsInput | None = None,
    mode: str = "instant",
    selling: str = "agency",
    **price: Any,
) -> Listing:
    """A pool's units on sale for its first 2,000 hours from T0."""
    pool = pool or world.pool()
    asked = {"basis": "card_hour", "amount_micro": round(amount * 10**6), **price}
    return listings.publish(
        pool_id=pool.pk,
        unit_count=units,
        sellable=sellable or period(0, 2000),
        price=PriceInput(**asked),
        terms=terms or TermsInput(),
        mode=mode,
        selling=selling,
        at=at,
        actor=world.actor(pool.provider),
    )


def offer(row: Listing, *, units: int = 1, start: float = 10, end: float = 20) -> OfferClaim:
    """What a search would have signed for this listing."""
    newest = row.prices.order_by("-version").first()
    terms = row.terms.order_by("-version").first()
    assert newest is not None
    assert terms is not None
    return OfferClaim(
        listing_id=row.public_id,
        price_id=newest.public_id,
        terms_id=terms.public_id,
        unit_count=units,
        period=period(start, end),
        expires_at=T0 + hours(max(1000, start)),
    )


def hold(
    row: Listing | OfferClaim,
    *,
    tenant: Organisation | None = None,
    at: datetime = T0,
    deposit_minor: int = 0,
    project_id: int | None = None,
    actor: Actor | None = None,
    ssh_keys: tuple[str, ...] = (),
    **shape: Any,
) -> Reservation:
    claim = row if isinstance(row, OfferClaim) else offer(row, **shape)
    tenant = tenant or world.tenant()
    actor = actor or world.actor(tenant)
    key_id = actor.label if actor.kind == "key" else None
    with transaction.atomic():
        return reservations.place(
            reservation_public_id=None,
            prospect=prospects.of(claim, at=at),
            tenant=reservations.lock_tenant(tenant.pk),
            standing=policy.standing(
                tenant_id=tenant.pk, project_id=project_id, key_id=key_id, at=at
            ),
            project_id=project_id,
            hold_deposit_minor=deposit_minor,
            at=at,
            actor=actor,
            ssh_keys=ssh_keys,
        )


def lease(row: Listing, *, at: datetime = T0, **shape: Any) -> Lease:
    held = hold(row, at=at, **shape)
    return reservations.confirm(
        reservation=reservations.lock(held.pk), at=at, actor=world.actor(held.tenant)
    )


def request(**changes: Any) -> OfferRequest:
    facts: dict[str, Any] = {
        "units": 1,
        "hours": 10,
        "earliest_start": T0 + hours(10),
        "latest_end": T0 + hours(500),
    }
    if "cards" in changes or "nodes" in changes:
        del facts["units"]
    if "minimum_hours" in changes and "hours" not in changes:
        del facts["hours"]
    return OfferRequest(**{**facts, **changes})


def search(at: datetime = T0, tenant: Organisation | None = None, **changes: Any) -> Any:
    return offers.search(
        request=request(**changes), actor=world.actor(tenant or world.tenant()), at=at
    )


def deliver(row: Lease, *, start: datetime, active: datetime) -> Lease:
    """The lease's machines are bound and usable, and the lease has followed."""
    capacity.bind(allocation_id=row.allocation_id, at=start, actor=SYSTEM)
    allocation = Allocation.objects.get(pk=row.allocation_id)
    if allocation.state == Allocation.State.SCHEDULED:
        advance(allocation, to=Allocation.State.DELIVERING, at=start, actor=SYSTEM)
    advance(allocation, to=Allocation.State.ACTIVE, at=active, actor=SYSTEM)
    return leases.follow(lease_id=row.pk, at=active)
