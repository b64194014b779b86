"""What changing a lease comes to: pure, in whole minor units, from quotes before and after.

What a tenant has paid ahead for the time that a change takes away is split: a share goes back,
the rest is kept as the provider's (with its fee and VAT). Prepaid, that is the whole price of
that time; with a deposit, the deposit's part for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketplace import money
from marketplace.money import NOTHING, Amounts, Price


@dataclass(frozen=True, slots=True)
class Change:
    """The lease's totals after a change, and the money that moves with it, in minor units."""

    gross_minor: int  # the whole price of the lease from now on
    due_minor: int  # paid ahead for it in all, what came back taken off
    pay_minor: int = 0  # wallet → deposit
    refund_minor: int = 0  # deposit → wallet
    share_bps: int = 0  # of what was paid for the time taken away, refunded
    kept: Amounts = NOTHING  # deposit → provider, fee, VAT
    compensation_minor: int = 0  # provider → wallet


@dataclass(frozen=True, slots=True)
class Plan:
    """The price of a lease as it would stand, and what its schedule asks for it ahead."""

    gross_minor: int
    asked_minor: int  # by the instant of the change
    ahead_minor: int  # in all, sooner or later


@dataclass(frozen=True, slots=True)
class Paid:
    """What a lease has paid ahead for its time so far, and what of it is not used up."""

    paid_minor: int
    left_minor: int


NOTHING_LEFT = Plan(0, 0, 0)


def longer(*, before: Plan, after: Plan, due_minor: int) -> Change:
    """More time, paid as the lease is: what its schedule would have asked by now beyond what it
    has. What it asks later is paid later."""
    pay_minor = max(0, after.asked_minor - before.asked_minor)
    return Change(
        gross_minor=after.gross_minor, due_minor=due_minor + pay_minor, pay_minor=pay_minor
    )


def repriced(*, before: Plan, after: Plan, due_minor: int, paid: Paid) -> Change:
    """The same time at another price: what the schedule asks by now, more or less.

    Of cheaper hours all that was paid too much comes back, as far as it is still there.
    """
    more_minor = after.asked_minor - before.asked_minor
    pay_minor = max(0, more_minor)
    too_much = max(0, paid.paid_minor - after.asked_minor)
    refund_minor = min(max(0, -more_minor), too_much, paid.left_minor)
    return Change(
        gross_minor=after.gross_minor,
        due_minor=due_minor + pay_minor - refund_minor,
        pay_minor=pay_minor,
        refund_minor=refund_minor,
    )


def shorter(
    *,
    price: Price,
    before: Plan,
    after: Plan,
    due_minor: int,
    paid: Paid,
    refund_bps: int,
    compensation_bps: int = 0,
) -> Change:
    """Less time: a share of what was paid for the rest comes back, the provider keeps the other.

    In arrears, or where the rest's months were not due yet, nothing was, and nothing is kept. A
    deposit that was drawn on already covers what is kept first. A compensation is of the price
    of the rest, whoever paid it.
    """
    rest_paid = max(0, paid.paid_minor - after.ahead_minor)
    at_hand = min(rest_paid, paid.left_minor)
    kept_minor = min(money.share(rest_paid, money.WHOLE_BPS - refund_bps), at_hand)
    refund_minor = at_hand - kept_minor
    return Change(
        gross_minor=after.gross_minor,
        due_minor=due_minor - refund_minor,
        refund_minor=refund_minor,
        share_bps=refund_bps,
        kept=money.split(price=price, gross_minor=kept_minor),
        compensation_minor=money.share(before.gross_minor - after.gross_minor, compensation_bps),
    )
