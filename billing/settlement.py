"""A provider's share of a period: each charge consumed once, negative nets carried."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from billing import chart, ledger
from billing.ledger import Kind
from billing.models import Charge, Settlement
from inventory import actors, journal
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import JournalEntry, Organisation
from inventory.periods import Period
from marketplace import money, policy

logger = logging.getLogger(__name__)

# After a month's end, so that its last hours are metered, charged and mostly corrected.
SETTLE_AFTER = timedelta(days=3)

# Charges no settlement has consumed; the caller holds the provider's organisation. One that the
# tenant has not paid in full waits while the tenant owes anything: what did not come in cannot
# be passed on.
_UNCONSUMED = """
    FROM billing_charge c
    WHERE c.provider_id = %(provider)s AND c.currency = %(currency)s AND c.hour < %(until)s
      AND NOT EXISTS (SELECT FROM billing_settlementline s WHERE s.charge_id = c.id)
      AND NOT (c.receivable_minor > 0 AND EXISTS (
          SELECT FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
          WHERE a.owner_id = c.tenant_id AND a.purpose = 'tenant_receivable'
            AND a.currency = c.currency AND b.posted > 0))
"""


class NotAMonth(Invalid):
    """Settlements are of calendar months of the billing zone, so that no two overlap."""

    code = "not_a_month"
    title = "A settlement is of one calendar month"


class MonthNotOver(DomainError):
    """The month's last hours are still being used, counted and charged."""

    code = "month_not_over"
    title = "The month is not over yet"


@dataclass(frozen=True, slots=True)
class MonthEarned:
    """What a provider's charges of one calendar month come to, minor units."""

    month: Period
    currency: str
    card_seconds: int
    gross_minor: int
    fee_minor: int
    vat_minor: int
    net_minor: int


@dataclass(frozen=True, slots=True)
class Payable:
    """What a provider is owed now: accrued is not settled yet, settling waits for its payout."""

    currency: str
    accrued_minor: int
    settling_minor: int


@dataclass(frozen=True, slots=True)
class Earnings:
    months: list[MonthEarned]
    payable: list[Payable]


def settle(
    *, provider_id: int, period: Period, currency: str, at: datetime, actor: Actor
) -> Settlement | None:
    """Every charge up to the month's end that no settlement has consumed is consumed.

    The net moves from accrued to settling. Where it is not positive nothing is consumed: the
    charges are carried to a later month, the journal says so once for each such sum, and None
    is returned. Of a provider that is not verified nothing becomes payable: it stays accrued,
    for the first month settled once it is. Idempotent by month: a second call returns the first
    one's settlement. Locks the provider's organisation, then balances. Raises NotAMonth,
    MonthNotOver, NotFound, UnknownCurrency, OrganisationUnverified.
    """
    money.exponent(currency)
    if period != money.month_of(period.start, settings.BILLING_ZONE):
        raise NotAMonth(billing_zone=settings.BILLING_ZONE)
    if period.end > at:
        raise MonthNotOver(until=period.end)
    with transaction.atomic():
        provider = _lock_provider(provider_id)
        known = Settlement.objects.filter(
            provider=provider, period=period.range, currency=currency
        ).first()
        if known is not None:
            return known
        policy.require_verified(provider)
        accrued = chart.provider_accrued(provider, currency)
        settling = chart.provider_settling(provider, currency)
        # From here on no charge of this provider is in the middle of being booked.
        ledger.lock([accrued, settling])
        row = _sum(provider_id, currency, period)
        if row.net_minor <= 0:
            if row.line_count:
                _journal_carried(provider, row, period, at, actor)
            return None
        row.provider = provider
        row.created_at = at
        row.ledger_transaction_id = ledger.post(
            kind=Kind.SETTLED,
            key=f"settle:{row.public_id}",
            entries=[(accrued, row.net_minor), (settling, -row.net_minor)],
            at=at,
            actor=actor,
            effective_at=period.end,
        )
        row.save(force_insert=True)
        _consume(row, period)
        journal.record(
            event="settlement.settled",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=Settlement.State.SETTLED,
            provider_id=provider_id,
            data={
                "net_minor": row.net_minor,
                "currency": currency,
                "line_count": row.line_count,
                "until": period.end.isoformat(),
            },
        )
    return row


def preview(*, provider_id: int, period: Period, currency: str) -> Settlement:
    """The settlement of the month that was made, else what `settle` would make of it now, unsaved.

    A net that is not positive would be carried. Locks nothing. Raises NotAMonth, UnknownCurrency.
    """
    money.exponent(currency)
    if period != money.month_of(period.start, settings.BILLING_ZONE):
        raise NotAMonth(billing_zone=settings.BILLING_ZONE)
    known = Settlement.objects.filter(
        provider_id=provider_id, period=period.range, currency=currency
    ).first()
    return known or _sum(provider_id, currency, period)


def settle_month(*, at: datetime) -> int:
    """Every provider is settled for the last month that is over by a few days; returns how many.

    One transaction each, so that one that cannot be settled holds up no other. Idempotent: a
    provider settled or carried is not settled again.
    """
    month = money.month_of(at - SETTLE_AFTER, settings.BILLING_ZONE)
    month = money.month_of(month.start - timedelta(days=1), settings.BILLING_ZONE)
    owed = (
        Charge.objects.filter(hour__lt=month.end, settlement_line__isnull=True)
        .values_list("provider_id", "currency")
        .distinct()
    )
    settled = 0
    for provider_id, currency in sorted(owed):
        try:
            row = settle(
                provider_id=provider_id,
                period=month,
                currency=currency,
                at=at,
                actor=actors.system("settlement"),
            )
        except DomainError as error:
            logger.warning("provider %s is not settled: %s", provider_id, error)
        else:
            settled += row is not None and row.created_at == at
    return settled


def earnings(*, provider_id: int, period: Period) -> Earnings:
    """A provider's charges by calendar month of the billing zone, and what it is owed now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT min(hour), currency, sum(card_seconds), sum(gross_minor), sum(fee_minor),
                   sum(vat_minor), sum(provider_minor)
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
                   coalesce(sum(b.posted) FILTER (WHERE a.purpose = 'provider_settling'), 0)
            FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
            WHERE a.owner_id = %s AND a.purpose IN ('provider_accrued', 'provider_settling')
            GROUP BY a.currency ORDER BY a.currency
            """,
            [provider_id],
        )
        return [
            Payable(currency, int(accrued), int(settling))
            for currency, accrued, settling in cursor.fetchall()
        ]


def _lock_provider(provider_id: int) -> Organisation:
    rows = Organisation.objects.select_for_update(of=("self",), no_key=True)
    provider = rows.filter(pk=provider_id).first()
    if provider is None:
        raise NotFound("No such provider")
    return provider


def _sum(provider_id: int, currency: str, period: Period) -> Settlement:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum(c.card_seconds), 0), coalesce(sum(c.gross_minor), 0),"
            " coalesce(sum(c.vat_minor), 0), coalesce(sum(c.fee_minor), 0),"
            f" coalesce(sum(c.provider_minor), 0) {_UNCONSUMED}",
            {"provider": provider_id, "currency": currency, "until": period.end},
        )
        count, card_seconds, gross, vat, fee, net = map(int, cursor.fetchone())
    return Settlement(
        period=period.range,
        currency=currency,
        line_count=count,
        card_seconds=card_seconds,
        gross_minor=gross,
        vat_minor=vat,
        fee_minor=fee,
        net_minor=net,
    )


def _consume(row: Settlement, period: Period) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_settlementline (settlement_id, charge_id)"
            f" SELECT %(settlement)s, c.id {_UNCONSUMED} ORDER BY c.id",
            {
                "settlement": row.pk,
                "provider": row.provider_id,
                "currency": row.currency,
                "until": period.end,
            },
        )
        if cursor.rowcount != row.line_count:  # the lock above makes this impossible
            raise AssertionError(f"{row.public_id}: {cursor.rowcount} lines, not {row.line_count}")


def _journal_carried(
    provider: Organisation, row: Settlement, month: Period, at: datetime, actor: Actor
) -> None:
    """Once for each month and sum: the sweep comes by every hour."""
    data = {
        "month": month.start.isoformat(),
        "net_minor": row.net_minor,
        "currency": row.currency,
        "line_count": row.line_count,
    }
    said = JournalEntry.objects.filter(object_id=provider.public_id, event="settlement.carried")
    if said.filter(data=data).exists():
        return
    journal.record(
        event="settlement.carried",
        object_id=provider.public_id,
        actor=actor,
        at=at,
        reason="the net is not positive",
        provider_id=provider.pk,
        data=data,
    )
