"""What has to be so before a month of the books may close (结账检查): one question each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from billing import ageing, reconciliation_report, sla_credits, trial_balance, verification
from billing.accounting_periods import month_period
from billing.models import Voucher
from billing.settlement_lines import sums_of
from inventory.models import JournalEntry
from inventory.periods import Period

# Differences that come from the day alone: both sides know of it, on different days.
TIMING = frozenset({"booked_later", "outside_later", "offset_later"})
VERIFIED_WITHIN = timedelta(hours=36)  # the nightly look at the books, and a little more


@dataclass(frozen=True, slots=True)
class Item:
    """One question, whether it is settled, and the figures it was decided by."""

    name: str
    is_done: bool
    count: int  # of what is missing
    page: str  # the console page where it is put in order
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Month:
    period: Period
    last_day: date
    at: datetime
    verify: bool


def items(*, month: date, at: datetime, verify: bool) -> Iterator[Item]:
    """Each item as it is found out, so that whoever shows progress can name it.

    With `verify` the books are recomputed here, which takes long; else the nightly look at
    them counts, if it was after the month. No lock; nothing changes. The month is over, else
    much is missing.
    """
    period = month_period(month)
    zone = ZoneInfo(settings.BILLING_ZONE)
    last_day = period.end.astimezone(zone).date() - timedelta(days=1)
    facts = _Month(period, last_day, at, verify)
    for question in QUESTIONS.values():
        yield question(facts)


def names() -> list[str]:
    """Of the items, in their order."""
    return list(QUESTIONS)


def _over(month: _Month) -> Item:
    is_over = month.period.end <= month.at
    return Item("month_over", is_over, int(not is_over), "closing", {"ends_at": month.period.end})


def _rated(month: _Month) -> Item:
    """Every lease of the month is metered and charged up to its end."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE c.metered_until IS NULL
                       OR c.metered_until < least(%(end)s, upper(a.period), a.failed_at)),
                   count(*) FILTER (WHERE c.metered_until IS NOT NULL
                       AND coalesce(t.rated_until, '-infinity')
                           < least(%(end)s, c.metered_until))
            FROM marketplace_lease l
            JOIN inventory_allocation a ON a.id = l.allocation_id
            JOIN billing_leasetally t ON t.lease_id = l.id
            LEFT JOIN inventory_meteringcursor c ON c.allocation_id = a.id
            WHERE l.closed_at IS NULL AND lower(a.period) < %(end)s
              AND l.state NOT IN ('failed', 'cancelled', 'scheduled')
            """,
            {"end": month.period.end},
        )
        unmetered, unrated = cursor.fetchone()
    facts = {"unmetered": unmetered, "unrated": unrated}
    return Item("usage_rated", not (unmetered or unrated), unmetered + unrated, "overview", facts)


def _invoiced(month: _Month) -> Item:
    """Every charge of the month is on a line, and no document of it is a draft."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM billing_charge c"
            " WHERE c.id > (SELECT charge_id FROM billing_billedcursor) AND c.hour < %s"
            " AND NOT EXISTS (SELECT FROM billing_billedcharge b WHERE b.charge_id = c.id)",
            [month.period.end],
        )
        (unbilled,) = cursor.fetchone()
        cursor.execute(  # what a person asked for waits for another person, in any month
            "SELECT count(*) FROM billing_invoice"
            " WHERE state = 'draft' AND requested_by_id IS NULL AND upper(period) <= %s",
            [month.period.end],
        )
        (drafts,) = cursor.fetchone()
    facts = {
        "unbilled": unbilled,
        "drafts": drafts,
        "due_at": month.period.end + timedelta(hours=settings.INVOICE_FINALISE_HOURS),
    }
    missing = unbilled + drafts
    return Item("invoices_finalised", not missing, missing, "invoices", facts)


def _credited(month: _Month) -> Item:
    """Every lease of the month is held against the service level it was promised."""
    missing = sla_credits.uncounted(month=month.period, at=month.at)
    return Item("service_levels_credited", not missing, missing, "closing")


def _settled(month: _Month) -> Item:
    """No provider is owed a settlement of the month that its terms make due by now."""
    missing = 0
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT a.currency, array_agg(a.owner_id ORDER BY a.owner_id)
            FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
            JOIN inventory_organisation o ON o.id = a.owner_id
            LEFT JOIN LATERAL (
                SELECT t.settle_after_days FROM billing_payoutterms t
                WHERE t.provider_id = a.owner_id AND t.currency = a.currency
                ORDER BY t.version DESC LIMIT 1) t ON true
            WHERE a.purpose = 'provider_accrued' AND b.posted > 0 AND o.state = 'verified'
              AND coalesce(t.settle_after_days, %(days)s) <= %(days)s
              AND NOT EXISTS (SELECT FROM billing_settlement s
                              WHERE s.provider_id = a.owner_id AND s.currency = a.currency
                                AND upper(s.period) >= %(end)s)
            GROUP BY a.currency
            """,
            {"end": month.period.end, "days": settings.SETTLE_AFTER_DAYS},
        )
        for currency, providers in cursor.fetchall():
            sums = sums_of(providers, currency, month.period)
            missing += sum(row.net_minor > 0 for row in sums.values())
    due_at = month.period.end + timedelta(days=settings.SETTLE_AFTER_DAYS)
    return Item("settlements_run", not missing, missing, "settlements", {"due_at": due_at})


def _reconciled(month: _Month) -> Item:
    """The books are the bank and Stripe at the month's end, but for what came a day later."""
    differing = []
    for found in reconciliation_report.equality(day=month.last_day):
        # Two mistakes that happen to cancel each other are two mistakes.
        if found.unexplained_minor or any(item.kind not in TIMING for item in found.items):
            differing.append(
                {
                    "account": found.code,
                    "books_minor": found.books_minor,
                    "outside_minor": found.outside_minor,
                    "difference_minor": found.difference_minor,
                    "causes": {item.kind: item.minor for item in found.items},
                }
            )
    return Item(
        "reconciled", not differing, len(differing), "reconciliation", {"accounts": differing}
    )


def _exceptions(month: _Month) -> Item:
    """Nothing of the month that bank or Stripe and books disagree on is too old."""
    found = reconciliation_report.findings(at=month.at).exceptions
    of_month = [each for each in found if each.since < month.period.end]
    late = sum(each.is_late for each in of_month)
    return Item(
        "no_late_exceptions",
        not late,
        late,
        "reconciliation",
        {"open": len(of_month), "late": late},
    )


def _cleared(month: _Month) -> Item:
    """Nothing lies on a clearing account for longer than it may."""
    late = [each for each in ageing.clearing(at=month.at) if each.is_late]
    facts = {
        "accounts": [
            {"account": each.code, "open_minor": each.open_minor, "since": each.since}
            for each in late[:20]
        ]
    }
    return Item("clearing_accounts", not late, len(late), "reconciliation", facts)


def _vouchers(month: _Month) -> Item:
    """No voucher of the month, or before it, waits for a second person."""
    rows = Voucher.objects.filter(state=Voucher.State.PROPOSED, effective_date__lte=month.last_day)
    count = rows.count()
    return Item("vouchers_decided", not count, count, "vouchers")


def _balanced(month: _Month) -> Item:
    """The trial balance of every currency sums to zero."""
    wrong = [
        currency
        for currency in trial_balance.currencies()
        if not trial_balance.of(currency=currency, period=month.period).is_balanced
    ]
    return Item("trial_balance", not wrong, len(wrong), "trial_balance", {"currencies": wrong})


def _verified(month: _Month) -> Item:
    """The books, recomputed from their documents, are what they say."""
    if month.verify:
        wrong = [finding.title for finding in verification.verify() if not finding.holds]
        return Item("books_verified", not wrong, len(wrong), "closing", {"differences": wrong})
    last = (
        JournalEntry.objects.filter(object_id="books", event__in=["books.agree", "books.differ"])
        .order_by("-recorded_at", "-id")
        .first()
    )
    if last is None or last.at < max(month.period.end, month.at - VERIFIED_WITHIN):
        return Item("books_verified", False, 1, "closing", {"looked_at": last and last.at})
    wrong = list(last.data.get("differences", []))
    is_fine = last.event == "books.agree"
    facts = {"differences": wrong, "looked_at": last.at}
    return Item("books_verified", is_fine, len(wrong), "closing", facts)


# In the order in which they are put right: charges first, the proof last.
QUESTIONS: dict[str, Callable[[_Month], Item]] = {
    "month_over": _over,
    "usage_rated": _rated,
    "service_levels_credited": _credited,
    "invoices_finalised": _invoiced,
    "settlements_run": _settled,
    "reconciled": _reconciled,
    "no_late_exceptions": _exceptions,
    "clearing_accounts": _cleared,
    "vouchers_decided": _vouchers,
    "trial_balance": _balanced,
    "books_verified": _verified,
}
