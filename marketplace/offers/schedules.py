"""What an offer's price and terms come to in dates and money."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from inventory.periods import HOUR, Period
from marketplace import money
from marketplace.money import Price, Quote
from marketplace.offers.model import CancellationStep, Maintenance, Payment
from marketplace.search_map import OUT_END, OUT_NODES, OUT_START, PoolMap, instant, micros


def payments(
    *, price: Price, quote: Quote, period: Period, confirm_until: datetime
) -> tuple[Payment, ...]:
    """What is paid when, where every hour is delivered.

    Prepaid: the whole price at confirmation. Otherwise a deposit then, and each hour from the
    wallet when it has been delivered; the deposit stands in where the wallet is empty, and what
    is left of it comes back.
    """
    first = Payment("at_confirmation", confirm_until, confirm_until, 1, quote.due_minor)
    if price.schedule == "prepaid":
        return (first,)
    hours = -(-period.seconds // 3600)
    hourly = Payment("hourly", period.start + HOUR, period.end, hours, quote.gross_minor)
    back = Payment("deposit_back", period.end, period.end, 1, -quote.due_minor)
    return (first, hourly, back) if quote.due_minor else (hourly,)


def cancellation_steps(
    *, schedule: Sequence[Sequence[int]], due_minor: int, start: datetime, at: datetime
) -> tuple[CancellationStep, ...]:
    """Until when cancelling gives back how much of what was paid at confirmation.

    The last step ends at the start and gives nothing back, unless the schedule reaches it. A
    step that is over by now is none that anybody could use.
    """
    steps = [(start - timedelta(hours=hours), bps) for hours, bps in schedule]
    if not steps or steps[-1][0] < start:
        steps.append((start, 0))
    return tuple(_step(until, bps, due_minor) for until, bps in steps if until > at)


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


def _step(until: datetime, bps: int, due_minor: int) -> CancellationStep:
    kept_minor = money.share(due_minor, money.WHOLE_BPS - bps)
    return CancellationStep(until, bps, due_minor - kept_minor, kept_minor)
