"""Putting idle capacity on sale, and taking it off again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from inventory import actors, capacity, identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Block, Pool, Verification
from inventory.periods import Period
from marketplace import asking, money, policy
from marketplace.asking import InvalidTerms, PriceInput, TermsInput, check_price, check_terms
from marketplace.models import (
    Lease,
    Listing,
    PriceVersion,
    Reservation,
    TermsVersion,
)
from marketplace.money import Price

logger = logging.getLogger(__name__)
ACTOR = actors.system("listings")
State = Listing.State


class WayOfSellingUnknown(Invalid):
    """At once or by approval; by agency, by resale or directly."""

    code = "way_of_selling_unknown"
    title = "This is no way of selling"


class DirectIsPrepaid(Invalid):
    """Sold directly the centre is paid once, ahead: the market collects nothing by the hour."""

    code = "direct_is_prepaid"
    title = "What is sold directly is paid ahead"


class PoolNotSelling(DomainError):
    """The pool is being emptied or is gone."""

    code = "pool_not_selling"
    title = "The pool sells nothing new"


def publish(
    *,
    pool_id: int,
    unit_count: int,
    sellable: Period,
    price: PriceInput,
    terms: TermsInput,
    mode: str = Listing.Mode.INSTANT,
    selling: str = Listing.Selling.AGENCY,
    at: datetime,
    actor: Actor,
) -> Listing:
    """A block is open and on sale, with version 1 of its price and terms.

    `serves` of the block says the first start and the last end that it can serve. Locks the
    pool. Raises NotFound, PoolNotSelling, OrganisationUnverified, WayOfSellingUnknown,
    DirectIsPrepaid, InvalidPrice, BelowFloor, InvalidTerms, and what `capacity.open_block`
    raises. Not idempotent.
    """
    if mode not in Listing.Mode.values or selling not in Listing.Selling.values:
        raise WayOfSellingUnknown(mode=mode, selling=selling)
    check_selling(selling, price)
    with transaction.atomic():
        pool = own_pool(pool_id, actor)
        policy.require_verified(pool.provider)
        if pool.state != Pool.State.ACTIVE:
            raise PoolNotSelling(state=pool.state)
        check_price(price, pool)
        check_terms(terms, unit_count)
        block = capacity.open_block(
            pool_id=pool.pk, unit_count=unit_count, sellable=sellable, at=at, actor=actor
        )
        _check_fits(block, terms)
        _check_quotable(asking.as_price(price), pool, block, terms.maximum_hours)
        listing = Listing.objects.create(
            provider_id=pool.provider_id,
            pool=pool,
            block=block,
            mode=mode,
            selling=selling,
            created_at=at,
        )
        version = _add_price(listing, 1, price, at)
        _add_terms(listing, 1, terms, at)
        _record(
            "listing.published",
            listing,
            actor,
            at,
            to_state=State.PUBLISHED,
            data={
                "block": block.public_id,
                "unit_count": unit_count,
                "mode": mode,
                "selling": selling,
                **_price_facts(version),
            },
        )
    return listing


def check_selling(selling: str, price: PriceInput) -> None:
    """Raises DirectIsPrepaid."""
    if selling == Listing.Selling.DIRECT and price.schedule != PriceVersion.Schedule.PREPAID:
        raise DirectIsPrepaid(schedule=price.schedule)


def reprice(*, listing_id: int, price: PriceInput, at: datetime, actor: Actor) -> PriceVersion:
    """New offers carry the new price. No lease and no signed offer changes.

    Locks the listing. Raises NotFound, IllegalTransition (withdrawn), InvalidPrice,
    BelowFloor. Not idempotent.
    """
    with transaction.atomic():
        listing = lock(listing_id, actor)
        if listing.state == State.WITHDRAWN:
            raise transitions.IllegalTransition("A withdrawn listing has no price")
        check_selling(listing.selling, price)
        check_price(price, listing.pool)
        _check_quotable(
            asking.as_price(price), listing.pool, listing.block, newest_terms(listing).maximum_hours
        )
        newest = listing.prices.aggregate(newest=Max("version"))["newest"] or 0
        version = _add_price(listing, newest + 1, price, at)
        _record("listing.repriced", listing, actor, at, data=_price_facts(version))
    return version


def reterm(*, listing_id: int, terms: TermsInput, at: datetime, actor: Actor) -> TermsVersion:
    """New offers carry the new terms. No lease, no hold and no signed offer changes.

    Locks the listing. Raises NotFound, IllegalTransition (withdrawn), InvalidTerms,
    InvalidPrice where the price is too high for the longest lease. Not idempotent.
    """
    with transaction.atomic():
        listing = lock(listing_id, actor)
        if listing.state == State.WITHDRAWN:
            raise transitions.IllegalTransition("A withdrawn listing has no terms")
        check_terms(terms, listing.block.unit_count)
        _check_fits(listing.block, terms)
        price = Price.of(newest_price(listing))
        _check_quotable(price, listing.pool, listing.block, terms.maximum_hours)
        version = _add_terms(listing, newest_terms(listing).version + 1, terms, at)
        _record(
            "listing.terms_changed",
            listing,
            actor,
            at,
            data={"terms": version.public_id, "version": version.version},
        )
    return version


def resize(*, listing_id: int, unit_count: int, at: datetime, actor: Actor) -> Listing:
    """The listing sells so many units from now on: more where the pool has them free, fewer
    down to what it has sold.

    Locks the listing, then the pool. Raises NotFound, IllegalTransition (withdrawn),
    InvalidTerms below what its terms ask for, CapacityTaken with `sold_units` or `free_units`.
    Not idempotent.
    """
    with transaction.atomic():
        listing = lock(listing_id, actor)
        if listing.state == State.WITHDRAWN:
            raise transitions.IllegalTransition("A withdrawn listing has no size")
        terms = newest_terms(listing)
        if unit_count < max(terms.minimum_units, terms.trial_units):
            raise InvalidTerms("The terms ask for more units than would be listed")
        before = listing.block.unit_count
        listing.block = capacity.resize_block(
            block_id=listing.block_id, unit_count=unit_count, at=at, actor=actor
        )
        price = Price.of(newest_price(listing))
        _check_quotable(price, listing.pool, listing.block, terms.maximum_hours)
        _record(
            "listing.resized",
            listing,
            actor,
            at,
            data={"from_unit_count": before, "unit_count": unit_count},
        )
    return listing


def pause_unverified(*, at: datetime, limit: int = 500) -> int:
    """Listings whose provider is verified no more are paused; returns how many.

    Nobody can hold them from the moment of the rejection on; this makes it plain. The
    provider resumes them when it is verified again. Locks each listing. Idempotent.
    """
    rows = Listing.objects.on_sale().exclude(provider__state=Verification.VERIFIED)
    found = rows.order_by("pk").values_list("pk", flat=True)[:limit]
    paused = 0
    for pk in found:
        try:
            pause(listing_id=pk, at=at, actor=ACTOR, reason="provider not verified")
        except DomainError as error:  # withdrawn or paused meanwhile
            logger.info("listing %s is not paused: %s", pk, error)
        else:
            paused += 1
    return paused


def pause(*, listing_id: int, at: datetime, actor: Actor, reason: str = "") -> Listing:
    """Sells nothing new until resumed. Locks the listing. Raises NotFound, IllegalTransition."""
    return _move(listing_id, State.PAUSED, at, actor, reason)


def resume(*, listing_id: int, at: datetime, actor: Actor, reason: str = "") -> Listing:
    """Sells again. Locks the listing. Raises NotFound, IllegalTransition,
    OrganisationUnverified, BelowFloor."""
    return _move(listing_id, State.PUBLISHED, at, actor, reason)


def withdraw(*, listing_id: int, at: datetime, actor: Actor, reason: str = "") -> Listing:
    """Sells nothing any more; `touched_deals` stay as they are, served and counted.

    Locks the listing, then the pool. Raises NotFound, IllegalTransition. Not idempotent.
    """
    with transaction.atomic():
        listing = _move(listing_id, State.WITHDRAWN, at, actor, reason)
        capacity.close_block(block_id=listing.block_id, at=at, actor=actor)
    return listing


def touched_deals(listing: Listing) -> list[Reservation | Lease]:
    """What is held or leased on a listing and not over: to be shown before a withdrawal."""
    held = listing.reservations.filter(state=Reservation.State.HELD).order_by("pk")
    held = held.select_related("tenant")
    over = [state for state in Lease.State.values if Lease.LIFECYCLE.is_final(state)]
    leases = listing.leases.exclude(state__in=over).select_related("tenant").order_by("pk")
    return [*held, *leases]


def serves(*, block: Block, grid_seconds: int) -> Period | None:
    """From the first start to the last end that the block can serve, or None for no time.

    Lead and turnaround lie inside the block's own period; starts and ends on the grid.
    """
    pool, room, sellable = block.pool, Period.of(block.period), Period.of(block.sellable)
    start = max(sellable.start, room.start + timedelta(seconds=pool.lead_seconds))
    end = min(sellable.end, room.end - timedelta(seconds=pool.turnaround_seconds))
    start, end = grid_up(start, grid_seconds), grid_down(end, grid_seconds)
    return Period(start, end) if start < end else None


def newest_price(listing: Listing) -> PriceVersion:
    """What new offers ask."""
    return listing.prices.latest("version")


def newest_terms(listing: Listing) -> TermsVersion:
    """What new offers come with."""
    return listing.terms.latest("version")


def own_pool(pool_id: int, actor: Actor, *, lock: bool = False) -> Pool:
    """The provider's own pool. Raises NotFound, also where it is another's."""
    rows = Pool.objects.select_related("provider")
    if lock:
        rows = rows.select_for_update(of=("self",), no_key=True)
    pool = rows.filter(pk=pool_id).first()
    if pool is None or not _owns(actor, pool.provider_id):
        raise NotFound("No such pool")
    return pool


def lock(key: int | str, actor: Actor) -> Listing:
    """The provider's own listing, locked. Raises NotFound, also where it is another's."""
    rows = Listing.objects.select_related("pool", "provider").select_for_update(
        of=("self",), no_key=True
    )
    listing = identifiers.find(rows, key, "No such listing")
    if not _owns(actor, listing.provider_id):
        raise NotFound("No such listing")
    return listing


def grid_up(instant: datetime, seconds: int) -> datetime:
    """The first instant of the grid at or after this one; the grid counts from 1970 in UTC."""
    down = grid_down(instant, seconds)
    return down if down == instant else down + timedelta(seconds=seconds)


def grid_down(instant: datetime, seconds: int) -> datetime:
    """The last instant of the grid at or before this one."""
    whole = int(instant.replace(microsecond=0).timestamp())
    return datetime.fromtimestamp(whole - whole % seconds, tz=UTC)


def _owns(actor: Actor, provider_id: int) -> bool:
    """Seeing a row is not owning it: the operator's staff look, the provider sells."""
    return actor.kind == "system" or actor.organisation_id == provider_id


def _move(listing_id: int, to: str, at: datetime, actor: Actor, reason: str) -> Listing:
    with transaction.atomic():
        listing = lock(listing_id, actor)
        if to == State.PUBLISHED:
            policy.require_verified(listing.provider)
            policy.check_floor(Price.lowest(newest_price(listing)), listing.pool)
        transitions.advance(listing, to=to, at=at, actor=actor, reason=reason)
    return listing


def _check_fits(block: Block, terms: TermsInput) -> None:
    window = serves(block=block, grid_seconds=terms.start_grid_seconds)
    if window is None or window.seconds < terms.minimum_hours * 3600:
        raise InvalidTerms(
            "Between lead and turnaround no lease of the minimum length fits the period"
        )


def _check_quotable(price: Price, pool: Pool, block: Block, maximum_hours: int) -> None:
    whole = Period.of(block.sellable)
    end = min(whole.end, whole.start + timedelta(hours=maximum_hours))
    asking.check_quotable(
        price, pool, unit_count=block.unit_count, longest=Period(whole.start, end)
    )


def _add_price(listing: Listing, number: int, price: PriceInput, at: datetime) -> PriceVersion:
    return PriceVersion.objects.create(
        listing=listing,
        version=number,
        fee_bps=settings.OPERATOR_FEE_BPS,
        vat_bps=money.VAT_BPS[price.vat_code],
        created_at=at,
        **asdict(price) | {"discounts": _lists(price.discounts)},
    )


def _add_terms(listing: Listing, number: int, terms: TermsInput, at: datetime) -> TermsVersion:
    return TermsVersion.objects.create(
        listing=listing,
        version=number,
        created_at=at,
        **asdict(terms)
        | {
            "cancellation": _lists(terms.cancellation),
            "leaving": _lists(terms.leaving),
            "withdrawal": _lists(terms.withdrawal),
            "sla_credits": _lists(terms.sla_credits),
        },
    )


def _lists(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(row) for row in rows]


def _price_facts(version: PriceVersion) -> dict[str, object]:
    return {
        "price": version.public_id,
        "version": version.version,
        "basis": version.basis,
        "amount_micro": version.amount_micro,
        "currency": version.currency,
        "discounts": version.discounts,
    }


def _record(
    event: str,
    listing: Listing,
    actor: Actor,
    at: datetime,
    *,
    to_state: str = "",
    data: dict[str, object],
) -> None:
    journal.record(
        event=event,
        object_id=listing.public_id,
        actor=actor,
        at=at,
        to_state=to_state,
        provider_id=listing.provider_id,
        data=data,
    )


def terms_by_listing(public_ids: Iterable[str]) -> dict[str, TermsVersion]:
    """The terms that a new deal of each of these listings would have. Reads only."""
    rows = (
        TermsVersion.objects.filter(listing__public_id__in=list(public_ids))
        .order_by("listing_id", "-version")
        .distinct("listing_id")
        .select_related("listing")
    )
    return {row.listing.public_id: row for row in rows}
