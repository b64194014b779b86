"""Money of one currency given for another's: two halves of one posting, and the rate.

Each half goes by way of `asset:fx` of its currency, so that each currency sums to zero by
itself. What lies there is what the operator holds in one currency for what it owes in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing import chart, ledger
from billing.ledger import Entry, Kind
from billing.ledger_calls import call
from inventory.actors import Actor
from inventory.errors import Invalid
from marketplace import money


class RateDiffers(Invalid):
    """The amounts are not what the rate makes of each other."""

    code = "rate_differs"
    title = "The amounts and the rate do not agree"


@dataclass(frozen=True, slots=True)
class Side:
    """What one currency gives or gets: its entries but the one on `fx`."""

    currency: str
    entries: Sequence[Entry]

    @property
    def minor(self) -> int:
        return sum(amount for _, amount in self.entries)

    @property
    def whole(self) -> list[Entry]:
        return [*self.entries, (chart.fx(self.currency), -self.minor)]


def exchange(
    *,
    key: str,
    sold: Side,
    bought: Side,
    rate: Decimal,
    at: datetime,
    actor: Actor,
    kind: str = Kind.EXCHANGED,
    effective_at: datetime | None = None,
    reason: str = "",
    external_reference: str = "",
) -> int:
    """Books both sides as one transaction and keeps the rate; returns its id.

    `rate` is how many major units were bought for one that was sold, as whoever exchanged them
    says (Stripe's `exchange_rate`): the amounts have to agree with it as far as its last digit
    allows, and to the minor unit. A top-up paid in CNY and settled in USD sells CNY (the wallet's
    credit) and buys USD (Stripe's debit and the fee). Idempotent by key. Raises RateDiffers,
    UnknownCurrency, and what `ledger.post` raises.
    """
    _require_agreement(sold, bought, rate)
    entries = [*sold.whole, *bought.whole]
    ledger.check(entries)
    return int(
        call(
            "SELECT ledger_exchange(%s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[], %s)",
            [kind, key, effective_at or at, at, actor.label, reason, external_reference,
             [code for code, _ in entries], [amount for _, amount in entries], rate],
        )
    )  # fmt: skip


def _require_agreement(sold: Side, bought: Side, rate: Decimal) -> None:
    if not rate.is_finite() or rate <= 0 or rate.adjusted() > 18:
        raise RateDiffers("A rate is a positive number")
    exact = rate.normalize().as_tuple()
    if not isinstance(exact.exponent, int) or exact.exponent < -20:
        raise RateDiffers("A rate has at most 20 decimals")
    # A sold wallet is credited and a bought bank debited: fx gets the first and gives the second.
    sold_minor, bought_minor = -sold.minor, bought.minor
    if sold_minor <= 0 or bought_minor <= 0:
        raise RateDiffers("An exchange sells one currency and buys another")
    shift = Fraction(10) ** (money.exponent(bought.currency) - money.exponent(sold.currency))
    expected = sold_minor * Fraction(rate) * shift
    # The rate as it is quoted is rounded in its last digit, and the amount to a minor unit.
    slack = sold_minor * shift * Fraction(10) ** exact.exponent / 2 + 1
    if abs(bought_minor - expected) > slack:
        raise RateDiffers(expected_minor=str(money.half_up(expected)), rate=str(rate))


def revalue(
    *,
    base: str,
    rates: dict[str, Decimal],
    effective_at: datetime,
    at: datetime,
    actor: Actor,
    reason: str,
) -> int:
    """Month-end revaluation (期末调汇): what is held for others is worth what the rates say.

    `rates` are major units of `base` for one of each other currency; every currency with
    something on `fx` needs one. Afterwards `fx` of the base is exactly the worth of what lies on
    the others, and the difference is an expense (negative: a gain). Returns the difference, zero
    where nothing had to be booked. By hand: raises PeriodClosed where the month is closed, Invalid
    where a rate is missing. Not idempotent, and harmless to repeat: nothing differs any more.
    """
    worth = Fraction(0)
    for currency, position in positions().items():
        if currency == base:
            continue
        rate = rates.get(currency)
        if rate is None or not rate.is_finite() or rate <= 0:
            raise Invalid("Every currency that is held needs a rate", currency=currency)
        shift = Fraction(10) ** (money.exponent(base) - money.exponent(currency))
        worth += position * Fraction(rate) * shift
    fx, cost = chart.fx(base), chart.fx_difference(base)
    ledger.lock([fx, cost])
    # The base's fx is a debit where another's is a credit.
    difference = ledger.posted(fx) + money.half_up(worth)
    if difference:
        ledger.post(
            kind=Kind.EXCHANGE_DIFFERENCE,
            key=f"fx:{base}:{effective_at.isoformat()}:{at.isoformat()}",
            entries=[(cost, difference), (fx, -difference)],
            effective_at=effective_at,
            at=at,
            actor=actor,
            reason=reason,
            by_hand=True,
        )
    return difference


def positions() -> dict[str, int]:
    """What lies on `fx` by currency, debit positive, zeros left out."""
    codes = ledger.codes_of("fx")
    found = {code.rpartition(":")[2]: ledger.posted(code) for code in codes}
    return {currency: minor for currency, minor in found.items() if minor}
