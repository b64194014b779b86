"""Any story of one lease, by each schedule: what was asked was paid, owed, or given back."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from billing import arrears, chart, closing, collecting, dunning, ledger, quotes, rating
from billing.models import Charge, Instalment, LeaseTally, LedgerBalance, LedgerTransaction
from inventory.errors import DomainError
from inventory.models import Allocation
from inventory.periods import HOUR, Period, ceil_hour, floor_hour
from marketplace.asking import TermsInput
from marketplace.models import Lease
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

MONEY = 10**8
START = 16  # midnight of 2 June in Shanghai
DAYS = 45  # into a second month, of which it has another part
THREE_MONTHS_AND_MORE = 100
CREDIT = 10**7
TERMS = TermsInput(leaving=((240, 9_000), (0, 3_000)), withdrawal=((24, 1_000), (0, 3_333)))
# A price that no month's hours divide, per node and month.
SCHEDULES: dict[str, dict[str, Any]] = {
    "prepaid": {"schedule": "prepaid"},
    "a deposit and by the hour": {"schedule": "deposit_hourly", "deposit_bps": 3_000},
    "monthly ahead": {"schedule": "advance", "advance_months": 1, "security_months": 0},
    "one as security, three ahead": {"schedule": "advance"},
    "in arrears": {
        "schedule": "arrears", "net_days": 10, "grace_days": 5, "notice_days": 3,
        "suspension_days": 7, "security_months": 1,
    },
    "on a credit line": {"schedule": "deposit_hourly", "deposit_bps": 1_000},
}  # fmt: skip
ON_CREDIT = {"in arrears", "on a credit line"}
# Those of them whose every hour is delivered, unless something happens.
UNDISTURBED = {"prepaid", "monthly ahead"}


class Story(RuleBasedStateMachine):
    """One tenant, one lease; time goes on and something happens in it."""

    schedule: ClassVar[str]
    lease: Lease

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()  # undone at its end, whatever it did
        self.example.__enter__()
        self.now = T0 + hours(START)
        self.paid_in = 0
        self.blocked = 0
        self.disturbed = False
        self.lost: dict[datetime, int] = {}

    def teardown(self) -> None:
        try:
            if hasattr(self, "lease"):
                self.come_to_the_end()
        finally:
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)

    @initialize(
        units=st.integers(1, 2),
        rule=st.sampled_from(["time", "day", "thirty"]),
        seed=st.integers(0, 2**32),
    )
    def begin(self, units: int, rule: str, seed: int) -> None:
        tenant = world.tenant()
        self.pay_in(MONEY)
        if self.schedule in ON_CREDIT:
            ledger.set_credit_limit(tenant, currency="CNY", limit_minor=CREDIT, at=T0, actor=SYSTEM)
        listing = scene.listing(
            sellable=world.period(0, 24 * 400), basis="node_month", amount=12_345.67,
            pro_rata=rule, terms=TERMS, **SCHEDULES[self.schedule],
        )  # fmt: skip
        days = THREE_MONTHS_AND_MORE if "three" in self.schedule else DAYS
        held = books.hold(listing, units=units, start=START, end=START + 24 * days)
        self.lease = books.activate(books.confirm(held))
        if self.schedule not in UNDISTURBED:
            # One hour of eight, so that a story of many months is told in minutes.
            self.disturbed = True
            start = Period.of(self.lease.period).start
            whole = self.lease.card_count * 3600
            self.lost = {start + n * HOUR: whole for n in range(24 * 400) if n % 8}
        self.many(seed)

    # What happens

    @rule(seed=st.integers(0, 2**32))
    def many(self, seed: int) -> None:
        """Some steps in a row: by themselves those that belong together rarely meet."""
        chance = random.Random(seed)
        steps: list[Callable[[], object]] = [
            lambda: self.live(chance.choice([1, 6, 17])),
            lambda: self.live(chance.choice([6, 17, 31])),
            lambda: self.fail(chance.randrange(1, 40), chance.choice([1, 2, 8])),
            lambda: self.correct(chance.randrange(10**6), chance.randrange(1, 28_800)),
            self.spend_elsewhere,
            self.pay_late,
            lambda: self.extend(chance.choice([1, 9, 40])),
            lambda: self.extend(chance.choice([1, 9])),
            lambda: self.leave(chance.choice([1, 12, 50])),
            lambda: self.withdraw(chance.choice([2, 30])),
        ]
        weights = [4, 3, 2, 2, 2, 2, 1, 1, 0.5, 0.3]
        for step in chance.choices(steps, weights, k=8):
            step()
            self.check()

    @rule(days=st.sampled_from([1, 6, 17, 31]))
    def live(self, days: int) -> None:
        """Delivered without a gap, while the sweeps pass by every week or so."""
        until = self.now + timedelta(days=days)
        while self.now < until:
            self.now = min(until, self.now + timedelta(days=8))
            self.sweep()

    @rule(length=st.integers(1, 40), share=st.sampled_from([1, 2, 8]))
    def fail(self, length: int, share: int) -> None:
        """A node is gone for some hours: what was not delivered is not charged."""
        cards = self.lease.card_count * 3600
        for number in range(length):
            hour = floor_hour(self.now) + number * HOUR
            self.lost[hour] = max(self.lost.get(hour, 0), cards // share)
        self.disturbed = True
        self.now += length * HOUR
        self.sweep()

    @rule(pick=st.integers(0, 10**6), back=st.integers(1, 28_800))
    def correct(self, pick: int, back: int) -> None:
        """An hour that was charged turns out to have been less."""
        rows = Charge.objects.filter(lease=self.lease, kind="usage", revision=0)
        rows = rows.filter(card_seconds__gte=back).order_by("pk")
        if rows.exists():
            row = rows[pick % rows.count()]
            taken = Charge.objects.filter(lease=self.lease, hour=row.hour, kind="usage")
            if taken.count() == 1:
                books.correct(self.lease, row.hour, -back)
                self.disturbed = True
                self.sweep()

    @rule()
    def spend_elsewhere(self) -> None:
        """Nothing of the wallet is free: what falls due now is late."""
        available = ledger.balance(world.tenant()).available_minor
        if not self.blocked and available > 0:
            self.key = f"elsewhere:{self.paid_in}:{self.now.isoformat()}"
            ledger.place_hold(
                key=self.key, expires_at=None, at=self.now,
                account=chart.wallet(world.tenant(), "CNY"), amount_minor=available,
            )  # fmt: skip
            self.blocked = available

    @rule()
    def pay_late(self) -> None:
        if not self.blocked:
            return
        ledger.release_hold(key=self.key, at=self.now)
        self.blocked = 0
        self.pay_in(1)  # what is owed is paid when money comes
        self.sweep()

    @rule(amount=st.sampled_from([1, 5_440, 10**6]))
    def pay_in(self, amount: int) -> None:
        self.paid_in += amount
        books.top_up(world.tenant(), amount, f"B-{self.paid_in}")

    @rule(days=st.sampled_from([1, 9, 40]))
    def extend(self, days: int) -> None:
        end = Period.of(self.lease.period).end + timedelta(days=days)
        self.change("extend", end, world.tenant())

    @rule(days=st.sampled_from([1, 12, 50]))
    def leave(self, days: int) -> None:
        self.change("leave", ceil_hour(self.now) + timedelta(days=days), world.tenant())

    @rule(days=st.sampled_from([2, 30]))
    def withdraw(self, days: int) -> None:
        self.change("withdraw", ceil_hour(self.now) + timedelta(days=days), world.provider())

    # What always holds

    @invariant()
    def the_books_agree(self) -> None:
        assert books.differences() == []

    @invariant()
    def what_came_in_is_spent_or_there(self) -> None:
        """Money paid in = what the lease was charged, less what is owed, and what lies there."""
        tenant = world.tenant()
        there = sum(
            ledger.posted(code(tenant, "CNY"))
            for code in (chart.wallet, chart.deposit, chart.security)
        )
        owed = sum(ledger.posted(code(tenant, "CNY")) for code in (chart.receivable, chart.arrears))
        charged = Charge.objects.aggregate(minor=Sum("gross_minor", default=0))["minor"]
        assert self.paid_in == there - owed + charged

    @invariant()
    def what_was_collected_and_is_open_is_what_was_charged(self) -> None:
        if not hasattr(self, "lease"):
            return
        tally = LeaseTally.objects.get(lease=self.lease)
        charged = Charge.objects.filter(lease=self.lease).aggregate(
            gross=Sum("gross_minor", default=0), arrears=Sum("arrears_minor", default=0)
        )
        rows = Instalment.objects.filter(lease=self.lease)
        taken = rows.aggregate(
            used=Sum("used_minor", default=0), owed=Sum("receivable_minor", default=0)
        )
        # What was used before it was paid for: by instalments since, or not due yet.
        assert charged["arrears"] == taken["used"] + taken["owed"] + tally.arrears_minor
        open_minor = sum(row.open_minor for row in rows if row.state in Instalment.OPEN)
        if self.schedule == "in arrears" and self.lease.is_running:
            assert tally.arrears_minor >= 0
        elif self.lease.is_running and "ahead" in self.schedule:
            assert max(tally.paid_minor, self.lease.gross_minor) == tally.paid_minor + open_minor

    @invariant()
    def the_security_is_there_until_it_is_given_back_once(self) -> None:
        if not hasattr(self, "lease"):
            return
        returned = LedgerTransaction.objects.filter(kind="security_returned").count()
        lies = ledger.posted(chart.security(world.tenant(), "CNY"))
        if self.lease.closed_at is None:
            assert (returned, lies) == (0, self.lease.security_minor)
        else:
            assert (returned, lies) == (int(self.lease.security_minor > 0), 0)

    @invariant()
    def nothing_is_below_its_floor(self) -> None:
        for row in LedgerBalance.objects.filter(guarded=True):
            assert row.posted - row.held + row.floor_minor >= 0

    # The hands behind it

    def change(self, kind: str, end: datetime, who: Any) -> None:
        """By the terms; refused where the story has gone on too far, or nobody can pay it."""
        actor = world.actor(who)
        with contextlib.suppress(DomainError), transaction.atomic():
            quote = quotes.ask(
                lease_public_id=self.lease.public_id, kind=kind, end=end, at=self.now,
                actor=actor, reason="so it goes",
            )  # fmt: skip
            quotes.accept(quote_public_id=quote.public_id, at=self.now, actor=actor)
            self.disturbed = True
        self.lease.refresh_from_db()

    def sweep(self) -> None:
        """What the worker does all the time."""
        for _ in range(2):
            books.deliver(self.lease, until=self.now, lost=self.lost)
            rating.rate_due(at=self.now + HOUR, limit=100_000)
            collecting.note_cleared(at=self.now, limit=10)
            collecting.collect_due(at=self.now, limit=100)
            dunning.sweep(at=self.now, limit=10)
            arrears.end_unpaid(at=self.now, limit=10)
            self.end()
            closing.close_leases(at=self.now, limit=10)
            self.lease.refresh_from_db()

    def end(self) -> None:
        """Its machines are taken down at its end, or when somebody ordered it."""
        allocation = Allocation.objects.get(pk=self.lease.allocation_id)
        over = self.now >= allocation.period.upper
        if over and allocation.state == Allocation.State.ACTIVE:
            books.end(self.lease, at=self.now)

    def come_to_the_end(self) -> None:
        """All is delivered, every debt is paid, and the lease is closed."""
        if self.blocked:
            self.pay_late()
        self.pay_in(10**9)
        self.lease.refresh_from_db()
        self.now = max(self.now, Period.of(self.lease.period).end + HOUR)
        for _ in range(4):  # the last month of one in arrears falls due later
            self.sweep()
            self.now += timedelta(days=25)
        assert self.lease.closed_at is not None
        assert not Instalment.objects.filter(lease=self.lease, state__in=Instalment.OPEN).exists()
        assert ledger.posted(chart.receivable(world.tenant(), "CNY")) == 0
        usage = Charge.objects.filter(lease=self.lease, kind="usage")
        charged = usage.aggregate(minor=Sum("gross_minor", default=0))["minor"]
        if not self.disturbed and self.lease.end_reason == Lease.EndReason.COMPLETED:
            assert charged == self.lease.gross_minor == self.lease.reservation.gross_minor
        self.check()

    def check(self) -> None:
        self.the_books_agree()
        self.what_came_in_is_spent_or_there()
        self.what_was_collected_and_is_open_is_what_was_charged()
        self.the_security_is_there_until_it_is_given_back_once()
        self.nothing_is_below_its_floor()


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_lease_pays_what_it_used_and_no_more_whatever_happens(schedule: str) -> None:
    Story.schedule = schedule
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=4,
            stateful_step_count=3,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
