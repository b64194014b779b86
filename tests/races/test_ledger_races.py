"""Many hands on one wallet: exact counts, no deadlock, and the control that shows the race."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from billing import chart, ledger
from billing.models import LedgerEntry, LedgerTransaction
from tests import world
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

THREADS = 8


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Runs `work(number)` in eight threads that start together; their results or errors."""
    start = threading.Barrier(THREADS)
    results: list[Any] = [None] * THREADS

    def body(number: int) -> None:
        try:
            start.wait(30)
            results[number] = work(number)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=body, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


def fund(organisation: Any, amount_minor: int) -> None:
    ledger.post(
        kind="bank_receipt_approved",
        key=f"fund:{organisation.public_id}",
        entries=[
            (chart.unmatched_receipts("CNY"), amount_minor),
            (chart.wallet(organisation, "CNY"), -amount_minor),
        ],
        at=T0,
        actor=SYSTEM,
    )


def test_eight_threads_drain_a_wallet_to_the_last_whole_amount() -> None:
    tenant = world.tenant()
    fund(tenant, 100_000)
    wallet, fee = chart.wallet(tenant, "CNY"), chart.fee("CNY")

    def drain(number: int) -> tuple[int, int]:
        taken = refused = 0
        for attempt in range(25):
            try:
                ledger.post(
                    kind="usage_charged",
                    key=f"drain:{number}:{attempt}",
                    entries=[(wallet, 700), (fee, -700)],
                    at=T0,
                    actor=SYSTEM,
                )
                taken += 1
            except ledger.InsufficientFunds:
                refused += 1
        return taken, refused

    counts = at_once(drain)

    assert (sum(c[0] for c in counts), sum(c[1] for c in counts)) == (142, 58)
    assert ledger.balance(tenant).posted_minor == 100_000 - 142 * 700
    assert LedgerEntry.objects.filter(amount_minor=700).count() == 142


def test_control_reading_first_and_writing_later_overdraws() -> None:
    """What the lock prevents: each thread sees enough, and all of them take it."""
    tenant = world.tenant()
    fund(tenant, 1_000)
    ledger.set_credit_limit(tenant, currency="CNY", limit_minor=10**6, at=T0, actor=SYSTEM)
    wallet, fee = chart.wallet(tenant, "CNY"), chart.fee("CNY")
    seen = threading.Barrier(THREADS)

    def naive(number: int) -> bool:
        enough = ledger.balance(tenant).posted_minor >= 700  # without a lock
        connection.close()  # there may be fewer connections than threads
        seen.wait(60)
        if enough:
            ledger.post(
                kind="usage_charged",
                key=f"naive:{number}",
                entries=[(wallet, 700), (fee, -700)],
                at=T0,
                actor=SYSTEM,
            )
        return enough

    assert at_once(naive) == [True] * THREADS
    assert ledger.balance(tenant).posted_minor == 1_000 - THREADS * 700 < 0


def test_eight_holds_at_once_keep_what_is_there_and_no_more() -> None:
    tenant = world.tenant()
    fund(tenant, 3_000)

    def hold(number: int) -> int:
        return ledger.place_hold(
            key=f"h{number}",
            account=chart.wallet(tenant, "CNY"),
            amount_minor=1_000,
            expires_at=None,
            at=T0,
        )

    results = at_once(hold)

    assert sum(isinstance(result, int) for result in results) == 3
    assert sum(isinstance(result, ledger.InsufficientFunds) for result in results) == 5
    assert ledger.balance(tenant).held_minor == 3_000


def test_clients_in_opposite_directions_never_deadlock() -> None:
    tenants = [world.tenant(f"T{number}") for number in range(6)]
    for tenant in tenants:
        fund(tenant, 1_000_000)
    wallets = [chart.wallet(tenant, "CNY") for tenant in tenants]

    def transfer(number: int) -> int:
        for step in range(30):
            there = wallets[(number + step) % 6]
            back = wallets[(number * 5 + step * 3 + 1) % 6]
            if there == back:
                back = wallets[(number + step + 1) % 6]
            if number % 2:
                there, back = back, there
            ledger.post(
                kind="usage_charged",
                key=f"t:{number}:{step}",
                entries=[(there, 10), (back, -10)],
                at=T0,
                actor=SYSTEM,
            )
        return 30

    assert at_once(transfer) == [30] * THREADS
    assert sum(ledger.balance(tenant).posted_minor for tenant in tenants) == 6_000_000


def test_one_key_from_eight_threads_is_one_transaction() -> None:
    tenant = world.tenant()

    def post(_: int) -> int:
        return ledger.post(
            kind="bank_receipt_approved",
            key="the same",
            entries=[
                (chart.unmatched_receipts("CNY"), 5),
                (chart.wallet(tenant, "CNY"), -5),
            ],
            at=T0,
            actor=SYSTEM,
        )

    results = at_once(post)

    assert all(isinstance(result, int) for result in results), results
    assert len(set(results)) == 1
    assert LedgerTransaction.objects.count() == 1
    assert ledger.balance(tenant).posted_minor == 5


def test_accounts_opened_by_all_at_once_are_opened_once() -> None:
    """First use crosses: each thread names the same new accounts in another order."""
    tenants = [world.tenant(f"T{number}") for number in range(4)]

    def use(number: int) -> int:
        turned = tenants[number % 4 :] + tenants[: number % 4]
        entries = [(chart.wallet(tenant, "CNY"), -5) for tenant in turned]
        return ledger.post(
            kind="bank_receipt_approved",
            key=f"k{number}",
            entries=[*entries, (chart.unmatched_receipts("CNY"), 20)],
            at=T0,
            actor=SYSTEM,
        )

    results = at_once(use)

    assert all(isinstance(result, int) for result in results), results
    assert [ledger.balance(tenant).posted_minor for tenant in tenants] == [40] * 4
