"""How far a lease could be extended: through its own block and those that adjoin it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from inventory import capacity
from inventory.errors import DomainError
from inventory.models import Block, Claim
from inventory.periods import HOUR, Period
from marketplace.models import Lease, Listing, Reservation
from marketplace.money import Price

RUNNING = (Lease.State.SCHEDULED, Lease.State.DELIVERING, Lease.State.ACTIVE)


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
    found = reach(lease=lease, end=end, at=at)
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
    """How long the lease's terms let it be. A trial that may go on becomes a lease, at a price
    of its own: extended past the trial's hours it would be one below every floor."""
    is_trial = lease.kind == Reservation.Kind.TRIAL
    return timedelta(hours=lease.terms.trial_hours if is_trial else lease.terms.maximum_hours)


def reach(*, lease: Lease, end: datetime, at: datetime) -> Reach:
    """As far as the lease could go on towards `end`. Reads only, locks nothing."""
    turnaround = _turnaround(lease)
    claims = Claim.objects.filter(
        allocation_id=lease.allocation_id, state__in=["held", "confirmed"]
    ).select_related("block")
    own = max(claims, key=lambda claim: claim.block.sellable.upper)
    links, dearer = [_link(lease, own.block, own.blocking.upper, at)], False
    while links[-1].free_until >= links[-1].edge:
        last = links[-1]
        if end <= last.edge and end + turnaround <= last.free_until:
            break
        further, dearer = _further(lease, last, at)
        if further is None:
            break
        links.append(further)
    latest = max(link.latest(turnaround) for link in links)
    start = Period.of(lease.period).start
    return Reach(tuple(links), latest - (latest - start) % HOUR, dearer)


def _further(lease: Lease, last: Link, at: datetime) -> tuple[Link | None, bool]:
    """The adjoining block at the lease's price that is free the longest, if there is one."""
    adjoining = Listing.objects.filter(
        pool_id=lease.allocation.pool_id,
        state=Listing.State.PUBLISHED,
        block__state=Block.State.OPEN,
        block__sellable__startswith=last.edge,
        block__unit_count__gte=lease.unit_count,
    ).select_related("block")
    rows = list(adjoining.prefetch_related("prices"))
    same = [row for row in rows if _asks_the_same(row, lease)]
    links = [_link(lease, row.block, last.edge, at) for row in same]
    links = [link for link in links if link.free_until > last.edge]
    return max(links, key=lambda link: link.free_until, default=None), len(same) < len(rows)


def _asks_the_same(listing: Listing, lease: Lease) -> bool:
    newest = max(listing.prices.all(), key=lambda price: price.version)
    return listing.pk == lease.listing_id or Price.of(newest) == Price.of(lease.price)


def _link(lease: Lease, block: Block, since: datetime, at: datetime) -> Link:
    """What the lease itself takes, until `since`, does not stand in its way."""
    period = Period.of(block.period)
    if since >= period.end:
        return Link(block, period.end)
    steps = capacity.availability(period=Period(since, period.end), at=at, block_id=block.pk)
    taken = (step.start for step in steps if step.free_units < lease.unit_count)
    return Link(block, next(taken, period.end))


def _turnaround(lease: Lease) -> timedelta:
    return timedelta(seconds=lease.allocation.turnaround_seconds)
