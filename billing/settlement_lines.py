"""Which charges a settlement takes, what they come to, and that each is taken once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Case, Count, F, QuerySet, Sum, When

from billing.models import Charge, Settlement
from inventory.errors import Busy
from inventory.periods import Period

# A charge made longer than this after its hour is late: an index has those alone.
LATE = timedelta(days=1)
# The charges of some providers that may be open: from the mark on, and what came late for the
# hours before it. What they come to does not grow with what was settled long ago.
_CHARGES = """
    unnest(%(providers)s::bigint[]) AS p (id)
    LEFT JOIN billing_settledmark m ON m.provider_id = p.id AND m.currency = %(currency)s
    CROSS JOIN LATERAL (
        SELECT * FROM billing_charge
        WHERE provider_id = p.id AND currency = %(currency)s
          AND hour >= coalesce(m.hour, '-infinity') AND hour < %(until)s
        UNION ALL
        SELECT * FROM billing_charge
        WHERE provider_id = p.id AND currency = %(currency)s
          AND hour < least(m.hour, %(until)s) AND m.hour IS NOT NULL
          AND created_at - hour > %(late)s) c
"""
# Of them, those no settlement has consumed; the caller holds the providers' organisations. One
# that the tenant has not paid in full waits while the tenant owes anything: what did not come
# in cannot be passed on. So does one that its tenant contests, until that is decided, and one of
# an hour that the two meters count differently.
_UNCONSUMED = """
    NOT EXISTS (SELECT FROM billing_settlementline d WHERE d.charge_id = c.id)
      AND NOT (c.receivable_minor > 0 AND EXISTS (
          SELECT FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
          WHERE a.owner_id = c.tenant_id AND a.purpose = 'tenant_receivable'
            AND a.currency = c.currency AND b.posted > 0))
      -- Used on credit: until it is due nothing came in.
      AND NOT (c.arrears_minor > 0 AND EXISTS (
          SELECT FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
          WHERE a.owner_id = c.tenant_id AND a.purpose = 'tenant_arrears'
            AND a.currency = c.currency AND b.posted > 0))
      AND NOT EXISTS (
          SELECT FROM billing_billedcharge l JOIN billing_contest t ON t.line_id = l.line_id
          WHERE l.charge_id = c.id AND t.state = 'open')
      AND NOT (c.kind = 'usage' AND EXISTS (
          SELECT FROM inventory_meterdispute t
          WHERE t.allocation_id = c.allocation_id AND t.hour = c.hour AND t.state = 'open'))
"""

# Of the VAT in a price that a tenant paid the centre itself, nothing is booked here: what is, is
# the VAT on the fee.
_VAT_BOOKED = "CASE c.selling WHEN 'direct' THEN c.fee_vat_minor ELSE c.vat_minor END"


@dataclass(frozen=True, slots=True)
class Sums:
    """What charges come to: gross = direct + vat + fee + net, in minor units.

    `direct_minor` is what tenants paid the provider itself. Of such a charge only the fee and
    the VAT on it are in our books, so that its net is negative.
    """

    line_count: int = 0
    card_seconds: int = 0
    gross_minor: int = 0
    direct_minor: int = 0
    vat_minor: int = 0
    fee_minor: int = 0
    net_minor: int = 0

    @property
    def card_hours(self) -> float:
        return self.card_seconds / 3600


def by_lease(row: Settlement) -> list[tuple[int, Sums]]:
    """What the charges of a settlement come to, by lease. One statement."""
    found = _added_up(Charge.objects.filter(settlement_line__settlement=row), "lease_id")
    return [(key, sums) for key, sums in found.items()]


def totals(rows: Sequence[Settlement]) -> dict[int, Sums]:
    """What each of these settlements comes to, in the parts of `Sums`. One statement, or none
    where no tenant has paid its provider itself."""
    mixed = [row.pk for row in rows if row.direct_minor]
    charges = Charge.objects.filter(settlement_line__settlement__in=mixed)
    found = _added_up(charges, "settlement_line__settlement_id") if mixed else {}
    return {row.pk: found.get(row.pk) or _as_it_stands(row) for row in rows}


def open_sums(provider_id: int, currency: str, period: Period) -> Sums:
    """What `sums_of` adds up for a provider, in the parts of `Sums`. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum(c.card_seconds), 0), coalesce(sum(c.gross_minor), 0),"
            f" coalesce(sum(c.direct_minor), 0), coalesce(sum({_VAT_BOOKED}), 0),"
            " coalesce(sum(c.fee_minor), 0), coalesce(sum(c.accrued_minor), 0)"
            f" FROM {_CHARGES} WHERE {_UNCONSUMED}",
            _facts([provider_id], currency, period),
        )
        return Sums(*map(int, cursor.fetchone()))


def _added_up(charges: QuerySet[Charge], key: str) -> dict[int, Sums]:
    vat_booked = Case(When(selling="direct", then=F("fee_vat_minor")), default=F("vat_minor"))
    parts = {
        "lines": Count("pk"),
        "seconds": Sum("card_seconds"),
        "gross": Sum("gross_minor"),
        "direct": Sum("direct_minor"),
        "vat": Sum(vat_booked),
        "fee": Sum("fee_minor"),
        "net": Sum("accrued_minor"),
    }
    rows = charges.values(key).annotate(**parts).order_by(key).values_list(key, *parts)
    return {number: Sums(*rest) for number, *rest in rows}


def _as_it_stands(row: Settlement) -> Sums:
    """Of a settlement without a charge that was paid directly: its columns are the parts."""
    return Sums(
        row.line_count, row.card_seconds, row.gross_minor, 0, row.vat_minor, row.fee_minor,
        row.net_minor,
    )  # fmt: skip


def sums_of(provider_ids: Sequence[int], currency: str, period: Period) -> dict[int, Settlement]:
    """By provider, what its open charges up to the month's end come to: unsaved settlements.

    A provider without an open charge has none. One statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.provider_id, count(*), sum(c.card_seconds), sum(c.gross_minor),"
            " sum(c.vat_minor), sum(c.fee_minor), sum(c.accrued_minor)"
            f" FROM {_CHARGES} WHERE {_UNCONSUMED} GROUP BY c.provider_id",
            _facts(provider_ids, currency, period),
        )
        found = [tuple(map(int, row)) for row in cursor.fetchall()]
    return {
        provider_id: Settlement(
            provider_id=provider_id,
            period=period.range,
            currency=currency,
            line_count=count,
            card_seconds=card_seconds,
            gross_minor=gross,
            vat_minor=vat,
            fee_minor=fee,
            direct_minor=gross - vat - fee - net,
            net_minor=net,
        )
        for provider_id, count, card_seconds, gross, vat, fee, net in found
    }


def consume(rows: Sequence[Settlement], period: Period) -> None:
    """The charges that were added up are lines of these saved settlements of one currency now.

    A tenant may have paid, or contested a line, since they were added up: then nothing stands,
    and the caller comes again. Raises Busy.
    """
    facts = _facts([row.provider_id for row in rows], rows[0].currency, period)
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH made AS ("
            " INSERT INTO billing_settlementline (settlement_id, charge_id)"
            f" SELECT s.id, c.id FROM {_CHARGES} JOIN billing_settlement s"
            f" ON s.id = ANY(%(settlements)s) AND s.provider_id = c.provider_id"
            f" WHERE {_UNCONSUMED} RETURNING settlement_id, charge_id)"
            " SELECT m.settlement_id, count(*), sum(c.gross_minor), sum(c.accrued_minor)"
            " FROM made m JOIN billing_charge c ON c.id = m.charge_id GROUP BY 1",
            {**facts, "settlements": [row.pk for row in rows]},
        )
        taken = {key: tuple(map(int, sums)) for key, *sums in cursor.fetchall()}
        if taken != {row.pk: (row.line_count, row.gross_minor, row.net_minor) for row in rows}:
            raise Busy()
        # Up to the first charge that was left out. A charge that is made from now on for an
        # hour before the mark is late.
        cursor.execute(
            "INSERT INTO billing_settledmark (provider_id, currency, hour)"
            " SELECT p.id, %(currency)s, least(min(c.hour), %(until)s::timestamptz - %(late)s)"
            f" FROM {_CHARGES.replace('CROSS JOIN LATERAL', 'LEFT JOIN LATERAL')}"
            " ON c.hour >= coalesce(m.hour, '-infinity')"
            " AND NOT EXISTS (SELECT FROM billing_settlementline d WHERE d.charge_id = c.id)"
            " GROUP BY p.id"
            " ON CONFLICT (provider_id, currency)"
            " DO UPDATE SET hour = greatest(billing_settledmark.hour, excluded.hour)",
            facts,
        )


def _facts(provider_ids: Sequence[int], currency: str, period: Period) -> dict[str, Any]:
    return {
        "providers": list(provider_ids),
        "currency": currency,
        "until": period.end,
        "late": LATE,
    }
