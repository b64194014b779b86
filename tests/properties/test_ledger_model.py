"""The ledger beside a model of it: random postings, holds, reversals, exchanges, months."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from billing import accounting_periods, chart, checkpoints, exchanges, ledger
from billing.exchanges import Side
from billing.models import LedgerHold, LedgerTransaction
from inventory.errors import DomainError
from tests import world
from tests.billing import books
from tests.world import SYSTEM, T0

# What hurts: the smallest, odd ones, and the largest an entry may be; so many of them overflow.
AMOUNTS = st.sampled_from([1, 2, 99, 5_440, 1_000_003, 10**15, 10**17])
CURRENCIES = st.sampled_from(["CNY", "JPY", "KWD"])
LARGEST = 2**63 - 1


@dataclass
class Held:
    """A hold as the model knows it."""

    code: str
    amount: int
    expires_at: datetime | None
    captured: int = 0
    state: str = "open"

    def is_open(self, at: datetime) -> bool:
        return self.state == "open" and (self.expires_at is None or self.expires_at > at)

    @property
    def rest(self) -> int:
        return self.amount - self.captured


class Ledger(RuleBasedStateMachine):
    """Two wallets in three currencies; amounts in the direction of each account."""

    tenants: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.now = T0
        self.balance: dict[str, int] = {}
        self.floor: dict[str, int] = {}
        self.holds: dict[str, Held] = {}
        self.posted: list[tuple[int, dict[str, int]]] = []
        self.reversed: set[int] = set()
        self.closed_until: datetime | None = None
        self.count = 0

    # The model

    def available(self, code: str) -> int:
        held = sum(h.rest for h in self.holds.values() if h.code == code and h.state == "open")
        return self.balance.get(code, 0) - held + self.floor.get(code, 0)

    def wallet(self, tenant: int, currency: str) -> str:
        return chart.wallet(self.tenants[tenant], currency)

    def key(self) -> str:
        self.count += 1
        return f"k{self.count}"

    def granted(self, call: Any, *, expected: bool) -> Any:
        """What the ledger answers; that it grants or refuses is what the model expects."""
        try:
            with transaction.atomic():
                answer = call()
        except DomainError as error:
            if expected:
                raise AssertionError("the model expects it to be granted") from error
            return None
        assert expected
        return answer

    def moved(self, number: int, moves: dict[str, int]) -> None:
        for code, amount in moves.items():
            self.balance[code] = self.balance.get(code, 0) + amount
        self.posted.append((number, moves))

    # The verbs

    @rule(tenant=st.integers(0, 1), currency=CURRENCIES, amount=AMOUNTS, late=st.booleans())
    def fund(self, tenant: int, currency: str, amount: int, late: bool) -> None:
        wallet, bank = self.wallet(tenant, currency), chart.bank(currency)
        effective = T0 - timedelta(days=400) if late else self.now
        number = self.granted(
            lambda: ledger.post(
                kind="topped_up",
                key=self.key(),
                entries=[(bank, amount), (wallet, -amount)],
                effective_at=effective,
                at=self.now,
                actor=SYSTEM,
            ),
            expected=self.balance.get(wallet, 0) + amount <= LARGEST,
        )
        if number is not None:
            self.moved(number, {wallet: amount, bank: amount})
            row = LedgerTransaction.objects.get(pk=number)
            assert row.effective_at == max(effective, self.closed_until or effective)

    @rule(tenant=st.integers(0, 1), currency=CURRENCIES, amounts=st.lists(AMOUNTS, min_size=1))
    def charge(self, tenant: int, currency: str, amounts: list[int]) -> None:
        """Several at once, as if one after the other: all or nothing."""
        wallet, fee = self.wallet(tenant, currency), chart.fee(currency)
        keys = [self.key() for _ in amounts]
        postings = [
            ledger.Posting(
                kind="usage_charged",
                key=key,
                entries=[(wallet, amount), (fee, -amount)],
                effective_at=self.now,
            )
            for key, amount in zip(keys, amounts, strict=True)
        ]
        numbers = self.granted(
            lambda: ledger.post_many(postings, at=self.now, actor=SYSTEM),
            expected=sum(amounts) <= self.available(wallet),
        )
        if numbers is not None:
            assert ledger.post_many(postings, at=self.now, actor=SYSTEM) == numbers
            for number, amount in zip(numbers, amounts, strict=True):
                self.moved(number, {wallet: -amount, fee: amount})

    @rule(
        tenant=st.integers(0, 1),
        currency=CURRENCIES,
        amount=AMOUNTS,
        hours=st.sampled_from([None, 1, 30]),
    )
    def place(self, tenant: int, currency: str, amount: int, hours: int | None) -> None:
        wallet, key = self.wallet(tenant, currency), self.key()
        until = self.now + timedelta(hours=hours) if hours else None
        done = self.granted(
            lambda: ledger.place_hold(
                key=key, account=wallet, amount_minor=amount, expires_at=until, at=self.now
            ),
            expected=amount <= self.available(wallet),
        )
        if done is not None:
            self.holds[key] = Held(wallet, amount, until)

    def pick(self, number: int) -> tuple[str, Held] | None:
        rows = list(self.holds.items())
        return rows[number % len(rows)] if rows else None

    @rule(number=st.integers(0, 50), amount=AMOUNTS, hours=st.sampled_from([None, 2, 50]))
    def extend(self, number: int, amount: int, hours: int | None) -> None:
        if not (found := self.pick(number)):
            return
        key, held = found
        until = self.now + timedelta(hours=hours) if hours else None
        more = max(0, amount - held.amount)
        done = self.granted(
            lambda: ledger.extend_hold(key=key, amount_minor=amount, expires_at=until, at=self.now),
            expected=held.is_open(self.now) and more <= self.available(held.code),
        )
        if done is not None:
            held.amount += more
            assert done == held.amount
            ends = (held.expires_at, until)
            held.expires_at = None if None in ends else max(e for e in ends if e)

    @rule(number=st.integers(0, 50), amount=AMOUNTS, keep=st.booleans())
    def capture(self, number: int, amount: int, keep: bool) -> None:
        if not (found := self.pick(number)):
            return
        key, held = found
        fee = chart.fee(held.code[-3:])
        posting = self.key()
        done = self.granted(
            lambda: ledger.capture_hold(
                hold_key=key,
                kind="usage_charged",
                key=posting,
                entries=[(held.code, amount), (fee, -amount)],
                at=self.now,
                actor=SYSTEM,
                keep_rest=keep,
            ),
            expected=held.is_open(self.now) and amount <= held.rest,
        )
        if done is not None:
            held.captured += amount
            if not keep or not held.rest:
                held.state = "captured"
            self.moved(done, {held.code: -amount, fee: amount})

    @rule(number=st.integers(0, 50))
    def release(self, number: int) -> None:
        if not (found := self.pick(number)):
            return
        key, held = found
        done = self.granted(
            lambda: ledger.release_hold(key=key, at=self.now), expected=held.state != "captured"
        )
        if held.state == "open":
            assert done is True
            held.state = "released"

    @rule(hours=st.sampled_from([1, 20, 800]), swept=st.booleans())
    def time_passes(self, hours: int, swept: bool) -> None:
        self.now += timedelta(hours=hours)
        if swept:
            due = [h for h in self.holds.values() if h.state == "open" and not h.is_open(self.now)]
            assert ledger.expire_holds(at=self.now, limit=1_000) == len(due)
            for held in due:
                held.state = "expired"

    @rule(tenant=st.integers(0, 1), limit=st.sampled_from([0, 1, 5_000, 10**15]))
    def set_limit(self, tenant: int, limit: int) -> None:
        wallet = self.wallet(tenant, "CNY")
        expected = self.available(wallet) - self.floor.get(wallet, 0) + limit >= 0

        def call() -> bool:
            ledger.set_credit_limit(
                self.tenants[tenant], currency="CNY", limit_minor=limit, at=self.now, actor=SYSTEM
            )
            return True

        if self.granted(call, expected=expected):
            self.floor[wallet] = limit

    @rule(number=st.integers(0, 100))
    def reverse(self, number: int) -> None:
        if not self.posted:
            return
        original, moves = self.posted[number % len(self.posted)]
        back = {code: -amount for code, amount in moves.items()}
        wallets = {code: amount for code, amount in back.items() if ":wallet:" in code}
        done = self.granted(
            lambda: ledger.reverse(
                transaction_id=original, key=self.key(), at=self.now, actor=SYSTEM, reason="any"
            ),
            expected=original not in self.reversed
            and all(
                (amount > 0 or self.available(code) + amount >= 0)
                and self.balance.get(code, 0) + amount <= LARGEST
                for code, amount in wallets.items()
            ),
        )
        if done is not None:
            self.reversed.add(original)
            self.moved(done, back)

    @rule(tenant=st.integers(0, 1), amount=st.sampled_from([1_000, 72_000, 10**12]))
    def exchange(self, tenant: int, amount: int) -> None:
        """Paid in CNY, settled in JPY (no decimals) at twenty for one."""
        wallet, settled = self.wallet(tenant, "CNY"), amount * 20 // 100
        number = self.granted(
            lambda: exchanges.exchange(
                kind="topped_up",
                key=self.key(),
                sold=Side("CNY", [(wallet, -amount)]),
                bought=Side("JPY", [(chart.stripe("JPY"), settled)]),
                rate=Decimal("20.0"),
                at=self.now,
                actor=SYSTEM,
            ),
            expected=self.balance.get(wallet, 0) + amount <= LARGEST,
        )
        if number is not None:
            moves = {wallet: amount, chart.fx("CNY"): amount}
            self.moved(number, {**moves, chart.stripe("JPY"): settled, chart.fx("JPY"): -settled})

    @rule(every=st.integers(1, 5))
    def checkpoint(self, every: int) -> None:
        checkpoints.take(at=self.now, every=every, patience=timedelta(0))

    @rule()
    def close_month(self) -> None:
        """The month before the present one, or the next of those that wait."""
        month = (
            accounting_periods.next_month()
            if self.closed_until
            else (T0 - timedelta(days=1)).date()
        )
        assert month is not None
        period = accounting_periods.month_period(month)
        first, second = books.people()

        def close() -> bool:
            row = accounting_periods.begin_closing(
                month=month, at=self.now, actor=SYSTEM, user=first
            )
            accounting_periods.close_period(
                period_public_id=row.public_id, at=self.now, actor=SYSTEM, user=second
            )
            return True

        if self.granted(close, expected=period.end <= self.now):
            self.closed_until = period.end

    # What always holds

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    @invariant()
    def balances_are_the_models(self) -> None:
        for code, amount in self.balance.items():
            assert ledger.posted(code) == amount, code
        for tenant in self.tenants:
            for currency in ("CNY", "JPY", "KWD"):
                wallet = chart.wallet(tenant, currency)
                found = ledger.balance(tenant, currency=currency).available_minor
                assert found == self.available(wallet) >= 0

    @invariant()
    def holds_are_the_models(self) -> None:
        rows = {h.idempotency_key: h for h in LedgerHold.objects.all()}
        assert set(rows) == set(self.holds)
        for key, held in self.holds.items():
            row = rows[key]
            assert (row.state, row.amount_minor, row.captured_minor, row.expires_at) == (
                held.state, held.amount, held.captured, held.expires_at,
            )  # fmt: skip

    @invariant()
    def the_books_agree(self) -> None:
        with connection.cursor() as cursor:  # what a commit would check
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        assert books.ledger_differences() == []


@pytest.mark.django_db
def test_the_ledger_is_its_model_after_anything() -> None:
    Ledger.tenants = [world.tenant("Borealis"), world.tenant("Eos")]
    world.operator()
    books.people()

    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
