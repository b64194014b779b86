"""The only way to hold, confirm and give back a deal: its money and its machines together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from billing import changes, chart, closing, funding, instalments, ledger, payments, security
from billing import selling as modes
from billing.ledger import Kind
from billing.models import Charge, LeaseTally
from inventory import actors, identifiers, transactions, transitions
from inventory.actors import Actor
from inventory.capacity import CapacityTaken
from inventory.errors import DomainError, NotFound
from inventory.models import Organisation
from marketplace import approvals, leases, offers, policy, prospects, reservations, selling
from marketplace.models import Basket, Lease, Listing, Reservation
from marketplace.money import Amounts
from marketplace.offers import Offer
from marketplace.prospects import Prospect
from marketplace.reservations import ListingClosed

logger = logging.getLogger(__name__)
ACTOR = actors.system("holds")
State = Reservation.State


class SellingModeUnavailable(DomainError):
    """The centre sells it itself and is paid by itself: one deal at a time, no trial, no basket."""

    code = "selling_mode_unavailable"
    title = "What a centre sells directly is held by itself"


class PaidToTheCentre(DomainError):
    """The tenant pays the centre, which confirms the deal once it has the money."""

    code = "paid_to_the_centre"
    title = "The centre confirms this deal when it has received the price"


@dataclass(frozen=True, slots=True)
class CancelQuote:
    """What giving a deal back now would return, in minor units, before anything is done."""

    currency: str
    share_bps: int  # refunded, of what was paid
    refund_minor: int
    kept: Amounts
    pays_back: selling.Side = "operator"


def hold(
    *,
    offer_token: str,
    project_id: int | None,
    at: datetime,
    actor: Actor,
    ssh_keys: Sequence[str] = (),
    pay_by: str = Reservation.PayBy.WALLET,
) -> Reservation:
    """Capacity and a deposit for it are kept until the reservation's `expires_at`.

    Who pays by bank gets days instead of minutes, for a larger deposit: the deposit comes from
    the wallet either way, so that nothing is held unconditionally.

    Locks the tenant's organisation, its wallet, and the pool last. Not idempotent: the
    entry's key is. Raises OfferInvalid, OfferExpired, InsufficientFunds, SelfTrade,
    and what `prospects.with_tenant` and `reservations.place` raise. Where
    the capacity is taken the refusal carries the next best `offers`.
    """
    offer = offers.read_token(offer_token, at)
    with transactions.whole():
        # First in the order of locks; it also lines up a tenant's holds before its hold limit.
        tenant, prospect = prospects.with_tenant(
            offer, organisation_id=actor.organisation_id, at=at, pay_by=pay_by
        )
        require_other(prospect.listing, tenant)
        return keep(
            prospect, tenant=tenant, project_id=project_id, at=at, actor=actor, ssh_keys=ssh_keys
        )


def standing_of(
    tenant: Organisation, *, project_id: int | None, at: datetime, actor: Actor
) -> policy.Standing:
    """Of the locked tenant, as this actor's hold in that project is held against it."""
    return policy.standing(
        tenant_id=tenant.pk,
        project_id=project_id,
        key_id=actor.label if actor.kind == "key" else None,
        discreet=actor.project_id is not None,
        at=at,
    )


def keep(
    prospect: Prospect,
    *,
    tenant: Organisation,
    project_id: int | None,
    at: datetime,
    actor: Actor,
    ssh_keys: Sequence[str] = (),
) -> Reservation:
    """The deposit is kept aside and the capacity held, for the locked tenant. Raises
    InsufficientFunds, and what `reservations.place` raises."""
    quote, public_id = prospect.quote, identifiers.new("rsv")
    standing = standing_of(tenant, project_id=project_id, at=at, actor=actor)
    terms = prospect.hold_terms(lapsed_count=standing.lapsed_count, at=at)
    deposit = terms.deposit_minor(quote.gross_minor)
    funding.keep_aside(
        tenant,
        currency=quote.currency,
        deposit_minor=deposit,
        public_id=public_id,
        expires_at=prospect.expires_at,
        at=at,
    )
    try:
        return reservations.place(
            reservation_public_id=public_id,
            prospect=prospect,
            tenant=tenant,
            standing=standing,
            project_id=project_id,
            hold_deposit_minor=deposit,
            at=at,
            actor=actor,
            ssh_keys=ssh_keys,
        )
    except (CapacityTaken, ListingClosed) as refusal:
        # A row said so, no error of the database: what can be had instead may still be read,
        # before all of it is given up.
        transaction.set_rollback(False)
        instead = offers.next_best(
            claim=prospect.offer, actor=actor, lapsed_count=standing.lapsed_count, at=at
        )
        refusal.add(offers=[_in_short(offer) for offer in instead])
        raise


def _in_short(offer: Offer) -> dict[str, object]:
    """What can be held instead, under the names that a search has for it."""
    return {
        "token": offer.token,
        "expires_at": offer.expires_at,
        "listing": offer.listing_id,
        "start_at": offer.start_at,
        "end_at": offer.end_at,
        "unit_count": offer.unit_count,
        "card_count": offer.card_count,
        "currency": offer.currency,
        "gross_minor": offer.gross_minor,
        "card_hour_micro": offer.card_hour_micro,
    }


def confirm(*, reservation_public_id: str, at: datetime, actor: Actor) -> Lease:
    """What is due moves from the wallet to the lease's deposit, and the deal is a lease.

    Locks the reservation, the wallet, and the pool last. Not idempotent: a second one finds
    the reservation confirmed. Raises NotFound, InABasket, ApprovalPending,
    OrganisationUnverified, DebtOpen, InsufficientFunds, CreditExceeded, HoldExpired,
    IllegalTransition, PaidToTheCentre where it is sold directly.
    """
    with transactions.whole():
        reservation = _lock_visible(reservation_public_id, actor)
        reservations.require_single(reservation)
        if selling.parties(reservation.selling).payee == "provider":
            raise PaidToTheCentre
        approvals.require_approved(reservation, at)
        tenant, currency = reservation.tenant, reservation.currency
        policy.require_verified(tenant)
        if reservation.state == State.HELD:  # any other is refused by reservations.confirm
            funding.lock_purse(tenant, currency)
            funding.release_hold(reservation, at)
            funding.fund(
                tenant,
                currency=currency,
                due_minor=reservation.due_minor,
                security_minor=reservation.security_minor,
                public_id=reservation.public_id,
                at=at,
                actor=actor,
            )
        lease = reservations.confirm(reservation=reservation, at=at, actor=actor)
        funding.open_books([lease], at=at, actor=actor)
    return lease


def quote_cancel(*, reservation_public_id: str, at: datetime, actor: Actor) -> CancelQuote:
    """What `cancel` at that instant would give back. Changes nothing, locks nothing.

    Raises NotFound, CancelWindowClosed, IllegalTransition where it is over already.
    """
    rows = Reservation.objects.visible_to(actor).select_related("lease__price", "lease__terms")
    reservation = identifiers.find(rows, reservation_public_id, "No such reservation")
    return _cancel_quote(reservation, at)


def cancel(
    *,
    reservation_public_id: str,
    at: datetime,
    actor: Actor,
    reason: str,
    as_of: datetime | None = None,
) -> Reservation:
    """The deal is given back: free while held; by its terms while its lease waits to start.

    `as_of` is the instant of a quote that still holds: the refund is the one quoted then.

    A confirmed one: the refund goes from the deposit to the wallet, the kept share becomes a
    charge. What comes free pays what the tenant owes first. Locks reservation, lease, tally,
    balances, and the pool last. Not idempotent. Raises NotFound, InABasket, CancelWindowClosed,
    IllegalTransition.
    """
    with transactions.whole():
        reservation = _lock_visible(reservation_public_id, actor)
        reservations.require_single(reservation)
        if reservation.state != State.CONFIRMED:
            if reservation.state == State.HELD:
                funding.give_hold_back(reservation, at=at, actor=actor)
            return reservations.cancel(reservation=reservation, at=at, actor=actor, reason=reason)
        lease = leases.lock(reservation.lease.pk)
        quote = _cancel_quote(reservation, as_of or at, lease)
        tally = closing.tally_of(lease)
        _settle_cancelled(lease, tally, quote, at=at, actor=actor)
        closing.mark_closed(
            lease,
            charged_minor=quote.kept.gross_minor,
            returned_minor=quote.refund_minor,
            at=at,
            actor=actor,
        )
        leases.cancel(lease=lease, at=at, actor=actor, reason=reason)
        transitions.advance(
            reservation,
            to=State.CANCELLED,
            at=at,
            actor=actor,
            reason=reason,
            changed=reservations.commits(reservation, minor=quote.kept.gross_minor, card_seconds=0),
        )
    return reservation


def reject(*, reservation_public_id: str, at: datetime, actor: Actor, reason: str) -> Reservation:
    """The provider declines a hold that waits for it: all of it goes back to the tenant.

    It counts as no lapse. Locks reservation, balances, and the pool last. Not idempotent: a
    second one finds it decided. Raises what `approvals.lock` and `approvals.reject` raise.
    """
    with transactions.whole():
        reservation = approvals.lock(reservation_public_id, actor)
        approvals.reject(reservation=reservation, at=at, actor=actor, reason=reason)
        funding.give_hold_back(reservation, at=at, actor=actor)
        return reservations.cancel(reservation=reservation, at=at, actor=actor, reason=reason)


def expire_due(*, at: datetime, limit: int) -> int:
    """Holds that lapsed give back their capacity and their money; returns how many.

    One transaction each, so that one that cannot lapse holds up no other. Idempotent.
    """
    lapsed = 0
    for pk in reservations.due(at=at, limit=limit):
        try:
            with transaction.atomic():
                reservation = reservations.lock(pk)
                if reservation.state != State.HELD:  # confirmed or cancelled meanwhile
                    continue
                funding.give_hold_back(reservation, at=at, actor=ACTOR)
                reservations.expire(reservation=reservation, at=at)
        except DomainError as error:
            logger.warning("reservation %s does not lapse: %s", pk, error)
        else:
            lapsed += 1
    return lapsed


def close_leases(*, at: datetime, limit: int) -> int:
    """See `closing.close_leases`."""
    return closing.close_leases(at=at, limit=limit)


def _lock_visible(public_id: str, actor: Actor) -> Reservation:
    """The tenant's own reservation, locked; the provider's view of it is no right to act."""
    reservation = reservations.lock(public_id)
    require_own(reservation, actor)
    return reservation


def require_own(held: Reservation | Basket, actor: Actor) -> None:
    """Raises NotFound where another tenant acts, or a key of another project."""
    foreign = actor.kind != "system" and held.tenant_id != actor.organisation_id
    if foreign or actor.project_id not in (None, held.project_id):
        raise NotFound(f"No such {held._meta.model_name}")


def require_other(listing: Listing, tenant: Organisation) -> None:
    """Raises SelfTrade."""
    if listing.provider_id == tenant.pk:
        raise reservations.SelfTrade


def require_tradable(listing: Listing, tenant: Organisation) -> None:
    """Where the market has to be paid: in a basket, on trial. Raises SelfTrade,
    SellingModeUnavailable."""
    require_other(listing, tenant)
    if listing.selling == Listing.Selling.DIRECT:
        raise SellingModeUnavailable(selling=listing.selling)


def _cancel_quote(
    reservation: Reservation, at: datetime, lease: Lease | None = None
) -> CancelQuote:
    if reservation.state not in (State.HELD, State.CONFIRMED):
        raise transitions.IllegalTransition("It is over already", state=reservation.state)
    if reservation.state == State.HELD:
        return CancelQuote(reservation.currency, 10_000, 0, Amounts(0, 0, 0, 0))
    quote = leases.quote_cancel(lease=lease or reservation.lease, at=at)
    return CancelQuote(
        reservation.currency,
        quote.share_bps,
        quote.refund_minor,
        quote.kept,
        selling.parties(reservation.selling).payee,
    )


def _settle_cancelled(
    lease: Lease, tally: LeaseTally, quote: CancelQuote, *, at: datetime, actor: Actor
) -> None:
    """Deposit → wallet and, for the kept share, → provider, fee, VAT; the deposit is spent."""
    tenant, currency = lease.tenant, lease.currency
    instalments.drop(lease=lease, at=at, actor=actor, reason="cancelled")
    refund_minor = quote.refund_minor - tally.security_minor
    direct = quote.pays_back == "provider"  # then refund and price are between the two
    charge = changes.charge(lease, Charge.Kind.CANCELLATION, quote.kept, at)
    charge.deposit_minor = quote.kept.gross_minor - charge.direct_minor
    entries = modes.earned(charge, lease.provider)
    if not direct:
        entries += [
            (chart.deposit(tenant, currency), tally.deposit_left_minor),
            (chart.wallet(tenant, currency), -refund_minor),
        ]
    booked = [entry for entry in entries if entry[1]]
    transaction_id = None
    if booked:
        transaction_id = ledger.post(
            kind=Kind.DEAL_CANCELLED,
            key=f"lease:{lease.public_id}:cancelled",
            entries=booked,
            at=at,
            actor=actor,
            external_reference=lease.public_id,
        )
    security.give_back(lease=lease, tally=tally, debt_minor=0, at=at, actor=actor)
    if quote.refund_minor and not direct:
        payments.clear_receivable(
            tenant,
            currency=currency,
            up_to_minor=quote.refund_minor,
            cause=f"lease:{lease.public_id}:cancelled",
            at=at,
            actor=actor,
        )
    if quote.kept.gross_minor:
        charge.ledger_transaction_id = transaction_id
        charge.save(force_insert=True)
    tally.deposit_left_minor = 0
    tally.paid_minor -= refund_minor + quote.kept.gross_minor
    tally.save(update_fields=["deposit_left_minor", "paid_minor"])
