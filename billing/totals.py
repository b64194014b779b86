"""What the prices of some leases have come to: exact, and rounded so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import gcd

from billing.models import PriceTally
from inventory.periods import Period
from marketplace import lease_prices, money
from marketplace.models import Lease, LeasePrice
from marketplace.money import Amounts, Price


class Total:
    """The running total of one price of a lease, in whole numbers.

    The exact price of an hour is its card-seconds times what one of them costs in that month: a
    fraction that is worked out once. All of them are kept over one denominator, so that an hour
    is a multiplication and an addition of integers, exact as ever.
    """

    def __init__(self, row: LeasePrice, tally: PriceTally) -> None:
        self.row = row
        self.tally = tally
        self.price = Price.agreed(row)
        self._numerator = int(tally.exact_numerator)
        self._denominator = int(tally.exact_denominator)
        self._by_month = self.price.basis == "node_month"
        self._rates: dict[datetime | None, tuple[int, int]] = {}
        net_minor = tally.gross_minor - tally.vat_minor
        self._charged = Amounts(
            tally.gross_minor, tally.vat_minor, tally.fee_minor, net_minor - tally.fee_minor
        )

    @property
    def fee_minor(self) -> int:
        """The fee charged so far, without its tax."""
        return self._charged.fee_minor

    def add(self, lease: Lease, hour: datetime, card_seconds: int) -> Amounts:
        """What these card-seconds add to the rounded total."""
        month = money.month_of(hour, self.price.billing_zone).start if self._by_month else None
        rate = self._rates.get(month)
        if rate is None:
            rate = self._rates[month] = self._rate(lease, hour)
        numerator, denominator = rate
        if self._denominator % denominator:
            widened = denominator // gcd(self._denominator, denominator)
            self._numerator *= widened
            self._denominator *= widened
        self._numerator += card_seconds * numerator * (self._denominator // denominator)
        self.tally.card_seconds += card_seconds
        gross = money.half_up_of(self._numerator, self._denominator)
        charged = money.split(price=self.price, gross_minor=gross)
        more, self._charged = charged - self._charged, charged
        return more

    def _rate(self, lease: Lease, hour: datetime) -> tuple[int, int]:
        """The exact price of one card-second of that hour's month."""
        rate = money.hour_fraction(
            price=self.price,
            cards_per_node=lease.allocation.pool.cards_per_node,
            hour=hour,
            card_seconds=1,
            whole=Period.of(lease.period),
        )
        return rate.numerator, rate.denominator

    def stored(self) -> PriceTally:
        """The tally as it is to be saved."""
        exact = Fraction(self._numerator, self._denominator)
        tally = self.tally
        tally.exact_numerator = Decimal(exact.numerator)
        tally.exact_denominator = Decimal(exact.denominator)
        tally.gross_minor = self._charged.gross_minor
        tally.vat_minor = self._charged.vat_minor
        tally.fee_minor = self._charged.fee_minor
        return tally


class Totals:
    """Those of some leases, whose tallies are locked."""

    def __init__(self, leases: Iterable[int]) -> None:
        self._prices: dict[int, list[LeasePrice]] = defaultdict(list)
        self._totals: dict[int, Total] = {}
        self._moved: set[int] = set()
        rows = LeasePrice.objects.filter(lease__in=list(leases)).select_related("price", "tally")
        for row in rows.order_by("lease", "from_at"):
            self._prices[row.lease_id].append(row)
            # None yet before the first hour at this price.
            tally = getattr(row, "tally", None) or PriceTally(price=row)
            self._totals[row.pk] = Total(row, tally)

    def at(self, lease_id: int, hour: datetime) -> Total:
        """That of the price of an hour, which is about to move."""
        row = lease_prices.at_hour(self._prices[lease_id], hour)
        self._moved.add(row.pk)
        return self._totals[row.pk]

    def save(self) -> None:
        PriceTally.objects.bulk_create(
            [self._totals[key].stored() for key in sorted(self._moved)],
            update_conflicts=True,
            unique_fields=["price"],
            update_fields=[
                "card_seconds",
                "exact_numerator",
                "exact_denominator",
                "gross_minor",
                "vat_minor",
                "fee_minor",
            ],
        )
