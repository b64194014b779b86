"""Money of two currencies in one posting, checkpoints, and how long money has lain."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from billing import accounting_periods, ageing, chart, checkpoints, exchanges, ledger
from billing.exchanges import Side
from billing.models import LedgerCheckpoint, LedgerExchange, LedgerTransaction
from inventory.errors import Invalid
from tests import world
from tests.billing import books
from tests.billing.test_accounting_periods import close
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db


def top_up(
    sold_minor: int,
    bought_minor: int,
    rate: str,
    *,
    sold: str = "CNY",
    bought: str = "USD",
    key: str = "stripe:ch_1:captured",
) -> int:
    """Paid by the tenant in one currency, settled by Stripe in another, without a fee."""
    tenant = world.tenant()
    return exchanges.exchange(
        kind="topped_up",
        key=key,
        sold=Side(sold, [(chart.wallet(tenant, sold), -sold_minor)]),
        bought=Side(bought, [(chart.stripe(bought), bought_minor)]),
        rate=Decimal(rate),
        at=T0,
        actor=SYSTEM,
    )


def test_each_currency_sums_to_zero_and_the_rate_is_kept() -> None:
    number = top_up(72_000, 10_000, "0.138888")

    row = LedgerExchange.objects.get(transaction_id=number)
    assert (row.sold_currency, row.sold_minor) == ("CNY", 72_000)
    assert (row.bought_currency, row.bought_minor) == ("USD", 10_000)
    assert row.rate == Decimal("0.138888")
    assert exchanges.positions() == {"CNY": 72_000, "USD": -10_000}
    assert ledger.balance(world.tenant()).posted_minor == 72_000
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert books.ledger_differences() == []


@pytest.mark.parametrize(
    ("sold", "sold_minor", "bought", "bought_minor", "rate"),
    [
        ("CNY", 1, "JPY", 1, "20.5"),  # one fen is a fifth of a yen: to the unit
        ("CNY", 10_000, "JPY", 2_050, "20.5"),  # no decimals
        ("CNY", 10_000, "KWD", 4_250, "0.0425"),  # three decimals
        ("KWD", 1, "CNY", 2, "23.5"),
        ("JPY", 10**17, "KWD", 2_050 * 10**14, "0.00205"),
        ("CNY", 10**17, "USD", 13_888_800_000_000_000, "0.138888"),
    ],
)
def test_currencies_of_every_exponent(
    sold: str, sold_minor: int, bought: str, bought_minor: int, rate: str
) -> None:
    if bought_minor > ledger.LARGEST_ENTRY:
        with refused(ledger.AmountOutOfRange):
            top_up(sold_minor, bought_minor, rate, sold=sold, bought=bought)
        return

    top_up(sold_minor, bought_minor, rate, sold=sold, bought=bought)

    assert exchanges.positions() == {sold: sold_minor, bought: -bought_minor}


@pytest.mark.parametrize("rate", ["0.13889", "0.1388", "0", "-1", "NaN", "Infinity", "1E+40"])
def test_amounts_that_are_not_what_the_rate_makes_are_refused(rate: str) -> None:
    with refused(exchanges.RateDiffers):
        top_up(72_000_000, 10_000_000 + 9_000, rate)

    assert not LedgerTransaction.objects.exists()


def test_the_same_exchange_is_booked_once_and_another_rate_is_another() -> None:
    first = top_up(72_000, 10_000, "0.138888")

    assert top_up(72_000, 10_000, "0.138888") == first
    with refused(ledger.IdempotencyConflict):
        top_up(72_000, 10_000, "0.138889")

    assert LedgerExchange.objects.count() == 1


def test_an_exchange_is_reversed_like_any_other_posting() -> None:
    number = top_up(72_000, 10_000, "0.138888")

    ledger.reverse(transaction_id=number, key="r", at=T0, actor=SYSTEM, reason="mistaken")

    assert exchanges.positions() == {}
    assert books.ledger_differences() == []


def revalue(rate: str, month: int = 6) -> int:
    return exchanges.revalue(
        base="CNY",
        rates={"USD": Decimal(rate)},
        effective_at=T0 + timedelta(days=10),
        at=T0 + timedelta(days=40, minutes=month),
        actor=SYSTEM,
        reason="month end",
    )


def test_what_is_held_in_another_currency_is_worth_what_the_rate_says() -> None:
    top_up(72_000, 10_000, "0.138888")

    assert revalue("7.3") == -1_000  # 100 USD are worth 730 CNY, not 720: a gain
    assert ledger.posted(chart.fx_difference("CNY")) == -1_000
    assert revalue("7.3", 7) == 0
    assert revalue("7.1", 8) == 2_000
    assert exchanges.positions() == {"CNY": 71_000, "USD": -10_000}
    assert books.ledger_differences() == []


def test_a_revaluation_needs_a_rate_and_an_open_month() -> None:
    top_up(72_000, 10_000, "0.138888")
    with refused(Invalid):
        exchanges.revalue(base="CNY", rates={}, effective_at=T0, at=T0, actor=SYSTEM, reason="none")
    close(T0.date().replace(day=1))

    with refused(ledger.PeriodClosed):
        revalue("7.3")
    assert accounting_periods.closed_until() is not None


def fees(count: int, key: str, amount: int = 3) -> None:
    ledger.post_many(
        [
            ledger.Posting(
                kind="stripe_fee_charged",
                key=f"{key}:{number}",
                entries=[(chart.bank("CNY"), amount), (chart.fee("CNY"), -amount)],
                effective_at=T0,
            )
            for number in range(count)
        ],
        at=T0,
        actor=SYSTEM,
    )


def take(every: int) -> int:
    return checkpoints.take(at=T0, every=every, patience=timedelta(milliseconds=200))


def test_a_checkpoint_and_its_tail_are_the_balance() -> None:
    fees(10, "a")

    assert take(11) == 0
    assert take(10) == 2  # the bank's account and the fee's
    fees(4, "b", 10**17)
    assert ledger.posted(chart.fee("CNY")) == 30 + 4 * 10**17
    assert take(5) == 0
    assert take(4) == 2
    assert take(1) == 0

    assert ledger.posted(chart.bank("CNY")) == 30 + 4 * 10**17
    row = LedgerCheckpoint.objects.filter(account__code=chart.fee("CNY")).latest("through_entry")
    assert (row.entries, int(row.posted)) == (14, 30 + 4 * 10**17)
    assert books.ledger_differences() == []


def test_a_balance_beyond_a_bigint_has_its_checkpoint() -> None:
    fees(93, "a", 10**17)  # 9.3e18

    assert take(1) == 2
    fees(1, "b")

    assert ledger.posted(chart.fee("CNY")) == 93 * 10**17 + 3


def test_accounts_with_a_balance_row_need_no_checkpoint() -> None:
    tenant = world.tenant()
    ledger.post(
        kind="x",
        key="k",
        entries=[(chart.bank("CNY"), 5), (chart.wallet(tenant, "CNY"), -5)],
        at=T0,
        actor=SYSTEM,
    )

    assert take(1) == 1
    assert LedgerCheckpoint.objects.get().account.code == chart.bank("CNY")


def lie(amount: int, at_hours: int, code: str = chart.unmatched_receipts("CNY")) -> None:
    ledger.post(
        kind="x",
        key=f"{code}:{at_hours}",
        entries=[(chart.bank("CNY"), amount), (code, -amount)],
        at=T0,
        effective_at=T0 + timedelta(hours=at_hours),
        actor=SYSTEM,
    )


def test_what_lies_is_as_old_as_the_oldest_that_nothing_took_out() -> None:
    lie(100, 0)
    lie(50, 24)
    lie(-100, 30)  # first in, first out

    (row,) = ageing.clearing(at=T0 + timedelta(days=6))
    assert (row.open_minor, row.since, row.is_late) == (50, T0 + timedelta(hours=24), False)
    (row,) = ageing.clearing(at=T0 + timedelta(days=6, seconds=1))
    assert row.is_late

    lie(-50, 31)
    assert ageing.clearing(at=T0 + timedelta(days=60)) == []


def test_an_exchange_position_is_late_after_a_day() -> None:
    with transaction.atomic():
        top_up(72_000, 10_000, "0.138888")

    rows = ageing.clearing(at=T0 + timedelta(days=1, seconds=1))

    assert [(row.currency, row.open_minor, row.is_late) for row in rows] == [
        ("CNY", 72_000, True),
        ("USD", -10_000, True),
    ]
