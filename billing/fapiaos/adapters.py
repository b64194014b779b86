"""Who issues fapiaos: a person of the operator by hand, or a service behind this interface.

FAPIAO_ADAPTER names an entry point of the group `cardhour.fapiao`; "manual" is built in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from importlib.metadata import entry_points
from typing import Protocol

from django.conf import settings

from billing.fapiaos.requests import Buyer

GROUP = "cardhour.fapiao"
MANUAL = "manual"


class AdapterError(Exception):
    """The service did not do it. `permanent`: asking again would not help."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a fapiao: what is sold at one rate of VAT."""

    vat_code: str
    vat_bps: int
    net_minor: int
    vat_minor: int


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be issued. `reference` is ours and never changes: the key of repeats."""

    reference: str
    kind: str
    buyer: Buyer
    seller_tax_number: str
    currency: str
    amount_minor: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Issued:
    """What the tax service said."""

    number: str
    issued_date: date
    content: bytes


class Adapter(Protocol):
    """A service that issues. Its calls may take a minute and are repeated after any fault."""

    def issue(self, order: Order) -> Issued | None:
        """The fapiao, or None while it is being made. Idempotent by `order.reference`.

        Raises AdapterError.
        """


def configured() -> Adapter | None:
    """The adapter of the settings; None where persons issue by hand. Raises LookupError."""
    name = settings.FAPIAO_ADAPTER
    if name == MANUAL:
        return None
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        raise LookupError(f"no entry point {name!r} in the group {GROUP}")
    adapter: Adapter = found[0].load()()
    return adapter
