"""Who sells, who sends the invoice and who is paid, by the way a listing is sold (销售方式)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.conf import settings

from marketplace import money
from marketplace.models import Listing

Selling = Listing.Selling
Side = Literal["provider", "operator"]


@dataclass(frozen=True, slots=True)
class Parties:
    """The side that each part of a deal falls to."""

    seller: Side
    issuer: Side  # of the invoice to the tenant
    payee: Side


_PARTIES = {
    Selling.AGENCY: Parties(seller="provider", issuer="operator", payee="operator"),
    Selling.RESALE: Parties(seller="operator", issuer="operator", payee="operator"),
    Selling.DIRECT: Parties(seller="provider", issuer="provider", payee="provider"),
}


def parties(selling: str) -> Parties:
    return _PARTIES[Selling(selling)]


def fee_vat_bps(selling: str) -> int:
    """The rate of VAT on the fee itself, where it is sold to the provider by itself.

    Otherwise the fee lies in the tenant's price, whose VAT covers it.
    """
    return money.VAT_BPS[settings.FEE_VAT_CODE] if selling == Selling.DIRECT else 0
