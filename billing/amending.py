"""Changes that are negotiated: one side proposes, the other signs, and then all of it is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from billing import changes, checkout, closing, funding, selling
from billing.models import LeaseTally
from inventory import identifiers, transactions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Organisation
from inventory.periods import Period
from marketplace import additions, amendments, extensions, leases, money, policy, repricings
from marketplace.amendments import AmendmentStale, Kind
from marketplace.changes import Change, Paid
from marketplace.models import Amendment, Lease
from marketplace.repricings import NewPrice, Repricing

MOST_HOURS = 24 * 90  # a proposal waits no longer for its answer


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one side asks for: another end, more units, or another price; one of the three."""

    end: datetime | None = None
    refund_bps: int = money.WHOLE_BPS  # where it ends earlier: of what was paid for the rest
    added_units: int | None = None
    added_from: datetime | None = None  # until the lease's own end
    price: NewPrice | None = None
    price_from: datetime | None = None  # until a later price that is agreed already


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a proposal comes to for the lease as it stands."""

    end: datetime
    change: Change
    latest: datetime  # signed later it could no longer be done
    columns: dict[str, Any]  # what else an amendment of its kind says


def propose(
    *,
    lease_public_id: str,
    proposal: Proposal,
    at: datetime,
    actor: Actor,
    reason: str = "",
    answer_hours: int | None = None,
) -> Amendment:
    """An amendment exists that the asking side has signed; nothing of the lease changes.

    Locks the lease. Raises NotFound, IllegalTransition, Invalid, InvalidEnd, AmendmentOpen,
    and what `extensions.blocks_for` and `repricings.asked` raise. Not idempotent: the entry's
    key is.
    """
    hours = settings.AMENDMENT_HOURS if answer_hours is None else answer_hours
    if not 1 <= hours <= MOST_HOURS:
        raise Invalid(f"An answer takes between 1 and {MOST_HOURS} hours")
    with transactions.whole():
        lease = _lock_visible(lease_public_id, actor)
        amendments.require_running(lease)
        kind = _kind(proposal)
        if kind == Kind.UNITS and selling.is_direct(lease):
            raise checkout.SellingModeUnavailable(selling=lease.selling)
        asked = _asked(lease, kind, proposal, at)
        return amendments.propose(
            lease=lease,
            kind=kind,
            end=asked.end,
            change=asked.change,
            at=at,
            expires_at=min(at + timedelta(hours=hours), asked.latest),
            actor=actor,
            reason=reason,
            **asked.columns,
        )


def sign(*, amendment_public_id: str, at: datetime, actor: Actor) -> Amendment:
    """The other side signs: lease, money and machines change, as proposed or not at all.

    Whoever signs, what is due is the tenant's to pay.

    Locks the tenant (where more is asked for), reservation, lease, amendment, tally, balances,
    and the pool last. Raises NotFound, WrongSide, IllegalTransition, AmendmentExpired,
    AmendmentStale, OrganisationUnverified, QuotaExceeded, DebtOpen, InsufficientFunds,
    CapacityTaken, NotOffered. Not idempotent.
    """
    with transactions.whole():
        found = amendments.find(amendment_public_id, actor)
        deal = changes.lock(lease=found.lease, asks_more=found.asks_more)
        lease = deal.lease
        amendment = amendments.lock(amendment_public_id)
        if amendments.side_of(lease, actor) == amendment.proposed_by:
            raise amendments.WrongSide(side=amendment.proposed_by)
        amendments.require_answerable(amendment=amendment, lease=lease, at=at)
        amendments.require_running(lease)
        if amendment.kind == Kind.UNITS:
            assert deal.tenant is not None
            child = _add(amendment, deal.tenant, lease.currency, at, actor)
            amendment.child = child
            amendments.sign(amendment=amendment, at=at, actor=actor, changed=("child",))
            leases.amend(lease=lease, amendment=amendment)
            return amendment
        tally = closing.tally_of(lease)
        end = Period.of(amendment.period).end
        repricing = _require_as_proposed(amendment, lease, tally.ahead, at)
        block_ids = (
            extensions.blocks_for(lease=lease, end=end, at=at, by_terms=False)
            if end > Period.of(lease.period).end
            else []
        )
        amendments.sign(amendment=amendment, at=at, actor=actor)
        if repricing is not None:
            repricings.write(
                repricing=repricing, amendment=amendment, lease=lease, at=at, actor=actor
            )
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


def _asked(lease: Lease, kind: Kind, proposal: Proposal, at: datetime) -> _Asked:
    own_end = Period.of(lease.period).end
    if kind == Kind.UNITS:
        assert proposal.added_units is not None
        assert proposal.added_from is not None
        quote = additions.quote(
            lease=lease, units=proposal.added_units, start=proposal.added_from, at=at
        )
        added = {
            "added_units": proposal.added_units,
            "added_from_at": proposal.added_from,
            "added_gross_minor": quote.gross_minor,
            "added_due_minor": quote.due_minor,
        }
        return _Asked(own_end, _unchanged(lease), proposal.added_from, added)
    paid = LeaseTally.objects.get(lease=lease).ahead
    if kind == Kind.PRICE:
        assert proposal.price is not None
        assert proposal.price_from is not None
        repricing = repricings.asked(
            lease=lease,
            price=proposal.price,
            from_at=proposal.price_from,
            paid=paid,
            at=at,
        )
        return _Asked(own_end, repricing.change, proposal.price_from, repricing.columns)
    assert proposal.end is not None
    change = _another_end(lease, proposal.end, proposal.refund_bps, paid, at)
    if proposal.end > own_end:
        extensions.blocks_for(lease=lease, end=proposal.end, at=at, by_terms=False)
    return _Asked(proposal.end, change, min(own_end, proposal.end), {})


def _kind(proposal: Proposal) -> Kind:
    given = {
        Kind.END: (proposal.end,),
        Kind.UNITS: (proposal.added_units, proposal.added_from),
        Kind.PRICE: (proposal.price, proposal.price_from),
    }
    named = [kind for kind, parts in given.items() if any(part is not None for part in parts)]
    if len(named) != 1 or any(part is None for part in given[named[0]]):
        raise Invalid("Propose another end, or more units or another price from an hour on")
    return named[0]


def _another_end(lease: Lease, end: datetime, refund_bps: int, paid: Paid, at: datetime) -> Change:
    period = Period.of(lease.period)
    if not 0 <= refund_bps <= money.WHOLE_BPS:
        raise Invalid("A share lies between 0 and 10000 basis points")
    if end > period.end:
        return amendments.longer(lease=lease, end=end, at=at)
    amendments.check_earlier_end(lease=lease, end=end, at=at)
    return amendments.shorter(lease=lease, end=end, paid=paid, refund_bps=refund_bps, at=at)


def _require_as_proposed(
    amendment: Amendment, lease: Lease, paid: Paid, at: datetime
) -> Repricing | None:
    """The price to be written, where there is one.

    Raises AmendmentStale; what the provider may not sell at is said as it is."""
    repricing = None
    try:
        if amendment.kind == Kind.PRICE:
            repricing = repricings.of(amendment=amendment, lease=lease, paid=paid, at=at)
            now = repricing.change
        else:
            end = Period.of(amendment.period).end
            now = _another_end(lease, end, amendment.share_bps, paid, at)
    except (policy.OrganisationUnverified, policy.BelowFloor):
        raise
    except DomainError as error:
        raise AmendmentStale(why=error.code) from error
    if now != amendment.change:
        raise AmendmentStale
    return repricing


def _unchanged(lease: Lease) -> Change:
    return Change(gross_minor=lease.gross_minor, due_minor=lease.due_minor)


def _add(
    amendment: Amendment, tenant: Organisation, currency: str, at: datetime, actor: Actor
) -> Lease:
    """The added units are a lease, and what they cost to begin with is in its deposit.

    The money first: a pool never waits for a wallet.
    """
    assert amendment.added_due_minor is not None
    public_id = identifiers.new("rsv")
    quote = additions.quote_of(amendment, at=at)
    funding.lock_purse(tenant, currency)
    funding.fund(
        tenant,
        currency=currency,
        due_minor=amendment.added_due_minor,
        security_minor=quote.security_minor,
        public_id=public_id,
        at=at,
        actor=actor,
    )
    child = additions.make(
        amendment=amendment, reservation_public_id=public_id, tenant=tenant, at=at, actor=actor
    )
    funding.open_books([child], at=at, actor=actor)
    return child


def _lock_visible(public_id: str, actor: Actor) -> Lease:
    found = identifiers.find(Lease.objects.visible_to(actor), public_id, "No such lease")
    amendments.side_of(found, actor)
    return leases.lock(found.pk)
