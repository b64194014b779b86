"""Trials: a few units of a listing for a few hours, once, and the lease they may become."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from inventory import capacity, identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Allocation, Organisation
from inventory.periods import HOUR, Period, floor_hour
from marketplace import listings, policy, prospects, reservations
from marketplace.models import Lease, Listing, PriceVersion, Reservation, TermsVersion
from marketplace.money import Quote
from marketplace.offers import OfferClaim
from marketplace.prospects import Prospect

Kind = Reservation.Kind
State = Reservation.State


class TrialUsed(DomainError):
    """Each tenant tries a pool once; one that lapsed or was given back does not count."""

    code = "trial_used"
    title = "This pool has been tried before"


class NotConvertible(DomainError):
    """The lease is no trial, or its terms do not let it become a lease on the same nodes."""

    code = "not_convertible"
    title = "This lease cannot be converted"


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a trial would become: a lease over `period` at the listing's price now."""

    trial: Lease
    price: PriceVersion
    terms: TermsVersion
    period: Period
    quote: Quote

    @property
    def ask(self) -> policy.Ask:
        """What a tenant's quotas are held against."""
        return policy.Ask(
            chip_class=self.trial.allocation.pool.chip.chip_class,
            card_count=self.trial.card_count,
            period=self.period,
            currency=self.quote.currency,
            gross_minor=self.quote.gross_minor,
        )


def open_to(*, tenant_id: int, terms: Iterable[TermsVersion]) -> set[str]:
    """Of these listings, by their newest terms, those that the tenant could still try. Reads
    only; the hold decides."""
    offered = [each for each in terms if each.trial_units]
    tried = set(_trials_of(tenant_id).values_list("trial_pool_id", flat=True)) if offered else set()
    return {each.listing.public_id for each in offered if each.listing.pool_id not in tried}


def _trials_of(tenant_id: int) -> QuerySet[Reservation]:
    """Those that count: one that lapsed or was given back does not."""
    return Reservation.objects.filter(
        tenant_id=tenant_id, kind=Kind.TRIAL, state__in=[State.HELD, State.CONFIRMED]
    )


def may_go_on(lease: Lease) -> bool:
    """Whether it is a trial that runs and may become a lease, and has not yet."""
    return (
        lease.kind == Kind.TRIAL
        and lease.terms.trial_convertible
        and lease.state == Lease.State.ACTIVE
        and not lease.end_reason
        and not lease.children.exists()
    )


def prospect(
    *,
    listing_id: str,
    tenant: Organisation,
    unit_count: int | None,
    hours: int | None,
    start_at: datetime | None,
    at: datetime,
) -> Prospect:
    """A trial of a listing by its newest terms: as large and long as they allow, from the next
    start on, unless told otherwise. It is on sale, and this tenant has not tried its pool.

    Writes the trial's own price. Raises NotFound, NoSuchTrial, TrialUsed, Invalid.
    """
    listing = _on_sale(listing_id)
    terms, asked = _newest(listing)
    units = terms.trial_units if unit_count is None else unit_count
    length = terms.trial_hours if hours is None else hours
    policy.check_trial(terms=terms, unit_count=units, hours=length)
    if _trials_of(tenant.pk).filter(trial_pool=listing.pool).exists():
        raise TrialUsed
    pool, grid = listing.pool, terms.start_grid_seconds
    ready, opens = at + timedelta(seconds=pool.lead_seconds), listing.block.sellable.lower
    start = start_at or listings.grid_up(max(ready, opens), grid)
    if start < at or start.timestamp() % grid:
        raise Invalid("A trial starts in the future, on the listing's grid")
    period = Period(start, start + length * HOUR)
    price = _price(asked, terms, at)
    quote = prospects.quote_of(price, pool=pool, unit_count=units, period=period)
    decide_by, members = prospects.deciding(listing, terms, quote, start=start, at=at)
    expires_at = policy.expires_at(decide_by or at, start=start, lead_seconds=pool.lead_seconds)
    return Prospect(
        offer=OfferClaim(
            listing_id=listing.public_id,
            price_id=price.public_id,
            terms_id=terms.public_id,
            unit_count=units,
            period=period,
            expires_at=expires_at,
        ),
        listing=listing,
        price=price,
        terms=terms,
        quote=quote,
        pay_by=Reservation.PayBy.WALLET,
        expires_at=expires_at,
        decide_by=decide_by,
        approvals_needed=members,
        kind=Kind.TRIAL,
    )


def conversion(*, trial: Lease, hours: int, from_at: datetime | None, at: datetime) -> Conversion:
    """What a running trial would become from `from_at` on, or from its end.

    The length is held to the listing's terms, the units are the trial's. Changes nothing.
    Raises NotConvertible, IllegalTransition where it does not run, ListingClosed, Invalid.
    """
    if trial.kind != Kind.TRIAL or not trial.terms.trial_convertible:
        raise NotConvertible
    if trial.state != Lease.State.ACTIVE or trial.end_reason:
        raise transitions.IllegalTransition(f"{trial.public_id} is not running")
    listing = trial.listing
    if not reservations.sells(listing):
        raise reservations.ListingClosed
    if listing.mode == Listing.Mode.APPROVAL:
        raise NotConvertible  # its provider decided on a trial, not on what may follow it
    terms, price = _newest(listing)
    own = Period.of(trial.allocation.period)
    seam = from_at or own.end
    if not max(at, own.start) < seam <= own.end or (seam != own.end and seam != floor_hour(seam)):
        raise Invalid("A trial goes on from a full hour (UTC) to come, or from its end")
    prospects.check_hours(terms, hours)
    period = Period(seam, seam + hours * HOUR)
    quote = prospects.quote_of(
        price, pool=trial.allocation.pool, unit_count=trial.unit_count, period=period
    )
    return Conversion(trial=trial, price=price, terms=terms, period=period, quote=quote)


def convert(*, agreed: Conversion, reservation_public_id: str, at: datetime, actor: Actor) -> Lease:
    """The locked trial goes on as a lease of its own, on the same nodes, without a wipe.

    The caller has moved the money in the same transaction. The trial's lease stays as it was
    agreed; what it pays for hours after the seam comes back when it closes. Locks the pool.
    Raises what `capacity.convert` raises. Not idempotent.
    """
    trial, quote = agreed.trial, agreed.quote
    allocation = capacity.convert(
        allocation_id=trial.allocation_id,
        seam=agreed.period.start,
        end=agreed.period.end,
        at=at,
        actor=actor,
    )
    reservation = _confirmed(agreed, allocation, reservation_public_id, at, actor)
    lease = reservations.lease_of(reservation, at=at, actor=actor, parent=trial)
    journal.record(
        event="lease.converted",
        object_id=trial.public_id,
        actor=actor,
        at=at,
        provider_id=trial.provider_id,
        tenant_id=trial.tenant_id,
        data={
            "into": lease.public_id,
            "from_at": agreed.period.start.isoformat(),
            "gross_minor": quote.gross_minor,
            "currency": quote.currency,
        },
    )
    return lease


def _confirmed(
    agreed: Conversion, allocation: Allocation, public_id: str, at: datetime, actor: Actor
) -> Reservation:
    """Held and confirmed at once: what follows the trial was never anybody else's to take."""
    trial, quote = agreed.trial, agreed.quote
    reservation = Reservation(
        public_id=public_id,
        provider=trial.provider,
        tenant=trial.tenant,
        project_id=trial.project_id,
        listing=trial.listing,
        price=agreed.price,
        terms=agreed.terms,
        allocation=allocation,
        selling=trial.selling,
        state=State.CONFIRMED,
        unit_count=trial.unit_count,
        card_count=trial.card_count,
        period=agreed.period.range,
        expires_at=at,
        currency=quote.currency,
        gross_minor=quote.gross_minor,
        vat_minor=quote.vat_minor,
        fee_minor=quote.fee_minor,
        due_minor=quote.due_minor,
        security_minor=quote.security_minor,
        hold_deposit_minor=0,
        discount_bps=quote.discount_bps,
        committed_minor=quote.gross_minor,
        committed_card_seconds=agreed.ask.card_seconds,
        actor=actor.label,
        created_at=at,
        confirmed_at=at,
    )
    journal.create(
        reservation,
        event="reservation.confirmed",
        actor=actor,
        at=at,
        data={"converts": trial.public_id},
    )
    return reservation


def _on_sale(public_id: str) -> Listing:
    rows = Listing.objects.on_sale().select_related("provider", "pool__chip", "block")
    return identifiers.find(rows, public_id, "No such listing")


def _newest(listing: Listing) -> tuple[TermsVersion, PriceVersion]:
    return listing.terms.latest("version"), listing.prices.latest("version")


def _price(asked: PriceVersion, terms: TermsVersion, at: datetime) -> PriceVersion:
    """The trial's own: in the basis, the currency and the taxes of what the listing asks."""
    price = asked.of_its_own(
        purpose=PriceVersion.Purpose.TRIAL,
        at=at,
        amount_micro=terms.trial_amount_micro,
        schedule=PriceVersion.Schedule.PREPAID,
        security_months=0,
        advance_months=0,
        net_days=0,
    )
    price.save(force_insert=True)
    return price
