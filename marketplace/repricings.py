"""Another price for a lease, from one of its hours on: what is asked, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inventory.actors import Actor
from inventory.errors import Invalid
from inventory.periods import Period
from marketplace import changes, lease_prices, policy
from marketplace.changes import Change, Paid
from marketplace.models import Amendment, Lease, LeasePrice, PriceVersion
from marketplace.money_text import LARGEST_PRICE_MICRO


@dataclass(frozen=True, slots=True)
class NewPrice:
    """What one side would have the hours cost; see `PriceVersion` for the words."""

    basis: str
    amount_micro: int
    tax_inclusive: bool | None = None  # None: as the price it would follow


@dataclass(frozen=True, slots=True)
class Repricing:
    """A price that a lease could have, not stored yet, and the figures of the change."""

    segment: LeasePrice
    replaces: LeasePrice
    change: Change

    @property
    def columns(self) -> dict[str, Any]:
        """As an amendment says it."""
        price = self.segment.price
        return {
            "price_from_at": self.segment.from_at,
            "price_basis": price.basis,
            "price_amount_micro": price.amount_micro,
            "price_tax_inclusive": price.tax_inclusive,
            "replaces": self.replaces,
        }


def asked(
    *,
    lease: Lease,
    price: NewPrice,
    from_at: datetime,
    paid: Paid,
    at: datetime,
) -> Repricing:
    """What that price from that hour on would be, and come to. Changes nothing.

    Currency, VAT rate, fee, schedule, deposit share and billing zone stay as they are. Raises
    OrganisationUnverified where the provider is not, Invalid, AmountTooLarge, and what
    `lease_prices.check` raises.
    """
    policy.require_verified(lease.provider)
    if price.basis not in PriceVersion.Basis.values:
        raise Invalid("The basis is card_hour, node_hour or node_month")
    if not 0 < price.amount_micro <= LARGEST_PRICE_MICRO:
        raise Invalid("The amount must be more than zero, and a possible price")
    replaces = lease_prices.at_hour(lease_prices.of(lease), from_at)
    version = _version(replaces.price, price, at)
    lease_prices.check(lease=lease, price=version, from_at=from_at, at=at)
    segment = LeasePrice(lease=lease, from_at=from_at, price=version, created_at=at)
    period = Period.of(lease.period)
    change = changes.repriced(
        before=lease_prices.plan(lease=lease, period=period, at=at),
        after=lease_prices.plan(lease=lease, period=period, at=at, and_also=segment),
        due_minor=lease.due_minor,
        paid=paid,
    )
    return Repricing(segment, replaces, change)


def of(*, amendment: Amendment, lease: Lease, paid: Paid, at: datetime) -> Repricing:
    """What was proposed, as it would come to now. Raises as `asked`."""
    price = amendment.asked_price
    assert price is not None
    assert amendment.price_from_at is not None
    return asked(
        lease=lease,
        price=NewPrice(price.basis, price.amount_micro, price.tax_inclusive),
        from_at=amendment.price_from_at,
        paid=paid,
        at=at,
    )


def write(
    *, repricing: Repricing, amendment: Amendment, lease: Lease, at: datetime, actor: Actor
) -> LeasePrice:
    """The signed amendment's price is written, and the lease's from its hour on.

    The caller has locked the lease, and moves the money in the same transaction. Raises as
    `lease_prices.set_price`. Not idempotent.
    """
    version = repricing.segment.price
    version.save(force_insert=True)
    return lease_prices.set_price(
        lease=lease,
        price=version,
        amendment=amendment,
        from_at=repricing.segment.from_at,
        at=at,
        actor=actor,
    )


def _version(before: PriceVersion, price: NewPrice, at: datetime) -> PriceVersion:
    taxed = before.tax_inclusive if price.tax_inclusive is None else price.tax_inclusive
    return before.of_its_own(
        purpose=PriceVersion.Purpose.AGREED,
        at=at,
        basis=price.basis,
        amount_micro=price.amount_micro,
        tax_inclusive=taxed,
    )
