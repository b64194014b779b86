"""A month below its service level gives back what its terms say: once, and never more."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from billing import chart, collecting, invoices, ledger, rating, sla_credits
from billing.models import Charge, Invoice, InvoiceLine, LeaseTally, SlaMonth
from inventory.periods import Period
from marketplace.asking import InvalidTerms, TermsInput
from marketplace.models import Lease
from tests import database, world
from tests.billing import books
from tests.billing.test_selling import receive
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db

JUNE = date(2026, 6, 1)
OVER = datetime(2026, 6, 30, 16, tzinfo=UTC)  # June ends in Shanghai
CARDS_HOUR = 8 * 3600
SLA = TermsInput(
    sla_availability_bps=9_900,
    sla_replacement_hours=4,
    sla_credits=((9_900, 1_000), (9_500, 2_500), (8_000, 10_000)),
    sla_cap_bps=5_000,
    sla_notice_hours=72,
)


def leased(*, end: float = 110, terms: TermsInput = SLA, number: int = 0, **price: Any) -> Lease:
    """A node of eight cards for hours 10 to `end`, at 6.80 a card-hour."""
    world.operator()
    books.top_up(world.tenant(), 10**9, f"B-{number}")
    return books.lease(scene.listing(terms=terms, **price), start=10, end=end)


def used(row: Lease, gap_hours: int, *, since: float = 20, until: float = 110) -> Lease:
    """Delivered but for so many hours from `since` on, and charged."""
    books.activate(row)
    gaps = {T0 + hours(since + number): CARDS_HOUR for number in range(gap_hours)}
    books.meter(row, until=T0 + hours(until), gaps=gaps)
    rating.rate_due(at=T0 + hours(until + 1), limit=100_000)
    return row


def credit(at: datetime = OVER) -> int:
    return sla_credits.credit_due(at=at, limit=1_000)


def given(row: Lease) -> int:
    charges = Charge.objects.filter(lease=row, kind=Charge.Kind.SLA_CREDIT)
    return -sum(charges.values_list("gross_minor", flat=True))


@pytest.mark.parametrize(
    ("gap_hours", "availability", "bps"),
    [(0, 10_000, 0), (1, 9_900, 0), (2, 9_800, 1_000), (5, 9_500, 1_000), (6, 9_400, 2_500),
     (30, 7_000, 5_000)],
)  # fmt: skip
def test_a_month_gives_back_the_step_it_lies_below(
    gap_hours: int, availability: int, bps: int
) -> None:
    row = used(leased(), gap_hours)
    wallet = books.available()

    assert credit() == 1

    month = SlaMonth.objects.get(lease=row)
    charged = 680 * 8 * (100 - gap_hours)
    assert (month.month, month.revision, month.availability_bps) == (JUNE, 0, availability)
    assert (month.credit_bps, month.charged_minor) == (bps, charged)
    assert month.credit_minor == charged * bps // 10_000 == given(row)
    assert books.available() - wallet == month.credit_minor
    assert books.differences() == []


def test_a_month_is_counted_once_and_not_before_it_is_over() -> None:
    used(leased(), 6)

    assert credit(OVER - timedelta(seconds=1)) == 0
    assert credit() == 1
    assert credit(OVER + hours(1)) == 0
    assert SlaMonth.objects.count() == 1


def test_terms_without_a_service_level_give_nothing() -> None:
    used(leased(terms=TermsInput()), 50)

    assert credit() == 0
    assert SlaMonth.objects.count() == 0


def test_each_month_is_held_against_the_terms_by_itself() -> None:
    row = leased(end=1000)
    books.activate(row)
    books.meter(row, until=T0 + hours(1000), gaps={T0 + hours(900): CARDS_HOUR})
    rating.rate_due(at=T0 + hours(1001), limit=100_000)

    credit(OVER)
    credit(T0 + hours(2000))

    months = {m.month.month: m for m in SlaMonth.objects.filter(lease=row)}
    assert (months[6].availability_bps, months[6].credit_minor) == (10_000, 0)
    assert months[7].availability_bps == 10_000 * (288 - 1) // 288
    assert sorted(months) == [6, 7]
    assert given(row) == months[7].credit_minor == 0


def test_the_credit_is_a_line_of_the_months_draft() -> None:
    row = used(leased(), 6)
    credit()

    invoices.finalise_due(at=OVER + hours(80), limit=100)

    invoice = Invoice.objects.get(kind="invoice", party=row.tenant)
    lines = dict(invoice.lines.values_list("kind", "gross_minor"))
    assert lines == {"usage": 680 * 8 * 94, "sla_credit": -680 * 8 * 94 // 4}
    assert invoice.total_minor == 680 * 8 * 94 * 3 // 4
    assert books.differences() == []


def test_after_the_invoice_it_is_a_credit_note() -> None:
    row = used(leased(), 6)
    invoices.finalise_due(at=OVER + hours(80), limit=100)

    credit(OVER + hours(81))
    invoices.finalise_due(at=OVER + hours(82), limit=100)

    note = Invoice.objects.get(kind="credit_note")
    assert note.total_minor == -680 * 8 * 94 // 4
    line = InvoiceLine.objects.get(invoice=note)
    assert line.corrects is not None
    assert (line.kind, line.corrects.kind, line.lease_id) == ("sla_credit", "usage", row.pk)
    assert books.differences() == []


def test_a_correction_moves_what_differs() -> None:
    row = used(leased(), 6)
    credit()
    first = given(row)

    books.correct(row, T0 + hours(20), CARDS_HOUR)  # one of the six was delivered after all
    rating.rate_due(at=OVER + hours(1), limit=1000)
    assert credit(OVER + hours(2)) == 1
    assert credit(OVER + hours(3)) == 0

    months = list(SlaMonth.objects.filter(lease=row).order_by("revision"))
    assert [m.revision for m in months] == [0, 1]
    assert (first, given(row)) == (680 * 8 * 94 // 4, 680 * 8 * 95 // 10)
    assert months[1].credit_minor == given(row)
    assert books.differences() == []


def test_a_late_loss_adds_to_the_credit_and_stays_within_the_charges() -> None:
    row = used(leased(), 0)
    credit()
    for number in range(60):
        books.correct(row, T0 + hours(20 + number), -CARDS_HOUR)
    rating.rate_due(at=OVER + hours(1), limit=1000)

    credit(OVER + hours(2))

    month = SlaMonth.objects.filter(lease=row).latest("revision")
    assert (month.revision, month.charged_minor) == (1, 680 * 8 * 40)
    assert month.credit_minor == given(row) == month.charged_minor // 2  # the cap
    assert books.differences() == []


def test_provider_fee_and_vat_give_it_as_they_had_got_it() -> None:
    row = used(leased(), 30)
    before = {
        name: ledger.posted(code)
        for name, code in (
            ("provider", chart.provider_accrued(row.provider, "CNY")),
            ("fee", chart.fee("CNY")),
            ("vat", chart.vat("CNY")),
        )
    }

    credit()

    month = SlaMonth.objects.get(lease=row)
    parts = month.amounts
    assert ledger.posted(chart.fee("CNY")) == before["fee"] - parts.fee_minor
    assert ledger.posted(chart.vat("CNY")) == before["vat"] - parts.vat_minor
    accrued = ledger.posted(chart.provider_accrued(row.provider, "CNY"))
    assert accrued == before["provider"] - parts.provider_minor
    assert parts.gross_minor == parts.vat_minor + parts.fee_minor + parts.provider_minor
    assert parts.fee_minor > 0
    assert parts.vat_minor > 0


def test_a_settlement_takes_each_credit_once() -> None:
    row = used(leased(), 30)
    credit()

    settled = books.settle()
    later = books.settle(months_later=1)

    assert settled is not None
    accrued = sum(Charge.objects.filter(lease=row).values_list("accrued_minor", flat=True))
    assert settled.net_minor == accrued
    assert later is None
    assert books.differences() == []


def test_a_credit_after_the_settlement_is_in_the_next() -> None:
    row = used(leased(), 30)
    settled = books.settle()
    credit(OVER + hours(400))

    other = used(books.lease(row.listing, start=1000, end=1200), 0, until=1200)
    later = books.settle(months_later=1)

    assert settled is not None
    assert later is not None
    credited = Charge.objects.get(lease=row, kind="sla_credit")
    assert later.lines.filter(charge=credited).count() == 1
    assert other.pk != row.pk
    assert books.differences() == []


def test_what_is_used_in_arrears_shrinks_first() -> None:
    world.operator()
    books.top_up(world.tenant(), 10**9)
    ledger.set_credit_limit(world.tenant(), currency="CNY", limit_minor=10**9, at=T0, actor=SYSTEM)
    price: dict[str, Any] = {"schedule": "arrears", "net_days": 15}
    row = used(books.lease(scene.listing(terms=SLA, **price), start=10, end=110), 30)
    wallet = books.available()

    credit()

    month = SlaMonth.objects.get(lease=row)
    assert books.available() == wallet
    assert LeaseTally.objects.get(lease=row).arrears_minor == month.charged_minor // 2
    books.end(row)
    collecting.collect_due(at=OVER + hours(24 * 16), limit=100)
    assert wallet - books.available() == month.charged_minor // 2
    assert books.differences() == []


def test_of_a_direct_lease_only_the_fee_comes_back_here() -> None:
    world.operator()
    books.top_up(world.tenant(), 10**9)
    held = books.hold(scene.listing(terms=SLA, selling="direct"), start=200, end=300)
    row = used(receive(held), 30, since=220, until=300)
    accrued = chart.provider_accrued(row.provider, "CNY")
    before, wallet = ledger.posted(accrued), books.available()

    credit()

    month = SlaMonth.objects.get(lease=row)
    charge = Charge.objects.get(kind="sla_credit")
    assert month.credit_minor == month.charged_minor // 2
    assert books.available() == wallet  # the centre owes the tenant its part itself
    assert charge.direct_minor == charge.gross_minor == -month.credit_minor
    assert ledger.posted(accrued) - before == month.fee_minor + month.fee_vat_minor
    assert books.differences() == []


def test_announced_maintenance_and_a_shut_access_do_not_count() -> None:
    row = used(leased(), 6)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_dunning (public_id, lease_id, provider_id, tenant_id, state,"
            " suspends_at, suspended_at, settled_at, created_at)"
            " VALUES (gen_random_uuid(), %s, %s, %s, 'settled', %s, %s, %s, %s)",
            [row.pk, row.provider_id, row.tenant_id, T0, T0 + hours(22), T0 + hours(25.5), T0],
        )

    credit()

    month = SlaMonth.objects.get(lease=row)
    assert month.excluded_card_seconds == int(3.5 * CARDS_HOUR)
    assert month.missing_card_seconds == int(2.5 * CARDS_HOUR)
    assert month.credit_bps == 1_000


@pytest.mark.parametrize(
    "terms",
    [
        {"sla_availability_bps": 0, "sla_cap_bps": 1},
        {"sla_availability_bps": 9_900, "sla_cap_bps": 5_000},
        {"sla_availability_bps": 9_900, "sla_cap_bps": 0, "sla_credits": ((9_900, 1_000),)},
        {"sla_availability_bps": 9_900, "sla_cap_bps": 100, "sla_credits": ((9_901, 1_000),)},
        {"sla_availability_bps": 9_900, "sla_cap_bps": 100,
         "sla_credits": ((9_900, 1_000), (9_900, 2_000))},
        {"sla_availability_bps": 9_900, "sla_cap_bps": 100,
         "sla_credits": ((9_900, 1_000), (9_000, 1_000))},
        {"sla_availability_bps": 10_001, "sla_cap_bps": 100, "sla_credits": ((9_900, 1_000),)},
        {"sla_availability_bps": 9_900, "sla_cap_bps": 100, "sla_credits": ((9_900,),)},
    ],
)  # fmt: skip
def test_half_a_promise_is_refused(terms: dict[str, Any]) -> None:
    with scene.refused(InvalidTerms):
        scene.listing(terms=TermsInput(**terms))


def test_the_database_refuses_a_credit_above_the_charges_or_another_count() -> None:
    row = used(leased(), 6)
    month = sla_credits.count(lease_id=row.pk, month=JUNE, at=OVER)
    assert month is not None
    copied = {
        f.attname: getattr(month, f.attname)
        for f in SlaMonth._meta.concrete_fields
        if f.attname not in ("id", "public_id", "charge_id")
    }
    for changes in (
        {"revision": 2},
        {"revision": 1, "charged_minor": month.charged_minor + 1},
        {"revision": 1, "credit_minor": month.credit_minor + 1},
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            SlaMonth.objects.create(**copied | changes)
    assert SlaMonth.objects.count() == 1


def test_a_lease_that_goes_on_waits_for_its_month_to_be_rated() -> None:
    row = leased(end=1000)
    books.activate(row)
    books.meter(row, until=OVER - hours(2))
    rating.rate_due(at=OVER, limit=100_000)

    assert credit(OVER + hours(1)) == 0

    books.meter(row, until=OVER)
    rating.rate_due(at=OVER + hours(1), limit=100_000)
    assert credit(OVER + hours(1)) == 1
    assert Period.of(row.period).end > OVER


def test_maintenance_counts_unless_it_was_announced_in_time() -> None:
    for number, (announced_hours_ahead, excluded) in enumerate([(72, 3), (71, 0)]):
        row = leased(end=110, number=number)
        node = row.listing.pool.nodes.order_by("pk")[0]
        used(row, 3, since=40)
        period = f"[{(T0 + hours(40)).isoformat()},{(T0 + hours(44)).isoformat()})"
        told = (T0 + hours(40 - announced_hours_ahead)).isoformat()
        database.as_owner(
            "INSERT INTO inventory_binding"
            " (public_id, allocation_id, node_id, cards, during, created_at)"
            f" VALUES (gen_random_uuid(), {row.allocation_id}, {node.pk}, '[0,8)',"
            f" '[{(T0 + hours(10)).isoformat()},{(T0 + hours(40)).isoformat()})', '{told}')"
        )
        database.as_owner(
            "INSERT INTO inventory_outage (public_id, pool_id, kind, node_id, node_count, period,"
            " state, reason, created_at) VALUES (gen_random_uuid(),"
            f" {node.pool_id}, 'planned', {node.pk}, 1, '{period}', 'open', 'disks', '{told}')"
        )

        credit()

        month = SlaMonth.objects.get(lease=row)
        assert month.excluded_card_seconds == excluded * CARDS_HOUR
        assert month.missing_card_seconds == (3 - excluded) * CARDS_HOUR
        assert month.availability_bps == (10_000 if excluded else 9_700)
