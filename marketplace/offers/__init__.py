"""Offers (报价): what the market would sell for a request, dated, priced and signed."""

from marketplace.offers.availability import ListingSteps, OnSale, on_sale
from marketplace.offers.calendar import (
    Calendar,
    CalendarDay,
    CalendarListing,
    StartWindow,
    calendar,
)
from marketplace.offers.drafting import declared_facts, proved_facts
from marketplace.offers.model import (
    UNKNOWN,
    Alternative,
    CancellationStep,
    InvalidRequest,
    Maintenance,
    Offer,
    OfferRequest,
    OfferResults,
    Payment,
    RangeTooLarge,
    Rejection,
    Split,
)
from marketplace.offers.search import next_best, search
from marketplace.offers.tokens import OfferClaim, OfferExpired, OfferInvalid, read_token, sign

__all__ = [
    "UNKNOWN",
    "Alternative",
    "Calendar",
    "CalendarDay",
    "CalendarListing",
    "CancellationStep",
    "InvalidRequest",
    "ListingSteps",
    "Maintenance",
    "Offer",
    "OfferClaim",
    "OfferExpired",
    "OfferInvalid",
    "OfferRequest",
    "OfferResults",
    "OnSale",
    "Payment",
    "RangeTooLarge",
    "Rejection",
    "Split",
    "StartWindow",
    "calendar",
    "declared_facts",
    "next_best",
    "on_sale",
    "proved_facts",
    "read_token",
    "search",
    "sign",
]
