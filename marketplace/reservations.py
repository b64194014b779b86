"""Deals on their way to being funded: placed, confirmed, lapsed or given back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from inventory import (
    acceptance,
    actors,
    capacity,
    identifiers,
    journal,
    transactions,
    transitions,
)
from inventory import ssh_keys as keys
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, NotFound
from inventory.joined import Joined
from inventory.models import Organisation, Pool, Project
from marketplace import approvals, lease_prices, policy, selling
from marketplace.models import Basket, Lease, Listing, Reservation
from marketplace.policy import Standing
from marketplace.prospects import Prospect

State = Reservation.State

_TENANT = Joined(o=Organisation)
_LOCK_TENANT = "SELECT {columns} FROM inventory_organisation o WHERE o.id = %s FOR NO KEY UPDATE"


class ListingClosed(DomainError):
    """The listing sells nothing now: paused, withdrawn, its pool being emptied, or its provider
    no longer verified."""

    code = "listing_closed"
    title = "The listing sells nothing now"


class SelfTrade(DomainError):
    """Provider and tenant are one organisation: its own use is an external allocation."""

    code = "self_trade"
    title = "An organisation cannot rent from itself"


class InABasket(DomainError):
    """It is held together with others: the basket is confirmed or given back, not this one."""

    code = "in_a_basket"
    title = "The reservation is part of a basket"


class NotYetDue(DomainError):
    """The hold has not lapsed yet."""

    code = "not_yet_due"
    title = "The hold has not lapsed yet"


def lock(key: int | str) -> Reservation:
    """The reservation by its number or public id, locked. Raises NotFound."""
    rows = Reservation.objects.select_for_update(of=("self",), no_key=True).select_related(
        "provider", "tenant", "listing", "allocation__pool"
    )
    return identifiers.find(rows, key, "No such reservation")


def lock_of(lease_id: int) -> Reservation:
    """The reservation that a lease was made from, locked; before the lease, in the order of locks.

    Raises NotFound.
    """
    rows = Reservation.objects.select_for_update(of=("self",), no_key=True)
    reservation = rows.filter(lease=lease_id).first()
    if reservation is None:
        raise NotFound("No such lease")
    return reservation


def lock_tenant(organisation_id: int | None) -> Organisation:
    """The organisation that would rent, locked: its holds are counted one by one.

    Raises Forbidden where it is no tenant, OrganisationUnverified, NotFound.
    """
    if organisation_id is None:
        raise Forbidden("Only an organisation can hold")
    found = _TENANT.first(_LOCK_TENANT, [organisation_id])
    if found is None:
        raise NotFound("No such organisation")
    tenant: Organisation = found[0]
    policy.require_tenant(tenant)
    return tenant


def require_single(reservation: Reservation) -> None:
    """Raises InABasket where the locked reservation is held together with others."""
    if reservation.state == State.HELD and reservation.basket_id is not None:
        raise InABasket


def sells(listing: Listing) -> bool:
    """Whether deals are made on it now. A provider that is verified no more sells nothing, even
    before its listings are paused."""
    return (
        listing.state == Listing.State.PUBLISHED
        and listing.pool.state == Pool.State.ACTIVE
        and listing.provider.is_verified
    )


def place(
    *,
    reservation_public_id: str | None,
    prospect: Prospect,
    tenant: Organisation,
    standing: Standing,
    project_id: int | None,
    hold_deposit_minor: int,
    at: datetime,
    actor: Actor,
    ssh_keys: Sequence[str] = (),
    basket: Basket | None = None,
) -> Reservation:
    """Capacity is kept for the locked tenant until the prospect's `expires_at`.

    The standing was read after the tenant was locked; within a `basket` its rules have been
    held against all of it. Locks the pool. Raises ListingClosed, SelfTrade, HoldLimit,
    QuotaExceeded, NotFound (project), SshKeyInvalid, and what `capacity.claim` raises. Not
    idempotent: the entry's key is.
    """
    keys.check(ssh_keys)
    offer, listing, quote = prospect.offer, prospect.listing, prospect.quote
    with transactions.whole():
        # Read without a lock: a hold that began before a pause may end after it. Withdrawal
        # closes the block, and the claim sees that under the pool's lock.
        if not sells(listing):
            raise ListingClosed
        if listing.provider_id == tenant.pk:
            raise SelfTrade
        if project_id is not None:
            _require_own_project(project_id, tenant.pk)
        ask = prospect.ask
        if basket is None:
            policy.check_hold_limit(standing, ask)
            policy.check_quotas(standing, ask)
        allocation = capacity.claim(
            pool_id=listing.pool_id,
            block_ids=[listing.block_id],
            unit_count=offer.unit_count,
            period=offer.period,
            tenant_id=tenant.pk,
            held_until=prospect.expires_at,
            at=at,
            actor=actor,
            ssh_keys=ssh_keys or keys.lines_of(tenant.pk),
        )
        reservation = Reservation(
            public_id=reservation_public_id or identifiers.new("rsv"),
            provider=listing.provider,
            tenant=tenant,
            project_id=project_id,
            listing=listing,
            price=prospect.price,
            terms=prospect.terms,
            allocation=allocation,
            basket=basket,
            kind=prospect.kind,
            trial_pool=listing.pool if prospect.kind == Reservation.Kind.TRIAL else None,
            unit_count=offer.unit_count,
            card_count=quote.card_count,
            pay_by=prospect.pay_by,
            selling=listing.selling,
            period=offer.period.range,
            expires_at=prospect.expires_at,
            currency=quote.currency,
            gross_minor=quote.gross_minor,
            vat_minor=quote.vat_minor,
            fee_minor=quote.fee_minor,
            due_minor=quote.due_minor,
            security_minor=quote.security_minor,
            hold_deposit_minor=hold_deposit_minor,
            discount_bps=quote.discount_bps,
            decide_by=prospect.decide_by,
            approvals_needed=prospect.approvals_needed,
            committed_minor=quote.gross_minor,
            committed_card_seconds=ask.card_seconds,
            actor=actor.label,
            created_at=at,
        )
        journal.create(
            reservation,
            event="reservation.held",
            actor=actor,
            at=at,
            data={
                "listing": listing.public_id,
                "price": prospect.price.public_id,
                "allocation": allocation.public_id,
                "unit_count": offer.unit_count,
                "gross_minor": quote.gross_minor,
                "currency": quote.currency,
                "expires_at": prospect.expires_at.isoformat(),
                "pay_by": prospect.pay_by,
                **_decide_facts(prospect),
            },
        )
    return reservation


def confirm(
    *, reservation: Reservation, at: datetime, actor: Actor, parent: Lease | None = None
) -> Lease:
    """The locked reservation becomes a lease with the same price, units, period and terms.

    `parent` is the lease that it adds units to.

    The caller has moved the money in the same transaction. Locks the pool. Raises
    ApprovalPending, IllegalTransition, HoldExpired. Not idempotent.
    """
    with transactions.whole():
        lease = _begin_lease(reservation, parent=parent, at=at, actor=actor)
        capacity.confirm(allocation_id=reservation.allocation_id, at=at, actor=actor)
    return lease


def confirm_all(*, rows: Sequence[Reservation], at: datetime, actor: Actor) -> list[Lease]:
    """As `confirm` for each of the locked reservations, or for none. Locks the pools in the
    order of their ids."""
    with transactions.whole():
        leases = [_begin_lease(row, at=at, actor=actor) for row in rows]
        capacity.confirm_all(allocation_ids=[row.allocation_id for row in rows], at=at, actor=actor)
    return leases


def _begin_lease(
    reservation: Reservation, *, at: datetime, actor: Actor, parent: Lease | None = None
) -> Lease:
    approvals.require_approved(reservation, at)
    transitions.advance(reservation, to=State.CONFIRMED, at=at, actor=actor)
    return lease_of(reservation, at=at, actor=actor, parent=parent)


def lease_of(
    reservation: Reservation, *, at: datetime, actor: Actor, parent: Lease | None = None
) -> Lease:
    """The lease of a reservation that was confirmed just now, with its first price."""
    pool = reservation.allocation.pool
    lease = Lease(
        reservation=reservation,
        provider=reservation.provider,
        tenant=reservation.tenant,
        project_id=reservation.project_id,
        listing=reservation.listing,
        price_id=reservation.price_id,
        terms_id=reservation.terms_id,
        allocation=reservation.allocation,
        kind=reservation.kind,
        parent=parent,
        unit_count=reservation.unit_count,
        card_count=reservation.unit_count * pool.unit_cards,
        period=reservation.period,
        currency=reservation.currency,
        gross_minor=reservation.gross_minor,
        due_minor=reservation.due_minor,
        security_minor=reservation.security_minor,
        discount_bps=reservation.discount_bps,
        selling=reservation.selling,
        fee_vat_bps=selling.fee_vat_bps(reservation.selling),
        created_at=at,
    )
    journal.create(
        lease,
        event="lease.scheduled",
        actor=actor,
        at=at,
        data={"reservation": reservation.public_id},
    )
    lease_prices.begin(lease=lease, at=at)
    # A trial is a test itself, and what serves on from one was accepted by being used.
    asks = reservation.terms.acceptance_mb_per_second > 0
    if (
        asks
        and lease.kind != Reservation.Kind.TRIAL
        and reservation.allocation.continues_id is None
    ):
        acceptance.require(
            allocation=reservation.allocation,
            threshold_mb_per_second=reservation.terms.acceptance_mb_per_second,
            patience_hours=reservation.terms.acceptance_hours,
            at=at,
            actor=actor,
        )
    return lease


def expire(*, reservation: Reservation, at: datetime) -> Reservation:
    """The locked reservation's hold has lapsed, or nobody decided on it; its capacity is free.

    Locks the pool. Raises NotYetDue, IllegalTransition. Not idempotent.
    """
    if at < approvals.lapses_at(reservation):
        raise NotYetDue
    actor = actors.system("holds")
    silent = approvals.is_undecided(reservation)
    reason = "not decided in time" if silent else "not confirmed in time"
    with transactions.whole():
        transitions.advance(
            reservation,
            to=State.EXPIRED,
            at=at,
            actor=actor,
            reason=reason,
            changed=commits(reservation, minor=0, card_seconds=0),
        )
        if silent and at < reservation.expires_at:  # for its pool the hold is alive
            capacity.release(
                allocation_id=reservation.allocation_id, at=at, actor=actor, reason=reason
            )
        else:
            capacity.expire(allocation_id=reservation.allocation_id, at=at, actor=actor)
    return reservation


def cancel(*, reservation: Reservation, at: datetime, actor: Actor, reason: str) -> Reservation:
    """The locked reservation is given back before it was confirmed; its capacity is free.

    One that has lapsed already becomes expired instead, so that a late cancellation does
    not hide a lapse. Locks the pool. Raises IllegalTransition. Not idempotent.
    """
    if reservation.state == State.CONFIRMED:
        raise transitions.IllegalTransition("A confirmed one is given back with its lease")
    if reservation.state == State.HELD and at >= approvals.lapses_at(reservation):
        return expire(reservation=reservation, at=at)
    with transactions.whole():
        transitions.advance(
            reservation,
            to=State.CANCELLED,
            at=at,
            actor=actor,
            reason=reason,
            changed=commits(reservation, minor=0, card_seconds=0),
        )
        capacity.release(allocation_id=reservation.allocation_id, at=at, actor=actor, reason=reason)
    return reservation


def commits(reservation: Reservation, *, minor: int, card_seconds: int) -> tuple[str, ...]:
    """The locked reservation takes up that much of its tenant's quotas from now on.

    Nothing is written yet: the names of the fields to save are returned.
    """
    reservation.committed_minor = minor
    reservation.committed_card_seconds = card_seconds
    return ("committed_minor", "committed_card_seconds")


def due(*, at: datetime, limit: int) -> list[int]:
    """Numbers of reservations whose hold has lapsed, and of those nobody decided on in time,
    oldest first."""
    held = Reservation.objects.filter(state=State.HELD, basket=None)  # a basket lapses whole
    lapsed = held.filter(expires_at__lte=at).order_by("expires_at")
    silent = held.filter(decision="", decide_by__lte=at).order_by("decide_by")
    found = [*lapsed.values_list("pk", flat=True)[:limit]]
    found += silent.exclude(pk__in=found).values_list("pk", flat=True)[: limit - len(found)]
    return found


def _decide_facts(prospect: Prospect) -> dict[str, object]:
    if prospect.decide_by is None:
        return {}
    return {
        "decide_by": prospect.decide_by.isoformat(),
        "approvals_needed": prospect.approvals_needed,
    }


def _require_own_project(project_id: int, tenant_id: int) -> None:
    if not Project.objects.filter(pk=project_id, organisation_id=tenant_id).exists():
        raise NotFound("No such project")
