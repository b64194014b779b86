"""A month is looked at, settled, and read by its provider and the operator only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from billing import chart, direct, ledger, settlement, settlement_paper
from billing.models import Charge, Settlement
from billing.web.settlements import SettleForm
from marketplace import listings
from marketplace.asking import PriceInput
from marketplace.models import Lease
from marketplace.money import month_of
from tests import world
from tests.billing import books
from tests.web import money
from tests.web.conftest import Market, keyed
from tests.web.test_changes import SHANGHAI
from tests.web.test_leases import plain


@pytest.fixture
def earned(market: Market) -> Lease:
    return money.lived(market)


def settled(market: Market) -> Settlement:
    row = settlement.settle(
        provider_id=market.provider.pk,
        period=money.last_month_of(market),
        currency="CNY",
        at=market.at,
        actor=world.SYSTEM,
    )
    assert row is not None
    return row


def market_month_end(market: Market) -> datetime:
    """When the month before this one was over."""
    return month_of(market.at, "Asia/Shanghai").start


def chosen(market: Market, **changes: str) -> dict[str, Any]:
    fields = {
        "provider": market.provider.public_id,
        "month": money.last_month(market),
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
        assert (line.lease, line.sums.line_count) == (earned, 24)
        assert line.sums.net_minor == made.net_minor
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
    money.in_last_month(market)
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
    assert next(iter(form.months)) == money.last_month(market)


def test_a_month_is_offered_once_its_terms_let_it_be_settled(market: Market) -> None:
    over = market_month_end(market)
    for at, offered in ((over + timedelta(days=7), True), (over + timedelta(days=6), False)):
        form = SettleForm(None, at=at)
        month = f"{(over - timedelta(days=1)).astimezone(SHANGHAI):%Y-%m}"
        assert (month in form.months) is offered


def test_a_provider_of_longer_terms_is_settled_later(market: Market, earned: Lease) -> None:
    money.terms(market, settle_after_days=90)
    client = market.client(market.operator)

    for reply in (
        client.get(reverse("settlements"), chosen(market)),
        client.post(reverse("settlements"), keyed(**chosen(market))),
    ):
        assert reply.status_code == 422
        assert "payout terms this month is settled from" in plain(reply)
    assert Settlement.objects.count() == 0


def test_what_was_paid_directly_is_said_as_such(market: Market) -> None:
    """Of a direct lease the fee alone is booked: the page, the file and the paper say so."""
    now = market.at
    money.in_last_month(market)
    market.fund()
    books.live(market.lease(market.listing()))
    held = market.reservation(market.listing(selling="direct"))
    books.live(
        direct.confirm_received(
            reservation_public_id=held.public_id,
            reference="D-1",
            received_date=market.at.date(),
            at=market.at,
            actor=world.actor(market.provider),
        )
    )
    market.at = now
    row = settled(market)
    charges = list(Charge.objects.filter(selling="direct"))
    gross, fee, fee_vat = (
        sum(getattr(charge, f"{part}_minor") for charge in charges)
        for part in ("gross", "fee", "fee_vat")
    )
    assert (gross, fee > 0, fee_vat > 0) == (130_560, True, True)

    reply = market.client(market.provider).get(reverse("settlement", args=[row.public_id]))

    whole = reply.context["whole"]
    assert whole.gross_minor == 2 * 130_560
    assert whole.direct_minor == gross
    parts = whole.direct_minor + whole.vat_minor + whole.fee_minor + whole.net_minor
    assert (parts, whole.net_minor) == (whole.gross_minor, row.net_minor)
    _agency, sold = (each.sums for each in reply.context["sums"])
    assert (sold.direct_minor, sold.fee_minor, sold.vat_minor) == (gross, fee, fee_vat)
    assert sold.net_minor == -fee - fee_vat
    assert "Paid to you directly" in plain(reply)
    lines = market.client(market.provider).get(reverse("settlement_csv", args=[row.public_id]))
    text = lines.getvalue().decode().splitlines()[1:]
    assert sum(round(float(line.rsplit(",", 1)[1]) * 100) for line in text) == row.net_minor
    operator = market.client(market.operator)
    (again,) = operator.get(reverse("settlements")).context["settled"]
    assert again == (row, whole)
    assert settlement_paper.pdf(row, language="en").startswith(b"%PDF")


def test_who_only_reads_cannot_settle(market: Market, earned: Lease) -> None:
    viewer = market.client(market.operator, "viewer")

    look = viewer.get(reverse("settlements"), chosen(market))
    assert look.status_code == 200
    assert 'method="post"' not in look.content.decode().partition("<main")[2]
    assert viewer.post(reverse("settlements"), keyed(**chosen(market))).status_code == 403
