"""Offers (报价): what the market would sell for a request, dated, priced and signed."""

from marketplace.offers.model import (
    UNKNOWN,
    Alternative,
    InvalidRequest,
    Offer,
    OfferRequest,
    OfferResults,
    Rejection,
)
from marketplace.offers.search import declared_facts, next_best, proved_facts, search
from marketplace.offers.tokens import OfferClaim, OfferExpired, OfferInvalid, read_token, sign

__all__ = [
    "UNKNOWN",
    "Alternative",
    "InvalidRequest",
    "Offer",
    "OfferClaim",
    "OfferExpired",
    "OfferInvalid",
    "OfferRequest",
    "OfferResults",
    "Rejection",
    "declared_facts",
    "next_best",
    "proved_facts",
    "read_token",
    "search",
    "sign",
]
