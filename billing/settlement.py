"""A provider's share of a period: each charge consumed once, negative nets carried."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from billing import chart, ledger, payout_terms, receivables
from billing.ledger import Kind, Posting
from billing.models import CarriedNet, PayoutTerms, Settlement
from billing.payout_terms import Terms
from billing.settlement_lines import consume, sums_of
from inventory import actors, journal
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Organisation
from inventory.periods import Period
from marketplace import money, policy

logger = logging.getLogger(__name__)

ACTOR = actors.system("settlement")
# Providers settled in one transaction by the sweep: enough that statements are few, few enough
# that nobody waits long for the accounts it holds.
BATCH = 50


class NotAMonth(Invalid):
    """Settlements are of calendar months of the billing zone, so that no two overlap."""

    code = "not_a_month"
    title = "A settlement is of one calendar month"


class MonthNotOver(DomainError):
    """The month's last hours are still being used, counted, charged and looked at."""

    code = "month_not_over"
    title = "The month is not over yet"


def settle(
    *, provider_id: int, period: Period, currency: str, at: datetime, actor: Actor
) -> Settlement | None:
    """Every charge up to the month's end that no settlement has consumed is consumed.

    The net moves from accrued to settling, less the reserve of the terms in force, and less
    what the provider owes. Where it is not positive nothing is consumed: the charges are
    carried to a later month, and None is returned; carried too long, they become a demand.
    Of a provider that is not verified nothing becomes payable: it stays accrued, for the
    first month settled once it is. Idempotent by month: a second call returns the first
    one's settlement. Locks the provider's organisation, then balances. Raises NotAMonth,
    MonthNotOver, NotFound, UnknownCurrency, OrganisationUnverified.
    """
    _check(period, currency)
    with transaction.atomic():
        provider = payout_terms.lock_provider(provider_id)
        known = _known([provider_id], period, currency)
        if known:
            return known[0]
        policy.require_verified(provider)
        terms = payout_terms.ensure(providers=[provider], currency=currency, at=at)
        if (due := due_at(period, terms[provider_id])) > at:
            raise MonthNotOver(until=due)
        made = _settle([provider], terms, period, currency, at, actor)
    return made[0] if made else None


def preview(*, provider_id: int, period: Period, currency: str) -> Settlement:
    """The settlement of the month that was made, else what `settle` would make of it now, unsaved.

    A net that is not positive would be carried. Locks nothing. Raises NotAMonth, UnknownCurrency.
    """
    _check(period, currency)
    known = _known([provider_id], period, currency)
    if known:
        return known[0]
    row = sums_of([provider_id], currency, period).get(provider_id) or _nothing(period, currency)
    terms = payout_terms.outlook(provider_id=provider_id, currency=currency)
    row.reserve_minor = max(0, row.net_minor) * terms.reserve_bps // 10_000
    return row


def settle_month(*, at: datetime) -> int:
    """Every provider is settled for the last month that is over by its delay; how many were.

    By batches of one transaction each; a batch that cannot be settled is tried one by one, so
    that a provider that cannot holds up no other. Idempotent: one that is settled for the
    month is passed over. The work grows with the charges since the last month, and with
    the providers that have earned anything.
    """
    month = money.month_of(at, settings.BILLING_ZONE)
    settled = 0
    # With delays of up to 90 days the month before last may only now be over for somebody.
    for _number in range(1 + payout_terms.LATEST_DAYS // 28):
        month = money.month_of(month.start - timedelta(days=1), settings.BILLING_ZONE)
        for currency, providers in _unsettled(month, at).items():
            for start in range(0, len(providers), BATCH):
                settled += _settle_batch(providers[start : start + BATCH], month, currency, at)
    return settled


def _settle_batch(provider_ids: list[int], period: Period, currency: str, at: datetime) -> int:
    try:
        with transaction.atomic():
            done = {row.provider_id for row in _known(provider_ids, period, currency)}
            providers = [
                row
                for row in payout_terms.lock_providers(provider_ids)
                if row.is_verified and row.pk not in done
            ]
            # Again under the lock: another sweep may have been here.
            done = {row.provider_id for row in _known(provider_ids, period, currency)}
            terms = payout_terms.ensure(
                providers=[row for row in providers if row.pk not in done], currency=currency, at=at
            )
            due = [
                row for row in providers if row.pk in terms and due_at(period, terms[row.pk]) <= at
            ]
            made = _settle(due, terms, period, currency, at, ACTOR)
    except DomainError as error:
        if len(provider_ids) == 1:
            logger.warning("provider %s is not settled: %s", provider_ids[0], error)
            return 0
        return sum(_settle_batch([one], period, currency, at) for one in provider_ids)
    return len(made)


def _settle(
    providers: Sequence[Organisation],
    terms: dict[int, PayoutTerms],
    period: Period,
    currency: str,
    at: datetime,
    actor: Actor,
) -> list[Settlement]:
    """Settles locked providers whose terms allow it, in a number of statements that hardly
    depends on how many they are."""
    if not providers:
        return []
    # From here on no charge of these providers is in the middle of being booked.
    codes = [code for provider in providers for code in _accounts(provider, currency)]
    available = ledger.lock(codes)
    sums = sums_of([row.pk for row in providers], currency, period)
    carried = {
        row.provider_id: row
        for row in CarriedNet.objects.filter(
            provider__in=providers, currency=currency, settlement__isnull=True
        )
    }
    rows: list[Settlement] = []
    for provider in providers:
        row = sums.get(provider.pk)
        if row is None:
            continue
        row.provider, row.terms, row.created_at = provider, terms[provider.pk], at
        if row.net_minor > 0:
            owed = available[chart.provider_receivable(provider, currency)]
            _divide(row, terms[provider.pk], owed, at)
            rows.append(row)
        elif _is_carried_on(row, carried.get(provider.pk), period, at, actor):
            continue
        else:
            row.state = Settlement.State.DEMANDED
            row.due_date = _demand_due(at)
            rows.append(row)
    return _book(rows, carried, period, at, actor)


def _divide(row: Settlement, terms: PayoutTerms, owed_minor: int, at: datetime) -> None:
    """What is kept back and what the provider owed come off a positive net."""
    row.reserve_minor = row.net_minor * terms.reserve_bps // 10_000
    if row.reserve_minor:
        row.reserve_until = at + timedelta(days=terms.reserve_days)
    row.paid_back_minor = min(owed_minor, row.net_minor - row.reserve_minor)
    row.state = Settlement.State.SETTLED
    if not row.payable_minor and not row.reserve_minor:
        row.state, row.paid_at = Settlement.State.PAID, at  # nothing is left to pay


def _book(
    rows: list[Settlement],
    carried: dict[int, CarriedNet],
    period: Period,
    at: datetime,
    actor: Actor,
) -> list[Settlement]:
    if not rows:
        return []
    numbers = ledger.post_many([_posting(row, period) for row in rows], at=at, actor=actor)
    for row, number in zip(rows, numbers, strict=True):
        row.ledger_transaction_id = number
    Settlement.objects.bulk_create(rows)
    consume(rows, period)
    for row in rows:
        if (before := carried.get(row.provider_id)) is not None:
            before.settlement = row
            before.save(update_fields=["settlement"])
        journal.record(
            event=f"settlement.{row.state if row.net_minor < 0 else 'settled'}",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=row.state,
            provider_id=row.provider_id,
            data={
                "net_minor": row.net_minor,
                "reserve_minor": row.reserve_minor,
                "paid_back_minor": row.paid_back_minor,
                "currency": row.currency,
                "line_count": row.line_count,
                "until": period.end.isoformat(),
            },
        )
        if row.paid_back_minor:
            receivables.clear_from(settlement=row, at=at, actor=actor)
    return rows


def _posting(row: Settlement, period: Period) -> Posting:
    """Accrued → settling and reserve; a demand the other way: receivable → accrued."""
    accrued = chart.provider_accrued(row.provider, row.currency)
    if row.net_minor < 0:
        owed = chart.provider_receivable(row.provider, row.currency)
        return Posting(
            kind=Kind.NET_MADE_RECEIVABLE,
            key=f"settle:{row.public_id}",
            entries=[(owed, -row.net_minor), (accrued, row.net_minor)],
            effective_at=period.end,
        )
    parts = [
        (chart.provider_settling(row.provider, row.currency), row.reserve_minor - row.net_minor),
        (chart.provider_reserve(row.provider, row.currency), -row.reserve_minor),
    ]
    return Posting(
        kind=Kind.SETTLED,
        key=f"settle:{row.public_id}",
        entries=[(accrued, row.net_minor), *(entry for entry in parts if entry[1])],
        effective_at=period.end,
    )


def _is_carried_on(
    row: Settlement, before: CarriedNet | None, period: Period, at: datetime, actor: Actor
) -> bool:
    """Whether a net that is not positive waits for a later month; journalled as it changes."""
    if before is None:
        before = CarriedNet(provider=row.provider, currency=row.currency, carried_at=at)
    elif row.net_minor < 0 and at - before.carried_at >= timedelta(days=settings.NET_CARRIED_DAYS):
        return False
    elif (before.net_minor, before.until) == (row.net_minor, period.end):
        return True  # said before: the sweep comes by every hour
    elif before.until > period.end:
        return True
    before.net_minor, before.until = row.net_minor, period.end
    before.save(update_fields=None if before.pk is None else ["net_minor", "until"])
    journal.record(
        event="settlement.carried",
        object_id=row.provider.public_id,
        actor=actor,
        at=at,
        reason="the net is not positive",
        provider_id=row.provider_id,
        data={
            "month": period.start.isoformat(),
            "net_minor": row.net_minor,
            "currency": row.currency,
            "line_count": row.line_count,
        },
    )
    return True


def _accounts(provider: Organisation, currency: str) -> list[str]:
    return [
        chart.provider_accrued(provider, currency),
        chart.provider_settling(provider, currency),
        chart.provider_reserve(provider, currency),
        chart.provider_receivable(provider, currency),
    ]


def _check(period: Period, currency: str) -> None:
    money.exponent(currency)
    if period != money.month_of(period.start, settings.BILLING_ZONE):
        raise NotAMonth(billing_zone=settings.BILLING_ZONE)


def due_at(period: Period, terms: PayoutTerms | Terms) -> datetime:
    """From when on a month may be settled by these terms."""
    return period.end + timedelta(days=terms.settle_after_days)


def _demand_due(at: datetime) -> date:
    due = at + timedelta(days=settings.DEMAND_DUE_DAYS)
    return due.astimezone(ZoneInfo(settings.BILLING_ZONE)).date()


def _known(provider_ids: Iterable[int], period: Period, currency: str) -> list[Settlement]:
    return list(
        Settlement.objects.filter(
            provider_id__in=list(provider_ids), period=period.range, currency=currency
        )
    )


def _nothing(period: Period, currency: str) -> Settlement:
    return Settlement(
        period=period.range, currency=currency, line_count=0, card_seconds=0, gross_minor=0,
        vat_minor=0, fee_minor=0, net_minor=0,
    )  # fmt: skip


def _unsettled(month: Period, at: datetime) -> dict[str, list[int]]:
    """By currency, the providers with something accrued and no settlement of the month, whose
    delay is over. What nets to nothing waits for what comes next."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT a.currency, a.owner_id
            FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
            JOIN inventory_organisation o ON o.id = a.owner_id
            LEFT JOIN LATERAL (
                SELECT t.settle_after_days FROM billing_payoutterms t
                WHERE t.provider_id = a.owner_id AND t.currency = a.currency
                ORDER BY t.version DESC LIMIT 1) t ON true
            WHERE a.purpose = 'provider_accrued' AND b.posted <> 0 AND o.state = 'verified'
              AND %(end)s + make_interval(days => coalesce(t.settle_after_days, %(days)s)) <= %(at)s
              -- Not an older month than need be: a later correction may have taken it back.
              AND %(next)s + make_interval(days => coalesce(t.settle_after_days, %(days)s)) > %(at)s
              AND NOT EXISTS (SELECT FROM billing_settlement s
                              WHERE s.provider_id = a.owner_id AND s.currency = a.currency
                                AND upper(s.period) >= %(end)s)
            ORDER BY 1, 2
            """,
            {
                "end": month.end,
                "next": money.month_of(month.end, settings.BILLING_ZONE).end,
                "days": settings.SETTLE_AFTER_DAYS,
                "at": at,
            },
        )
        found: dict[str, list[int]] = {}
        for currency, owner_id in cursor.fetchall():
            found.setdefault(currency, []).append(owner_id)
    return found
