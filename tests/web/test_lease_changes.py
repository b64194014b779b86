"""A lease changed from the console, by both of its sides."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse

from billing import checkout
from billing.models import Quote
from inventory.periods import Period
from marketplace.models import Amendment, Lease
from tests import world
from tests.billing import books
from tests.web.conftest import Market, keyed


@pytest.fixture
def leased(market: Market) -> tuple[Market, Lease]:
    market.fund(50_000_000)
    return market, market.lease(market.listing())


def wall(lease: Lease, later: float) -> str:
    """The lease's end and some hours, as the centre's clock shows it."""
    end: datetime = lease.period.upper + timedelta(hours=later)
    return end.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%dT%H:%M")


def address(name: str, *arguments: Any) -> str:
    return reverse(name, args=arguments)


def test_a_tenant_extends_on_two_pages(leased) -> None:
    market, lease = leased
    client = market.client(market.tenant)
    page = address("lease_change", lease.public_id, "extend")

    shown = client.get(page).content.decode()
    asked = client.post(page, keyed(**{"end": wall(lease, 10), "reason": "more to train"}))
    quote = Quote.objects.get()
    figures = client.get(asked["Location"]).content.decode()
    done = client.post(asked["Location"], keyed())

    assert "As things stand it could last until" in shown
    assert asked["Location"] == address("quote", quote.public_id)
    assert "¥544.00" in figures
    assert done["Location"] == address("lease", lease.public_id)
    lease.refresh_from_db()
    assert Period.of(lease.period).hours == 34
    text = client.get(done["Location"]).content.decode()
    assert "Extended by the terms" in text
    assert "Nodes wiped by" in text
    assert not books.differences()


def test_an_end_that_cannot_be_is_refused_in_words(leased) -> None:
    market, lease = leased
    client = market.client(market.tenant)

    reply = client.post(
        address("lease_change", lease.public_id, "extend"),
        keyed(**{"end": wall(lease, 24 * 60), "reason": ""}),
    )

    assert reply.status_code == 422
    assert "Beyond that nothing is on sale yet." in reply.content.decode()
    assert not Quote.objects.exists()


def test_each_side_proposes_and_the_other_signs_or_declines(leased) -> None:
    market, lease = leased
    tenant, provider = market.client(market.tenant), market.client(market.provider)
    propose = address("lease_propose", lease.public_id)
    wanted = {"end": wall(lease, -4), "refund_percent": "50", "reason": "as agreed"}

    first = provider.post(propose, keyed(**wanted))
    row = Amendment.objects.get()
    mine = provider.get(first["Location"]).content.decode()
    theirs = tenant.get(first["Location"]).content.decode()
    tenant.post(address("amendment_decline", row.public_id), keyed())
    second = tenant.post(propose, keyed(**wanted))
    again = Amendment.objects.order_by("-pk")[0]
    not_mine = tenant.post(address("amendment_sign", again.public_id), keyed())
    signed = provider.post(address("amendment_sign", again.public_id), keyed())

    assert "Take it back" in mine
    assert ">Sign<" not in mine
    assert ">Sign<" in theirs
    assert not_mine.status_code == 422
    assert signed["Location"] == second["Location"]
    row.refresh_from_db()
    again.refresh_from_db()
    assert (row.state, again.state) == ("declined", "signed")
    lease.refresh_from_db()
    assert Period.of(lease.period).hours == 20
    assert not books.differences()


def test_another_price_is_proposed_and_signed_on_pages_that_show_both(leased) -> None:
    market, lease = leased
    tenant, provider = market.client(market.tenant), market.client(market.provider)
    wanted = {"refund_percent": "100", "amount": "5.90", "basis": "card_hour", "reason": "agreed"}
    propose = address("lease_propose", lease.public_id)

    half = tenant.post(propose, keyed(**wanted))
    odd = tenant.post(propose, keyed(**wanted, price_from=wall(lease, -4.5)))
    made = tenant.post(propose, keyed(**wanted, price_from=wall(lease, -4)))
    page = provider.get(made["Location"]).content.decode()
    row = Amendment.objects.get()
    provider.post(address("amendment_sign", row.public_id), keyed())

    assert half.status_code == odd.status_code == 422
    assert "¥5.90 per card-hour" in page
    assert "¥6.80 per card-hour" in page
    row.refresh_from_db()
    assert (row.state, row.price_from_at) == ("signed", lease.period.upper - timedelta(hours=4))
    after = tenant.get(address("lease", lease.public_id)).content.decode()
    assert "¥5.90 per card-hour from" in after
    assert "another price of a lease" in tenant.get(address("wallet")).content.decode()
    assert not books.differences()


def test_strangers_find_no_such_pages(leased) -> None:
    market, lease = leased
    client = market.client(market.tenant)
    client.post(
        address("lease_change", lease.public_id, "extend"),
        keyed(**{"end": wall(lease, 1), "reason": ""}),
    )
    client.post(
        address("lease_propose", lease.public_id),
        keyed(**{"end": wall(lease, 2), "refund_percent": "100", "reason": "x"}),
    )
    quote, amendment = Quote.objects.get(), Amendment.objects.get()
    pages = [
        address("lease_change", lease.public_id, "extend"),
        address("lease_propose", lease.public_id),
        address("quote", quote.public_id),
        address("amendment", amendment.public_id),
    ]

    stranger, provider = market.client(market.stranger), market.client(market.provider)
    assert [stranger.get(page).status_code for page in pages] == [404] * 4
    assert [provider.get(page).status_code for page in pages] == [404, 200, 404, 200]
    for verb in ("sign", "decline", "withdraw"):
        reply = stranger.post(address(f"amendment_{verb}", amendment.public_id), keyed())
        assert reply.status_code == 404
    viewer = market.client(market.tenant, "viewer")
    assert viewer.get(pages[0]).status_code == 403
    assert viewer.get(pages[3]).status_code == 200


def test_a_provider_withdraws_with_notice_and_a_reason(leased) -> None:
    market, lease = leased
    client = market.client(market.provider)
    page = address("lease_change", lease.public_id, "withdraw")

    shown = client.get(page).content.decode()
    silent = client.post(page, keyed(**{"end": wall(lease, -1), "reason": ""}))
    short = client.post(page, keyed(**{"end": wall(lease, -1), "reason": "moving"}))

    assert "168 hours of notice or more: 30%" in shown
    assert silent.status_code == short.status_code == 422
    assert "at least 168 hours of notice" in short.content.decode()


def test_what_waits_for_a_signature_is_on_the_other_sides_page(leased) -> None:
    market, lease = leased
    tenant, provider = market.client(market.tenant), market.client(market.provider)
    tenant.post(
        address("lease_propose", lease.public_id),
        keyed(end=wall(lease, -2), refund_percent="80", reason="done sooner"),
    )
    amendment = Amendment.objects.get()

    theirs, own = provider.get(reverse("deals")), tenant.get(reverse("rented"))

    assert list(theirs.context["to_sign"]) == [amendment]
    assert address("amendment", amendment.public_id) in theirs.content.decode()
    assert list(own.context["to_sign"]) == []


def test_the_page_of_a_lease_that_is_over_says_that_nothing_is_to_be_extended(leased) -> None:
    market, lease = leased
    checkout.cancel(
        reservation_public_id=lease.reservation.public_id,
        at=lease.created_at,
        actor=world.actor(lease.tenant),
        reason="no need",
    )

    page = market.client(market.tenant).get(address("lease_change", lease.public_id, "extend"))

    assert page.status_code == 200
    assert "cannot be extended as things stand" in page.content.decode()
