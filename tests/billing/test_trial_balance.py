"""The trial balance of a month: from balances and checkpoints, and always zero."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import chart, checkpoints, ledger, trial_balance
from billing.models import LedgerEntry
from billing.trial_balance import Sums
from inventory.periods import Period
from marketplace import money
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db
MAY = money.month_of(T0 - timedelta(days=20), "Asia/Shanghai")
JUNE = money.month_of(T0 + timedelta(days=14), "Asia/Shanghai")
JULY = money.month_of(JUNE.end, "Asia/Shanghai")


def post(minor: int, at: datetime, key: str, account: str = "", currency: str = "CNY") -> None:
    account = account or chart.bank_fee(currency)
    ledger.post(
        kind="adjusted",
        key=key,
        entries=[(account, minor), (chart.bank(currency), -minor)],
        at=at,
        actor=SYSTEM,
    )


def sums(code: str, period: Period = JUNE, currency: str = "CNY") -> Sums | None:
    found = trial_balance.of(currency=currency, period=period)
    assert found.is_balanced
    return next((row.sums for row in found.rows if row.code == code), None)


def brute(code: str, period: Period) -> Sums:
    """Every entry of the account, added up in Python."""
    before, debit, credit = 0, 0, 0
    rows = LedgerEntry.objects.filter(account__code=code).select_related("transaction")
    for row in rows:
        at, minor = row.transaction.effective_at, row.amount_minor
        if at < period.start:
            before += minor
        elif at < period.end:
            debit, credit = debit + max(minor, 0), credit + max(-minor, 0)
    return Sums(before, debit, credit)


def test_a_month_begins_where_the_one_before_ended() -> None:
    post(5, JUNE.start - timedelta(microseconds=1), "before")
    post(7, JUNE.start, "first")
    post(-2, JUNE.end - timedelta(microseconds=1), "last")
    post(100, JUNE.end, "after")

    assert sums(chart.bank_fee("CNY")) == Sums(5, 7, 2)
    assert sums(chart.bank("CNY")) == Sums(-5, 2, 7)
    assert sums(chart.bank_fee("CNY"), JULY) == Sums(10, 100, 0)
    found = sums(chart.bank_fee("CNY"), JULY)
    assert found is not None
    assert found.closing_minor == 110
    assert sums(chart.bank_fee("CNY"), MAY) == Sums(0, 5, 0)


def test_checkpoints_change_nothing() -> None:
    for number in range(6):
        post(number + 1, JUNE.start + timedelta(days=number * 10), f"p{number}")
    before = trial_balance.of(currency="CNY", period=JUNE)
    assert checkpoints.take(at=JUNE.end, every=2) == 2
    post(9, JUNE.start, "late, and after the checkpoint")

    after = trial_balance.of(currency="CNY", period=JUNE)

    assert before.total.debit_minor + 9 == after.total.debit_minor
    for row in after.rows:
        assert row.sums == brute(row.code, JUNE)


def test_the_small_world_is_balanced_on_every_level() -> None:
    books.top_up(world.tenant(), 10_000_000)
    books.live(books.lease(scene.listing()))
    books.settle()

    found = trial_balance.of(currency="CNY", period=JUNE)

    assert found.is_balanced
    assert found.total.debit_minor > 0
    for row in found.rows:
        assert row.sums == brute(row.code, JUNE)
    kinds = [level for level in found.levels() if level.is_kind]
    assert [level.name for level in kinds] == ["asset", "liability", "revenue"]
    assert sum((level.sums for level in kinds), Sums()) == found.total
    purposes = [level for level in found.levels() if not level.is_kind]
    assert sum((level.sums for level in purposes), Sums()) == found.total


def test_currencies_are_apart_and_empty_months_are_empty() -> None:
    post(5, T0, "cny")
    post(8, T0, "usd", currency="USD")

    assert sums(chart.bank_fee("USD"), currency="USD") == Sums(0, 8, 0)
    assert sums(chart.bank_fee("CNY")) == Sums(0, 5, 0)
    assert trial_balance.of(currency="EUR", period=JUNE).rows == []
    assert trial_balance.of(currency="EUR", period=JUNE).is_balanced
    assert trial_balance.currencies() == ["CNY", "USD"]


def test_amounts_beyond_64_bits_are_summed() -> None:
    for number in range(120):
        post(10**17, T0, f"n{number}")

    assert sums(chart.bank_fee("CNY")) == Sums(0, 120 * 10**17, 0)


def test_down_from_an_account_to_transactions_and_their_legs() -> None:
    post(7, T0, "seven")
    post(9, JUNE.end, "next month")

    (entry,) = trial_balance.entries(code=chart.bank_fee("CNY"), period=JUNE)

    assert entry.transaction.idempotency_key == "seven"
    assert list(trial_balance.legs(entry.transaction)) == [
        (chart.bank_fee("CNY"), 7),
        (chart.bank("CNY"), -7),
    ]
    assert trial_balance.opening(code=chart.bank_fee("CNY"), at=JUNE.end) == 7


def test_it_is_one_statement() -> None:
    post(7, T0, "seven")

    with CaptureQueriesContext(connection) as queries:
        trial_balance.of(currency="CNY", period=JUNE)

    assert len(queries) == 1


@given(
    postings=st.lists(
        st.tuples(st.integers(-(10**12), 10**12).filter(bool), st.integers(-70, 70), st.booleans()),
        max_size=12,
    ),
    taken=st.integers(0, 12),
)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_postings_in_any_order_of_instants_are_told_right(
    postings: list[tuple[int, int, bool]], taken: int
) -> None:
    with transaction.atomic():
        wallet = chart.wallet(world.tenant(), "CNY")
        post(-(10**14), JUNE.start - timedelta(days=300), "money", wallet)
        for number, (minor, days, of_wallet) in enumerate(postings):
            if number == taken:
                checkpoints.take(at=T0, every=1)
            at = JUNE.start + timedelta(days=days, hours=3)
            post(minor, at, f"p{number}", wallet if of_wallet else "")
        for period in (MAY, JUNE, JULY):
            found = trial_balance.of(currency="CNY", period=period)
            assert found.is_balanced
            for row in found.rows:
                assert row.sums == brute(row.code, period)
        transaction.set_rollback(True)
