"""Fields for prices, amounts and costs, in the major unit as people write them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from inventory.errors import DomainError
from marketplace import money_text
from marketplace.models import PriceFloor
from marketplace.web import refusals

COMPONENTS = ("power", "depreciation", "network", "operations")


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
        if self.allow_zero and text.strip("0.") == "" and text.count(".") <= 1:
            return 0
        try:
            return money_text.parse_price(text)
        except DomainError as error:
            raise ValidationError(refusals.explain(error)) from error


class MoneyField(PriceField):
    """An amount such as 1200.50, as minor units of its currency."""

    def __init__(self, *, currency: str = "CNY", **kwargs: Any) -> None:
        self.currency = currency
        super().__init__(**kwargs)

    def clean(self, value: Any) -> Any:
        text = forms.CharField.clean(self, value)
        if not text:
            return None
        try:
            return money_text.parse_money(text, self.currency)
        except DomainError as error:
            raise ValidationError(refusals.explain(error)) from error


def cost_field(**options: Any) -> PriceField:
    """A component of cost per card-hour; may be nothing."""
    return PriceField(allow_zero=True, initial="0", **options)


def costs_of(floor: PriceFloor) -> dict[str, str]:
    """A floor's components as the form shows them."""
    return {name: money_text.format_price(getattr(floor, f"{name}_micro")) for name in COMPONENTS}
