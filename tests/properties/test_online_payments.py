"""Any order of payments, refunds, disputes, transfers, late webhooks and crashes: once each."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from billing import chart, ledger
from billing.fakestripe import events as messages
from billing.fakestripe import store
from billing.models import (
    Dispute,
    GatewayEvent,
    LedgerBalance,
    LedgerTransaction,
    PspRequest,
    TopUp,
    Transfer,
    TransferReversal,
    WalletRefund,
)
from billing.psp import sending, sweeping, transfers
from billing.psp.rail import StripeRail
from billing.rails import Order, RailBusy, RailRefused, Status
from inventory.errors import DomainError
from tests import world
from tests.billing import books, online
from tests.billing.online import hands
from tests.world import SYSTEM

RAIL = StripeRail()


class Died(BaseException):
    """A worker, in the middle of it."""


class Online(RuleBasedStateMachine):
    """One tenant that pays, one provider that is paid, and a Stripe that speaks when it likes."""

    in_hong_kong: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()  # undone at its end, whatever it did
        self.example._from_testcase = True  # type: ignore[attr-defined]
        self.example.__enter__()
        self.hours = 0
        self.orders = 0
        if self.in_hong_kong:
            hands.settle_in("cny", "hkd", 1.0837)
        online.account()
        settling = chart.provider_settling(world.provider(), "CNY")
        ledger.post(
            kind="settled",
            key="owed",
            entries=[(chart.adjustment("CNY"), 10**9), (settling, -(10**9))],
            at=online.now(),
            actor=SYSTEM,
        )
        owed = chart.provider_receivable(world.provider(), "CNY")
        ledger.post(
            kind="net_made_receivable",
            key="owes",
            entries=[(owed, 120_000), (chart.adjustment("CNY"), -120_000)],
            at=online.now(),
            actor=SYSTEM,
        )

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        """Something of each kind is under way already, so that most steps find what they change."""
        for method in ("card", "alipay", "wechat_pay", "card"):
            self.begin_payment(99_999_999)
            self.pay(0, method, late=False)
            online.deliver()
        self.refund(1, 3)
        self.transfer(90_000)
        self.send()
        self.many(seed)

    @rule(seed=st.integers(0, 2**32))
    def many(self, seed: int) -> None:
        """A dozen steps in a row: by themselves three that belong together rarely meet."""
        chance = random.Random(seed)

        def pick() -> int:
            return chance.randrange(10)

        def coin() -> bool:
            return chance.random() < 0.5

        method = chance.choice(["card", "alipay", "wechat_pay"])
        steps: list[Callable[[], object]] = [
            lambda: self.begin_payment(chance.choice([500, 100_000, 99_999_999])),
            lambda: self.pay(pick(), method, late=coin()),
            self.book_what_is_late,
            lambda: self.refund(pick(), chance.choice([1, 2, 3])),
            lambda: self.finish_refund(pick(), ok=coin()),
            lambda: self.dispute(pick(), inquiry=coin()),
            lambda: self.decide(pick(), won=coin()),
            lambda: self.transfer(chance.choice([500, 90_000, 50_000_000])),
            lambda: self.reverse(pick(), chance.choice([1, 2])),
            lambda: self.withdraw(arrives=coin()),
            lambda: self.webhooks(pick()),
            self.look_around,
            lambda: self.die_while_sending(chance.choice(["before", "after"])),
            self.send_again,
        ]
        for _ in range(12):
            chance.choice(steps)()

    def send(self) -> None:
        self.hours += 1
        sending.send_due(at=online.later(hours=self.hours), limit=100)

    @rule(amount=st.sampled_from([500, 501, 100_000, 99_999_999]))
    def begin_payment(self, amount: int) -> None:
        with contextlib.suppress(DomainError):
            online.start(amount)

    @rule(
        pick=st.integers(0, 9),
        method=st.sampled_from(["card", "alipay", "wechat_pay"]),
        late=st.booleans(),
    )
    def pay(self, pick: int, method: str, late: bool) -> None:
        rows = list(TopUp.objects.filter(state="open").order_by("pk"))
        if rows:
            hands.pay(str(rows[pick % len(rows)].intent_id), method=method, late=late)

    @rule()
    def book_what_is_late(self) -> None:
        for charge in list(store.each("charge")):
            hands.book(charge["payment_intent"])

    @rule(pick=st.integers(0, 9), share=st.sampled_from([1, 2, 3]))
    def refund(self, pick: int, share: int) -> None:
        rows = list(TopUp.objects.filter(state="succeeded").order_by("pk"))
        if rows:
            row = rows[pick % len(rows)]
            with contextlib.suppress(DomainError):
                online.refund(row, row.amount_minor // share)

    @rule(pick=st.integers(0, 9), ok=st.booleans())
    def finish_refund(self, pick: int, ok: bool) -> None:
        found = list(store.each("refund"))
        if found:
            hands.finish_refund(found[pick % len(found)]["id"], ok=ok)

    @rule(pick=st.integers(0, 9), inquiry=st.booleans())
    def dispute(self, pick: int, inquiry: bool) -> None:
        paid = [c for c in store.each("charge") if not c["disputed"] and c["balance_transaction"]]
        asked = {d["charge"] for d in store.each("dispute")}
        free = [c for c in paid if c["id"] not in asked and not c["amount_refunded"]]
        if free:
            hands.dispute(free[pick % len(free)]["payment_intent"], inquiry=inquiry)

    @rule(pick=st.integers(0, 9), won=st.booleans())
    def decide(self, pick: int, won: bool) -> None:
        found = list(store.each("dispute"))
        if found:
            hands.decide(found[pick % len(found)]["id"], won=won)

    @rule(amount=st.sampled_from([500, 90_000, 50_000_000]))
    def transfer(self, amount: int) -> None:
        hands.mature()
        self.orders += 1
        destination = RAIL.destination(world.provider(), "CNY")
        order = Order(f"pay_{self.orders}", amount, "CNY", "Aurora", destination, "x")
        with contextlib.suppress(RailBusy, RailRefused):
            RAIL.send(order)

    @rule(pick=st.integers(0, 9), share=st.sampled_from([1, 2]))
    def reverse(self, pick: int, share: int) -> None:
        rows = list(Transfer.objects.filter(state="sent").order_by("pk"))
        if rows:
            row = rows[pick % len(rows)]
            with contextlib.suppress(DomainError):
                transfers.reverse(
                    transfer_public_id=row.public_id,
                    amount_minor=row.amount_minor // share,
                    reason="x",
                    at=online.now(),
                    actor=SYSTEM,
                )

    @rule(arrives=st.booleans())
    def withdraw(self, arrives: bool) -> None:
        made = hands.pay_out("hkd" if self.in_hong_kong else "cny")
        if made is not None:
            hands.arrive(made["id"], ok=arrives)

    @rule(seed=st.integers(0, 99))
    def webhooks(self, seed: int) -> None:
        online.deliver(random.Random(seed))

    @rule()
    def look_around(self) -> None:
        sweeping.look_around(at=online.now())

    @rule(place=st.sampled_from(["before", "after"]))
    def die_while_sending(self, place: str) -> None:
        """Stripe may have done it, and nobody heard the answer."""
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Died):
            name = "_done" if place == "after" else "_found_or_made"
            patch.setattr(sending, name, _die)
            self.send()

    @rule()
    def send_again(self) -> None:
        self.send()

    @precondition(lambda self: PspRequest.objects.exists())
    @rule()
    def come_to_rest(self) -> None:
        """Everything is answered, told and applied: then our books are Stripe's."""
        self.book_what_is_late()
        for _ in range(4):
            self.send()
            online.deliver()
        sweeping.look_around(at=online.now())
        self.pull_transfers()
        assert not GatewayEvent.objects.filter(state__in=["received", "parked"]).exists()
        assert not PspRequest.objects.exclude(state__in=["succeeded", "failed"]).exists()
        assert online.differences() == []
        before = LedgerTransaction.objects.count()
        GatewayEvent.objects.filter(state="parked").update(state="received")
        for message in messages.log():
            online.hand_in(message)
        for kind, follow in (("payment_intent", "pi"), ("refund", "re"), ("dispute", "dp")):
            for thing in store.each(kind):
                assert thing["id"].startswith(follow)
                sweeping._follow(kind, thing["id"], online.now())
        assert LedgerTransaction.objects.count() == before

    def pull_transfers(self) -> None:
        """As whoever made the payouts books them."""
        for row in Transfer.objects.order_by("pk"):
            found = RAIL.look_up(row.payout_id)
            key = f"stripe:{found.reference}:created"
            if found.status == Status.PAID and not LedgerTransaction.objects.filter(
                idempotency_key=key
            ):
                settling = chart.provider_settling(world.provider(), "CNY")
                ledger.post(
                    kind="paid_out",
                    key=key,
                    entries=[
                        (settling, row.amount_minor),
                        (chart.stripe("CNY"), -row.amount_minor),
                    ],
                    at=online.now(),
                    actor=SYSTEM,
                    external_reference=found.reference,
                )
        for _key, outcome in RAIL.returned(since=online.later(days=-1)):
            key = f"stripe:{outcome.reference}:returned"
            back = TransferReversal.objects.get(reversal_id=outcome.reference)
            if not LedgerTransaction.objects.filter(idempotency_key=key):
                settling = chart.provider_settling(world.provider(), "CNY")
                ledger.post(
                    kind="payout_returned",
                    key=key,
                    entries=[
                        (chart.stripe("CNY"), back.amount_minor),
                        (settling, -back.amount_minor),
                    ],
                    at=online.now(),
                    actor=SYSTEM,
                    external_reference=outcome.reference,
                )

    @invariant()
    def the_books_agree(self) -> None:
        assert books.ledger_differences() == []

    @invariant()
    def nobody_is_below_the_floor(self) -> None:
        for row in LedgerBalance.objects.filter(guarded=True):
            assert row.posted - row.held + row.floor_minor >= 0

    @invariant()
    def holds_are_of_what_is_under_way(self) -> None:
        waiting = WalletRefund.objects.filter(state__in=["held", "pending"])
        disputed = Dispute.objects.filter(state="open")
        most = sum(r.amount_minor for r in waiting) + sum(d.held_minor for d in disputed)
        assert ledger.balance(world.tenant()).held_minor <= most

    @invariant()
    def stripe_did_nothing_twice(self) -> None:
        for kind in ("payment_intent", "refund", "transfer"):
            subjects = [thing["metadata"].get("subject") for thing in store.each(kind)]
            assert len(subjects) == len(set(subjects))


def _die(*_: Any, **__: Any) -> None:
    raise Died


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("in_hong_kong", [False, True])
def test_books_and_stripe_agree_after_anything(settings: Settings, in_hong_kong: bool) -> None:
    online.switch_on(settings)
    Online.in_hong_kong = in_hong_kong
    _run()


def _run() -> None:
    run_state_machine_as_test(
        Online,
        settings=settings(
            max_examples=10,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
