"""The listings on sale with their newest price and terms: what prices the map's blocks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connection

from marketplace import discounts
from marketplace.discounts import Tiers
from marketplace.models import Listing, PriceVersion, TermsVersion
from marketplace.money import Price
from marketplace.sla import Promise

Key = tuple[int, str, int, int]  # listing, its public id, newest price, newest terms

_KEYS = """
SELECT l.id, l.public_id::text, p.id, t.id FROM marketplace_listing l
-- One whose provider is verified no more sells nothing, even before it is paused.
JOIN inventory_organisation o ON o.id = l.provider_id AND o.state = 'verified'
CROSS JOIN LATERAL (SELECT id FROM marketplace_priceversion
                    WHERE listing_id = l.id ORDER BY version DESC LIMIT 1) p
CROSS JOIN LATERAL (SELECT id FROM marketplace_termsversion
                    WHERE listing_id = l.id ORDER BY version DESC LIMIT 1) t
WHERE l.state = 'published'
  AND (l.pool_id = ANY (%s) OR l.public_id = ANY (%s::uuid[]) OR l.id = ANY (%s))
"""


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
    key: Key = (0, "", 0, 0)
    pool_id: int = 0
    hour_step: int = 1
    unit_step: int = 1
    maximum_units: int | None = None
    discounts: Tiers = ()
    decide_hours: int | None = None  # where the provider decides on a hold, how long it may take
    selling: Listing.Selling = Listing.Selling.AGENCY
    promise: Promise | None = None  # the service level


def read(
    known: dict[int, Ware], *, pools: Collection[int], listings: Collection[str]
) -> dict[int, Ware]:
    """The shelf after a look at the listings of these pools and at these listings.

    By listing. What is no longer published is gone, and so is what an organisation lists while
    it is not verified; versions never change, so only unknown ones are read. The same object
    where nothing changed.
    """
    suspects = {
        ware.listing_id
        for ware in known.values()
        if ware.public_id in listings or ware.pool_id in pools
    }
    if not pools and not listings:
        return known
    with connection.cursor() as cursor:
        uuids = [public_id.partition("_")[2] for public_id in listings]
        cursor.execute(_KEYS, [list(pools), uuids, list(suspects)])
        keys: list[Key] = cursor.fetchall()
    fresh = _load([key for key in keys if key[0] not in known or known[key[0]].key != key])
    gone = suspects - {key[0] for key in keys}
    if not fresh and not gone:
        return known
    return {number: ware for number, ware in {**known, **fresh}.items() if number not in gone}


def _load(keys: list[Key]) -> dict[int, Ware]:
    if not keys:
        return {}
    listings = Listing.objects.in_bulk([key[0] for key in keys])
    prices = PriceVersion.objects.in_bulk([key[2] for key in keys])
    terms = TermsVersion.objects.in_bulk([key[3] for key in keys])
    return {key[0]: _ware(key, listings[key[0]], prices[key[2]], terms[key[3]]) for key in keys}


def _ware(key: Key, listing: Listing, version: PriceVersion, terms: TermsVersion) -> Ware:
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
        selling=Listing.Selling(listing.selling),
        promise=Promise.of(terms),
        key=key,
        pool_id=listing.pool_id,
    )
