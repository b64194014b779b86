"""Any order of receipts, deals, hours, corrections and settlements leaves books that agree."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.db import connection, transaction
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

from billing import amending, checkout, closing, ledger, quotes, rating, settlement
from billing.amending import Proposal
from billing.models import Charge, LeaseTally, LedgerBalance
from inventory.errors import DomainError
from inventory.models import Organisation
from inventory.periods import Period
from marketplace import lease_prices
from marketplace.asking import TermsInput
from marketplace.models import Lease, Listing, Reservation
from marketplace.repricings import NewPrice
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

FEN = st.sampled_from([1, 2, 99, 5_440, 54_400, 1_000_003, 10**15])
PRICES: list[dict[str, Any]] = [
    {"amount_micro": 333_300, "schedule": "prepaid"},
    {"amount_micro": 100, "schedule": "prepaid"},
    {"amount_micro": 6_800_000, "schedule": "deposit_hourly", "deposit_bps": 1_000},
    {"amount_micro": 777_777_777, "basis": "node_month", "tax_inclusive": False},
]
# Dearer, cheaper, rounded to almost nothing, and in another basis.
ASKED = [
    NewPrice("card_hour", 9_999_900),
    NewPrice("card_hour", 70, tax_inclusive=False),
    NewPrice("node_hour", 1_234_567),
    NewPrice("node_month", 333_333_333),
]

# A day before the first month ends, so that hours of two months are used, charged and settled.
BEGIN = T0 + hours(680)
TERMS = TermsInput(withdrawal=((3, 1_000), (0, 3_333)))


class Books(RuleBasedStateMachine):
    """Two tenants, one provider with four listings, and a clock that only goes forward."""

    listings: ClassVar[list[Listing]]
    tenants: ClassVar[list[Organisation]]

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()  # undone at its end, whatever it did
        self.example.__enter__()
        self.now = BEGIN
        self.count = 0
        self.corrected: dict[tuple[int, datetime], int] = {}
        self.disturbed: set[int] = set()

    @initialize(listing=st.integers(0, 3))
    def begin(self, listing: int) -> None:
        """Both have money and the first has a lease, so that most changes find one."""
        for tenant in (0, 1):
            self.top_up(tenant, 10**8)
        self.deal(tenant=0, listing=listing, units=2, wait=1, length=40, confirm=True)

    @rule(tenant=st.integers(0, 1), amount=FEN)
    def top_up(self, tenant: int, amount: int) -> None:
        self.count += 1
        books.top_up(self.tenants[tenant], amount, f"S-{self.count}")

    @rule(tenant=st.integers(0, 1), limit=st.sampled_from([0, 1, 5_000, 10**6]))
    def set_credit(self, tenant: int, limit: int) -> None:
        with contextlib.suppress(ledger.InsufficientFunds):  # it has spent more already
            ledger.set_credit_limit(
                self.tenants[tenant], currency="CNY", limit_minor=limit, at=self.now, actor=SYSTEM
            )

    @rule(
        tenant=st.integers(0, 1),
        listing=st.integers(0, 3),
        units=st.integers(1, 3),
        wait=st.sampled_from([1, 30, 200]),
        length=st.sampled_from([1, 2, 7]),
        confirm=st.booleans(),
    )
    def deal(
        self, tenant: int, listing: int, units: int, wait: int, length: int, confirm: bool
    ) -> None:
        start = (self.now - T0) // timedelta(hours=1) + wait
        # Refused for want of money or units: the books must not show it.
        with contextlib.suppress(DomainError):
            held = books.hold(
                self.listings[listing],
                tenant=self.tenants[tenant],
                at=self.now,
                units=units,
                start=start,
                end=start + length,
            )
            if confirm:
                books.confirm(held, at=self.now)

    @rule(pick=st.integers(0, 50))
    def cancel(self, pick: int) -> None:
        rows = list(Reservation.objects.order_by("pk"))
        if not rows:
            return
        row = rows[pick % len(rows)]
        with contextlib.suppress(DomainError):
            checkout.cancel(
                reservation_public_id=row.public_id,
                at=self.now,
                actor=world.actor(row.tenant),
                reason="any",
            )

    @rule(
        pick=st.integers(0, 50),
        kind=st.sampled_from(["extend", "extend", "leave", "withdraw", "cancel"]),
        by=st.integers(-6, 9),
        waits=st.booleans(),
    )
    def change(self, pick: int, kind: str, by: int, waits: bool) -> None:
        """A lease is extended, left, withdrawn or cancelled as it was quoted, or not at all."""
        rows = list(Lease.objects.order_by("pk"))
        if not rows:
            return
        row = rows[pick % len(rows)]
        actor = world.actor(row.provider if kind == "withdraw" else row.tenant)
        with contextlib.suppress(DomainError), transaction.atomic():
            quote = quotes.ask(
                lease_public_id=row.public_id,
                kind=kind,
                end=None if kind == "cancel" else row.period.upper + hours(by),
                reason="any",
                at=self.now,
                actor=actor,
            )
            if waits:
                rating.rate_due(at=self.now, limit=10_000)
            before = LeaseTally.objects.get(lease=row).deposit_left_minor
            quotes.accept(quote_public_id=quote.public_id, at=self.now, actor=actor)
            tally = LeaseTally.objects.get(lease=row)
            moved = quote.pay_minor - quote.refund_minor - quote.kept_gross_minor
            if kind != "cancel":
                assert tally.deposit_left_minor == before + moved

    @rule(step=st.sampled_from([1, 2, 8, 40, 240, 720]))
    def time_passes(self, step: int) -> None:
        """Holds lapse, leases start and end, their hours are metered."""
        self.now += hours(step)
        checkout.expire_due(at=self.now, limit=100)
        for lease in Lease.objects.exclude(state__in=["ended", "failed", "cancelled"]):
            period = Period.of(lease.period)
            if self.now < period.start:
                continue
            if lease.state == "scheduled":
                lease = books.activate(lease)
            books.meter(lease, until=self.now)
            if self.now >= period.end:
                books.end(lease)

    @rule(limit=st.sampled_from([1, 5, 10_000]))
    def rate(self, limit: int) -> None:
        rating.rate_due(at=self.now, limit=limit)

    @rule(pick=st.integers(0, 100), part=st.sampled_from([2, 3]), back=st.booleans())
    def correct(self, pick: int, part: int, back: bool) -> None:
        """Some of a charged hour was not delivered after all, or was."""
        rows = list(Charge.objects.filter(kind="usage", revision=0).order_by("pk"))
        if not rows:
            return
        charge = rows[pick % len(rows)]
        lease, key = charge.lease, (charge.lease_id, charge.hour)
        revision = self.corrected.get(key, 0) + 1
        taken = charge.card_seconds // part if revision % 2 else 0
        if not taken:
            return
        self.corrected[key] = revision + 1
        self.disturbed.add(lease.pk)
        books.correct(lease, charge.hour, -taken, revision)
        books.correct(lease, charge.hour, taken if back else taken // 2 or 1, revision + 1)

    @rule(
        pick=st.integers(0, 50),
        asked=st.sampled_from(ASKED),
        ahead=st.integers(1, 5),
        waits=st.booleans(),
    )
    def change_price(self, pick: int, asked: NewPrice, ahead: int, waits: bool) -> None:
        """Both sides agree on another price from an hour to come, for money or not at all."""
        rows = list(Lease.objects.order_by("pk"))
        if not rows:
            return
        lease = rows[pick % len(rows)]
        with contextlib.suppress(DomainError), transaction.atomic():  # over, or no money
            amendment = amending.propose(
                lease_public_id=lease.public_id,
                proposal=Proposal(
                    price=asked,
                    price_from=max(self.now, Period.of(lease.period).start) + hours(ahead),
                ),
                at=self.now,
                actor=world.actor(lease.tenant),
            )
            if waits:
                rating.rate_due(at=self.now, limit=10_000)
            before = LeaseTally.objects.get(lease=lease).deposit_left_minor
            amending.sign(
                amendment_public_id=amendment.public_id,
                at=self.now,
                actor=world.actor(lease.provider),
            )
            after = LeaseTally.objects.get(lease=lease).deposit_left_minor
            assert after - before == amendment.pay_minor - amendment.refund_minor

    @rule()
    def close(self) -> None:
        closing.close_leases(at=self.now, limit=100)

    @rule()
    def settle(self) -> None:
        settlement.settle_month(at=self.now)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    @invariant()
    def books_agree(self) -> None:
        with connection.cursor() as cursor:  # what a commit would check
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        assert books.differences() == []

    @invariant()
    def nobody_is_below_the_floor(self) -> None:
        for row in LedgerBalance.objects.filter(guarded=True):
            assert row.available == row.posted - row.held + row.floor_minor >= 0

    @invariant()
    def undisturbed_leases_cost_what_was_quoted(self) -> None:
        for lease in Lease.objects.filter(closed_at__isnull=False, state="ended"):
            if lease.pk not in self.disturbed:
                charges = Charge.objects.filter(lease=lease, kind="usage")
                quote = lease_prices.quote(lease=lease, period=Period.of(lease.period))
                assert sum(c.gross_minor for c in charges) == quote.gross_minor
                assert sum(c.fee_minor for c in charges) == quote.fee_minor
                assert quote.gross_minor == lease.gross_minor
                if lease.amendment_id is None:
                    assert quote.fee_minor == lease.reservation.fee_minor

    @invariant()
    def what_was_paid_ahead_is_charged_given_back_or_still_there(self) -> None:
        for tally in LeaseTally.objects.select_related("lease__price", "lease__reservation"):
            lease = tally.lease
            signed = lease.amendments.filter(state="signed")
            paid = lease.reservation.due_minor + sum(a.pay_minor for a in signed)
            back = sum(a.refund_minor for a in signed)
            used = sum(c.deposit_minor for c in Charge.objects.filter(lease=lease))
            assert tally.deposit_left_minor >= 0
            assert paid - back == lease.due_minor
            if lease.closed_at is None:
                assert tally.deposit_left_minor == paid - back - used

    @precondition(lambda self: self.count > 0)
    @rule()
    def replay(self) -> None:
        """The same sweeps again change nothing."""
        rating.rate_due(at=self.now, limit=10_000)
        before = list(LedgerBalance.objects.order_by("pk").values_list("pk", "posted", "held"))
        rating.rate_due(at=self.now, limit=10_000)
        after = list(LedgerBalance.objects.order_by("pk").values_list("pk", "posted", "held"))
        assert after == before


@pytest.mark.django_db
def test_the_books_agree_after_anything() -> None:
    pool = world.pool(unit_cards=1, nodes=8)
    Books.listings = [scene.listing(pool, units=16, terms=TERMS, **price) for price in PRICES]
    Books.tenants = [world.tenant("Borealis"), world.tenant("Eos")]
    books.people()

    run_state_machine_as_test(
        Books,
        settings=settings(
            max_examples=8,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
