"""What a charge books, by the way its lease is sold: the one place where the modes differ.

agency: the tenant's money → provider, fee, VAT. resale: → sales and VAT, and the provider's
share as cost of sales. direct: the tenant pays the centre; the provider owes the fee and the
VAT on it, which its later earnings, or it itself, pay.
"""

from __future__ import annotations

from typing import Protocol

from django.db.models import Sum

from billing import chart
from billing.ledger import Entry
from billing.models import Charge, LeaseTally
from inventory.models import Organisation
from marketplace.models import Lease, Listing
from marketplace.money import share

Selling = Listing.Selling


def is_direct(lease: Lease) -> bool:
    return lease.selling == Selling.DIRECT


class Split(Protocol):
    """What of a charge its booking needs, saved or not."""

    currency: str
    selling: str
    gross_minor: int
    vat_minor: int
    fee_minor: int
    provider_minor: int
    fee_vat_minor: int


def earned(charge: Split, provider: Organisation) -> list[Entry]:
    """Credits of those who get a charge, and what they cost: all but where it is taken from.

    They sum to minus what the tenant pays by way of our books; zeros are among them.
    """
    currency = charge.currency
    accrued = chart.provider_accrued(provider, currency)
    match charge.selling:
        case Selling.DIRECT:
            return [
                (accrued, charge.fee_minor + charge.fee_vat_minor),
                (chart.fee(currency), -charge.fee_minor),
                (chart.vat(currency), -charge.fee_vat_minor),
            ]
        case Selling.RESALE:
            return [
                (chart.sales(currency), charge.vat_minor - charge.gross_minor),
                (chart.cost_of_sales(currency), charge.provider_minor),
                (accrued, -charge.provider_minor),
                (chart.vat(currency), -charge.vat_minor),
            ]
        case _:
            return [
                (accrued, -charge.provider_minor),
                (chart.fee(currency), -charge.fee_minor),
                (chart.vat(currency), -charge.vat_minor),
            ]


def platform_accounts(currency: str) -> set[str]:
    """Accounts of nobody that a charge can touch, in any mode."""
    return {
        chart.fee(currency),
        chart.vat(currency),
        chart.sales(currency),
        chart.cost_of_sales(currency),
    }


def fee_vat_minor(lease: Lease, *, before_minor: int, after_minor: int) -> int:
    """VAT on what a price's fee total moves by, rounded cumulatively like the fee itself."""
    if not lease.fee_vat_bps:
        return 0
    return share(after_minor, lease.fee_vat_bps) - share(before_minor, lease.fee_vat_bps)


def left_minor(lease: Lease, tally: LeaseTally, charged_minor: int) -> int:
    """What the centre still has of a direct lease's price, once so much more is delivered.

    `tally.gross_minor` counts it already. Nothing once the lease is closed: the centre paid back.
    """
    if lease.closed_at is not None:
        return 0
    if charged_minor >= 0 or tally.deposit_left_minor:
        return max(0, tally.deposit_left_minor - charged_minor)
    kept = lease.charges.filter(kind=Charge.Kind.LEAVING).aggregate(
        minor=Sum("gross_minor", default=0)
    )["minor"]
    return max(0, lease.due_minor - int(kept) - tally.gross_minor)
