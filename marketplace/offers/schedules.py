"""What an offer's price and terms come to in dates and money."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from inventory.periods import HOUR, Period
from marketplace import money
from marketplace.money import Price, Quote, Running
from marketplace.offers.model import CancellationStep, Maintenance, Payment
from marketplace.search_map import OUT_END, OUT_NODES, OUT_START, PoolMap, instant, micros


def payments(
    *, price: Price, quote: Quote, found: Running, period: Period, confirm_until: datetime
) -> tuple[Payment, ...]:
    """What is paid when, where every hour is delivered: they add up to the whole price.

    Some of it at confirmation. By the hour, each from the wallet when it has been delivered;
    otherwise the later payments of the price's schedule. A deposit and a security come back.
    """
    rows = []
    if quote.due_minor:
        rows.append(Payment("at_confirmation", confirm_until, confirm_until, 1, quote.due_minor))
    if price.schedule == "deposit_hourly":
        hours = -(-period.seconds // 3600)
        rows.append(Payment("hourly", period.start + HOUR, period.end, hours, quote.gross_minor))
        if quote.due_minor:
            rows.append(Payment("deposit_back", period.end, period.end, 1, -quote.due_minor))
        return tuple(rows)
    for due in money.instalments(price, period, found):
        if due.due_at is not None and (due.kind == "advance" or due.kind == "arrears"):
            at = due.due_at
            rows.append(Payment(due.kind, at, at, 1, due.amount_minor, due.period))
    if quote.security_minor:
        rows.append(Payment("security_back", period.end, period.end, 1, -quote.security_minor))
    return tuple(rows)


def cancellation_steps(
    *,
    schedule: Sequence[Sequence[int]],
    due_minor: int,
    start: datetime,
    at: datetime,
    security_minor: int = 0,
) -> tuple[CancellationStep, ...]:
    """Until when cancelling gives back how much of what was paid at confirmation.

    A security, which is in `due_minor`, comes back whole. The last step ends at the start and
    gives nothing else back, unless the schedule reaches it. A step that is over by now is none
    that anybody could use.
    """
    steps = [(start - timedelta(hours=hours), bps) for hours, bps in schedule]
    if not steps or steps[-1][0] < start:
        steps.append((start, 0))
    return tuple(
        _step(until, bps, due_minor - security_minor, security_minor)
        for until, bps in steps
        if until > at
    )


def maintenance(pool: PoolMap, period: Period) -> tuple[Maintenance, ...]:
    """The pool's planned outages that fall into the period, in order of their start."""
    if not len(pool.outages):
        return ()
    start, end = micros(period.start), micros(period.end)
    within = pool.outages.where((pool.outages[OUT_START] < end) & (pool.outages[OUT_END] > start))
    return tuple(
        Maintenance(instant(row[OUT_START]), instant(row[OUT_END]), row[OUT_NODES])
        for row in within.columns.T.tolist()
    )


def _step(until: datetime, bps: int, ahead_minor: int, security_minor: int) -> CancellationStep:
    kept_minor = money.share(ahead_minor, money.WHOLE_BPS - bps)
    return CancellationStep(until, bps, ahead_minor + security_minor - kept_minor, kept_minor)
