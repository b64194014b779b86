"""What a provider has earned, month by month, and what it is owed now."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from inventory.periods import Period
from marketplace import money


@dataclass(frozen=True, slots=True)
class MonthEarned:
    """What a provider's charges of one calendar month come to, minor units.

    gross = direct + fee + vat + net. `direct_minor` is what tenants paid it themselves; of such
    charges the VAT is that on the fee alone, which is what our books have.
    """

    month: Period
    currency: str
    card_seconds: int
    gross_minor: int
    direct_minor: int
    fee_minor: int
    vat_minor: int
    net_minor: int


@dataclass(frozen=True, slots=True)
class Payable:
    """What a provider is owed now, and owes: accrued is not settled yet, settling waits for its
    payout (held: on its way), the reserve is kept back for a while."""

    currency: str
    accrued_minor: int
    settling_minor: int
    held_minor: int
    reserve_minor: int
    owed_minor: int

    @property
    def ready_minor(self) -> int:
        """Settled, and in no payout that is under way."""
        return self.settling_minor - self.held_minor


@dataclass(frozen=True, slots=True)
class Earnings:
    months: list[MonthEarned]
    payable: list[Payable]


def earnings(*, provider_id: int, period: Period) -> Earnings:
    """A provider's charges by calendar month of the billing zone, and what it is owed now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT min(hour), currency, sum(card_seconds), sum(gross_minor), sum(direct_minor),
                   sum(fee_minor),
                   sum(CASE selling WHEN 'direct' THEN fee_vat_minor ELSE vat_minor END),
                   sum(accrued_minor)
            FROM billing_charge
            WHERE provider_id = %s AND hour >= %s AND hour < %s
            GROUP BY date_trunc('month', hour AT TIME ZONE %s), currency
            ORDER BY 1, 2
            """,
            [provider_id, period.start, period.end, settings.BILLING_ZONE],
        )
        months = [
            MonthEarned(money.month_of(hour, settings.BILLING_ZONE), currency, *map(int, sums))
            for hour, currency, *sums in cursor.fetchall()
        ]
    return Earnings(months, payable(provider_id=provider_id))


def payable(*, provider_id: int) -> list[Payable]:
    """What a provider is owed now, by currency. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT a.currency,
                   coalesce(sum(b.posted) FILTER (WHERE a.purpose = 'provider_accrued'), 0),
                   coalesce(sum(b.posted) FILTER (WHERE a.purpose = 'provider_settling'), 0),
                   coalesce(sum(b.held) FILTER (WHERE a.purpose = 'provider_settling'), 0),
                   coalesce(sum(b.posted) FILTER (WHERE a.purpose = 'provider_reserve'), 0),
                   coalesce(sum(b.posted) FILTER (WHERE a.purpose = 'provider_receivable'), 0)
            FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
            WHERE a.owner_id = %s AND a.purpose IN ('provider_accrued', 'provider_settling',
                                                    'provider_reserve', 'provider_receivable')
            GROUP BY a.currency ORDER BY a.currency
            """,
            [provider_id],
        )
        return [Payable(currency, *map(int, sums)) for currency, *sums in cursor.fetchall()]
