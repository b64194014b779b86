"""A hold, a month and many hands: each verb beside its rival, and controls."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from billing import accounting_periods, chart, checkpoints, ledger
from billing.models import AccountingPeriod, LedgerBalance, LedgerHold, LedgerTransaction
from tests import world
from tests.billing import books
from tests.races.test_ledger_races import at_once, fund
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

OVER = T0 + timedelta(hours=1)


def place(expires_at: datetime | None = None) -> str:
    tenant = world.tenant()
    fund(tenant, 1_000)
    wallet = chart.wallet(tenant, "CNY")
    ledger.place_hold(key="h", account=wallet, amount_minor=400, expires_at=expires_at, at=T0)
    return wallet


def capture(wallet: str, amount: int, key: str, at: datetime = T0, keep_rest: bool = True) -> int:
    return ledger.capture_hold(
        hold_key="h",
        kind="usage_charged",
        key=key,
        entries=[(wallet, amount), (chart.fee("CNY"), -amount)],
        at=at,
        actor=SYSTEM,
        keep_rest=keep_rest,
    )


def sums() -> tuple[int, int]:
    row = LedgerBalance.objects.get(account__purpose="wallet")
    return row.posted, row.held


def test_captures_and_extensions_at_once_add_up() -> None:
    wallet = place()

    def work(number: int) -> Any:
        if number % 2:
            return ledger.extend_hold(
                key="h", amount_minor=400 + 50 * number, expires_at=None, at=T0
            )
        return capture(wallet, 90, f"c{number}")

    results = at_once(work)

    assert not [r for r in results if isinstance(r, Exception)], results
    assert sums() == (640, 750 - 360)  # four captures of 90 of a hold that grew to 750
    assert books.ledger_differences() == []


def test_of_expiry_and_capture_one_wins() -> None:
    """The sweep is a moment late, the captures a moment early, all at once."""
    wallet = place(OVER)

    def work(number: int) -> Any:
        if number % 2:
            return ledger.expire_holds(at=OVER, limit=5)
        return capture(wallet, 400, "c", at=OVER - timedelta(microseconds=1), keep_rest=False)

    results = at_once(work)

    state = LedgerHold.objects.get().state
    lapsed = [r for r in results if isinstance(r, ledger.HoldClosed)]
    assert state in ("captured", "expired")
    assert len(lapsed) == (0 if state == "captured" else 4)
    assert sum(r for n, r in enumerate(results) if n % 2) == (state == "expired")
    assert sums() == ((600, 0) if state == "captured" else (1_000, 0))
    assert books.ledger_differences() == []


def test_control_looking_first_and_capturing_later_takes_more_than_was_held() -> None:
    """What the lock on the account prevents: all see the hold open and each takes all of it."""
    wallet = place()
    seen = threading.Barrier(8)

    def naive(number: int) -> bool:
        is_open = LedgerHold.objects.filter(idempotency_key="h", state="open").exists()
        connection.close()
        seen.wait(60)
        if is_open and number < 2:
            ledger.post(
                kind="usage_charged",
                key=f"naive:{number}",
                entries=[(wallet, 250), (chart.fee("CNY"), -250)],
                at=T0,
                actor=SYSTEM,
            )
        return is_open

    assert at_once(naive) == [True] * 8
    assert 1_000 - sums()[0] == 500 > 400


MONTH = date(2026, 6, 1)
END = datetime(2026, 6, 30, 16, tzinfo=UTC)


def begin() -> AccountingPeriod:
    first, _ = books.people()
    return accounting_periods.begin_closing(
        month=MONTH, at=END, actor=world.actor(world.operator()), user=first
    )


def close(row: AccountingPeriod) -> None:
    _, second = books.people()
    accounting_periods.close_period(
        period_public_id=row.public_id, at=END, actor=SYSTEM, user=second
    )


def post(key: str) -> int:
    return ledger.post(
        kind="x",
        key=key,
        entries=[(chart.bank("CNY"), 5), (chart.fee("CNY"), -5)],
        effective_at=T0,
        at=END,
        actor=SYSTEM,
    )


def test_a_closing_month_waits_for_postings_under_way_and_takes_no_later_one() -> None:
    row = begin()
    posted, closing = threading.Event(), threading.Event()
    order: list[str] = []

    def work(number: int) -> None:
        if number == 0:
            with transaction.atomic():
                post("under way")
                posted.set()
                closing.wait(30)
                order.append("committed")
        elif number == 1:
            posted.wait(30)
            threading.Timer(0.5, closing.set).start()
            close(row)
            order.append("closed")

    results = at_once(work)

    assert results == [None] * 8, results
    assert order == ["committed", "closed"]
    assert LedgerTransaction.objects.get(idempotency_key="under way").effective_at == T0
    post("late")
    assert LedgerTransaction.objects.get(idempotency_key="late").effective_at == END
    assert books.ledger_differences() == []


def test_postings_beside_a_close_lie_before_it_or_in_the_next_month() -> None:
    row = begin()

    def work(number: int) -> int:
        if number == 7:
            close(row)
            return 0
        return len([post(f"p:{number}:{turn}") for turn in range(25)])

    results = at_once(work)

    assert results == [25] * 7 + [0], results
    rows = LedgerTransaction.objects.order_by("pk")
    assert {r.effective_at for r in rows} <= {T0, END}
    assert rows.count() == 175


def test_control_without_the_lock_a_posting_enters_a_closed_month() -> None:
    """What `ledger_first_open` prevents: the month was open when it was looked at."""
    row = begin()
    looked, closed = threading.Event(), threading.Event()

    def work(number: int) -> bool | None:
        if number == 0:
            is_open = accounting_periods.closed_until() is None
            connection.close()
            looked.set()
            closed.wait(30)
            return is_open and accounting_periods.closed_until() is not None
        if number == 1:
            looked.wait(30)
            close(row)
            closed.set()
        return None

    assert at_once(work)[0] is True  # it would have posted into June, and June is closed


def test_a_checkpoint_waits_for_smaller_ids_that_are_still_to_commit() -> None:
    """An entry has its id long before it is committed; a checkpoint past it would miss it."""
    post("opens the accounts")
    took: dict[str, int] = {}
    written, taken = threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number == 0:
            with transaction.atomic():
                post("slow")
                written.set()
                taken.wait(30)
        elif number == 1:
            written.wait(30)
            post("fast")
            took["early"] = checkpoints.take(at=T0, every=1, patience=timedelta(seconds=0.3))
            taken.set()

    assert at_once(work) == [None] * 8
    took["late"] = checkpoints.take(at=T0, every=1, patience=timedelta(seconds=5))

    assert took == {"early": 0, "late": 2}
    assert ledger.posted(chart.fee("CNY")) == 15
    assert books.ledger_differences() == []


def test_control_a_checkpoint_of_what_is_visible_misses_what_commits_later() -> None:
    """The sum up to the largest visible id, taken at once, is wrong a moment later."""
    post("opens the accounts")
    wrong: dict[str, int] = {}
    written, summed = threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number == 0:
            with transaction.atomic():
                post("slow")
                written.set()
                summed.wait(30)
        elif number == 1:
            written.wait(30)
            post("fast")
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT max(id), count(*) FROM billing_ledgerentry")
                wrong["through"], wrong["seen"] = cursor.fetchone()
            summed.set()

    assert at_once(work) == [None] * 8
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM billing_ledgerentry WHERE id <= %s", [wrong["through"]]
        )
        assert cursor.fetchone()[0] == 6 > wrong["seen"] == 4
