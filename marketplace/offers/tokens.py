"""Offers as signed text: what was shown can be posted back verbatim, for some minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.core import signing

from inventory.errors import DomainError, Invalid
from inventory.periods import Period

_SALT = "cardhour.offer"
LONGEST_TOKEN = 2000


class OfferExpired(DomainError):
    """The offer was good for some minutes; search again for a fresh one."""

    code = "offer_expired"
    title = "The offer has expired"
    status: ClassVar[int] = 410


class OfferInvalid(Invalid):
    """The text is not an offer of this market, or was changed."""

    code = "offer_invalid"
    title = "This is not one of our offers"


@dataclass(frozen=True, slots=True)
class OfferClaim:
    """What a signed offer promises: these units, then, at this price, by these terms."""

    listing_id: str  # public ids: the token can be read by whoever holds it
    price_id: str
    terms_id: str
    unit_count: int
    period: Period
    expires_at: datetime


def sign(offer: OfferClaim) -> str:
    # Not compressed: ids are as good as random, and squeezing them costs more than it saves.
    return signing.dumps(
        [
            offer.listing_id,
            offer.price_id,
            offer.terms_id,
            offer.unit_count,
            _micros(offer.period.start),
            _micros(offer.period.end),
            _micros(offer.expires_at),
        ],
        salt=_SALT,
    )


def read_token(token: str, at: datetime) -> OfferClaim:
    """The offer behind a token. Raises OfferInvalid, OfferExpired."""
    if len(token) > LONGEST_TOKEN:
        raise OfferInvalid
    try:
        listing, price, terms, unit_count, start, end, expires = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError, UnicodeError) as error:
        raise OfferInvalid from error
    offer = OfferClaim(
        listing_id=listing,
        price_id=price,
        terms_id=terms,
        unit_count=unit_count,
        period=Period(_instant(start), _instant(end)),
        expires_at=_instant(expires),
    )
    if at >= offer.expires_at:
        raise OfferExpired("Search again for a fresh offer", expired_at=offer.expires_at)
    return offer


def _micros(instant: datetime) -> int:
    whole = int(instant.replace(microsecond=0).timestamp())
    return whole * 1_000_000 + instant.microsecond


def _instant(micros: Any) -> datetime:
    seconds, microsecond = divmod(int(micros), 1_000_000)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=microsecond)
