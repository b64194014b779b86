"""Any order of everything: at the end the books are what the bank and Stripe have, line by line.

The other stories of money each tell a part. Here receipts, cards, leases by three schedules,
late corrections, contests, settlements, payouts, refunds, disputes, shuffled webhooks and dying
workers share one ledger, and reconciliation is the judge.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.db import transaction
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from billing import (
    bank_matching,
    bank_statements,
    chart,
    closing,
    collecting,
    dunning,
    invoices,
    ledger,
    payout_files,
    payouts,
    quotes,
    rating,
    receipts,
    reconciliation,
    reconciliation_report,
    references,
    refunds,
    settlement,
    statements,
)
from billing.fakestripe import store
from billing.invoices.credits import left_minor
from billing.models import (
    BankAccount,
    BankReceipt,
    Charge,
    Contest,
    InvoiceLine,
    LedgerBalance,
    Payout,
    PspRequest,
    Refund,
    TopUp,
)
from billing.psp import sending, sweeping, withdrawals
from inventory.errors import DomainError
from inventory.models import User
from inventory.periods import HOUR, Period, ceil_hour
from marketplace import money
from marketplace.models import Lease
from tests import world
from tests.billing import books, online, paying
from tests.billing.online import hands
from tests.billing.test_bank_rail import account, bring_in, line, statement, wallet_reference
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

ZONE = "Asia/Shanghai"
START = 16  # midnight of 2 June in Shanghai
SCHEDULES: tuple[dict[str, Any], ...] = (
    {"selling": "agency", "schedule": "deposit_hourly", "deposit_bps": 3_000},
    {"selling": "resale", "schedule": "advance", "advance_months": 1, "security_months": 1},
    {"selling": "agency", "schedule": "arrears", "net_days": 10, "grace_days": 5},
)


class Died(BaseException):
    """A worker, in the middle of it."""


class Everything(RuleBasedStateMachine):
    """One tenant with three leases, their provider, the operator, a bank, and Stripe."""

    leases: ClassVar[list[Lease]]
    buyer: ClassVar[User]
    own: ClassVar[BankAccount]
    payee: ClassVar[BankAccount]
    refunded_to: ClassVar[BankAccount]

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()  # undone at its end, whatever it did
        self.example._from_testcase = True  # type: ignore[attr-defined]
        self.example.__enter__()
        self.now = T0 + hours(START)
        self.steps = 0
        self.told: list[dict[str, str]] = []  # what the bank will say on its next statement
        self.lines = 0
        self.withdrawn = 0
        self.arrived: set[str] = set()
        self.lost = {
            T0 + n * HOUR: 10**6 for n in range(24 * 1200) if n % 12
        }  # one hour of twelve, so that months take seconds

    def teardown(self) -> None:
        try:
            if (
                sys.exc_info()[0] is None
            ):  # else a step has failed, and its error is the one to read
                self.come_to_rest()
        finally:
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        """Something of each kind is under way already, so that most steps find what they change."""
        self.pay_online(900_000, "card")
        self.webhooks(0)
        self.turn()
        self.object(0)
        self.ask_refund(10_000)
        self.many(seed)

    @rule(seed=st.integers(0, 2**32))
    def many(self, seed: int) -> None:
        """A dozen steps in a row: by themselves those that belong together rarely meet."""
        chance = random.Random(seed)

        def pick() -> int:
            return chance.randrange(10**6)

        def coin() -> bool:
            return chance.random() < 0.6

        amounts = [500, 123_457, 99_999_999]
        steps: list[Callable[[], object]] = [
            lambda: self.live(chance.choice([1, 5, 17])),
            lambda: self.live(chance.choice([1, 5, 17])),
            self.turn,
            lambda: self.correct(pick(), chance.choice([1, 14_400])),
            lambda: self.change(pick(), chance.choice(["extend", "leave"]), pick() % 40 + 1),
            lambda: self.object(pick()),
            lambda: self.decide_contest(pick(), coin()),
            lambda: self.credit(pick(), chance.choice([1, 3, 100])),
            lambda: self.transfer_in(chance.choice(amounts), chance.choice(["own", "other"])),
            lambda: self.decide_receipt(pick(), coin()),
            lambda: self.ask_refund(chance.choice([1, 7_777])),
            lambda: self.move_refund(pick(), coin()),
            lambda: self.plan_payouts(coin()),
            lambda: self.move_payout(pick(), coin()),
            self.bank_speaks,
            lambda: self.pay_online(
                chance.choice(amounts), chance.choice(["card", "alipay", "wechat_pay"])
            ),
            lambda: self.refund_online(pick(), chance.choice([1, 2, 3])),
            lambda: self.dispute(pick(), coin()),
            lambda: self.withdraw(chance.choice([500, 70_000])),
            lambda: self.webhooks(pick()),
            lambda: self.die_while_sending(chance.choice(["_done", "_found_or_made"])),
            self.reconcile,
        ]
        for step in chance.choices(steps, k=12):
            step()
            self.check()

    # The leases

    @rule(days=st.sampled_from([1, 5, 17]))
    def live(self, days: int) -> None:
        """Time goes on, and the sweeps pass by."""
        self.now += timedelta(days=days)
        for lease in self.leases:
            lease.refresh_from_db()
            if lease.state == Lease.State.ACTIVE:
                books.deliver(lease, until=self.now, lost=self.lost)
                if self.now >= Period.of(lease.period).end:
                    books.end(lease, at=self.now)
        rating.rate_due(at=self.now + HOUR, limit=100_000)
        invoices.refresh(at=self.now + HOUR, limit=100_000)
        collecting.note_cleared(at=self.now, limit=10)
        collecting.collect_due(at=self.now, limit=100)
        dunning.sweep(at=self.now, limit=10)
        closing.close_leases(at=self.now, limit=10)

    @rule()
    def turn(self) -> None:
        """The month is over: its invoices are final, its statements issued, its lines settled."""
        end = money.month_of(self.now, ZONE).end
        for at in (end + timedelta(days=3), end + timedelta(days=7)):
            self.live((at - self.now).days + 1)
            invoices.finalise_due(at=self.now, limit=100)
            statements.issue_due(at=self.now, limit=100)
        settlement.settle_month(at=self.now)

    @rule(pick=st.integers(0, 999), back=st.integers(1, 14_400))
    def correct(self, pick: int, back: int) -> None:
        rows = Charge.objects.filter(kind="usage", revision=0, card_seconds__gte=back)
        rows = rows.order_by("pk")
        if not rows.exists():
            return
        row = rows[pick % rows.count()]
        taken = Charge.objects.filter(allocation_id=row.allocation_id, hour=row.hour, revision=1)
        if not taken.exists():
            books.correct(Lease.objects.get(pk=row.lease_id), row.hour, -back)
            self.live(0)

    @rule(
        pick=st.integers(0, 9), kind=st.sampled_from(["extend", "leave"]), days=st.integers(1, 40)
    )
    def change(self, pick: int, kind: str, days: int) -> None:
        lease = self.leases[pick % len(self.leases)]
        lease.refresh_from_db()
        base = Period.of(lease.period).end if kind == "extend" else ceil_hour(self.now)
        actor = world.actor(world.tenant())
        with contextlib.suppress(DomainError), transaction.atomic():
            quote = quotes.ask(
                lease_public_id=lease.public_id, kind=kind, end=base + timedelta(days=days),
                at=self.now, actor=actor, reason="so it goes",
            )  # fmt: skip
            quotes.accept(quote_public_id=quote.public_id, at=self.now, actor=actor)

    @rule(pick=st.integers(0, 99))
    def object(self, pick: int) -> None:
        lines = InvoiceLine.objects.filter(
            invoice__statement__state="issued", invoice__statement__due_at__gt=self.now
        ).exclude(contests__state="open")
        found = list(lines.order_by("pk"))
        if found:
            statements.contest(
                line_public_id=found[pick % len(found)].public_id, reason="it was down",
                at=self.now, actor=world.actor(world.tenant()), user=self.buyer,
            )  # fmt: skip

    @rule(pick=st.integers(0, 99), upheld=st.booleans())
    def decide_contest(self, pick: int, upheld: bool) -> None:
        found = list(Contest.objects.filter(state="open", credit_note=None).order_by("pk"))
        if not found:
            return
        row = found[pick % len(found)]
        facts: dict[str, Any] = {
            "contest_public_id": row.public_id, "note": "looked at", "at": self.later(),
            "actor": world.actor(world.operator()), "user": books.people()[0],
        }  # fmt: skip
        left = left_minor(row.line)
        if not upheld or left < 2:
            statements.dismiss(**facts)
            return
        note = statements.uphold(**facts, gross_minor=left // 2).credit_note
        assert note is not None
        self.approve_credit(note.public_id)

    @rule(pick=st.integers(0, 99), share=st.sampled_from([1, 3, 100]))
    def credit(self, pick: int, share: int) -> None:
        lines = InvoiceLine.objects.filter(
            invoice__state="finalised", invoice__kind="invoice", gross_minor__gt=0
        ).exclude(contests__state="open")
        found = [row for row in lines.order_by("pk") if left_minor(row) >= share]
        if found:
            row = found[pick % len(found)]
            note = invoices.request_credit(
                line_public_id=row.public_id, gross_minor=left_minor(row) // share,
                reason="goodwill", at=self.later(), actor=world.actor(world.operator()),
                user=books.people()[0],
            )  # fmt: skip
            self.approve_credit(note.public_id)

    # The bank

    @rule(amount=st.sampled_from([1, 123_457, 99_999_999]), payer=st.sampled_from(["own", "other"]))
    def transfer_in(self, amount: int, payer: str) -> None:
        """The tenant pays, or somebody whom nobody knows."""
        text = {"own": f"租金 {wallet_reference()}", "other": "thanks"}[payer]
        name = {"own": world.tenant().name, "other": "Nobody's Child Ltd"}[payer]
        self.tell(line(text, f"{amount / 100:.2f}", name, account="6222000000000001"))

    @rule(pick=st.integers(0, 99), accepted=st.booleans())
    def decide_receipt(self, pick: int, accepted: bool) -> None:
        found = list(BankReceipt.objects.filter(state="recorded").order_by("pk"))
        if not found:
            return
        row = found[pick % len(found)]
        first, second = books.people()
        with contextlib.suppress(DomainError):
            if row.line is not None and bank_matching.is_own_money(row.line):
                receipts.reject(
                    receipt_public_id=row.public_id, at=self.now, actor=SYSTEM, user=second,
                    reason="Stripe's payout",
                )  # fmt: skip
            elif accepted and row.tenant_id is not None:
                receipts.approve(
                    receipt_public_id=row.public_id, at=self.now, actor=SYSTEM, user=second
                )
            elif row.tenant_id is None:
                refunds.send_back(
                    receipt_public_id=row.public_id, payee_bank="Bank 2", reason="not for us",
                    at=self.now, actor=SYSTEM, user=first,
                )  # fmt: skip

    @rule(amount=st.sampled_from([1, 7_777]))
    def ask_refund(self, amount: int) -> None:
        tenant = world.tenant()
        with contextlib.suppress(DomainError):
            refunds.ask(
                tenant=tenant, account_public_id=self.refunded_to.public_id, amount_minor=amount,
                currency="CNY", reason="unused", at=self.now, actor=world.actor(tenant),
            )  # fmt: skip

    @rule(pick=st.integers(0, 99), goes_well=st.booleans())
    def move_refund(self, pick: int, goes_well: bool) -> None:
        """One step further: looked at, agreed to, sent, and shown by the bank."""
        open_ones = ["asked", "checked", "approved", "sent"]
        found = list(Refund.objects.filter(state__in=open_ones).order_by("pk"))
        if not found:
            return
        row = found[pick % len(found)]
        first, second = books.people()
        facts: dict[str, Any] = {"refund_public_id": row.public_id, "at": self.now, "actor": SYSTEM}
        with contextlib.suppress(DomainError):
            if row.state == "asked":
                refunds.check(**facts, user=first)
            elif row.state == "checked":
                refunds.approve(**facts, user=second)
            elif row.state == "approved":
                refunds.send_by_hand(**facts, bank_reference=f"R{row.pk}")
                if goes_well:
                    self.tell_out(row.reference, row.amount_minor, row.payee_name)
            elif not goes_well and not self.is_told(row.reference):
                refunds.fail(**facts, reason="the bank refused it")

    @rule(approved=st.booleans())
    def plan_payouts(self, approved: bool) -> None:
        first, second = books.people()
        payouts.plan_due(at=self.now, actor=SYSTEM, user=first)
        for row in Payout.objects.filter(state="planned"):
            with contextlib.suppress(DomainError):
                if approved:
                    payouts.approve(
                        payout_public_id=row.public_id, at=self.now, actor=SYSTEM, user=second
                    )
                else:
                    payouts.cancel(
                        payout_public_id=row.public_id, reason="not now", at=self.now,
                        actor=SYSTEM,
                    )  # fmt: skip

    @rule(pick=st.integers(0, 99), goes_well=st.booleans())
    def move_payout(self, pick: int, goes_well: bool) -> None:
        """Sent in the bank's file; paid or refused by the bank; now and then it comes back."""
        found = list(Payout.objects.filter(state__in=["approved", "sent", "paid"]).order_by("pk"))
        if not found:
            return
        row = found[pick % len(found)]
        facts: dict[str, Any] = {
            "payout_public_id": row.public_id,
            "at": self.later(),
            "actor": SYSTEM,
        }
        name = references.of(row.public_id)
        if row.state == "approved":
            payout_files.make(
                currency="CNY", layout="plain", at=self.now, actor=SYSTEM, user=books.people()[0]
            )
        elif row.state == "sent" and goes_well:
            payouts.mark_paid(**facts, reference=f"ICBC-{row.pk}")
            self.tell_out(name, row.amount_minor, world.provider().name)
        elif row.state == "sent":
            payouts.mark_failed(**facts, reason="no such account")
        elif not goes_well:
            payouts.mark_returned(**facts, reason="the account is closed")
            self.tell(line(f"退汇 {name}", f"{row.amount_minor / 100:.2f}", world.provider().name))

    @rule()
    def bank_speaks(self) -> None:
        told, self.told = self.told, []
        if told:
            bank_statements.bring_in(
                account_public_id=self.own.public_id, content=statement(*told),
                file_name="x.csv", late_reason="two clocks", at=max(self.now, online.now()),
                actor=SYSTEM, user=books.people()[0],
            )  # fmt: skip

    # Stripe

    @rule(
        amount=st.sampled_from([500, 123_457, 99_999_999]),
        method=st.sampled_from(["card", "alipay", "wechat_pay"]),
    )
    def pay_online(self, amount: int, method: str) -> None:
        with contextlib.suppress(DomainError):  # an earlier payment is disputed, or many are open
            row = online.start(amount)
            if row.intent_id:
                hands.pay(row.intent_id, method=method)

    @rule(pick=st.integers(0, 99), share=st.sampled_from([1, 2, 3]))
    def refund_online(self, pick: int, share: int) -> None:
        rows = list(TopUp.objects.filter(state="succeeded").order_by("pk"))
        if rows:
            row = rows[pick % len(rows)]
            with contextlib.suppress(DomainError):
                made = online.refund(row, max(1, row.amount_minor // share))
                if made.refund_id:
                    hands.finish_refund(made.refund_id, ok=pick % 3 > 0)

    @rule(pick=st.integers(0, 99), won=st.booleans())
    def dispute(self, pick: int, won: bool) -> None:
        """Opened, or where one is open decided."""
        for found in list(store.each("dispute")):
            if found["status"] in ("needs_response", "under_review"):
                hands.decide(found["id"], won=won)
                return
        asked = {d["charge"] for d in store.each("dispute")}
        free = [
            c for c in store.each("charge")
            if c["id"] not in asked and c["balance_transaction"] and not c["amount_refunded"]
        ]  # fmt: skip
        if free:
            hands.dispute(free[pick % len(free)]["payment_intent"])

    @rule(amount=st.sampled_from([500, 70_000]))
    def withdraw(self, amount: int) -> None:
        """Of what lies at Stripe some goes to our bank."""
        hands.mature()
        self.withdrawn += 1  # two of one amount and day would be left to a person
        withdrawals.ask(
            operator=world.operator(), amount_minor=amount + self.withdrawn, currency="CNY",
            at=online.now(), actor=SYSTEM,
        )  # fmt: skip
        self.send()
        self.arrive()

    @rule(seed=st.integers(0, 99))
    def webhooks(self, seed: int) -> None:
        online.deliver(random.Random(seed))

    @rule(place=st.sampled_from(["_done", "_found_or_made"]))
    def die_while_sending(self, place: str) -> None:
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Died):
            patch.setattr(sending, place, _die)
            self.send()

    @rule()
    def reconcile(self) -> None:
        sweeping.look_around(at=online.now())
        sweeping.import_lines(at=online.now())
        reconciliation.match_due(at=self.latest)

    # What always holds

    @invariant()
    def check(self) -> None:
        assert books.differences() == []
        for row in LedgerBalance.objects.filter(guarded=True):
            assert row.posted - row.held + row.floor_minor >= 0
        for found in reconciliation_report.equality(day=self.latest.date()):
            assert found.unexplained_minor == 0, found

    @invariant()
    def nothing_left_twice(self) -> None:
        for kind in ("payment_intent", "refund", "payout"):
            subjects = [each["metadata"].get("subject") for each in store.each(kind)]
            assert len(subjects) == len(set(subjects))

    # The hands behind it

    @property
    def latest(self) -> datetime:
        """Later than everything, by either clock: Stripe's fake lives in the present."""
        return max(self.now, online.now()) + timedelta(days=30)

    def later(self) -> datetime:
        """A decision is a fact of its own instant."""
        self.now += timedelta(seconds=1)
        return self.now

    def send(self) -> None:
        self.steps += 1
        sending.send_due(at=online.later(hours=self.steps), limit=100)

    def arrive(self) -> None:
        """What Stripe has sent our bank is there, and its statement will say so."""
        for made in list(store.each("payout")):
            if made["id"] not in self.arrived:
                self.arrived.add(made["id"])
                hands.arrive(made["id"], ok=True)
                facts = line("PAYOUT", f"{made['amount'] / 100:.2f}", "STRIPE PAYMENTS HK")
                self.tell({**facts, "date": online.now().date().isoformat()})

    def tell(self, facts: dict[str, str]) -> None:
        self.lines += 1
        self.told.append({
            "date": self.now.date().isoformat(), **facts, "reference": f"L{self.lines}",
        })  # fmt: skip

    def tell_out(self, text: str, amount_minor: int, name: str) -> None:
        self.tell({"out": f"{amount_minor / 100:.2f}", "name": name, "text": text})

    def is_told(self, text: str) -> bool:
        return any(text in each.get("text", "") for each in self.told)

    def approve_credit(self, public_id: str) -> None:
        invoices.approve_credit(
            invoice_public_id=public_id, at=self.later(), actor=world.actor(world.operator()),
            user=books.people()[1],
        )  # fmt: skip

    def come_to_rest(self) -> None:
        """Everything is answered, told and applied: then nothing at all is left to explain."""
        for _ in range(4):
            self.send()
            self.arrive()
            online.deliver()
        self.bank_speaks()
        for row in Refund.objects.filter(state="sent"):
            self.tell_out(row.reference, row.amount_minor, row.payee_name)
        self.bank_speaks()
        self.live(1)
        self.reconcile()
        for n in reversed(range(BankReceipt.objects.filter(state="recorded").count())):
            self.decide_receipt(n, accepted=True)
        self.reconcile()
        reconciliation.note_balances(at=online.later(seconds=5))
        assert not PspRequest.objects.exclude(state__in=["succeeded", "failed"]).exists()
        assert reconciliation_report.findings(at=self.latest).exceptions == []
        for found in reconciliation_report.equality(day=self.latest.date()):
            assert found.is_equal, found
        assert ledger.posted(chart.transit("CNY")) == 0
        assert online.differences() == []
        self.check()


def _die(*_: object, **__: object) -> None:
    raise Died


@pytest.mark.slow
@pytest.mark.django_db
def test_the_books_are_what_the_bank_and_stripe_have_whatever_happens(settings: Settings) -> None:
    online.switch_on(settings)
    operator, tenant = world.operator(), world.tenant()
    assert operator.is_operator
    Everything.buyer = world.member(tenant)
    Everything.own = account()
    Everything.refunded_to = account(tenant, number="7000001")
    Everything.payee = paying.payee(at=T0 - timedelta(days=10))
    paying.terms()
    bring_in(Everything.own, line(wallet_reference(), "1000000.00", world.tenant().name))
    receipts.approve(
        receipt_public_id=BankReceipt.objects.get().public_id, at=T0, actor=SYSTEM,
        user=books.people()[1],
    )  # fmt: skip
    ledger.set_credit_limit(tenant, currency="CNY", limit_minor=10**9, at=T0, actor=SYSTEM)
    Everything.leases = []
    for price in SCHEDULES:
        listing = scene.listing(
            sellable=Period(T0, T0 + timedelta(days=1200)), basis="node_month", amount=12_345.67,
            **price,
        )  # fmt: skip
        row = books.lease(listing, start=START, end=START + 24 * 70)
        Everything.leases.append(books.activate(row))
    run_state_machine_as_test(Everything, settings=_FEW)


_FEW = hypothesis_settings(
    max_examples=6,
    stateful_step_count=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
