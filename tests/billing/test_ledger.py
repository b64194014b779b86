"""What the ledger accepts, and what it refuses by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction

from billing import chart, ledger
from billing.models import LedgerBalance, LedgerEntry, LedgerHold, LedgerTransaction
from inventory.errors import NotFound
from tests import world
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


def fund(organisation: Any, amount_minor: int, key: str = "fund") -> int:
    return ledger.post(
        kind="bank_receipt_approved",
        key=key,
        entries=[
            (chart.unmatched_receipts("CNY"), amount_minor),
            (chart.wallet(organisation, "CNY"), -amount_minor),
        ],
        at=T0,
        actor=SYSTEM,
    )


def take(wallet: str, amount: int, other: str) -> int:
    """From a wallet, with the amount for its key."""
    return ledger.post(
        kind="usage_charged",
        key=f"take:{amount}",
        entries=[(wallet, amount), (other, -amount)],
        at=T0,
        actor=SYSTEM,
    )


def raw(sql: str, *parameters: Any, using: str = "default") -> list[Any]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def test_a_posting_moves_money_and_opens_its_accounts() -> None:
    tenant = world.tenant()

    fund(tenant, 12_345)

    balance = ledger.balance(tenant)
    assert (balance.posted_minor, balance.held_minor, balance.available_minor) == (
        12_345,
        0,
        12_345,
    )
    assert ledger.posted(chart.unmatched_receipts("CNY")) == -12_345
    assert raw(
        "SELECT kind, purpose, currency, owner_id FROM billing_ledgeraccount ORDER BY kind, purpose"
    ) == [
        ("liability", "unmatched_receipts", "CNY", None),
        ("liability", "wallet", "CNY", tenant.pk),
    ]
    assert LedgerBalance.objects.count() == 1  # the platform's account has no row to fight for


def test_the_same_key_with_the_same_content_is_the_same_transaction() -> None:
    tenant = world.tenant()

    first, second = fund(tenant, 100), fund(tenant, 100)

    assert first == second
    assert LedgerTransaction.objects.count() == 1
    assert ledger.balance(tenant).posted_minor == 100


def test_the_same_key_with_other_content_is_refused() -> None:
    tenant = world.tenant()
    fund(tenant, 100)

    with refused(ledger.IdempotencyConflict):
        fund(tenant, 101)

    assert LedgerEntry.objects.count() == 2
    assert ledger.balance(tenant).posted_minor == 100


@pytest.mark.parametrize(
    "entries",
    [
        [("asset:bank:CNY", 5)],
        [("asset:bank:CNY", 5), ("revenue:fee:CNY", -4)],
        [("asset:bank:CNY", 5), ("revenue:fee:USD", -5)],
        [("asset:bank:CNY", 0), ("revenue:fee:CNY", 0)],
        [],
    ],
)
def test_refuses_entries_that_do_not_balance(entries: list[ledger.Entry]) -> None:
    with refused(ledger.Unbalanced):
        ledger.post(kind="settled", key="k", entries=entries, at=T0, actor=SYSTEM)

    assert not LedgerTransaction.objects.exists()


@pytest.mark.parametrize(
    ("codes", "amounts"),
    [
        (["asset:bank:CNY"], [5]),
        (["asset:bank:CNY", "revenue:fee:CNY"], [5, -4]),
        (["asset:bank:CNY", "revenue:fee:USD"], [5, -5]),
        ([], []),
    ],
)
def test_the_database_refuses_them_at_commit_too(codes: list[str], amounts: list[int]) -> None:
    def post_and_check() -> None:
        raw(
            "SELECT ledger_post('settled', 'k', %s, %s, 'x', '', '', %s::text[], %s::bigint[])",
            T0, T0, codes, amounts,
        )  # fmt: skip
        raw("SET CONSTRAINTS ALL IMMEDIATE")  # as the commit does

    refusal = r"does not sum to zero|fewer than two"
    with pytest.raises(DatabaseError, match=refusal), transaction.atomic():
        post_and_check()

    assert not LedgerTransaction.objects.exists()


def test_a_wallet_never_falls_below_its_floor() -> None:
    tenant = world.tenant()
    fund(tenant, 1_000)
    wallet, fee = chart.wallet(tenant, "CNY"), chart.fee("CNY")

    with pytest.raises(ledger.InsufficientFunds) as refusal, transaction.atomic():
        take(wallet, 1_001, fee)

    assert refusal.value.status == 402
    assert refusal.value.fields() == {"account": wallet, "available": 1_000, "needed": 1_001}
    assert ledger.balance(tenant).posted_minor == 1_000
    ledger.post(kind="x", key="b", entries=[(wallet, 1_000), (fee, -1_000)], at=T0, actor=SYSTEM)
    assert ledger.balance(tenant).posted_minor == 0


def test_a_credit_limit_is_a_floor_below_zero() -> None:
    tenant = world.tenant()
    wallet, fee = chart.wallet(tenant, "CNY"), chart.fee("CNY")
    ledger.set_credit_limit(tenant, currency="CNY", limit_minor=500, at=T0, actor=SYSTEM)

    ledger.post(kind="x", key="a", entries=[(wallet, 500), (fee, -500)], at=T0, actor=SYSTEM)

    assert ledger.balance(tenant).available_minor == 0
    with refused(ledger.InsufficientFunds):
        ledger.post(kind="x", key="b", entries=[(wallet, 1), (fee, -1)], at=T0, actor=SYSTEM)
    with refused(ledger.InsufficientFunds):
        ledger.set_credit_limit(tenant, currency="CNY", limit_minor=499, at=T0, actor=SYSTEM)


def test_a_hold_keeps_money_aside_until_it_is_released() -> None:
    tenant = world.tenant()
    fund(tenant, 1_000)
    wallet = chart.wallet(tenant, "CNY")
    until = T0 + timedelta(hours=1)

    for _ in range(2):  # the same key is the same hold
        ledger.place_hold(key="h", account=wallet, amount_minor=700, expires_at=until, at=T0)

    assert ledger.balance(tenant).available_minor == 300
    with pytest.raises(ledger.InsufficientFunds) as refusal, transaction.atomic():
        ledger.place_hold(key="i", account=wallet, amount_minor=301, expires_at=until, at=T0)
    assert (refusal.value.fields()["available"], refusal.value.fields()["needed"]) == (300, 301)
    with refused(ledger.IdempotencyConflict):
        ledger.place_hold(key="h", account=wallet, amount_minor=1, expires_at=until, at=T0)

    assert ledger.release_hold(key="h", at=T0) is True
    assert ledger.release_hold(key="h", at=T0) is False
    assert ledger.balance(tenant).available_minor == 1_000
    assert not LedgerEntry.objects.filter(amount_minor=700).exists()


def test_a_capture_takes_part_and_frees_the_rest_once() -> None:
    tenant = world.tenant()
    fund(tenant, 1_000)
    wallet, fee = chart.wallet(tenant, "CNY"), chart.fee("CNY")
    ledger.place_hold(key="h", account=wallet, amount_minor=700, expires_at=None, at=T0)

    def capture(amount: int, key: str = "c") -> int:
        return ledger.capture_hold(
            hold_key="h", kind="x", key=key, entries=[(wallet, amount), (fee, -amount)],
            at=T0, actor=SYSTEM,
        )  # fmt: skip

    with refused(ledger.InsufficientFunds):
        capture(701)
    assert capture(400) == capture(400)
    with refused(ledger.HoldClosed):
        capture(400, key="again")
    with refused(ledger.HoldClosed):
        ledger.release_hold(key="h", at=T0)

    balance = ledger.balance(tenant)
    assert (balance.posted_minor, balance.held_minor) == (600, 0)
    assert LedgerHold.objects.get().captured_minor == 400


def test_a_reversal_is_the_exact_opposite_and_happens_once() -> None:
    tenant = world.tenant()
    first = fund(tenant, 500)

    second = ledger.reverse(transaction_id=first, key="r", at=T0, actor=SYSTEM, reason="mistaken")

    assert ledger.balance(tenant).posted_minor == 0
    assert LedgerTransaction.objects.get(pk=second).reverses_id == first
    with refused(ledger.AlreadyReversed):
        ledger.reverse(transaction_id=first, key="s", at=T0, actor=SYSTEM, reason="again")


@pytest.mark.parametrize("amount", [2**63, 9_200_000_000_000_000_000, 10**17 + 1, -(2**63)])
def test_huge_amounts_are_refused_cleanly(amount: int) -> None:
    tenant = world.tenant()

    with refused(ledger.AmountOutOfRange):
        fund(tenant, amount)
    with refused(ledger.AmountOutOfRange):
        ledger.place_hold(
            key="h", account=chart.wallet(tenant, "CNY"), amount_minor=amount,
            expires_at=None, at=T0,
        )  # fmt: skip

    assert not LedgerTransaction.objects.exists()


def test_a_balance_that_would_overflow_is_refused_cleanly() -> None:
    tenant = world.tenant()
    for number in range(92):
        fund(tenant, 10**17, key=f"f{number}")

    with refused(ledger.AmountOutOfRange):
        fund(tenant, 10**17, key="one more")

    assert ledger.balance(tenant).posted_minor == 92 * 10**17


@pytest.mark.parametrize(
    "code",
    ["liability:wallet:CNY", "asset:gold:CNY", "liability:vat:cny", "x", "",
     "liability:wallet:org_00000000000000000000000000000000:CNY"],
)  # fmt: skip
def test_only_known_accounts_open(code: str) -> None:
    entries = [(code, 1), ("asset:bank:CNY", -1)]

    with pytest.raises((NotFound, ledger.Unbalanced)), transaction.atomic():
        ledger.post(kind="x", key="k", entries=entries, at=T0, actor=SYSTEM)

    assert not LedgerTransaction.objects.exists()


ATTACKS = [
    "UPDATE billing_ledgerentry SET amount_minor = amount_minor * 2",
    "DELETE FROM billing_ledgerentry",
    "TRUNCATE billing_ledgerentry CASCADE",
    "UPDATE billing_ledgertransaction SET reason = 'other'",
    "DELETE FROM billing_ledgertransaction",
    "TRUNCATE billing_ledgertransaction CASCADE",
    "UPDATE billing_ledgeraccount SET currency = 'USD'",
    "DELETE FROM billing_ledgerbalance",
    "DELETE FROM billing_ledgerhold",
    "UPDATE billing_ledgerhold SET amount_minor = 1",
    "INSERT INTO billing_ledgerentry (transaction_id, account_id, currency, amount_minor)"
    " SELECT transaction_id, account_id, currency, 7 FROM billing_ledgerentry LIMIT 1",
    "INSERT INTO billing_ledgerentry (transaction_id, account_id, currency, amount_minor)"
    " SELECT transaction_id, account_id, 'USD', 7 FROM billing_ledgerentry LIMIT 1",
    "UPDATE billing_ledgerbalance SET posted = -1",
    "UPDATE billing_ledgerbalance SET held = posted + 1",
    "INSERT INTO billing_ledgertransaction (idempotency_key, request_sha256, kind,"
    " external_reference, effective_at, created_at, actor, reason)"
    " VALUES ('bare', '', 'x', '', now(), now(), '', '')",
]


@committed
@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("default", r"permission denied"),
        (
            "owner",
            r"append-only|settled once|sealed|currency_of_its_account|below_the_floor|fewer than",
        ),
    ],
)
def test_raw_sql_is_refused_to_the_runtime_role_and_to_the_owner(role: str, expected: str) -> None:
    tenant = world.tenant()
    fund(tenant, 100)
    ledger.place_hold(
        key="h", account=chart.wallet(tenant, "CNY"), amount_minor=9, expires_at=None, at=T0
    )
    ledger.release_hold(key="h", at=T0)
    before = raw("SELECT * FROM billing_ledgerentry ORDER BY id")

    for attack in ATTACKS:
        with pytest.raises(DatabaseError, match=expected), transaction.atomic(using=role):
            raw(attack, using=role)

    assert raw("SELECT * FROM billing_ledgerentry ORDER BY id") == before
    assert ledger.balance(tenant).posted_minor == 100


def test_the_runtime_role_executes_and_reads_and_nothing_more() -> None:
    assert raw(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = current_user AND table_name LIKE 'billing_ledger%%'"
        " AND privilege_type <> 'SELECT'"
    ) == []  # fmt: skip
    assert connection.settings_dict["USER"] == raw("SELECT current_user::text")[0][0]
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        raw("SELECT ledger_open('asset:bank:CNY')")
