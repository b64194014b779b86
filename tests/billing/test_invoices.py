"""A month becomes one document: each charge once, numbered without a gap, never changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Sum

from billing import chart, invoices, ledger, rating
from billing.models import BilledCharge, Charge, Invoice, InvoiceLine, InvoiceSeries
from billing.payments import SamePerson
from inventory.periods import Period
from marketplace import money
from marketplace.models import Lease
from tests import world
from tests.billing import books
from tests.billing.test_selling import receive
from tests.marketplace import scene
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db

LATER = T0 + timedelta(days=200)
CARDS_HOUR = 8 * 3600
# T0 is 1 June, 08:00 in Shanghai: June ends there at 16:00 UTC on the 30th.
JUNE_END = datetime(2026, 6, 30, 16, tzinfo=UTC)
FINAL = JUNE_END + hours(72)


@pytest.fixture(autouse=True)
def operator() -> None:
    world.operator()


def rate() -> list[Charge]:
    return list(rating.rate_due(at=LATER, limit=1_000_000))


def running(*, until: float, start: float = 10, end: float = 1200, **price: Any) -> Lease:
    """Eight cards from the tenth hour on, delivered until some hour."""
    books.top_up(world.tenant(), 10**9)
    lease = books.activate(books.lease(scene.listing(**price), start=start, end=end))
    books.meter(lease, until=T0 + hours(until))
    rate()
    return lease


def sums() -> tuple[int, int]:
    total = Invoice.objects.exclude(state="discarded").aggregate(sum=Sum("total_minor"))["sum"]
    charged = Charge.objects.aggregate(sum=Sum("gross_minor"))["sum"]
    return total or 0, charged or 0


def committed(statement: str) -> None:
    """What a commit would say to it."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_draft_follows_the_charges_of_its_month() -> None:
    lease = running(until=15)

    assert invoices.refresh(at=T0 + hours(16), limit=1000) == 5
    draft = Invoice.objects.get()
    assert (draft.state, draft.total_minor, draft.month) == ("draft", 5 * 5440, date(2026, 6, 1))
    assert (draft.party, draft.issuer) == (world.tenant(), world.operator())

    books.meter(lease, until=T0 + hours(17))
    books.correct(lease, T0 + hours(10), -CARDS_HOUR)
    rate()
    assert invoices.refresh(at=T0 + hours(18), limit=1000) == 3
    assert invoices.refresh(at=T0 + hours(18), limit=1000) == 0
    draft.refresh_from_db()
    line = draft.lines.get()
    assert (draft.total_minor, line.card_seconds) == (6 * 5440, 6 * CARDS_HOUR)
    assert (line.vat_code, line.vat_bps, line.price) == ("cn-6", 600, lease.price)
    assert (line.from_at, line.until_at) == (T0 + hours(10), T0 + hours(17))
    assert not books.differences()


def test_it_is_final_72_hours_after_its_month_and_says_who() -> None:
    running(until=800)  # into July

    early = invoices.finalise_due(at=FINAL - timedelta(seconds=1), limit=100)
    assert (early.billed, early.invoices) == (790, 0)
    done = invoices.finalise_due(at=FINAL, limit=100)

    assert (done.billed, done.invoices, done.credit_notes) == (0, 1, 0)
    june = Invoice.objects.get(state="finalised")
    # 1 June 18:00 in Shanghai to the month's end there: 702 hours.
    assert june.total_minor == (30 * 24 - 18) * 5440
    assert (june.number, june.label, june.payment_status) == (1, "INV-00000001", "prepaid")
    assert june.buyer["name"] == "Borealis"
    assert june.seller["name"] == "Delta"
    july = Invoice.objects.get(state="draft")
    assert july.month == date(2026, 7, 1)
    assert not books.differences()


def test_what_is_final_never_changes() -> None:
    running(until=15)
    invoices.finalise_due(at=FINAL, limit=100)
    row = Invoice.objects.get()
    line = row.lines.get()

    for statement in (
        "UPDATE billing_invoice SET total_minor = 1, net_minor = 1, vat_minor = 0",
        "UPDATE billing_invoice SET number = 7",
        "UPDATE billing_invoice SET buyer = '{}'",
        "UPDATE billing_invoice SET state = 'draft'",
        "UPDATE billing_invoiceline SET gross_minor = gross_minor + 1, net_minor = net_minor + 1",
        "DELETE FROM billing_invoiceline",
        "DELETE FROM billing_invoice",
        f"INSERT INTO billing_billedcharge (charge_id, line_id) VALUES (0, {line.pk})",
        "UPDATE billing_invoiceseries SET last_number = 0",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    fresh = Invoice.objects.get()
    assert (fresh.total_minor, fresh.number) == (row.total_minor, 1)


def test_a_draft_that_is_not_the_sum_of_its_lines_does_not_commit() -> None:
    running(until=15)
    invoices.refresh(at=T0 + hours(16), limit=1000)

    with pytest.raises(DatabaseError, match="not the sum"), transaction.atomic():
        committed("UPDATE billing_invoice SET total_minor = 1, net_minor = 1, vat_minor = 0")


def test_a_late_hour_is_a_dated_line_and_less_is_a_credit_note() -> None:
    lease = running(until=730)
    invoices.finalise_due(at=FINAL, limit=100)
    june = Invoice.objects.get(state="finalised")
    books.correct(lease, T0 + hours(20), CARDS_HOUR // 2)
    books.correct(lease, T0 + hours(30), -CARDS_HOUR)
    rate()

    done = invoices.finalise_due(at=FINAL + hours(1), limit=100)

    assert (done.billed, done.invoices, done.credit_notes) == (2, 0, 1)
    note = Invoice.objects.get(kind="credit_note")
    assert (note.number, note.label, note.total_minor) == (1, "CN-00000001", -5440)
    assert note.lines.get().corrects == june.lines.get()
    july = Invoice.objects.get(state="draft")
    dated = july.lines.get(month=date(2026, 6, 1))
    assert (dated.gross_minor, dated.card_seconds) == (2720, CARDS_HOUR // 2)
    assert sums()[0] == sums()[1]
    assert not books.differences()


def test_more_taken_back_than_used_is_no_negative_invoice() -> None:
    lease = running(until=711)
    invoices.finalise_due(at=FINAL, limit=100)
    # Rounding alone can do it; here a month that is corrected below nothing.
    books.correct(lease, T0 + hours(712), -CARDS_HOUR)
    books.meter(lease, until=T0 + hours(713))
    rate()
    invoices.finalise_due(at=FINAL + timedelta(days=40), limit=100)
    assert sums()[0] == sums()[1]
    assert not Invoice.objects.filter(kind="invoice", total_minor__lt=0).exists()
    assert not books.differences()


def test_numbers_are_of_one_series_without_a_gap() -> None:
    for name in ("Borealis", "Ems", "Fagus"):
        tenant = world.tenant(name)
        books.top_up(tenant, 10**7, f"B-{name}")
        lease = books.activate(books.lease(scene.listing(), tenant=tenant))
        books.meter(lease, until=T0 + hours(20))
    rate()

    assert invoices.finalise_due(at=FINAL, limit=2).invoices == 2
    assert invoices.finalise_due(at=FINAL, limit=100).invoices == 1
    assert set(Invoice.objects.values_list("number", flat=True)) == {1, 2, 3}
    assert InvoiceSeries.objects.get().last_number == 3
    with pytest.raises(DatabaseError, match="without a document"), transaction.atomic():
        committed("UPDATE billing_invoiceseries SET last_number = 4")


@pytest.mark.parametrize(
    ("basis", "amount"), [("card_hour", 0.3333), ("node_hour", 7.777777), ("node_month", 12_345.67)]
)
def test_a_lease_without_incidents_is_invoiced_exactly_as_quoted(basis: str, amount: float) -> None:
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing(basis=basis, amount=amount)
    lease = books.live(books.lease(listing, units=3, start=10, end=1990))

    invoices.finalise_due(at=LATER, limit=100)

    found = Invoice.objects.filter(kind="invoice", state="finalised")
    assert found.count() == 3  # June, July, August
    assert sums() == (lease.gross_minor, lease.gross_minor)
    assert not Invoice.objects.filter(kind="credit_note").exists()
    assert not books.differences()


def test_midnight_of_the_first_of_november_is_that_of_shanghai() -> None:
    start = (datetime(2026, 10, 31, 14, tzinfo=UTC) - T0) / hours(1)
    books.top_up(world.tenant(), 10**9)
    listing = scene.listing(sellable=period(0, 5000))
    lease = books.live(books.lease(listing, start=start, end=start + 4))

    invoices.finalise_due(at=Period.of(lease.period).end + timedelta(days=60), limit=100)

    rows = Invoice.objects.order_by("month").values_list("month", "total_minor")
    assert list(rows) == [(date(2026, 10, 1), 2 * 5440), (date(2026, 11, 1), 2 * 5440)]


def test_a_month_that_comes_to_nothing_is_an_invoice_of_nothing() -> None:
    lease = running(until=11)
    books.correct(lease, T0 + hours(10), -CARDS_HOUR)
    rate()
    done = invoices.finalise_due(at=FINAL, limit=10)
    row = Invoice.objects.get()
    assert (done.invoices, row.total_minor, row.payment_status) == (1, 0, "prepaid")


def test_what_the_wallet_could_not_pay_is_open_then_overdue_then_paid() -> None:
    tenant = world.tenant()
    books.top_up(tenant, 3 * 5440)
    lease = books.activate(
        books.lease(scene.listing(schedule="deposit_hourly", deposit_bps=3000), start=10, end=18)
    )
    books.meter(lease, until=T0 + hours(15))
    rate()
    invoices.finalise_due(at=FINAL, limit=10)
    row = Invoice.objects.get()
    assert (row.payment_status, row.unpaid_minor) == ("open", 2 * 5440)

    assert invoices.follow_payments(at=FINAL + timedelta(days=14)) == 0
    assert invoices.follow_payments(at=FINAL + timedelta(days=15)) == 1
    row.refresh_from_db()
    assert row.payment_status == "overdue"
    books.top_up(tenant, 2 * 5440, "B-2")
    assert invoices.follow_payments(at=FINAL + timedelta(days=16)) == 1
    row.refresh_from_db()
    assert (row.payment_status, row.paid_at) == ("paid", FINAL + timedelta(days=16))


def test_a_deal_paid_directly_is_invoiced_by_its_fee_to_the_provider() -> None:
    line = direct_fee()

    row = Invoice.objects.get()
    charges = Charge.objects.all()
    assert (row.subject, row.party, row.issuer) == ("fee", world.provider(), world.operator())
    assert (row.net_minor, row.vat_minor) == (
        sum(c.fee_minor for c in charges), sum(c.fee_vat_minor for c in charges),
    )  # fmt: skip
    # Of the fee, at its own rate, and not of the price it is a fee of.
    assert (line.vat_bps, line.vat_minor) == (600, money.share(line.net_minor, 600))
    assert not books.differences()


def direct_fee(**price: Any) -> InvoiceLine:
    """What the provider is asked for two hours that its tenant has paid to itself."""
    books.top_up(world.tenant(), 10**7)
    row = books.hold(scene.listing(selling="direct", **price), start=200, end=210)
    lease = books.activate(receive(row))
    books.meter(lease, until=T0 + hours(202))
    rate()
    invoices.finalise_due(at=FINAL, limit=10)
    return InvoiceLine.objects.get()


def credit(line: InvoiceLine, gross_minor: int) -> Invoice:
    first, _second = books.people()
    return invoices.request_credit(
        line_public_id=line.public_id, gross_minor=gross_minor, reason="two hours without network",
        at=FINAL + hours(2), actor=world.actor(world.operator()), user=first,
    )  # fmt: skip


def decide(note: Invoice, *, by: int = 1, approve: bool = True, at: float = 0) -> Invoice:
    facts: dict[str, Any] = {
        "invoice_public_id": note.public_id, "at": FINAL + hours(3 + at),
        "actor": world.actor(world.operator()), "user": books.people()[by],
    }  # fmt: skip
    if approve:
        return invoices.approve_credit(**facts)
    return invoices.discard_credit(**facts, reason="it was there")


def test_two_persons_give_money_back_by_a_credit_note() -> None:
    running(until=15)
    invoices.finalise_due(at=FINAL, limit=10)
    line = InvoiceLine.objects.get()
    before = books.available()

    note = credit(line, 5440)
    assert (note.state, note.total_minor, books.available()) == ("draft", -5440, before)
    with scene.refused(SamePerson):
        decide(note, by=0)
    note = decide(note)

    assert (note.state, note.label, note.total_minor) == ("finalised", "CN-00000001", -5440)
    assert books.available() == before + 5440
    given = Charge.objects.get(kind="credit")
    assert given.gross_minor == -5440
    assert given.provider_minor < 0
    assert BilledCharge.objects.get(charge=given).line.corrects == line
    assert ledger.posted(chart.vat("CNY")) == sum(
        Charge.objects.values_list("vat_minor", flat=True)
    )
    assert not books.differences()


def test_credits_together_never_exceed_the_line() -> None:
    running(until=12)
    invoices.finalise_due(at=FINAL, limit=10)
    line = InvoiceLine.objects.get()

    credit(line, 10_000)
    with scene.refused(invoices.CreditTooLarge):
        credit(line, 881)
    note = credit(line, 880)
    decide(note, approve=False)
    assert credit(line, 880).pk != note.pk
    assert not Charge.objects.filter(kind="credit").exists()


@pytest.mark.parametrize("vat_code", ["none", "cn-13"])
def test_a_credited_fee_takes_back_the_tax_on_the_fee_and_not_the_prices(vat_code: str) -> None:
    line = direct_fee(vat_code=vat_code, amount=6.83)
    accrued = chart.provider_accrued(world.provider(), "CNY")
    assert ledger.posted(accrued) == -line.gross_minor
    before = books.available()

    for part in (1, 100, line.gross_minor - 101):
        note = decide(credit(line, part), at=part)
        back = Charge.objects.latest("pk")
        assert (note.subject, -note.total_minor, back.gross_minor) == ("fee", part, 0)
        assert (back.fee_minor, back.fee_vat_minor) == (note.net_minor, note.vat_minor)
        assert not books.differences()

    notes = Invoice.objects.filter(kind="credit_note")
    sums = notes.aggregate(net=Sum("net_minor"), vat=Sum("vat_minor"))
    assert sums == {"net": -line.net_minor, "vat": -line.vat_minor}
    assert [ledger.posted(each) for each in (accrued, chart.fee("CNY"), chart.vat("CNY"))] == [
        0
    ] * 3
    assert books.available() == before


@pytest.mark.parametrize("selling", ["agency", "resale"])
def test_credits_of_a_whole_line_take_back_exactly_what_it_had(selling: str) -> None:
    running(until=17, amount=6.83, selling=selling)
    invoices.finalise_due(at=FINAL, limit=10)
    line = InvoiceLine.objects.get()

    for number, part in enumerate((1, 3, 999, line.gross_minor - 1003)):
        decide(credit(line, part), at=number)
        assert not books.differences()

    credits = Charge.objects.filter(kind="credit")
    charges = Charge.objects.filter(kind="usage")
    for column in ("gross_minor", "vat_minor", "fee_minor", "provider_minor"):
        assert -sum(credits.values_list(column, flat=True)) == sum(
            charges.values_list(column, flat=True)
        )
    for code in (chart.vat, chart.fee, chart.sales, chart.cost_of_sales):
        assert ledger.posted(code("CNY")) == 0
    assert ledger.posted(chart.provider_accrued(world.provider(), "CNY")) == 0


def test_a_credit_pays_what_is_owed_first() -> None:
    tenant = world.tenant()
    books.top_up(tenant, 3 * 5440)
    lease = books.activate(
        books.lease(scene.listing(schedule="deposit_hourly", deposit_bps=3000), start=10, end=18)
    )
    books.meter(lease, until=T0 + hours(14))
    rate()
    invoices.finalise_due(at=FINAL, limit=10)
    assert ledger.balance(tenant).owed_minor == 5440

    decide(credit(InvoiceLine.objects.get(), 6000))

    balance = ledger.balance(tenant)
    assert (balance.owed_minor, balance.posted_minor) == (0, 560)
    assert not books.differences()


def test_the_paper_is_made_once_in_each_language() -> None:
    running(until=800)
    invoices.finalise_due(at=FINAL, limit=10)

    assert invoices.render_due(at=FINAL, limit=10) == 2
    assert invoices.render_due(at=FINAL, limit=10) == 0
    row = Invoice.objects.get(state="finalised")
    made = invoices.paper(invoice=row, language="zh", at=LATER)
    assert bytes(made.content).startswith(b"%PDF-")
    assert made.created_at == FINAL
