"""Amounts and prices as the console writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import gettext as _

from marketplace import money_text
from marketplace.money import MICRO

SYMBOLS = {"CNY": "¥", "USD": "$", "EUR": "€", "HKD": "HK$", "JPY": "JP¥"}


class Asking(Protocol):
    """A price version, or what a form asks."""

    @property
    def basis(self) -> str: ...
    @property
    def amount_micro(self) -> int: ...
    @property
    def currency(self) -> str: ...


def amount(amount_minor: int, currency: str) -> str:
    """¥1,284,560.00; a currency without a symbol of its own keeps its code."""
    text = money_text.plain_money(abs(amount_minor), currency, separator=",")
    return _signed(amount_minor, text, currency)


def price(amount_micro: int, currency: str) -> str:
    """¥34,000.00 or ¥0.012345: at least two decimals, at most six."""
    whole = f"{abs(amount_micro) // MICRO:,}"
    _whole, _point, decimals = money_text.format_price(amount_micro).partition(".")
    return _signed(amount_micro, f"{whole}.{decimals}", currency)


def instant(value: datetime, zone: str = "") -> str:
    """On the wall of the centre, or of the billing zone where none is named."""
    return value.astimezone(ZoneInfo(zone or settings.BILLING_ZONE)).strftime("%Y-%m-%d %H:%M")


def asking(row: Asking) -> str:
    """A price with what it is for: ¥2.10/卡时, ¥34,000.00/台/月."""
    figure = {"amount": price(row.amount_micro, row.currency)}
    if row.basis == "card_hour":
        return _("%(amount)s per card-hour") % figure
    if row.basis == "node_hour":
        return _("%(amount)s per node-hour") % figure
    return _("%(amount)s per node and month") % figure


def discounts(tiers: Iterable[Sequence[Any]]) -> str:
    """−5% from 720 h · −3% from 64 cards; a dash for none."""
    said = {"hours": _("−%(share)s%% from %(n)s h"), "cards": _("−%(share)s%% from %(n)s cards")}
    lines = [
        said[str(kind)] % {"share": f"{bps / 100:g}", "n": f"{least:,}"}
        for kind, least, bps in tiers
    ]
    return " · ".join(lines) or "–"


def _signed(value: int, text: str, currency: str) -> str:
    sign = "−" if value < 0 else ""
    symbol = SYMBOLS.get(currency)
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{text} {currency}"
