"""When a lease's price is paid: what each payment is for, how much it is, and when it is due.

A schedule moves no price. It cuts the whole quote at instants, and each payment is the
difference of two running totals of it, so that those of any lease add up to what was quoted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from inventory.periods import Period
from marketplace import months

Kind = Literal["whole", "deposit", "security", "advance", "arrears"]
# Paid into the lease's deposit, from which its hours are charged.
AHEAD: tuple[Kind, ...] = ("whole", "deposit", "advance")


class Scheduled(Protocol):
    """A price, as far as it says when it is paid; see `PriceVersion` for the words."""

    @property
    def schedule(self) -> str: ...
    @property
    def billing_zone(self) -> str: ...
    @property
    def security_months(self) -> int: ...
    @property
    def advance_months(self) -> int: ...
    @property
    def net_days(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Due:
    """One payment of a lease. Without an instant it is due when the deal is confirmed."""

    kind: Kind
    period: Period  # what it pays for
    due_at: datetime | None
    amount_minor: int

    def is_asked_by(self, at: datetime) -> bool:
        return self.due_at is None or self.due_at <= at


def plan(
    *,
    price: Scheduled,
    period: Period,
    gross_until: Callable[[datetime], int],
    deposit_minor: int,
) -> Iterator[Due]:
    """Every payment of a lease over the period, in order of time.

    `gross_until` is the rounded price of its hours before an instant; `deposit_minor` what is
    paid ahead where each hour is then paid from the wallet.
    """
    gross_minor = gross_until(period.end)
    if price.schedule == "prepaid":
        yield Due("whole", period, None, gross_minor)
        return
    if price.schedule == "deposit_hourly":
        yield Due("deposit", period, None, deposit_minor)
        return
    if price.security_months:
        # Of a lease that is shorter, all of it: nobody puts down more than it costs.
        end = min(period.end, months.after(period.start, price.security_months, price.billing_zone))
        yield Due("security", period, None, gross_until(end))
    before = 0
    for part, due_at in _parts(price, period):
        total = gross_until(part.end)
        kind: Kind = "advance" if price.schedule == "advance" else "arrears"
        yield Due(kind, part, due_at, total - before)
        before = total


def _parts(price: Scheduled, period: Period) -> Iterator[tuple[Period, datetime | None]]:
    """Ahead: every N months from the start, due as they begin, the first at confirmation. In
    arrears: calendar months, due so many days after them."""
    zone, start = price.billing_zone, period.start
    if price.schedule == "advance":
        count = 0
        while start < period.end:
            count += price.advance_months
            end = min(period.end, months.after(period.start, count, zone))
            yield Period(start, end), None if start == period.start else start
            start = end
        return
    while start < period.end:
        month = months.month_of(start, zone)
        end = min(period.end, month.end)
        yield Period(start, end), months.days_later(month.end, price.net_days, zone)
        start = end
