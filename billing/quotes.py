"""Changes by the frozen terms: asked for with a quote first, done exactly as quoted."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from billing import changes, checkout, closing, selling
from billing.changes import Locked
from billing.models import LeaseTally, Quote
from inventory import identifiers, transactions, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.periods import Period
from marketplace import amendments, extensions, leases, policy, reservations
from marketplace.amendments import Side
from marketplace.changes import Change, Paid
from marketplace.models import Amendment, Lease, Reservation

Kind = Quote.Kind
SIDES = {
    Kind.CANCEL: Side.TENANT,
    Kind.EXTEND: Side.TENANT,
    Kind.LEAVE: Side.TENANT,
    Kind.WITHDRAW: Side.PROVIDER,
}


class QuoteExpired(DomainError):
    """The quote was good for some minutes."""

    code = "quote_expired"
    title = "The quote has expired"
    status = 410


class QuoteStale(DomainError):
    """Accepting would no longer come to what was quoted: ask for a fresh quote."""

    code = "quote_stale"
    title = "The lease has changed since it was quoted"


class QuoteAccepted(DomainError):
    """A quote is accepted once."""

    code = "quote_accepted"
    title = "The quote was accepted before"


class NotStarted(DomainError):
    """Before its start a lease is cancelled, by another schedule."""

    code = "not_started"
    title = "The lease has not started yet"


def ask(
    *,
    lease_public_id: str,
    kind: str,
    end: datetime | None,
    at: datetime,
    actor: Actor,
    reason: str = "",
) -> Quote:
    """What a change would come to, promised until the quote's `expires_at`. Changes no lease.

    `end` is the lease's new end; a cancellation has none, and a withdrawal with its start as
    the new end takes back the whole lease. Raises NotFound, WrongSide, IllegalTransition,
    InvalidEnd, CancelWindowClosed, NoticeTooShort, PaidToTheCentre, and what
    `extensions.blocks_for` raises.
    Not idempotent: the entry's key is.
    """
    lease = _visible(lease_public_id, actor)
    wanted = Kind(kind)
    amendments.require_side(lease, actor, SIDES[wanted])
    if (end is None) != (wanted == Kind.CANCEL):
        raise Invalid("A cancellation has no end; every other change has one")
    if wanted == Kind.EXTEND and selling.is_direct(lease):
        # Nobody here can see that it is paid: the centre signs a proposal once it has the price.
        raise checkout.PaidToTheCentre
    if wanted == Kind.WITHDRAW and not reason:
        raise Invalid("Say why the lease is withdrawn")
    period = Period.of(lease.period)
    paid = LeaseTally.objects.get(lease=lease).ahead
    change = _figures(lease, wanted, end or period.end, paid, at, at)
    if wanted == Kind.EXTEND and end is not None:
        policy.require_verified(lease.tenant)
        extensions.blocks_for(lease=lease, end=end, at=at, by_terms=True)
    return Quote.objects.create(
        lease=lease,
        asked_by_id=lease.tenant_id if SIDES[wanted] == Side.TENANT else lease.provider_id,
        kind=wanted,
        reason=reason,
        amendment_before_id=lease.amendment_id,
        period=_shown(period, end),
        **amendments.figures(change),
        created_at=at,
        expires_at=at + timedelta(seconds=settings.QUOTE_SECONDS),
    )


def accept(*, quote_public_id: str, at: datetime, actor: Actor) -> Quote:
    """The change is done, to the minor unit as it was quoted, or not at all.

    Locks the tenant (for an extension), reservation, lease, quote, tally, balances, and the pool
    last. Raises NotFound, OrganisationUnverified, QuoteAccepted, QuoteExpired, QuoteStale,
    QuotaExceeded, DebtOpen, InsufficientFunds, CompensationUncovered, CapacityTaken with the
    latest possible end. Not idempotent.
    """
    with transactions.whole():
        found = _find(quote_public_id, actor)
        deal = changes.lock(lease=found.lease, asks_more=found.kind == Kind.EXTEND)
        lease = deal.lease
        quote = Quote.objects.select_for_update(of=("self",), no_key=True).get(pk=found.pk)
        _require_open(quote, lease, at)
        tally = closing.tally_of(lease)
        try:
            now = _figures(lease, Kind(quote.kind), _end(quote), tally.ahead, quote.created_at, at)
        except DomainError as error:  # its time has passed, or the lease is over
            raise QuoteStale(why=error.code) from error
        if now != quote.change:
            raise QuoteStale
        quote.amendment = _do(quote, deal, tally, at, actor)
        quote.accepted_at = at
        quote.save(update_fields=["accepted_at", "amendment"])
    return quote


def _figures(
    lease: Lease,
    kind: Kind,
    end: datetime,
    paid: Paid,
    noticed: datetime,
    at: datetime,
) -> Change:
    """What the change comes to at `at`, notice counted from `noticed` on."""
    if kind == Kind.CANCEL:
        leases.require_cancellable(lease=lease, at=at)
        quote = leases.quote_cancel(lease=lease, at=noticed)
        return Change(
            gross_minor=0,
            due_minor=lease.due_minor - quote.refund_minor,
            refund_minor=quote.refund_minor,
            share_bps=quote.share_bps,
            kept=quote.kept,
        )
    amendments.require_running(lease)
    if kind == Kind.EXTEND:
        return amendments.longer(lease=lease, end=end, at=at)
    if kind == Kind.LEAVE:
        if lease.state == Lease.State.SCHEDULED and at < Period.of(lease.period).start:
            raise NotStarted(start_at=Period.of(lease.period).start)
        amendments.check_earlier_end(lease=lease, end=end, at=at)
        return amendments.shorter(
            lease=lease,
            end=end,
            paid=paid,
            refund_bps=amendments.leaving_bps(lease=lease, end=end, at=noticed),
            at=at,
        )
    whole = lease.state == Lease.State.SCHEDULED
    amendments.check_earlier_end(lease=lease, end=end, at=at, whole=whole)
    return amendments.shorter(
        lease=lease,
        end=end,
        paid=paid,
        refund_bps=10_000,
        at=at,
        compensation_bps=amendments.withdrawal_bps(lease=lease, end=end, at=noticed),
    )


def _do(
    quote: Quote, deal: Locked, tally: LeaseTally, at: datetime, actor: Actor
) -> Amendment | None:
    """The change itself; a cancellation leaves no amendment, for it leaves no lease."""
    lease = deal.lease
    if quote.kind == Kind.CANCEL:
        checkout.cancel(
            reservation_public_id=lease.reservation.public_id,
            at=at,
            as_of=quote.created_at,
            actor=actor,
            reason=quote.reason,
        )
        return None
    takes_all, end = _takes_all(quote), _end(quote)
    block_ids: list[int] = []
    if quote.kind == Kind.EXTEND:
        block_ids = extensions.blocks_for(lease=lease, end=end, at=at, by_terms=True)
    amendment = amendments.by_terms(
        lease=lease,
        kind=Amendment.Kind(quote.kind),
        end=end,
        change=quote.change,
        at=at,
        actor=actor,
        reason=quote.reason,
    )
    if not takes_all:
        changes.carry_out(
            reservation=deal.reservation,
            lease=lease,
            tally=tally,
            amendment=amendment,
            block_ids=block_ids,
            at=at,
            actor=actor,
        )
        return amendment
    leases.amend(lease=lease, amendment=amendment)
    changes.move(
        reservation=deal.reservation,
        lease=lease,
        tally=tally,
        amendment=amendment,
        at=at,
        actor=actor,
    )
    leases.cancel(
        lease=lease,
        at=at,
        actor=actor,
        reason=quote.reason,
        end_reason=Lease.EndReason.WITHDRAWN_BY_PROVIDER,
        evidence=amendment.public_id,
    )
    transitions.advance(
        deal.reservation,
        to=Reservation.State.CANCELLED,
        at=at,
        actor=actor,
        reason=quote.reason,
        changed=reservations.commits(
            deal.reservation, minor=closing.kept_minor(lease), card_seconds=0
        ),
    )
    return amendment


def _takes_all(quote: Quote) -> bool:
    """Nothing of the lease remains. A withdrawal of all of it shows the period it would have had;
    its price says nothing, for what remains of a free trial costs nothing either."""
    return quote.kind == Kind.CANCEL or (
        quote.kind == Kind.WITHDRAW and quote.period == quote.lease.period
    )


def _end(quote: Quote) -> datetime:
    end: datetime = quote.period.lower if _takes_all(quote) else quote.period.upper
    return end


def _shown(period: Period, end: datetime | None) -> object:
    """The period after the change; where nothing would remain of it, what it would have been."""
    return period.range if end in (None, period.start) else Period(period.start, end).range


def _visible(public_id: str, actor: Actor) -> Lease:
    rows = Lease.objects.visible_to(actor).select_related(
        "price", "terms", "tenant", "provider", "allocation__pool"
    )
    return identifiers.find(rows, public_id, "No such lease")


def _find(public_id: str, actor: Actor) -> Quote:
    own = Quote.objects.visible_to(actor).filter(asked_by_id=actor.organisation_id)
    return identifiers.find(own, public_id, "No such quote")


def _require_open(quote: Quote, lease: Lease, at: datetime) -> None:
    if quote.accepted_at is not None:
        raise QuoteAccepted(accepted_at=quote.accepted_at)
    if at >= quote.expires_at:
        raise QuoteExpired(expired_at=quote.expires_at)
    if quote.amendment_before_id != lease.amendment_id:
        raise QuoteStale
