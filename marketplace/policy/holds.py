"""What a hold costs and how long it lasts: nothing is held without an end and a deposit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import pairwise

from django.conf import settings

from inventory.errors import DomainError
from inventory.periods import Period
from marketplace import money
from marketplace.models import Reservation
from marketplace.policy import business_days
from marketplace.policy.standings import Ask, Standing

PayBy = Reservation.PayBy
SHORTEST_HOLD = timedelta(minutes=1)
_DAY = timedelta(days=1)


class HoldLimit(DomainError):
    """The tenant already holds, unpaid, as much as one tenant may."""

    code = "hold_limit"
    title = "Too much is held already"
    status = 429


class BankHoldUnavailable(DomainError):
    """The operator keeps nothing for transfers: deals are paid from the wallet."""

    code = "bank_hold_unavailable"
    title = "Nothing is held for a bank transfer here"
    status = 422


@dataclass(frozen=True, slots=True)
class HoldTerms:
    """Until when capacity is kept, and which share of the price is kept aside meanwhile.

    bps = base_bps × factor, up to the operator's most; `factor` is 2^(k−1) for the k-th hold
    in 30 days that follows k−1 lapsed ones.
    """

    pay_by: str
    expires_at: datetime
    base_bps: int
    factor: int
    bps: int
    lapsed_count: int

    def deposit_minor(self, gross_minor: int) -> int:
        """Kept aside in the wallet; given back, or counted towards the price.

        Never nothing of a price that is something: a hold without a deposit is unconditional.
        """
        return max(money.share(gross_minor, self.bps), min(gross_minor, 1))


def hold_terms(
    *,
    lapsed_count: int,
    at: datetime,
    pay_by: str = PayBy.WALLET,
    start: datetime | None = None,
    lead_seconds: int = 0,
) -> HoldTerms:
    """What holding costs a tenant with that many lapsed holds behind it, and until when it lasts.

    For a lease from `start` it ends no later than its nodes can still be prepared in time.
    Raises BankHoldUnavailable.
    """
    until = expires_at(at, start=start, lead_seconds=lead_seconds, pay_by=pay_by)
    base_bps = settings.HOLD_DEPOSIT_BPS
    if pay_by == PayBy.BANK:
        days = -(-(until - at) // _DAY)
        base_bps += settings.BANK_HOLD_DAY_BPS * days
    return HoldTerms(
        pay_by=pay_by,
        expires_at=until,
        base_bps=base_bps,
        factor=lapse_factor(lapsed_count),
        bps=hold_bps(lapsed_count, base_bps=base_bps),
        lapsed_count=lapsed_count,
    )


def ways_to_hold(
    *, lapsed_count: int, at: datetime, start: datetime | None = None, lead_seconds: int = 0
) -> tuple[HoldTerms, HoldTerms | None]:
    """The terms for a wallet, and for a bank transfer where the operator keeps anything for one
    and there is time enough before the start for it to be more than the wallet's."""
    wallet = hold_terms(lapsed_count=lapsed_count, at=at, start=start, lead_seconds=lead_seconds)
    if not settings.PAY_BY_BUSINESS_DAYS:
        return wallet, None
    bank = hold_terms(
        lapsed_count=lapsed_count,
        at=at,
        pay_by=PayBy.BANK,
        start=start,
        lead_seconds=lead_seconds,
    )
    return wallet, bank if bank.expires_at > wallet.expires_at else None


def lapse_factor(lapsed_count: int) -> int:
    """2^(k−1): k−1 holds lapsed in the 30 days before this, the k-th."""
    # Fourteen doublings of one basis point pass the whole: no need for larger numbers.
    return 1 << min(lapsed_count, 14)


def hold_bps(lapsed_count: int, *, base_bps: int | None = None) -> int:
    """The share kept aside while held: every lapsed hold doubles it, up to the operator's most."""
    base = settings.HOLD_DEPOSIT_BPS if base_bps is None else base_bps
    most: int = min(settings.HOLD_DEPOSIT_MOST_BPS, money.WHOLE_BPS)
    return min(base * lapse_factor(lapsed_count), most)


def expires_at(
    at: datetime, *, start: datetime | None, lead_seconds: int, pay_by: str = PayBy.WALLET
) -> datetime:
    """Until when capacity is kept: minutes for a wallet, a pay-by date for a bank transfer.

    No longer than its nodes can still be prepared in time, but for a minute; and for a
    transfer no shorter than for a wallet. Raises BankHoldUnavailable.
    """
    longest = at + timedelta(seconds=settings.HOLD_SECONDS)
    if pay_by == PayBy.BANK:
        if not settings.PAY_BY_BUSINESS_DAYS:
            raise BankHoldUnavailable
        longest = max(longest, business_days.pay_by(at))
    if start is None:
        return longest
    in_time = start - timedelta(seconds=lead_seconds)
    return min(longest, max(in_time, at + SHORTEST_HOLD))


def check_hold_limit(standing: Standing, *asks: Ask) -> None:
    """Whether the tenant may hold this beside what it holds already.

    Holds of one tenant on one chip class that overlap in time are taken for alternatives of
    one need and count once: at each instant the largest of them. Several asks at once, and
    what lies in one basket, are of one need and add up. Raises HoldLimit.
    """
    card_hours = held_card_seconds(standing.plus(*asks)) // 3600
    if card_hours > standing.held_limit_card_hours:
        raise HoldLimit(
            "Confirm or cancel other holds first",
            card_hours=card_hours,
            limit_card_hours=standing.held_limit_card_hours,
        )


def held_card_seconds(standing: Standing) -> int:
    """What the tenant holds unpaid, alternatives of one need counted once."""
    needs: dict[tuple[str, int], list[tuple[Period, int]]] = defaultdict(list)
    for hold in standing.live_holds:
        needs[hold.chip_class, hold.need].append((hold.period, hold.card_count))
    by_class: dict[str, list[tuple[Period, int]]] = defaultdict(list)
    for (chip_class, _), holds in needs.items():
        by_class[chip_class] += added_up(holds)
    return sum(map(card_seconds_once, by_class.values()))


def added_up(holds: list[tuple[Period, int]]) -> list[tuple[Period, int]]:
    """What is held for one need, as steps that do not overlap."""
    if len(holds) == 1:
        return holds
    edges = sorted({edge for period, _ in holds for edge in (period.start, period.end)})
    steps = (
        (Period(*step), sum(cards for period, cards in holds if period.contains(Period(*step))))
        for step in pairwise(edges)
    )
    return [(period, cards) for period, cards in steps if cards]


def card_seconds_once(holds: Iterable[tuple[Period, int]]) -> int:
    """The largest of the holds at each instant, summed over time, in card-seconds.

    From edge to edge, the open ones in a heap, largest first; those that are over leave it when
    they come up. n log n, since one tenant may hold a thousand.
    """
    waiting = sorted(holds, key=lambda hold: hold[0].start, reverse=True)
    edges = sorted({edge for period, _ in waiting for edge in (period.start, period.end)})
    largest_first: list[tuple[int, datetime]] = []
    total = 0
    for start, end in pairwise(edges):
        while waiting and waiting[-1][0].start <= start:
            period, cards = waiting.pop()
            heappush(largest_first, (-cards, period.end))
        while largest_first and largest_first[0][1] <= start:
            heappop(largest_first)
        if largest_first:
            total -= largest_first[0][0] * int((end - start).total_seconds())
    return total
