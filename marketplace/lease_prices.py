"""Prices of leases over time: each from an hour on, until the next."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from django.db import transaction

from inventory import journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.periods import Period, floor_hour
from marketplace import money, policy, schedules
from marketplace.changes import Plan
from marketplace.models import Amendment, Lease, LeasePrice, PriceVersion
from marketplace.money import Price, Quote
from marketplace.schedules import Due


class InvalidPriceHour(Invalid):
    """A price changes on a full hour of the lease that is still to come."""

    code = "invalid_price_hour"
    title = "The price cannot change at this instant"


class PriceAlreadyAgreed(DomainError):
    """Both sides have agreed on a price from this hour before; what was agreed stays."""

    code = "price_already_agreed"
    title = "A price from this hour is agreed already"


class PriceOfAnotherKind(Invalid):
    """A lease stays in one currency and one way of paying."""

    code = "price_of_another_kind"
    title = "The lease is paid in another way"


def begin(*, lease: Lease, at: datetime) -> LeasePrice:
    """The lease's first price, from the hour of its start. Not idempotent."""
    return LeasePrice.objects.create(
        lease=lease,
        from_at=floor_hour(Period.of(lease.period).start),
        price_id=lease.price_id,
        discount_bps=lease.discount_bps,
        created_at=at,
    )


def check(*, lease: Lease, price: PriceVersion, from_at: datetime, at: datetime) -> None:
    """Whether the lease could have this price from that hour on, agreed at `at`.

    The hour is a full UTC hour after `at` and within the lease's period, so that none of it can
    have been rated. Raises InvalidPriceHour, PriceAlreadyAgreed, PriceOfAnotherKind, BelowFloor,
    FloorCurrency, IllegalTransition where the lease is over.
    """
    if not lease.is_running:
        raise transitions.IllegalTransition(f"{lease.public_id} is not running")
    period = Period.of(lease.period)
    if from_at != floor_hour(from_at) or from_at <= at or not period.start < from_at < period.end:
        raise InvalidPriceHour(
            "A price changes on a full hour (UTC) of the lease that is still to come"
        )
    agreed = lease.price
    if (price.currency, price.schedule) != (agreed.currency, agreed.schedule):
        raise PriceOfAnotherKind(currency=agreed.currency, schedule=agreed.schedule)
    policy.check_floor(Price.of(price), lease.allocation.pool)
    if lease.prices.filter(from_at=from_at).exists():
        raise PriceAlreadyAgreed(from_at=from_at)


def set_price(
    *,
    lease: Lease,
    price: PriceVersion,
    amendment: Amendment,
    from_at: datetime,
    at: datetime,
    actor: Actor,
) -> LeasePrice:
    """From `from_at` on, and until a later price agreed before, the lease is charged at `price`.

    The amendment is signed and says so; the database refuses any other. No discount of the
    lease is taken off: what was agreed is what is paid. What the dearer or cheaper hours change
    about money paid ahead is the caller's to move. The caller has locked the lease; locks
    nothing more. Raises what `check` raises. Not idempotent.
    """
    check(lease=lease, price=price, from_at=from_at, at=at)
    with transaction.atomic():
        row = LeasePrice.objects.create(
            lease=lease, from_at=from_at, price=price, amendment=amendment, created_at=at
        )
        journal.record(
            event="lease.price_set",
            object_id=lease.public_id,
            actor=actor,
            at=at,
            provider_id=lease.provider_id,
            tenant_id=lease.tenant_id,
            data={
                "price": price.public_id,
                "amendment": amendment.public_id,
                "from_at": from_at.isoformat(),
            },
        )
    return row


def at_hour(prices: Sequence[LeasePrice], hour: datetime) -> LeasePrice:
    """Which of a lease's prices, in order of time, an hour is charged at."""
    return prices[max(0, bisect_right([row.from_at for row in prices], hour) - 1)]


def over(prices: Sequence[LeasePrice], period: Period) -> list[tuple[Price, Period]]:
    """A period cut where the price changes; `prices` are a lease's, in order of time."""
    edges = [period.start, *(r.from_at for r in prices if period.start < r.from_at < period.end)]
    return [
        (Price.agreed(at_hour(prices, start)), Period(start, end))
        for start, end in pairwise([*edges, period.end])
    ]


def of(lease: Lease) -> list[LeasePrice]:
    """A lease's prices in order of time."""
    return list(lease.prices.select_related("price").order_by("from_at"))


def quote(*, lease: Lease, period: Period, and_also: LeasePrice | None = None) -> Quote:
    """The price of the lease's units, were `period` its own, each part at the price of its hours.

    Charges of the fully delivered period add up to it. `and_also` is a price that the lease
    does not have yet. `due_minor` says nothing of a lease whose price has changed: see
    `instalments`. Raises AmountTooLarge.
    """
    pool = lease.allocation.pool
    return money.add(
        [
            money.quote(
                price=price,
                unit_cards=pool.unit_cards,
                cards_per_node=pool.cards_per_node,
                unit_count=lease.unit_count,
                period=part,
                whole=period,
            )
            for price, part in over(_prices(lease, and_also), period)
        ]
    )


def instalments(
    *, lease: Lease, period: Period, and_also: LeasePrice | None = None
) -> tuple[Due, ...]:
    """What the lease pays and when, were `period` its own; the schedule is that of its first
    price, which no later one changes. Without its security: that stays as it was agreed."""
    pool = lease.allocation.pool
    parts = over(_prices(lease, and_also), period)
    running = [
        money.Running(
            price=price,
            cards=lease.unit_count * pool.unit_cards,
            cards_per_node=pool.cards_per_node,
            period=part,
            whole=period,
        )
        for price, part in parts
    ]
    found = money.instalments(
        parts[0][0], period, lambda instant: sum(each(instant) for each in running)
    )
    return tuple(due for due in found if due.kind != "security")


def plan(*, lease: Lease, period: Period, at: datetime, and_also: LeasePrice | None = None) -> Plan:
    """What the lease would come to, were `period` its own, and what of it is asked ahead."""
    dues = instalments(lease=lease, period=period, and_also=and_also)
    ahead = [due for due in dues if due.kind in schedules.AHEAD]
    return Plan(
        gross_minor=quote(lease=lease, period=period, and_also=and_also).gross_minor,
        asked_minor=sum(due.amount_minor for due in ahead if due.is_asked_by(at)),
        ahead_minor=sum(due.amount_minor for due in ahead),
    )


def _prices(lease: Lease, and_also: LeasePrice | None) -> list[LeasePrice]:
    return sorted([*of(lease), *filter(None, [and_also])], key=lambda row: row.from_at)
