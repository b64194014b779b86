"""Holds grow, are captured in parts and lapse; credit limits lapse too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from billing import chart, ledger, tasks
from billing.models import LedgerBalance, LedgerHold
from inventory.errors import Invalid, NotFound
from tests import world
from tests.billing import books
from tests.billing.test_ledger import fund
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

SOON, LATER = T0 + timedelta(hours=1), T0 + timedelta(hours=9)


def place(amount: int = 400, expires_at: Any = SOON) -> str:
    """In a wallet of 1,000."""
    tenant = world.tenant()
    fund(tenant, 1_000)
    wallet = chart.wallet(tenant, "CNY")
    ledger.place_hold(key="h", account=wallet, amount_minor=amount, expires_at=expires_at, at=T0)
    return wallet


def capture(wallet: str, amount: int, key: str = "c", at: Any = T0, **how: Any) -> int:
    return ledger.capture_hold(
        hold_key="h",
        kind="usage_charged",
        key=key,
        entries=[(wallet, amount), (chart.fee("CNY"), -amount)],
        at=at,
        actor=SYSTEM,
        **how,
    )


def held() -> tuple[int, int]:
    row = LedgerBalance.objects.get(account__purpose="wallet")
    return row.posted, row.held


def test_a_hold_grows_to_what_is_there_and_never_shrinks() -> None:
    place()

    assert ledger.extend_hold(key="h", amount_minor=900, expires_at=LATER, at=T0) == 900
    assert ledger.extend_hold(key="h", amount_minor=100, expires_at=SOON, at=T0) == 900
    with refused(ledger.InsufficientFunds):
        ledger.extend_hold(key="h", amount_minor=1_001, expires_at=LATER, at=T0)

    row = LedgerHold.objects.get()
    assert (row.placed_minor, row.amount_minor, row.expires_at) == (400, 900, LATER)
    assert held() == (1_000, 900)


def test_an_extension_to_no_end_has_no_end() -> None:
    place()

    ledger.extend_hold(key="h", amount_minor=1, expires_at=None, at=T0)
    ledger.extend_hold(key="h", amount_minor=1, expires_at=SOON, at=T0)

    assert LedgerHold.objects.get().expires_at is None
    assert ledger.expire_holds(at=LATER, limit=10) == 0


def test_placing_it_again_is_the_same_hold_though_it_grew() -> None:
    wallet = place()
    ledger.extend_hold(key="h", amount_minor=500, expires_at=LATER, at=T0)

    ledger.place_hold(key="h", account=wallet, amount_minor=400, expires_at=SOON, at=T0)

    assert held() == (1_000, 500)


def test_parts_are_captured_and_the_rest_stays_held() -> None:
    wallet = place()

    first = capture(wallet, 150, "a", keep_rest=True)
    assert capture(wallet, 150, "a", keep_rest=True) == first
    assert held() == (850, 250)
    with refused(ledger.InsufficientFunds):
        capture(wallet, 251, "b", keep_rest=True)
    with refused(ledger.IdempotencyConflict):
        capture(wallet, 149, "a", keep_rest=True)
    capture(wallet, 250, "b", keep_rest=True)

    row = LedgerHold.objects.get()
    assert (row.state, row.captured_minor, held()) == ("captured", 400, (600, 0))
    assert sorted(row.captures.values_list("amount_minor", flat=True)) == [150, 250]
    assert books.ledger_differences() == []


def test_a_last_capture_frees_the_rest_and_a_release_what_was_not_captured() -> None:
    wallet = place()
    capture(wallet, 100, "a", keep_rest=True)

    capture(wallet, 100, "b")
    assert held() == (800, 0)
    ledger.place_hold(key="i", account=wallet, amount_minor=300, expires_at=None, at=T0)
    ledger.capture_hold(
        hold_key="i", kind="x", key="d", entries=[(wallet, 50), (chart.fee("CNY"), -50)],
        at=T0, actor=SYSTEM, keep_rest=True,
    )  # fmt: skip
    assert ledger.release_hold(key="i", at=T0) is True

    assert held() == (750, 0)
    assert books.ledger_differences() == []


def test_a_key_of_another_posting_captures_nothing() -> None:
    wallet = place()
    entries = [(wallet, 5), (chart.fee("CNY"), -5)]
    ledger.post(kind="usage_charged", key="c", entries=entries, at=T0, actor=SYSTEM)

    with refused(ledger.IdempotencyConflict):
        capture(wallet, 5)

    assert held() == (995, 400)


@pytest.mark.parametrize("swept", [True, False])
def test_a_lapsed_hold_is_neither_captured_nor_extended(swept: bool) -> None:
    wallet = place()
    if swept:
        assert ledger.expire_holds(at=SOON, limit=10) == 1

    with refused(ledger.HoldClosed):
        capture(wallet, 1, at=SOON)
    with refused(ledger.HoldClosed):
        ledger.extend_hold(key="h", amount_minor=500, expires_at=LATER, at=SOON)
    assert ledger.release_hold(key="h", at=SOON) is not swept

    assert held() == (1_000, 0)
    assert LedgerHold.objects.get().state == ("expired" if swept else "released")


def test_the_sweep_takes_what_is_due_and_that_alone() -> None:
    wallet = place()
    ledger.place_hold(key="i", account=wallet, amount_minor=1, expires_at=LATER, at=T0)
    ledger.place_hold(key="j", account=wallet, amount_minor=2, expires_at=None, at=T0)

    assert ledger.expire_holds(at=SOON - timedelta(microseconds=1), limit=10) == 0
    assert ledger.expire_holds(at=SOON, limit=10) == 1
    assert ledger.expire_holds(at=SOON, limit=10) == 0

    assert held() == (1_000, 3)
    assert tasks.expire_holds() == 1  # it is long after T0
    assert books.ledger_differences() == []


def test_what_a_capture_took_comes_back_by_a_reversal_and_the_hold_stays_over() -> None:
    wallet = place()
    number = capture(wallet, 400)

    ledger.reverse(transaction_id=number, key="r", at=T0, actor=SYSTEM, reason="mistaken")

    assert held() == (1_000, 0)
    with refused(ledger.HoldClosed):
        capture(wallet, 1, "again")


def test_a_reversal_takes_no_money_that_is_spent_or_held() -> None:
    tenant = world.tenant()
    number = fund(tenant, 1_000)
    wallet = chart.wallet(tenant, "CNY")
    ledger.place_hold(key="h", account=wallet, amount_minor=1, expires_at=None, at=T0)

    with refused(ledger.InsufficientFunds):
        ledger.reverse(transaction_id=number, key="r", at=T0, actor=SYSTEM, reason="mistaken")

    assert ledger.balance(tenant).posted_minor == 1_000


def test_unknown_holds_are_not_found() -> None:
    for call in (
        lambda: ledger.extend_hold(key="no", amount_minor=1, expires_at=None, at=T0),
        lambda: ledger.release_hold(key="no", at=T0),
        lambda: capture("liability:wallet:x:CNY", 1),
    ):
        with refused(NotFound):
            call()


def test_a_credit_limit_lapses_to_what_is_drawn_and_falls_with_every_payment() -> None:
    tenant = world.tenant()
    wallet, fee = chart.wallet(tenant, "CNY"), chart.fee("CNY")
    ledger.set_credit_limit(
        tenant, currency="CNY", limit_minor=500, until=SOON, at=T0, actor=SYSTEM
    )
    ledger.post(kind="x", key="a", entries=[(wallet, 300), (fee, -300)], at=T0, actor=SYSTEM)

    assert ledger.lapse_credit_limits(at=SOON - timedelta(seconds=1), limit=9) == 0
    assert ledger.balance(tenant).credit_minor == 500
    assert ledger.lapse_credit_limits(at=SOON, limit=9) == 0
    assert (ledger.balance(tenant).credit_minor, ledger.balance(tenant).available_minor) == (300, 0)
    fund(tenant, 120)
    assert ledger.lapse_credit_limits(at=LATER, limit=9) == 0
    assert (ledger.balance(tenant).credit_minor, ledger.balance(tenant).available_minor) == (180, 0)
    fund(tenant, 200, "more")
    assert ledger.lapse_credit_limits(at=LATER, limit=9) == 1

    balance = ledger.balance(tenant)
    assert (balance.credit_minor, balance.available_minor) == (0, 20)
    assert not LedgerBalance.objects.filter(floor_until__isnull=False).exists()


def test_a_limit_lapses_later_than_now() -> None:
    with refused(Invalid):
        ledger.set_credit_limit(
            world.tenant(), currency="CNY", limit_minor=5, until=T0, at=T0, actor=SYSTEM
        )


ATTACKS = [
    "UPDATE billing_ledgerhold SET amount_minor = amount_minor - 1",
    "UPDATE billing_ledgerhold SET captured_minor = 0",
    "UPDATE billing_ledgerhold SET captured_minor = amount_minor + 1",
    "UPDATE billing_ledgerhold SET expires_at = expires_at - interval '1 second'",
    "UPDATE billing_ledgerhold SET placed_minor = 1",
    "UPDATE billing_ledgerhold SET state = 'expired'",
    "UPDATE billing_ledgercapture SET amount_minor = 1",
    "DELETE FROM billing_ledgercapture",
    "TRUNCATE billing_ledgercapture",
    "INSERT INTO billing_ledgercheckpoint (account_id, through_entry, entries, posted, at)"
    " SELECT id, -1, 0, -1, now() FROM billing_ledgeraccount; DELETE FROM billing_ledgercheckpoint",
    "TRUNCATE billing_ledgercheckpoint",
    "TRUNCATE billing_ledgerexchange",
]


@committed
@pytest.mark.parametrize("role", ["default", "owner"])
def test_raw_sql_changes_no_hold_and_no_record(role: str) -> None:
    wallet = place()
    capture(wallet, 100, keep_rest=True)

    for attack in ATTACKS:
        with (
            pytest.raises(DatabaseError),
            transaction.atomic(using=role),
            connections[role].cursor() as cursor,
        ):
            cursor.execute(attack)

    row = LedgerHold.objects.get()
    assert (row.state, row.amount_minor, row.captured_minor) == ("open", 400, 100)
    assert books.ledger_differences() == []


INNER = [
    "ledger_first_open()",
    "ledger_end_hold((SELECT h FROM billing_ledgerhold h LIMIT 1), 'released', now())",
    "ledger_keep(1, 'x', 1)",
    "ledger_lock_hold('h')",
    "ledger_capture('h', 'x', 'k', now(), now(), '', '', '', '{}', '{}', true)",
    "ledger_write('x', 'k', now(), now(), '', '', '', '{}', '{}', 1)",
    "ledger_require_funds('{}', '{}', '{}', '{}', '{}')",
]


@pytest.mark.parametrize("call", INNER)
def test_the_runtime_role_calls_no_inner_function(call: str) -> None:
    with (
        pytest.raises(DatabaseError, match="permission denied"),
        transaction.atomic(),
        connections["default"].cursor() as cursor,
    ):
        cursor.execute(f"SELECT {call}")
