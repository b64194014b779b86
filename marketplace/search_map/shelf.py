"""The listings on sale with their newest price and terms: what prices the map's blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from marketplace import discounts
from marketplace.discounts import Tiers
from marketplace.models import Listing, PriceVersion, TermsVersion
from marketplace.money import Price

Key = tuple[int, str, int, int]  # listing, its public id, newest price, newest terms


@dataclass(frozen=True, slots=True)
class Ware:
    """A listing as a search needs it."""

    listing_id: int
    public_id: str
    block_id: int
    price_id: str
    price: Price
    terms_id: str
    minimum_hours: int
    maximum_hours: int
    minimum_units: int
    grid_micros: int
    cancellation: tuple[tuple[int, int], ...]
    hour_step: int = 1
    unit_step: int = 1
    maximum_units: int | None = None
    discounts: Tiers = ()
    decide_hours: int | None = None  # where the provider decides on a hold, how long it may take


def read(known: dict[Key, Ware]) -> dict[Key, Ware]:
    """What is on sale now. Versions never change, so only unknown ones are read.

    What an organisation lists sells nothing while it is not verified.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id, l.public_id::text, p.id, t.id FROM marketplace_listing l"
            # One whose provider is verified no more sells nothing, even before it is paused.
            " JOIN inventory_organisation o ON o.id = l.provider_id AND o.state = 'verified'"
            " CROSS JOIN LATERAL (SELECT id FROM marketplace_priceversion"
            "   WHERE listing_id = l.id ORDER BY version DESC LIMIT 1) p"
            " CROSS JOIN LATERAL (SELECT id FROM marketplace_termsversion"
            "   WHERE listing_id = l.id ORDER BY version DESC LIMIT 1) t"
            " WHERE l.state = 'published'"
        )
        keys: list[Key] = cursor.fetchall()
    unknown = [key for key in keys if key not in known]
    if not unknown and len(keys) == len(known):
        return known
    fresh = _load(unknown)
    return {key: known.get(key) or fresh[key] for key in keys if key in known or key in fresh}


def _load(keys: list[Key]) -> dict[Key, Ware]:
    listings = Listing.objects.in_bulk([key[0] for key in keys])
    prices = PriceVersion.objects.in_bulk([key[2] for key in keys])
    terms = TermsVersion.objects.in_bulk([key[3] for key in keys])
    return {key: _ware(listings[key[0]], prices[key[2]], terms[key[3]]) for key in keys}


def _ware(listing: Listing, version: PriceVersion, terms: TermsVersion) -> Ware:
    steps: list[Any] = terms.cancellation
    return Ware(
        listing_id=listing.pk,
        public_id=listing.public_id,
        block_id=listing.block_id,
        price_id=version.public_id,
        price=Price.of(version),
        terms_id=terms.public_id,
        minimum_hours=terms.minimum_hours,
        hour_step=terms.hour_step,
        maximum_hours=terms.maximum_hours,
        minimum_units=terms.minimum_units,
        unit_step=terms.unit_step,
        maximum_units=terms.maximum_units,
        grid_micros=terms.start_grid_seconds * 1_000_000,
        cancellation=tuple((hours, bps) for hours, bps in steps),
        discounts=discounts.tiers(version.discounts),
        decide_hours=terms.decide_hours if listing.mode == Listing.Mode.APPROVAL else None,
    )
