"""Service levels (SLA): what of a month was delivered, and what the terms give back for the rest.

Availability is the share of the card-seconds owed in a calendar month that were delivered.
Shares are compared as whole numbers, never as a rounded percentage: a month that lies exactly
on a step has kept it. What was announced in time, and what the tenant itself caused, is taken
off both sides before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace import money
from marketplace.models import TermsVersion
from marketplace.money import Amounts

MOST_STEPS = 20


@dataclass(frozen=True, slots=True)
class Promise:
    """A service level as terms have it: see `TermsVersion` for the words."""

    availability_bps: int
    steps: tuple[tuple[int, int], ...]  # availability below, credit in basis points; descending
    cap_bps: int
    replacement_hours: int = 0  # of a failed node; 0: no time is promised
    notice_hours: int = 0  # maintenance announced so long ahead does not count; 0: all counts

    @classmethod
    def of(cls, terms: TermsVersion) -> Promise | None:
        """None where the terms promise nothing."""
        if not terms.sla_availability_bps:
            return None
        steps: Sequence[Sequence[int]] = terms.sla_credits
        return cls(
            terms.sla_availability_bps,
            tuple((below, credit) for below, credit in steps),
            terms.sla_cap_bps,
            terms.sla_replacement_hours,
            terms.sla_notice_hours,
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """A month of a lease in whole card-seconds: owed = delivered + missing + excluded."""

    delivered: int
    missing: int
    excluded: int = 0  # not delivered, and by the terms nobody's failure

    @property
    def counted(self) -> int:
        """Of what was owed, what the promise is held against."""
        return self.delivered + self.missing

    @property
    def availability_bps(self) -> int:
        """Rounded down, to be shown; nothing owed is all delivered."""
        if self.counted <= 0:
            return money.WHOLE_BPS
        return self.delivered * money.WHOLE_BPS // self.counted

    def is_below(self, bps: int) -> bool:
        """Exactly: delivered / counted < bps / 10000."""
        return self.delivered * money.WHOLE_BPS < bps * self.counted


def credit_bps(promise: Promise, delivery: Delivery) -> int:
    """The credit of the lowest step that the month lies below, no more than the cap; else 0."""
    found = 0
    for below, credit in promise.steps:
        if not delivery.is_below(below):
            break
        found = credit
    return min(found, promise.cap_bps)


def credit(charged: Amounts, bps: int) -> Amounts:
    """So many basis points of what a month was charged, in its parts: all of it together never
    above what was charged, VAT and fee in the proportion they were charged."""
    gross = min(money.share(charged.gross_minor, bps), charged.gross_minor)
    if gross <= 0:
        return Amounts(0, 0, 0, 0)
    vat = min(_part(charged.vat_minor, gross, charged.gross_minor), gross)
    fee = min(_part(charged.fee_minor, gross, charged.gross_minor), gross - vat)
    return Amounts(gross, vat, fee, gross - vat - fee)


def _part(amount_minor: int, gross_minor: int, of_minor: int) -> int:
    return max(0, money.half_up_of(amount_minor * gross_minor, of_minor))
