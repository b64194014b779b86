"""What an offer would come to if it were held now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError

from inventory.errors import Forbidden, Invalid
from inventory.joined import Joined
from inventory.models import Chip, Organisation, Pool
from inventory.periods import Period
from marketplace import approvals, discounts, money, policy
from marketplace.models import Listing, PriceVersion, Reservation, TermsVersion
from marketplace.money import Price, Quote
from marketplace.offers import OfferClaim, OfferExpired, OfferInvalid

PayBy = Reservation.PayBy

# What an offer names, as it stands now.
_ON_SALE = Joined(
    p=PriceVersion, t=TermsVersion, l=Listing, pool=Pool, chip=Chip, provider=Organisation
)
_BY_OFFER = """
SELECT {columns} FROM marketplace_priceversion p
JOIN marketplace_termsversion t ON t.listing_id = p.listing_id
JOIN marketplace_listing l ON l.id = p.listing_id
JOIN inventory_pool pool ON pool.id = l.pool_id
JOIN inventory_chip chip ON chip.code = pool.chip_id
JOIN inventory_organisation provider ON provider.id = l.provider_id
WHERE p.public_id = %s AND t.public_id = %s AND l.public_id = %s
"""
# The same beside the tenant, whose row alone is locked.
_ON_SALE_FOR = Joined(
    p=PriceVersion,
    t=TermsVersion,
    l=Listing,
    pool=Pool,
    chip=Chip,
    provider=Organisation,
    tenant=Organisation,
)
_BY_OFFER_FOR = f"""{_BY_OFFER.replace("WHERE", "CROSS JOIN inventory_organisation tenant WHERE")}
AND tenant.id = %s FOR NO KEY UPDATE OF tenant
"""
_PRICE_ID, _TERMS_ID, _LISTING_ID = (
    model._meta.get_field("public_id") for model in (PriceVersion, TermsVersion, Listing)
)


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a hold on an offer would come to, and how long it would last."""

    offer: OfferClaim
    listing: Listing
    price: PriceVersion
    terms: TermsVersion
    quote: Quote
    pay_by: str
    expires_at: datetime
    decide_by: datetime | None  # where the listing sells by approval
    approvals_needed: int
    kind: Reservation.Kind = Reservation.Kind.REGULAR

    @property
    def ask(self) -> policy.Ask:
        """What the rules of a hold look at."""
        return policy.Ask(
            chip_class=self.listing.pool.chip.chip_class,
            card_count=self.quote.card_count,
            period=self.offer.period,
            currency=self.quote.currency,
            gross_minor=self.quote.gross_minor,
        )

    def hold_terms(self, *, lapsed_count: int, at: datetime) -> policy.HoldTerms:
        """What holding it costs a tenant with that many lapsed holds behind it."""
        return policy.hold_terms(
            lapsed_count=lapsed_count,
            # What the provider takes to decide is no time that the tenant pays for.
            at=self.decide_by or at,
            pay_by=self.pay_by,
            start=self.offer.period.start,
            lead_seconds=self.listing.pool.lead_seconds,
        )


def of(offer: OfferClaim, *, at: datetime, pay_by: str = PayBy.WALLET) -> Prospect:
    """By the price and terms the offer was signed with, however the listing has changed since.

    Raises OfferInvalid, OfferExpired, AmountTooLarge, BankHoldUnavailable, and Invalid outside
    the terms.
    """
    found = _ON_SALE.first(_BY_OFFER, _ids(offer))
    if found is None:
        raise OfferInvalid
    return _prospect(offer, found, at=at, pay_by=pay_by)


def with_tenant(
    offer: OfferClaim, *, organisation_id: int | None, at: datetime, pay_by: str = PayBy.WALLET
) -> tuple[Organisation, Prospect]:
    """As `of`, and the organisation that would rent is locked by the same statement.

    Its lock lines up the tenant's holds before their limits; nothing read of the offer needs it.
    What does is read afterwards. Raises as `of`, Forbidden where it is no tenant,
    OrganisationUnverified.
    """
    if organisation_id is None:
        raise Forbidden("Only an organisation can hold")
    found = _ON_SALE_FOR.first(_BY_OFFER_FOR, [*_ids(offer), organisation_id])
    if found is None:
        raise OfferInvalid
    tenant: Organisation = found[-1]
    policy.require_tenant(tenant)
    return tenant, _prospect(offer, found[:-1], at=at, pay_by=pay_by)


def _ids(offer: OfferClaim) -> list[Any]:
    try:
        return [
            _PRICE_ID.parse(offer.price_id),
            _TERMS_ID.parse(offer.terms_id),
            _LISTING_ID.parse(offer.listing_id),
        ]
    except ValidationError as error:
        raise OfferInvalid from error


def _prospect(offer: OfferClaim, found: tuple[Any, ...], *, at: datetime, pay_by: str) -> Prospect:
    price, terms, listing, pool, chip, provider = found
    pool.chip, listing.pool, listing.provider = chip, pool, provider
    _check_terms(terms, offer)
    quote = quote_of(price, pool=pool, unit_count=offer.unit_count, period=offer.period)
    decide_by, members = deciding(listing, terms, quote, start=offer.period.start, at=at)
    if listing.selling == Listing.Selling.DIRECT:
        pay_by = PayBy.BANK  # to the centre, which confirms what it received by the pay-by date
    return Prospect(
        offer=offer,
        listing=listing,
        price=price,
        terms=terms,
        quote=quote,
        pay_by=pay_by,
        expires_at=_expires_at(offer, pool, decide_by or at, pay_by),
        decide_by=decide_by,
        approvals_needed=members,
    )


def quote_of(price: PriceVersion, *, pool: Pool, unit_count: int, period: Period) -> Quote:
    """What so many units of the pool cost by what is asked, less what that price takes off.

    Raises AmountTooLarge.
    """
    discount_bps = discounts.share_off(
        discounts.tiers(price.discounts),
        hours=period.seconds // 3600,
        cards=unit_count * pool.unit_cards,
    )
    return money.quote(
        price=Price.of(price).less(discount_bps),
        unit_cards=pool.unit_cards,
        cards_per_node=pool.cards_per_node,
        unit_count=unit_count,
        period=period,
    )


def deciding(
    listing: Listing, terms: TermsVersion, quote: Quote, *, start: datetime, at: datetime
) -> tuple[datetime | None, int]:
    """Until when how many of the provider's members decide; nobody where it sells at once."""
    if listing.mode != Listing.Mode.APPROVAL:
        return None, 0
    decide_by = approvals.decide_by(
        decide_hours=terms.decide_hours,
        start=start,
        lead_seconds=listing.pool.lead_seconds,
        at=at,
    )
    members = approvals.needed(
        provider_id=listing.provider_id, amount_minor=quote.gross_minor, currency=quote.currency
    )
    return decide_by, members


def check_hours(terms: TermsVersion, hours: float) -> None:
    """Whether a lease may be so long. Raises Invalid."""
    if (
        not terms.minimum_hours <= hours <= terms.maximum_hours
        or (hours - terms.minimum_hours) % terms.hour_step
    ):
        raise Invalid("The units or the period lie outside the listing's terms")


def _check_terms(terms: TermsVersion, offer: OfferClaim) -> None:
    """Search offers nothing outside the terms; whoever builds an offer by hand is held to them."""
    check_hours(terms, offer.period.seconds / 3600)
    units = offer.unit_count
    if (
        not terms.minimum_units <= units <= (terms.maximum_units or units)
        or (units - terms.minimum_units) % terms.unit_step
        or offer.period.start.timestamp() % terms.start_grid_seconds
    ):
        raise Invalid("The units or the period lie outside the listing's terms")


def _expires_at(offer: OfferClaim, pool: Pool, at: datetime, pay_by: str) -> datetime:
    """Raises OfferExpired where the lease should have started already."""
    if offer.period.start < at:
        raise OfferExpired("The lease would have started before it was held")
    return policy.expires_at(
        at, start=offer.period.start, lead_seconds=pool.lead_seconds, pay_by=pay_by
    )
