"""What Stripe can take: how it writes each currency, and the amounts it would refuse.

Sources: docs.stripe.com/currencies (zero-decimal currencies, three-decimal currencies, special
cases, minimum charge amounts) and the limits in the SDK's own documentation of PaymentIntent
(eight digits, the equivalent of 0.50 USD). Of CNY no minimum is published; the one here lies
above 0.50 USD at any rate of the last twenty years.
"""

from __future__ import annotations

from dataclasses import dataclass

from inventory.errors import Invalid
from marketplace import money

LARGEST = 99_999_999  # eight digits, in Stripe's own units


class AmountRefused(Invalid):
    """Stripe would not take this amount, so it is not asked."""

    code = "amount_not_payable"
    title = "This amount cannot be paid online"


@dataclass(frozen=True, slots=True)
class Currency:
    """One currency between our minor units (ISO 4217) and Stripe's."""

    code: str
    minimum: int  # of a payment, in Stripe's units; 0: none is published, and none is taken
    multiplier: int = 1  # Stripe's units per minor unit of ours
    step: int = 1  # a payment is a multiple of it, in Stripe's units
    payout_step: int = 1  # and a payout of this

    @property
    def exponent(self) -> int:
        return money.exponent(self.code)


_MINIMA = {
    "AED": 200, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "CNY": 500, "CZK": 1_500, "DKK": 250,
    "EUR": 50, "GBP": 30, "HKD": 400, "INR": 50, "JPY": 50, "MXN": 1_000, "MYR": 200, "NOK": 300,
    "NZD": 50, "PLN": 200, "SEK": 300, "SGD": 50, "THB": 1_000, "USD": 50,
}  # fmt: skip
# What is charged in none of them is still received, converted and paid out.
_RULES = {
    # No decimals, written with two all the same.
    **{key: {"multiplier": 100, "step": 100, "payout_step": 100} for key in ("ISK", "UGX")},
    # Paid with two decimals, paid out without.
    **{key: {"payout_step": 100} for key in ("HUF", "TWD")},
    # Three decimals, of which the last is zero.
    **{key: {"step": 10, "payout_step": 10} for key in ("BHD", "JOD", "KWD", "OMR", "TND")},
}
TABLE = {
    code: Currency(code, minimum=_MINIMA.get(code, 0), **_RULES.get(code, {}))
    for code in sorted(set(money.EXPONENTS) - {"IQD", "LYD", "RUB"})  # Stripe has not these
}
PAYABLE = frozenset(_MINIMA)


def of(code: str) -> Currency:
    """Raises UnknownCurrency where Stripe cannot count in it."""
    found = TABLE.get(code)
    if found is None:
        raise money.UnknownCurrency(currency=code)
    return found


def payment(amount_minor: int, code: str) -> int:
    """The amount of a payment in Stripe's units. Raises AmountRefused, UnknownCurrency."""
    currency = of(code)
    amount = amount_minor * currency.multiplier
    if not currency.minimum:
        raise AmountRefused(f"Nothing is paid online in {currency.code}", currency=code)
    if amount < currency.minimum:
        raise AmountRefused(
            "The amount is below the smallest that can be paid online",
            currency=code,
            least_minor=-(-currency.minimum // currency.multiplier),
        )
    return _taken(amount, currency, currency.step)


def movement(amount_minor: int, code: str) -> int:
    """The amount of a refund or a transfer. Raises AmountRefused, UnknownCurrency."""
    currency = of(code)
    return _taken(amount_minor * currency.multiplier, currency, currency.step)


def payout(amount_minor: int, code: str) -> int:
    """The amount of a payout to a bank. Raises AmountRefused, UnknownCurrency."""
    currency = of(code)
    return _taken(amount_minor * currency.multiplier, currency, currency.payout_step)


def _taken(amount: int, currency: Currency, step: int) -> int:
    if amount <= 0:
        raise AmountRefused("The amount must be positive", currency=currency.code)
    if amount > LARGEST:
        raise AmountRefused(
            "The amount is above the largest that can be paid online; transfer it by bank",
            currency=currency.code,
            most_minor=LARGEST // currency.multiplier,
        )
    if amount % step:
        raise AmountRefused(
            "The amount is not a multiple of what can be paid in this currency",
            currency=currency.code,
            step_minor=max(1, step // currency.multiplier),
        )
    return amount


def minor(amount: int, code: str) -> int:
    """Stripe's amount in our minor units. Raises AmountRefused where that is no whole number."""
    currency = of(code)
    whole, rest = divmod(amount, currency.multiplier)
    if rest:
        raise AmountRefused("A fraction of a minor unit", currency=code)
    return whole
