"""How long a wallet lasts at what its hourly leases draw now, and who is warned of it.

Of leases paid by the hour alone: what was paid ahead lasts as long as it was paid for.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db import connection, transaction

from billing.models import RunwayWarning
from inventory import actors, journal
from inventory.models import Organisation
from marketplace.money import EXPONENTS

ACTOR = actors.system("runway")
LEVELS = (24, 4, 1)  # hours left
LONGEST_HOURS = 24 * 365


@dataclass(frozen=True, slots=True)
class Runway:
    """What a tenant's hourly leases draw, and how long its wallet lasts by it."""

    currency: str
    hourly_minor: int  # rounded up: a warning comes rather early than late
    available_minor: int
    lease_count: int
    level: int | None  # the least of LEVELS that it lasts no longer than

    @property
    def hours(self) -> int | None:
        """Whole hours, a year at the most; none where nothing is drawn."""
        if not self.hourly_minor:
            return None
        return min(LONGEST_HOURS, max(0, self.available_minor) // self.hourly_minor)


# What an hour of each running hourly lease costs by its price of now, before rounding. A month
# counts with its own hours, so that the whole month's draw is its price.
_RUNWAYS = """
    SELECT d.tenant_id, d.currency, d.leases, d.hourly,
           coalesce(b.posted - b.held + b.floor_minor, 0)
    FROM (
        SELECT l.tenant_id, l.currency, count(*) AS leases,
               ceil(sum(l.card_count * v.amount_micro::numeric
                    * power(10::numeric, e.exponent) / 1000000
                    * (10000 - s.discount_bps) / 10000
                    * CASE WHEN v.tax_inclusive THEN 1 ELSE 1 + v.vat_bps / 10000.0 END
                    / CASE v.basis WHEN 'card_hour' THEN 1 WHEN 'node_hour' THEN p.cards_per_node
                           ELSE p.cards_per_node * extract(epoch FROM
                               (m.month + interval '1 month') AT TIME ZONE v.billing_zone
                               - m.month AT TIME ZONE v.billing_zone) / 3600 END)) AS hourly
        FROM marketplace_lease l
        JOIN marketplace_priceversion f ON f.id = l.price_id AND f.schedule = 'deposit_hourly'
        JOIN LATERAL (SELECT price_id, discount_bps FROM marketplace_leaseprice
                      WHERE lease_id = l.id AND from_at <= %(at)s
                      ORDER BY from_at DESC LIMIT 1) s ON true
        JOIN marketplace_priceversion v ON v.id = s.price_id
        JOIN inventory_allocation a ON a.id = l.allocation_id
        JOIN inventory_pool p ON p.id = a.pool_id
        JOIN jsonb_each_text(%(exponents)s::jsonb) AS x (code, exponent) ON x.code = l.currency
        CROSS JOIN LATERAL (SELECT x.exponent::int AS exponent) e
        CROSS JOIN LATERAL (
            SELECT date_trunc('month', %(at)s AT TIME ZONE v.billing_zone) AS month) m
        WHERE l.state = 'active' AND l.end_reason = '' AND upper(l.period) > %(at)s
          AND (%(tenant)s::bigint IS NULL OR l.tenant_id = %(tenant)s)
        GROUP BY l.tenant_id, l.currency
    ) d
    LEFT JOIN billing_ledgeraccount a ON a.owner_id = d.tenant_id AND a.purpose = 'wallet'
     AND a.currency = d.currency
    LEFT JOIN billing_ledgerbalance b ON b.account_id = a.id
    ORDER BY d.tenant_id, d.currency
"""


def of(tenant: Organisation, *, currency: str, at: datetime) -> Runway:
    """How long this tenant's wallet lasts. One statement, without a lock."""
    for tenant_id, found in _read(at, tenant.pk):
        if tenant_id == tenant.pk and found.currency == currency:
            return found
    return Runway(currency, 0, 0, 0, None)


def warn_due(*, at: datetime) -> int:
    """Tenants whose wallet lasts no longer than a level are warned, journalled, once for each
    level until it lasts longer again; returns how many warnings there were. Idempotent."""
    with transaction.atomic():
        known: dict[tuple[int, str], set[int]] = defaultdict(set)
        for row in RunwayWarning.objects.all():
            known[row.tenant_id, row.currency].add(row.hours)
        made = []
        for tenant_id, found in _read(at, None):
            reached = {level for level in LEVELS if found.level and level >= found.level}
            told = known.pop((tenant_id, found.currency), set())
            if over := told - reached:
                _forget(tenant_id, found.currency, over)
            if fresh := reached - told:
                made.append((tenant_id, found, fresh))
        for (tenant_id, currency), told in known.items():  # draws nothing any more
            _forget(tenant_id, currency, told)
        return sum(_warn(tenant_id, found, fresh, at) for tenant_id, found, fresh in made)


def _read(at: datetime, tenant_id: int | None) -> list[tuple[int, Runway]]:
    parameters: dict[str, Any] = {
        "at": at,
        "tenant": tenant_id,
        "exponents": json.dumps(EXPONENTS),
    }
    with connection.cursor() as cursor:
        cursor.execute(_RUNWAYS, parameters)
        return [
            (owner, _runway(currency, int(hourly), int(available), leases))
            for owner, currency, leases, hourly, available in cursor.fetchall()
        ]


def _runway(currency: str, hourly: int, available: int, leases: int) -> Runway:
    lasts = Fraction(max(0, available), hourly) if hourly else None
    reached = [level for level in LEVELS if lasts is not None and lasts <= level]
    return Runway(currency, hourly, available, leases, min(reached, default=None))


def _forget(tenant_id: int, currency: str, levels: set[int]) -> None:
    rows = RunwayWarning.objects.filter(tenant_id=tenant_id, currency=currency)
    rows.filter(hours__in=levels).delete()


def _warn(tenant_id: int, found: Runway, levels: set[int], at: datetime) -> int:
    """One entry in the journal, of the most urgent; the others are passed with it."""
    rows = [
        RunwayWarning.objects.get_or_create(
            tenant_id=tenant_id, currency=found.currency, hours=level, defaults={"warned_at": at}
        )
        for level in sorted(levels)
    ]
    if not any(made for _, made in rows):  # another sweep was faster
        return 0
    tenant = Organisation.objects.get(pk=tenant_id)
    journal.record(
        event="wallet.runway_short",
        object_id=tenant.public_id,
        actor=ACTOR,
        at=at,
        tenant_id=tenant_id,
        data={
            "hours": min(levels),
            "hourly_minor": found.hourly_minor,
            "available_minor": found.available_minor,
            "currency": found.currency,
        },
    )
    return 1
