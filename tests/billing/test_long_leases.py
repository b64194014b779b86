"""Leases of years and of other currencies, from the offer to the last invoice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Sum

from billing import chart, checkout, closing, collecting, invoices, ledger, rating
from billing.models import Charge, Instalment, Invoice, InvoiceLine
from inventory.periods import HOUR, Period, ceil_hour
from marketplace.asking import TermsInput
from marketplace.models import Lease, Listing
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db

YEARS = timedelta(days=1095)
START = 16  # midnight of 2 June 2026 in Shanghai


def listing(**price: Any) -> Listing:
    return scene.listing(
        sellable=Period(T0, T0 + timedelta(days=1200)),
        terms=TermsInput(maximum_hours=24 * 1095),
        **price,
    )


def live(lease: Lease) -> Lease:
    """Delivered without a gap to its end; each payment falls due and is collected."""
    end = Period.of(lease.period).end
    books.activate(lease)
    at = Period.of(lease.period).start
    while at < end:
        at = min(end, at + timedelta(days=90))
        books.deliver(lease, until=ceil_hour(at))
        rating.rate_due(at=at + HOUR, limit=10**6)
        collecting.collect_due(at=at, limit=100)
        invoices.finalise_due(at=at, limit=100)
    books.end(lease)
    for days in (0, 40, 80):
        collecting.collect_due(at=end + timedelta(days=days), limit=100)
        closing.close_leases(at=end + timedelta(days=days), limit=10)
    invoices.finalise_due(at=end + timedelta(days=80), limit=100)
    lease.refresh_from_db()
    assert lease.closed_at is not None
    return lease


def invoiced() -> list[int]:
    rows = Invoice.objects.filter(kind="invoice", state="finalised").order_by("month")
    return list(rows.values_list("total_minor", flat=True))


# With commits: a balance that is written for every hour of three years in one transaction has
# as many versions, and each hour looks at all of them.
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "price",
    [
        {"schedule": "prepaid"},
        {"schedule": "arrears", "net_days": 30, "security_months": 1},
        {"schedule": "advance", "advance_months": 1, "pro_rata": "thirty"},
    ],
    ids=lambda price: " ".join(map(str, price.values())),
)
def test_1095_days_without_an_incident_are_invoiced_exactly_as_quoted(
    price: dict[str, Any],
) -> None:
    world.operator()
    tenant = world.tenant()
    books.top_up(tenant, 10**10)
    if price["schedule"] == "arrears":
        ledger.set_credit_limit(tenant, currency="CNY", limit_minor=10**10, at=T0, actor=SYSTEM)
    asked = listing(basis="node_month", amount=31_000.01, **price)
    found = scene.offer(asked, units=2, start=START, end=START + YEARS / HOUR)
    lease = books.lease(asked, units=2, start=START, end=START + YEARS / HOUR)
    quoted = lease.reservation.gross_minor
    assert found.unit_count == 2

    live(lease)

    months = invoiced()
    # Two nodes, from 2 June 2026 to 1 June 2029: 35 whole months, and their edges.
    assert len(months) == 36
    assert set(months[1:]) <= {6_200_002}
    assert sum(months) == lease.gross_minor == quoted
    assert not Invoice.objects.filter(kind="credit_note").exists()
    charged = Charge.objects.aggregate(gross=Sum("gross_minor"), vat=Sum("vat_minor"))
    lines = InvoiceLine.objects.aggregate(gross=Sum("gross_minor"), vat=Sum("vat_minor"))
    assert charged == lines
    assert charged["gross"] == quoted
    assert ledger.balance(tenant).posted_minor == 10**10 - quoted
    assert ledger.posted(chart.security(tenant, "CNY")) == 0
    assert not Instalment.objects.filter(state__in=Instalment.OPEN).exists()
    assert not books.differences()


@pytest.mark.parametrize("rule", ["time", "day", "thirty"])
def test_midnight_of_the_first_of_november_in_shanghai_parts_a_monthly_lease(rule: str) -> None:
    world.operator()
    books.top_up(world.tenant(), 10**8)
    start = datetime(2026, 10, 15, 16, tzinfo=UTC)  # midnight of the 16th
    turn = datetime(2026, 10, 31, 16, tzinfo=UTC)
    end = datetime(2026, 11, 10, 16, tzinfo=UTC)
    asked = listing(basis="node_month", amount=30_000, pro_rata=rule)
    lease = books.lease(asked, start=(start - T0) / HOUR, end=(end - T0) / HOUR)
    books.activate(lease)
    books.deliver(lease, until=turn)
    rating.rate_due(at=turn + HOUR, limit=10**6)
    october = Charge.objects.aggregate(sum=Sum("gross_minor"))["sum"]
    last, first = turn - HOUR, turn

    books.deliver(lease, until=end)
    rating.rate_due(at=end + HOUR, limit=10**6)
    invoices.finalise_due(at=end + timedelta(days=30), limit=10)

    # 16 days of October's 31, 10 of November's 30.
    parts = {
        "time": (round(3_000_000 * 16 / 31), 1_000_000),
        "day": (round(3_000_000 * 16 / 31), 1_000_000),
        "thirty": (1_600_000, 1_000_000),
    }[rule]
    rows = Invoice.objects.order_by("month").values_list("month", "total_minor")
    assert list(rows) == [(date(2026, 10, 1), parts[0]), (date(2026, 11, 1), parts[1])]
    assert (october, lease.gross_minor) == (parts[0], sum(parts))
    edge = dict(Charge.objects.filter(hour__in=[last, first]).values_list("hour", "gross_minor"))
    assert abs(edge[last] - parts[0] / (16 * 24)) < 1 > abs(edge[first] - parts[1] / (10 * 24))
    assert not books.differences()


def test_three_cards_for_seven_hours_at_a_third_of_a_cent_are_what_was_quoted() -> None:
    """6.9993 yuan; no hour of it is a whole number of fen."""
    world.operator()
    pool = world.pool(unit_cards=1)
    books.top_up(world.tenant(), 10**6)
    asked = scene.listing(pool, amount=0.3333)
    lease = books.lease(asked, units=3, start=10, end=17)
    assert lease.gross_minor == 700  # 699.93

    books.live(lease)
    invoices.finalise_due(at=T0 + timedelta(days=60), limit=10)

    each = list(lease.charges.order_by("hour").values_list("gross_minor", flat=True))
    assert each == [100, 100, 100, 100, 100, 100, 100]
    assert invoiced() == [700]
    assert not books.differences()


# The price of a card-hour, what a node of eight comes to in ten hours, in minor units.
CURRENCIES = [("JPY", 333.333333, 26_667), ("KWD", 0.333333, 26_667), ("USD", 0.333333, 2_667)]


@pytest.mark.parametrize("schedule", ["prepaid", "deposit_hourly"])
@pytest.mark.parametrize(("currency", "amount", "gross"), CURRENCIES)
def test_a_lease_in_a_currency_of_any_decimals_from_offer_to_invoice(
    schedule: str, currency: str, amount: float, gross: int
) -> None:
    world.operator()
    tenant, provider = world.tenant(), world.provider()
    books.top_up(tenant, 10**6, "B-9", currency)
    asked = scene.listing(amount=amount, currency=currency, vat_code="none", schedule=schedule)
    (offer,) = scene.search(units=1, currency=currency).offers
    assert (offer.gross_minor, offer.currency) == (gross, currency)

    held = checkout.hold(offer_token=offer.token, project_id=None, at=T0, actor=world.actor(tenant))
    assert held.listing == asked

    lease = books.live(books.confirm(held))
    invoices.finalise_due(at=T0 + timedelta(days=60), limit=10)

    row = Invoice.objects.get()
    assert (row.currency, row.total_minor, row.vat_minor) == (currency, gross, 0)
    assert lease.gross_minor == lease.reservation.gross_minor == gross
    assert ledger.balance(tenant, currency=currency).posted_minor == 10**6 - gross
    share = ledger.posted(chart.provider_accrued(provider, currency))
    assert share + ledger.posted(chart.fee(currency)) == gross
    assert ledger.balance(tenant).posted_minor == 0
    assert not books.differences()


def test_one_fen_is_charged_once_however_long_it_takes() -> None:
    world.operator()
    books.top_up(world.tenant(), 10)
    asked = scene.listing(world.pool(unit_cards=1), amount=0.000_6)
    lease = books.lease(asked, units=1, start=10, end=20)

    books.live(lease)
    invoices.finalise_due(at=T0 + hours(24 * 60), limit=10)

    assert lease.gross_minor == 1
    assert sum(lease.charges.values_list("gross_minor", flat=True)) == 1
    assert invoiced() == [1]
    assert not books.differences()
