"""What changing a lease comes to: pure, in whole minor units, from quotes before and after.

What a tenant has paid ahead for the time that a change takes away is split: a share goes back,
the rest is kept as the provider's (with its fee and VAT). Prepaid, that is the whole price of
that time; with a deposit, the deposit's part for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketplace import money
from marketplace.money import NOTHING, Amounts, Price, Quote


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


def longer(*, before: Quote, after: Quote, due_minor: int) -> Change:
    """More time, paid as the lease is: the difference of the totals, or of the deposits."""
    pay_minor = max(0, after.due_minor - before.due_minor)
    return Change(
        gross_minor=after.gross_minor, due_minor=due_minor + pay_minor, pay_minor=pay_minor
    )


def repriced(*, before: Quote, after: Quote, due_minor: int, deposit_left_minor: int) -> Change:
    """The same time at another price: the difference of the totals, or of the deposits.

    Of cheaper hours all that was paid too much comes back, as far as it is still there.
    """
    more_minor = after.due_minor - before.due_minor
    pay_minor = max(0, more_minor)
    refund_minor = min(max(0, -more_minor), deposit_left_minor)
    return Change(
        gross_minor=after.gross_minor,
        due_minor=due_minor + pay_minor - refund_minor,
        pay_minor=pay_minor,
        refund_minor=refund_minor,
    )


def shorter(
    *,
    price: Price,
    before: Quote,
    after: Quote | None,
    due_minor: int,
    deposit_left_minor: int,
    refund_bps: int,
    compensation_bps: int = 0,
) -> Change:
    """Less time: a share of what was paid for the rest comes back, the provider keeps the other.

    `after` is None where nothing of the lease remains. A deposit that was drawn on already
    covers what is kept first. A compensation is of the price of the rest, whoever paid it.
    """
    gross_minor, still_due = (after.gross_minor, after.due_minor) if after else (0, 0)
    rest_paid = max(0, before.due_minor - still_due)
    paid = min(rest_paid, deposit_left_minor)
    kept_minor = min(money.share(rest_paid, money.WHOLE_BPS - refund_bps), paid)
    refund_minor = paid - kept_minor
    return Change(
        gross_minor=gross_minor,
        due_minor=due_minor - refund_minor,
        refund_minor=refund_minor,
        share_bps=refund_bps,
        kept=money.split(price=price, gross_minor=kept_minor),
        compensation_minor=money.share(before.gross_minor - gross_minor, compensation_bps),
    )
