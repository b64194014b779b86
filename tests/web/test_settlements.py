"""A month is looked at, settled, and read by its provider and the operator only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse

from billing import chart, ledger, settlement
from billing.models import Settlement
from marketplace import listings, money
from marketplace.asking import PriceInput
from marketplace.models import Lease
from tests import world
from tests.billing import books
from tests.web.conftest import Market, keyed
from tests.web.test_leases import plain


def last_month(market: Market) -> str:
    """The last calendar month that is over, as the form names it."""
    zone = "Asia/Shanghai"
    this = money.month_of(market.at, zone)
    last = money.month_of(this.start - timedelta(days=1), zone)
    return f"{last.start.astimezone(ZoneInfo(zone)):%Y-%m}"


def in_last_month(market: Market) -> None:
    """The market as it was in the middle of that month."""
    this = money.month_of(market.at, "Asia/Shanghai")
    market.at = money.month_of(this.start - timedelta(days=1), "Asia/Shanghai").start + timedelta(
        days=9
    )


@pytest.fixture
def earned(market: Market) -> Lease:
    """Eight cards for a day of last month, delivered and charged."""
    now = market.at
    in_last_month(market)
    market.fund()
    lease = books.live(market.lease(market.listing()))
    market.at = now
    return lease


def settled(market: Market) -> Settlement:
    zone = "Asia/Shanghai"
    month = money.month_of(market.at, zone)
    row = settlement.settle(
        provider_id=market.provider.pk,
        period=money.month_of(month.start - timedelta(days=1), zone),
        currency="CNY",
        at=market.at,
        actor=world.SYSTEM,
    )
    assert row is not None
    return row


def chosen(market: Market, **changes: str) -> dict[str, Any]:
    fields = {
        "provider": market.provider.public_id,
        "month": last_month(market),
        "currency": "CNY",
    }
    return {**fields, **changes}


def test_a_month_is_looked_at_before_it_is_settled(market: Market, earned: Lease) -> None:
    client = market.client(market.operator)
    net = ledger.posted(chart.provider_accrued(market.provider, "CNY"))

    look = client.get(reverse("settlements"), chosen(market))

    row = look.context["outlook"].row
    assert (row.pk, row.line_count, row.gross_minor, row.net_minor) == (None, 24, 130_560, net)
    assert Settlement.objects.count() == 0
    assert "It cannot be taken back." in plain(look)

    done = client.post(reverse("settlements"), keyed(**chosen(market)))
    made = Settlement.objects.get()
    assert done["Location"] == reverse("settlement", args=[made.public_id])
    assert (made.net_minor, made.line_count) == (net, 24)
    again = client.get(reverse("settlements"), chosen(market))
    assert "This month is settled." in plain(again)


def test_a_statement_adds_up_lease_by_lease(market: Market, earned: Lease) -> None:
    made = settled(market)
    address = reverse("settlement", args=[made.public_id])

    for reader in (market.provider, market.operator):
        reply = market.client(reader).get(address)
        (line,) = reply.context["sums"]
        assert (line.lease, line.line_count, line.net_minor) == (earned, 24, made.net_minor)
    assert market.tenant.name not in plain(market.client(market.provider).get(address))
    for other in (market.stranger, market.tenant):
        assert market.client(other).get(address).status_code == 404


def test_every_line_is_in_the_file(market: Market, earned: Lease) -> None:
    made = settled(market)
    address = reverse("settlement_csv", args=[made.public_id])

    lines = market.client(market.provider).get(address).getvalue().decode().splitlines()

    assert len(lines) == 25
    net = sum(round(float(line.rsplit(",", 1)[1]) * 100) for line in lines[1:])
    assert net == made.net_minor
    assert market.client(market.stranger).get(address).status_code == 404
    everything = market.client(market.operator).get(reverse("settlements_csv"))
    assert made.public_id in everything.getvalue().decode()


def test_the_page_of_earnings_leads_to_statements(market: Market, earned: Lease) -> None:
    made = settled(market)

    reply = market.client(market.provider).get(reverse("earnings"))

    assert reverse("settlement", args=[made.public_id]) in reply.content.decode()


def test_an_empty_month_says_so(market: Market) -> None:
    client = market.client(market.operator)
    fields = chosen(market)

    look = client.get(reverse("settlements"), fields)
    done = client.post(reverse("settlements"), keyed(**fields))

    assert "There is nothing to settle" in plain(look)
    assert done.status_code == 422
    assert "carried to a later month" in plain(done)
    assert Settlement.objects.count() == 0


def test_what_a_tenant_has_not_paid_for_waits(market: Market) -> None:
    """A deposit of a third, an empty wallet: the rest of the hours is owed."""
    now = market.at
    in_last_month(market)
    market.fund(130_560 * 30 // 100)
    listing = market.listing()
    listings.reprice(
        listing_id=listing.pk,
        price=PriceInput(basis="card_hour", amount_micro=6_800_000, schedule="deposit_hourly"),
        at=market.at,
        actor=world.actor(market.provider),
    )
    books.live(market.lease(listing))
    market.at = now

    look = market.client(market.operator).get(reverse("settlements"), chosen(market))

    outlook = look.context["outlook"]
    assert outlook.waiting_count > 0
    assert outlook.row.line_count + outlook.waiting_count == 24
    assert "tenants have not paid for them yet" in plain(look)


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": ""}, {"provider": "org_1"}, {"month": ""}, {"month": "2199-01"},
        {"month": "x"}, {"currency": "XXX"}, {"currency": ""},
    ],
)  # fmt: skip
def test_a_wrong_choice_settles_nothing(
    market: Market, earned: Lease, wrong: dict[str, str]
) -> None:
    client = market.client(market.operator)
    fields = chosen(market, **wrong)

    assert client.get(reverse("settlements"), fields).status_code == 422
    assert client.post(reverse("settlements"), keyed(**fields)).status_code == 422
    assert Settlement.objects.count() == 0


def test_no_provider_and_no_running_month_is_chosen_for_you(market: Market) -> None:
    form = market.client(market.operator).get(reverse("settlements")).context["form"]

    assert form["provider"].value() is None
    assert next(iter(form.months)) == last_month(market)


def test_who_only_reads_cannot_settle(market: Market, earned: Lease) -> None:
    viewer = market.client(market.operator, "viewer")

    look = viewer.get(reverse("settlements"), chosen(market))
    assert look.status_code == 200
    assert 'method="post"' not in look.content.decode().partition("<main")[2]
    assert viewer.post(reverse("settlements"), keyed(**chosen(market))).status_code == 403
