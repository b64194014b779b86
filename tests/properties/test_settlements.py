"""Any order of hours, corrections, credits, contests and runs: each line is settled once."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import ClassVar

import pytest
from django.db import connection, transaction
from django.db.models import F, Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from billing import chart, invoices, ledger, rating, settlement, statements
from billing.invoices.credits import left_minor
from billing.models import (
    CarriedNet,
    Charge,
    Contest,
    Invoice,
    InvoiceLine,
    Repayment,
    Settlement,
    SettlementLine,
)
from inventory.errors import DomainError
from inventory.models import MeteringCursor
from inventory.periods import HOUR, Period, floor_hour
from marketplace import money
from marketplace.models import Lease
from tests import world
from tests.billing import books, paying
from tests.billing.test_selling import receive
from tests.marketplace import scene
from tests.world import T0, hours

MODES = ("agency", "resale", "direct")
ZONE = "Asia/Shanghai"
PICK = st.integers(0, 10**6)


class Months(RuleBasedStateMachine):
    """One provider with a lease by each way of selling, a tenant that objects, and the operator."""

    leases: ClassVar[list[Lease]]

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()  # undone at its end, whatever it did
        self.example.__enter__()
        self.now = T0 + hours(200)

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)

    @initialize(reserve=st.sampled_from([0, 1_000]), first=st.integers(1, 40))
    def begin(self, reserve: int, first: int) -> None:
        paying.terms(reserve_bps=reserve)
        for lease in range(len(MODES)):
            self.use(lease, first)

    @rule(lease=st.integers(0, 2), count=st.integers(1, 60))
    def use(self, lease: int, count: int) -> None:
        """So many hours are delivered from now on, and nothing of the time before."""
        row = self.leases[lease]
        start = floor_hour(self.now)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO inventory_usagehour (allocation_id, hour, revision, card_seconds,"
                " gap_card_seconds, recorded_at)"
                " SELECT %s, h, 0, %s, 0, clock_timestamp()"
                " FROM generate_series(%s, %s - interval '1 hour', '1 hour') h",
                [row.allocation_id, row.card_count * 3600, start, start + count * HOUR],
            )
        self.now = start + count * HOUR
        for each in self.leases:
            MeteringCursor.objects.update_or_create(
                allocation_id=each.allocation_id, defaults={"metered_until": self.now}
            )
        self.rate()

    @rule(pick=PICK, back=st.integers(1, 28_800))
    def correct(self, pick: int, back: int) -> None:
        rows = Charge.objects.filter(kind="usage", revision=0, card_seconds__gt=0).order_by("pk")
        row = rows[pick % rows.count()]
        again = Charge.objects.filter(allocation_id=row.allocation_id, hour=row.hour, revision=1)
        if not again.exists():
            lease = Lease.objects.get(pk=row.lease_id)
            books.correct(lease, row.hour, -min(back, row.card_seconds))
            self.rate()

    @rule(months=st.sampled_from([1, 1, 1, 3]))
    def turn(self, months: int) -> None:
        """Months go by: their invoices are final, their statements issued, their runs made."""
        for _ in range(months):
            end = money.month_of(self.now, ZONE).end
            for at in (end + timedelta(days=3), end + timedelta(days=7)):
                self.now = at
                invoices.finalise_due(at=at, limit=100)
                statements.issue_due(at=at, limit=100)
            self.settle()

    @rule()
    def settle(self) -> None:
        settlement.settle_month(at=self.now)

    @rule(pick=PICK)
    def object(self, pick: int) -> None:
        lines = InvoiceLine.objects.filter(
            invoice__statement__state="issued", invoice__statement__due_at__gt=self.now
        ).exclude(contests__state="open")
        if lines.exists():
            line = lines.order_by("pk")[pick % lines.count()]
            tenant = world.tenant()
            statements.contest(
                line_public_id=line.public_id, reason="the network was down", at=self.now,
                actor=world.actor(tenant), user=world.member(tenant),
            )  # fmt: skip

    @rule(pick=PICK)
    def dismiss(self, pick: int) -> None:
        row = self.some_contest(pick)
        if row is not None and row.credit_note is None:
            self.give_up(row)

    @rule(pick=PICK, share=st.sampled_from([1, 2, 7]), approve=st.booleans())
    def uphold(self, pick: int, share: int, approve: bool) -> None:
        row = self.some_contest(pick)
        left = left_minor(row.line) if row is not None else 0
        if row is None or row.credit_note is not None or left < share:
            return
        first, _second = books.people()
        row = statements.uphold(
            contest_public_id=row.public_id, gross_minor=left // share, note="it was",
            at=self.now, actor=world.actor(world.operator()), user=first,
        )  # fmt: skip
        assert row.credit_note is not None
        self.decide(row.credit_note, approve)

    @rule(pick=PICK, share=st.sampled_from([1, 3, 100]), approve=st.booleans())
    def credit(self, pick: int, share: int, approve: bool) -> None:
        """Of machine time or, sold directly, of the fee."""
        lines = InvoiceLine.objects.filter(
            invoice__state="finalised", invoice__kind="invoice", gross_minor__gt=0
        ).order_by("pk")
        if not lines.exists():
            return
        line = lines[pick % lines.count()]
        amount = left_minor(line) // share
        if amount > 0:
            first, _second = books.people()
            note = invoices.request_credit(
                line_public_id=line.public_id, gross_minor=amount, reason="goodwill",
                at=self.now, actor=world.actor(world.operator()), user=first,
            )  # fmt: skip
            self.decide(note, approve)

    # What always holds

    @invariant()
    def the_books_agree(self) -> None:
        """Each charge in one settlement at most, what is accrued in none: among all else."""
        assert books.differences() == []

    @invariant()
    def a_settlement_is_divided_without_a_rest(self) -> None:
        for row in Settlement.objects.all():
            assert row.gross_minor == (
                row.net_minor + row.fee_minor + row.vat_minor + row.direct_minor
            )
            lines = Charge.objects.filter(settlement_line__settlement=row)
            sums = lines.aggregate(
                gross=Sum("gross_minor"), fee=Sum("fee_minor"), net=Sum("accrued_minor")
            )
            assert sums == {
                "gross": row.gross_minor, "fee": row.fee_minor, "net": row.net_minor,
            }  # fmt: skip

    @invariant()
    def what_is_contested_is_not_settled_meanwhile(self) -> None:
        taken = SettlementLine.objects.filter(
            charge__billed__line__contests__state="open",
            settlement__created_at__gt=F("charge__billed__line__contests__created_at"),
        )
        assert not taken.exists()

    @invariant()
    def a_negative_net_is_carried_or_demanded_and_never_paid(self) -> None:
        provider = world.provider()
        demanded = Settlement.objects.filter(net_minor__lt=0).aggregate(
            minor=Sum("net_minor", default=0)
        )["minor"]
        repaid = Repayment.objects.filter(state="approved").aggregate(
            minor=Sum("amount_minor", default=0)
        )["minor"]
        owed = ledger.posted(chart.provider_receivable(provider, "CNY"))
        assert owed == -demanded - repaid >= 0
        for waiting in CarriedNet.objects.filter(settlement__isnull=True):
            assert waiting.net_minor <= 0
        for row in Settlement.objects.filter(net_minor__lt=0):
            carried = CarriedNet.objects.get(settlement=row)
            assert row.created_at - carried.carried_at >= timedelta(days=60)

    # The hands behind it

    def rate(self) -> None:
        rating.rate_due(at=self.now + HOUR, limit=100_000)
        invoices.refresh(at=self.now + HOUR, limit=100_000)

    def some_contest(self, pick: int) -> Contest | None:
        rows = Contest.objects.filter(state="open").select_related("line", "credit_note")
        found = list(rows.order_by("pk"))
        return found[pick % len(found)] if found else None

    def give_up(self, row: Contest) -> None:
        first, _second = books.people()
        statements.dismiss(
            contest_public_id=row.public_id, note="the logs are convincing", at=self.now,
            actor=world.actor(world.operator()), user=first,
        )  # fmt: skip

    def decide(self, note: Invoice, approve: bool) -> None:
        _first, second = books.people()
        self.now += timedelta(seconds=1)  # a credit is a fact of its own instant
        facts = {
            "invoice_public_id": note.public_id, "at": self.now,
            "actor": world.actor(world.operator()), "user": second,
        }  # fmt: skip
        if approve:
            invoices.approve_credit(**facts)  # type: ignore[arg-type]
        else:
            invoices.discard_credit(**facts, reason="no")  # type: ignore[arg-type]

    def come_to_rest(self) -> None:
        """Every contest is decided and months go by: then every line is in a settlement."""
        for row in Contest.objects.filter(state="open"):
            with contextlib.suppress(DomainError):
                self.give_up(row)
        self.turn(4)
        left = Charge.objects.filter(settlement_line__isnull=True)
        if left.exists():  # what nets to nothing waits for what comes next
            assert left.aggregate(net=Sum("accrued_minor"))["net"] == 0
        assert ledger.posted(chart.provider_accrued(world.provider(), "CNY")) == 0
        lines = SettlementLine.objects.values_list("charge_id", flat=True)
        assert len(lines) == len(set(lines)) == Charge.objects.count() - left.count()
        self.the_books_agree()
        self.a_settlement_is_divided_without_a_rest()
        self.a_negative_net_is_carried_or_demanded_and_never_paid()


@pytest.mark.slow
@pytest.mark.django_db
def test_every_line_is_settled_exactly_once_whatever_happens() -> None:
    world.operator()
    world.member(world.tenant())
    books.people()
    books.top_up(world.tenant(), 10**10)
    Months.leases = []
    for mode in MODES:
        listing = scene.listing(selling=mode, sellable=Period(T0, T0 + timedelta(days=1200)))
        held = books.hold(listing, start=200, end=24 * 1000)
        lease = receive(held, f"D-{mode}") if mode == "direct" else books.confirm(held)
        Months.leases.append(books.activate(lease))
    run_state_machine_as_test(
        Months,
        settings=settings(
            max_examples=12,
            stateful_step_count=14,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
