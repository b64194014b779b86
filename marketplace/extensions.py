"""How far a lease could be extended: through its own block and those that adjoin it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from inventory import capacity, transitions
from inventory.errors import DomainError
from inventory.models import Block, Claim
from inventory.periods import HOUR, Period
from marketplace import discounts
from marketplace.models import Lease, Listing
from marketplace.money import Price


class LeaseTooLong(DomainError):
    """The lease's terms allow no lease of that length."""

    code = "lease_too_long"
    title = "The terms allow no lease of that length"


class NeedsNewPrice(DomainError):
    """The adjoining block is sold at another price: both sides agree on it by an amendment."""

    code = "needs_new_price"
    title = "From there on another price is asked"


@dataclass(frozen=True, slots=True)
class Link:
    """One block on the way, and until when it has the lease's units free without a gap."""

    block: Block
    free_until: datetime

    @property
    def edge(self) -> datetime:
        end: datetime = self.block.sellable.upper
        return end

    def latest(self, turnaround: timedelta) -> datetime:
        return min(self.edge, self.free_until - turnaround)


@dataclass(frozen=True, slots=True)
class Reach:
    """Through which blocks a lease could go on, and how long it could last at most."""

    links: tuple[Link, ...]
    latest_end: datetime
    dearer: bool  # what adjoins the last block asks another price

    def block_ids(self, end: datetime, turnaround: timedelta) -> list[int]:
        """The blocks an end needs beside the lease's own, with room for the wipe."""
        needed: list[int] = []
        for position, link in enumerate(self.links):
            if position:
                needed.append(link.block.pk)
            if end <= link.edge and end + turnaround <= link.free_until:
                break
        return needed


def blocks_for(*, lease: Lease, end: datetime, at: datetime, by_terms: bool) -> list[int]:
    """The further blocks that extending the lease to `end` needs; the claim itself decides.

    Raises InvalidEnd off the hour grid or not later than the end, LeaseTooLong (only where it
    goes by the terms), CapacityTaken with the latest possible end, NotOffered, NeedsNewPrice.
    """
    period = Period.of(lease.period)
    if end <= period.end or period.end <= at or (end - period.start) % HOUR:
        raise capacity.InvalidEnd("A lease lasts whole hours and grows by later ends")
    if by_terms and end > period.start + longest(lease):
        raise LeaseTooLong(longest_end=period.start + longest(lease))
    if (end - period.start - _least(lease, by_terms)) % _step(lease, by_terms):
        raise capacity.InvalidEnd("A lease lasts as long as the steps of its terms allow")
    found = reach(lease=lease, end=end, at=at, by_terms=by_terms)
    if end <= found.latest_end:
        return found.block_ids(end, _turnaround(lease))
    last = found.links[-1]
    if last.block.state != Block.State.OPEN:
        raise capacity.NotOffered(why="block_closed")
    latest_end = found.latest_end if found.latest_end > period.end else None
    if last.free_until < last.edge:
        raise capacity.CapacityTaken(free_units=0, latest_end=latest_end)
    if found.dearer:
        raise NeedsNewPrice(latest_end=latest_end)
    raise capacity.NotOffered(why="outside_the_sellable_window", latest_end=latest_end)


def longest(lease: Lease) -> timedelta:
    """How long the lease's terms let it be."""
    return timedelta(hours=lease.terms.maximum_hours)


def reach(*, lease: Lease, end: datetime, at: datetime, by_terms: bool) -> Reach:
    """As far as the lease could go on towards `end`. Reads only, locks nothing.

    By the terms it goes on through what is sold at once; where its provider signs too, also
    through what is sold by approval. Raises IllegalTransition where its machines are given up.
    """
    turnaround = _turnaround(lease)
    claims = Claim.objects.filter(
        allocation_id=lease.allocation_id, state__in=["held", "confirmed"]
    ).select_related("block")
    own = max(claims, key=lambda claim: claim.block.sellable.upper, default=None)
    if own is None:  # before the lease has followed them
        raise transitions.IllegalTransition(f"{lease.public_id} has no machines any more")
    links, dearer = [_link(lease, own.block, own.blocking.upper, at)], False
    while links[-1].free_until >= links[-1].edge:
        last = links[-1]
        if end <= last.edge and end + turnaround <= last.free_until:
            break
        further, dearer = _further(lease, last, end, at, by_terms)
        if further is None:
            break
        links.append(further)
    latest = max(link.latest(turnaround) for link in links)
    over = latest - Period.of(lease.period).start - _least(lease, by_terms)
    return Reach(tuple(links), latest - over % _step(lease, by_terms), dearer)


def _further(
    lease: Lease, last: Link, end: datetime, at: datetime, by_terms: bool
) -> tuple[Link | None, bool]:
    """The adjoining block at the lease's price that is free the longest, if there is one."""
    adjoining = Listing.objects.filter(
        pool_id=lease.allocation.pool_id,
        state=Listing.State.PUBLISHED,
        block__state=Block.State.OPEN,
        block__sellable__startswith=last.edge,
        block__unit_count__gte=lease.unit_count,
    ).select_related("block")
    if by_terms:
        adjoining = adjoining.filter(mode=Listing.Mode.INSTANT)
    rows = list(adjoining.prefetch_related("prices"))
    same = [row for row in rows if _asks_the_same(row, lease, end)]
    links = [_link(lease, row.block, last.edge, at) for row in same]
    links = [link for link in links if link.free_until > last.edge]
    return max(links, key=lambda link: link.free_until, default=None), len(same) < len(rows)


def _asks_the_same(listing: Listing, lease: Lease, end: datetime) -> bool:
    """Whether a lease so long would cost no more there, after what both prices take off."""
    newest = max(listing.prices.all(), key=lambda price: price.version)
    share_off = discounts.share_off(
        discounts.tiers(newest.discounts),
        hours=Period(Period.of(lease.period).start, end).seconds // 3600,
        cards=lease.card_count,
    )
    return Price.of(newest) == Price.of(lease.price) and share_off >= lease.discount_bps


def _link(lease: Lease, block: Block, since: datetime, at: datetime) -> Link:
    """What the lease itself takes, until `since`, does not stand in its way."""
    period = Period.of(block.period)
    if since >= period.end:
        return Link(block, period.end)
    steps = capacity.availability(period=Period(since, period.end), at=at, block_id=block.pk)
    taken = (step.start for step in steps if step.free_units < lease.unit_count)
    return Link(block, next(taken, period.end))


def _least(lease: Lease, by_terms: bool) -> timedelta:
    return lease.terms.minimum_hours * HOUR if by_terms else timedelta()


def _step(lease: Lease, by_terms: bool) -> timedelta:
    """What lengths grow by: the terms' step, or any hour where both sides sign."""
    return lease.terms.hour_step * HOUR if by_terms else HOUR


def _turnaround(lease: Lease) -> timedelta:
    return timedelta(seconds=lease.allocation.turnaround_seconds)
