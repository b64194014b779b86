"""Months close in order, by two persons, and take nothing more."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from billing import accounting_periods, chart, ledger, rating
from billing.models import AccountingPeriod, Charge, LedgerTransaction
from inventory.models import JournalEntry
from inventory.transitions import IllegalTransition
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
# Midnight of 1 November in +08:00.
TURN = datetime(2026, 10, 31, 16, tzinfo=UTC)
LATER = datetime(2026, 12, 20, tzinfo=UTC)


def close(month: date, at: datetime = LATER) -> AccountingPeriod:
    first, second = books.people()
    row = accounting_periods.begin_closing(
        month=month, at=at, actor=world.actor(world.operator()), user=first
    )
    return accounting_periods.close_period(
        period_public_id=row.public_id, at=at, actor=world.actor(world.operator()), user=second
    )


def post(effective_at: datetime, key: str = "k", **how: Any) -> LedgerTransaction:
    number = ledger.post(
        kind="bank_receipt_recorded",
        key=key,
        entries=[(chart.bank("CNY"), 5), (chart.unmatched_receipts("CNY"), -5)],
        at=LATER,
        actor=SYSTEM,
        effective_at=effective_at,
        **how,
    )
    return LedgerTransaction.objects.get(pk=number)


def test_a_month_is_a_month_of_the_billing_zone() -> None:
    period = accounting_periods.month_period(date(2026, 10, 17))

    assert (period.start, period.end) == (datetime(2026, 9, 30, 16, tzinfo=UTC), TURN)


def test_what_comes_late_is_booked_at_the_first_open_instant() -> None:
    close(OCTOBER)

    assert post(TURN - timedelta(microseconds=1), "late").effective_at == TURN
    assert post(datetime(2020, 1, 1, tzinfo=UTC), "very late").effective_at == TURN
    assert post(TURN, "in time").effective_at == TURN
    assert post(TURN + timedelta(hours=1), "after").effective_at == TURN + timedelta(hours=1)


def test_a_key_stays_the_same_fact_when_its_month_closes_between_two_tries() -> None:
    before = post(TURN - timedelta(hours=2))
    close(OCTOBER)

    assert post(TURN - timedelta(hours=2)) == before
    assert post(TURN - timedelta(hours=2), by_hand=True) == before
    assert before.effective_at == TURN - timedelta(hours=2)
    with refused(ledger.IdempotencyConflict):
        post(TURN - timedelta(hours=1))


def test_a_person_who_chose_the_instant_is_refused() -> None:
    close(OCTOBER)

    with refused(ledger.PeriodClosed):
        post(TURN - timedelta(microseconds=1), by_hand=True)

    assert not LedgerTransaction.objects.exists()
    assert post(TURN, by_hand=True).effective_at == TURN


def test_usage_that_is_rated_after_the_close_lies_in_the_open_month() -> None:
    """The charge keeps the hour it is of; only the posting moves."""
    books.top_up(world.tenant(), 10**9)
    lease = books.lease(scene.listing(), units=1, start=1, end=5)
    books.live(lease)
    month = accounting_periods.month_period(T0.date())
    close(T0.date().replace(day=1), at=month.end)
    hour = Charge.objects.filter(lease=lease).earliest("hour").hour

    books.correct(lease, hour, -3_600)
    (charge,) = rating.rate_due(at=month.end + timedelta(hours=1), limit=10)

    assert charge.hour == hour < month.end
    assert charge.ledger_transaction is not None
    assert charge.ledger_transaction.effective_at == month.end
    assert books.differences() == []


def test_two_persons_close_a_month() -> None:
    first, second = books.people()
    operator = world.actor(world.operator())
    row = accounting_periods.begin_closing(month=OCTOBER, at=LATER, actor=operator, user=first)

    with refused(accounting_periods.SamePerson):
        accounting_periods.close_period(
            period_public_id=row.public_id, at=LATER, actor=operator, user=first
        )
    assert post(T0, "still open").effective_at == T0
    row = accounting_periods.close_period(
        period_public_id=row.public_id, at=LATER, actor=operator, user=second
    )

    assert (row.state, row.closing_by, row.closed_by) == ("closed", first, second)
    assert accounting_periods.closed_until() == TURN
    assert list(JournalEntry.objects.filter(object_id=row.public_id).values_list("event")) == [
        ("accountingperiod.closing",),
        ("accountingperiod.closed",),
    ]


def test_a_month_put_off_is_begun_again() -> None:
    first, second = books.people()
    operator = world.actor(world.operator())
    row = accounting_periods.begin_closing(month=OCTOBER, at=LATER, actor=operator, user=first)

    accounting_periods.put_off(
        period_public_id=row.public_id, at=LATER, actor=operator, reason="a receipt is missing"
    )
    with refused(IllegalTransition):
        accounting_periods.close_period(
            period_public_id=row.public_id, at=LATER, actor=operator, user=second
        )
    again = accounting_periods.begin_closing(month=OCTOBER, at=LATER, actor=operator, user=second)

    assert (again.pk, again.closing_by) == (row.pk, second)


def test_months_close_in_order_once_they_are_over() -> None:
    with refused(accounting_periods.MonthNotOver):
        close(NOVEMBER, at=datetime(2026, 11, 30, 15, 59, tzinfo=UTC))
    close(OCTOBER)

    for month in (OCTOBER, date(2026, 9, 1)):
        with refused(accounting_periods.AlreadyClosed):
            close(month)
    with refused(accounting_periods.EarlierMonthOpen):
        close(date(2026, 12, 1), at=datetime(2027, 1, 1, tzinfo=UTC))
    close(NOVEMBER, at=datetime(2026, 11, 30, 16, tzinfo=UTC))

    assert accounting_periods.next_month() == date(2026, 12, 1)


def test_the_next_month_is_that_of_the_first_posting() -> None:
    assert accounting_periods.next_month() is None

    post(TURN - timedelta(seconds=1))

    assert accounting_periods.next_month() == OCTOBER


ATTACKS = [
    "UPDATE billing_accountingperiod SET state = 'open'",
    "UPDATE billing_accountingperiod SET state = 'closing'",
    "UPDATE billing_accountingperiod SET closed_at = now()",
    "UPDATE billing_accountingperiod SET ends_at = ends_at - interval '1 day'",
    "DELETE FROM billing_accountingperiod",
    "TRUNCATE billing_accountingperiod",
    "INSERT INTO billing_accountingperiod (public_id, issuer_id, month, zone, starts_at, ends_at,"
    " state, closing_by_id, closing_at, closed_by_id, closed_at, created_at)"
    " SELECT gen_random_uuid(), issuer_id, '2026-11-01', zone, ends_at, ends_at + interval '30 d',"
    " 'closed', closing_by_id, now(), closed_by_id, now(), now() FROM billing_accountingperiod",
]
INTO_CLOSED = (
    "WITH t AS (INSERT INTO billing_ledgertransaction (idempotency_key, request_sha256, kind,"
    " external_reference, effective_at, created_at, actor, reason)"
    " VALUES ('raw', '', 'x', '', '2026-10-31 15:59:59+00', now(), '', '') RETURNING id)"
    " INSERT INTO billing_ledgerentry (transaction_id, account_id, currency, amount_minor)"
    " SELECT t.id, a.id, a.currency, CASE a.purpose WHEN 'bank' THEN 1 ELSE -1 END"
    " FROM t, billing_ledgeraccount a"
)


@committed
@pytest.mark.parametrize("role", ["default", "owner"])
def test_raw_sql_neither_opens_a_closed_month_nor_posts_there(role: str) -> None:
    post(T0)
    close(OCTOBER)

    for attack in [*ATTACKS, INTO_CLOSED]:
        with pytest.raises(DatabaseError), transaction.atomic(using=role):
            with connections[role].cursor() as cursor:
                cursor.execute(attack)

    assert AccountingPeriod.objects.get().state == "closed"
    assert LedgerTransaction.objects.count() == 1
