"""Money and prices as people write and read them."""

from __future__ import annotations

import re

from inventory.errors import Invalid
from marketplace.money import LARGEST_MINOR, MICRO, UnknownCurrency, exponent

LARGEST_PRICE_MICRO = 10**18
_PLAIN = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,18}))?")


class InvalidAmount(Invalid):
    """The text is not a plain positive decimal number that this market can count."""

    code = "invalid_amount"
    title = "The amount is not acceptable"


def parse_price(text: str) -> int:
    """Micro-units of a price such as "6.80", with up to six decimals.

    Raises InvalidAmount. Signs, exponents, separators, spaces inside, NaN and full-width
    digits are refused rather than guessed at.
    """
    return _scaled(text, decimals=6, largest=LARGEST_PRICE_MICRO)


def parse_money(text: str, currency: str) -> int:
    """Minor units of an amount such as "1200.50". Raises InvalidAmount, UnknownCurrency."""
    return _scaled(text, decimals=exponent(currency), largest=LARGEST_MINOR)


def _scaled(text: str, *, decimals: int, largest: int) -> int:
    match = _PLAIN.fullmatch(text.strip(" "))
    if match is None:
        raise InvalidAmount(
            "Write a plain number in the digits 0-9, with a point before decimals, such as 6.80"
        )
    fraction = (match[2] or "").rstrip("0")
    if len(fraction) > decimals:
        raise InvalidAmount(f"At most {decimals} decimals are possible here", decimals=decimals)
    value = int(match[1] + fraction.ljust(decimals, "0"))
    if value <= 0:
        raise InvalidAmount("The amount must be more than zero")
    if value > largest:
        raise InvalidAmount("The amount is too large")
    return value


def format_money(amount_minor: int, currency: str) -> str:
    """ "1,234.50 CNY", "-0.05 CNY", "1,234 JPY"."""
    return f"{plain_money(amount_minor, currency, separator=',')} {currency}"


def plain_money(amount_minor: int, currency: str, *, separator: str = "") -> str:
    """The amount in the major unit with all its decimals, for tables and CSV files."""
    try:
        decimals = exponent(currency)
    except UnknownCurrency:
        decimals = 0  # a row older than the table still has to be readable
    major, minor = divmod(abs(amount_minor), 10**decimals)
    sign = "-" if amount_minor < 0 else ""
    whole = f"{major:,}".replace(",", separator)
    return f"{sign}{whole}.{minor:0{decimals}d}" if decimals else f"{sign}{whole}"


def format_price(amount_micro: int) -> str:
    """A price without its currency: at least two decimals, as many as it has up to six."""
    major, micro = divmod(abs(amount_micro), MICRO)
    digits = f"{micro:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount_micro < 0 else ''}{major}.{digits}"
