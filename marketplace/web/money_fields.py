"""Fields for prices, amounts and costs, in the major unit as people write them."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from inventory.errors import DomainError
from marketplace import money_text
from marketplace.models import PriceFloor
from marketplace.web import refusals

COMPONENTS = ("power", "depreciation", "network", "operations")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_EXPONENT = re.compile(r"[0-9.]+[eE][+-]?[0-9]+")
_THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_SIGNS = re.compile(r"^(CNY|RMB|¥|人民币)\s*|\s*(CNY|RMB|元)$", re.IGNORECASE)


def plain(text: str) -> str:
    """The number as a program writes it: 34000.00 of "¥34,000.00", in wide digits too.

    Separators of thousands and the sign of the currency are read; whatever could
    be meant in two ways is refused. Raises ValidationError, with what to write instead.
    """
    text = _SIGNS.sub("", unicodedata.normalize("NFKC", text).strip())
    if text[:1] in ("-", "−"):
        raise ValidationError(_("An amount cannot be negative."))
    if _EXPONENT.fullmatch(text) or text.endswith(("万", "亿")):
        raise ValidationError(_("Write out all digits, such as 34000 or 34,000.00."))
    if "," in text:
        if not _THOUSANDS.fullmatch(text):
            raise ValidationError(
                _("A comma separates thousands, as in 34,000.00; decimals follow a point: 6.80.")
            )
        text = text.replace(",", "")
    if not _NUMBER.fullmatch(text):
        raise ValidationError(_("This is not a number. Write it like 6.80 or 34,000.00."))
    whole, point, decimals = text.partition(".")
    return f"{whole.lstrip('0') or '0'}{point}{decimals}"


class PriceField(forms.CharField):
    """A price such as 6.80, as micro-units; zero only where `allow_zero`."""

    def __init__(self, *, allow_zero: bool = False, **kwargs: Any) -> None:
        self.allow_zero = allow_zero
        kwargs.setdefault("max_length", 40)
        super().__init__(**kwargs)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "decimal", "autocomplete": "off"}

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        text = plain(text)
        if self.allow_zero and not text.strip("0."):
            return 0
        try:
            return self.parse(text)
        except DomainError as error:
            raise ValidationError(refusals.explain(error)) from error

    def parse(self, text: str) -> int:
        return money_text.parse_price(text)


class MoneyField(PriceField):
    """An amount such as 1200.50, as minor units of its currency."""

    def __init__(self, *, currency: str = "CNY", **kwargs: Any) -> None:
        self.currency = currency
        super().__init__(**kwargs)

    def parse(self, text: str) -> int:
        return money_text.parse_money(text, self.currency)


def cost_field(**options: Any) -> PriceField:
    """A component of cost per card-hour; may be nothing."""
    return PriceField(allow_zero=True, initial="0", **options)


def costs_of(floor: PriceFloor) -> dict[str, str]:
    """A floor's components as the form shows them."""
    return {name: money_text.format_price(getattr(floor, f"{name}_micro")) for name in COMPONENTS}
