"""What a card-hour costs its provider: nothing of a pool sells below it."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction

from inventory import journal
from inventory.actors import Actor
from inventory.errors import Invalid
from inventory.models import Pool
from marketplace import listings, money, policy
from marketplace.models import Listing, PriceFloor
from marketplace.money import Price
from marketplace.money_text import LARGEST_PRICE_MICRO


def set_floor(
    *,
    pool_id: int,
    power_micro: int,
    depreciation_micro: int,
    network_micro: int,
    operations_micro: int,
    currency: str = settings.DEFAULT_CURRENCY,
    at: datetime,
    actor: Actor,
) -> PriceFloor:
    """What a card-hour of the pool costs its provider, from now on.

    Listings that now ask less are paused until they are repriced; deals already made stay.
    Locks the pool's row and such listings. Raises NotFound, Invalid. Not idempotent: each call
    is a version.
    """
    parts = (power_micro, depreciation_micro, network_micro, operations_micro)
    if any(part < 0 for part in parts) or sum(parts) > LARGEST_PRICE_MICRO:
        raise Invalid("A component of cost is zero or more, and their sum a possible price")
    money.exponent(currency)
    with transaction.atomic():
        pool = listings.own_pool(pool_id, actor, lock=True)
        last = policy.floor_of(pool.pk)
        floor = PriceFloor.objects.create(
            pool=pool,
            version=last.version + 1 if last else 1,
            currency=currency,
            power_micro=power_micro,
            depreciation_micro=depreciation_micro,
            network_micro=network_micro,
            operations_micro=operations_micro,
            created_at=at,
        )
        journal.record(
            event="pool.floor_set",
            object_id=pool.public_id,
            actor=actor,
            at=at,
            provider_id=pool.provider_id,
            data={"version": floor.version, "card_hour_micro": floor.card_hour_micro},
        )
        _pause_below(pool, at=at, actor=actor)
    return floor


def _pause_below(pool: Pool, *, at: datetime, actor: Actor) -> None:
    for listing in pool.listings.filter(state=Listing.State.PUBLISHED).order_by("pk"):
        try:
            policy.check_floor(Price.lowest(listings.newest_price(listing)), pool)
        except (policy.BelowFloor, policy.FloorCurrency):
            listings.pause(listing_id=listing.pk, at=at, actor=actor, reason="below the floor")
