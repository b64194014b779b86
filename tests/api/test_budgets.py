"""Statements of a long list, whoever reads it: at most six, the key's own included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import checkout
from inventory.models import ApiKey
from inventory.periods import Period
from marketplace import listings, offers
from marketplace.asking import PriceInput, TermsInput
from marketplace.models import Listing, PriceVersion, Reservation
from marketplace.offers import OfferClaim
from marketplace.offers.model import MOST_OFFERS
from tests import world
from tests.api.client import Api
from tests.api.market import Market, next_hour, text
from tests.api.rows.many import COUNT, Many

ROWS = 50
MOST = 6


def stock(market: Market, units: int = 1) -> Listing:
    """What is on sale for twenty days."""
    pool = world.pool(nodes=1, owner=market.provider)
    return listings.publish(
        pool_id=pool.pk,
        unit_count=units,
        sellable=Period(next_hour(1), next_hour(24 * 20)),
        price=PriceInput(basis="card_hour", amount_micro=6_800_000),
        terms=TermsInput(),
        at=datetime.now(UTC),
        actor=world.actor(market.provider),
    )


def hold(market: Market, listing: Listing, number: int) -> Reservation:
    """The n-th two hours, in a project of its own."""
    price, terms = PriceVersion.objects.get(listing=listing), listing.terms.get()
    claim = OfferClaim(
        listing_id=listing.public_id,
        price_id=price.public_id,
        terms_id=terms.public_id,
        unit_count=1,
        period=Period(next_hour(4 + 4 * number), next_hour(6 + 4 * number)),
        expires_at=datetime.now(UTC) + timedelta(minutes=5),
    )
    project = market.as_tenant.do("/projects", {"name": f"P{number}"})["id"]
    held = market.as_tenant.do("/reservations", {"offer": offers.sign(claim), "project": project})
    return Reservation.objects.get(public_id=held["id"])


@pytest.fixture
def deals(market: Market) -> Market:
    """Fifty confirmed deals, each in a project of its own."""
    market.fund(10**10)
    listing = stock(market)
    for number in range(ROWS):
        held = hold(market, listing, number)
        checkout.confirm(
            reservation_public_id=held.public_id,
            at=datetime.now(UTC),
            actor=world.actor(market.tenant),
        )
    return market


def spent(api: Api, method: str, path: str, body: Any = None) -> tuple[list[Any], int]:
    """The rows of the answer, and how many statements it took."""
    ApiKey.objects.update(last_used_at=datetime.now(UTC))
    with CaptureQueriesContext(connection) as statements:
        reply = api.send(method, path, body)
    assert reply.status == 200, reply
    return reply.data, len(statements)


def test_fifty_reservations_and_their_leases(deals: Market) -> None:
    for who in (deals.as_tenant, deals.as_provider, deals.as_operator):
        for path in ("/reservations", "/leases"):
            rows, statements = spent(who, "GET", f"{path}?limit={ROWS}")
            after = f"{path}?limit={ROWS}&starting_after={rows[4]['id']}"
            rest, again = spent(who, "GET", after)

            assert (len(rows), len(rest)) == (ROWS, ROWS - 5)
            assert max(statements, again) <= MOST, (path, statements, again)


def test_fifty_reservations_that_are_still_held(market: Market) -> None:
    market.fund(10**10)
    listing = stock(market)
    for number in range(ROWS):
        hold(market, listing, number)

    rows, statements = spent(market.as_tenant, "GET", f"/reservations?limit={ROWS}")

    assert (len(rows), statements <= MOST) == (ROWS, True), statements


def test_quotas_of_fifty_projects(market: Market) -> None:
    market.fund()
    hold(market, stock(market), ROWS)
    for number in range(ROWS):
        project = market.as_tenant.do("/projects", {"name": f"P{number}"})["id"]
        body = {"measure": "card_hours", "window": "month", "limit_card_hours": 100}
        market.as_tenant.do("/quotas", {**body, "project": project})

    rows, statements = spent(market.as_tenant, "GET", f"/quotas?limit={ROWS}")

    assert (len(rows), statements <= MOST) == (ROWS, True), statements


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_as_many_offers_as_are_shown(market: Market, settings: Any) -> None:
    for _ in range(MOST_OFFERS):
        stock(market)
    body = {
        "units": 1,
        "hours": 24,
        "earliest_start": text(next_hour(1)),
        "latest_end": text(next_hour(24 * 19)),
        "limit": MOST_OFFERS,
    }
    market.as_tenant.post("/offers/search", body)
    settings.SEARCH_MAP_SECONDS = 60  # the map stays young: this search reads no capacity

    rows, statements = spent(market.as_tenant, "POST", "/offers/search", body)

    assert (len(rows), statements <= MOST) == (MOST_OFFERS, True), statements


MONEY = (
    "/charges", "/settlements", "/bank-receipts", "/bank-accounts", "/bank-statements",
    "/bank-lines", "/refunds", "/payment-files", "/instalments", "/invoices", "/credit-notes",
    "/statements", "/contests", "/fapiaos", "/payouts", "/payout-files", "/payout-terms",
    "/input-fapiaos", "/provider-repayments", "/topups", "/topup-refunds",
    "/disputes", "/payout-accounts", "/gateway-events", "/gateway-requests", "/vouchers",
    "/accounting-periods", "/reconciliation-matches",
)  # fmt: skip


def test_lists_of_money_cost_the_same_for_one_row_and_for_many(market: Market) -> None:
    many = Many(market)
    many.make()

    bank = "/ledger-entries?account=asset:bank:CNY&month=2026-06"
    for path in (*MONEY, f"/invoices/{many.longest_invoice}/lines", bank):
        beside = "&" if "?" in path else "?"
        one, few = spent(market.as_operator, "GET", f"{path}{beside}limit=1")
        rows, statements = spent(market.as_operator, "GET", f"{path}{beside}limit={ROWS}")

        assert (len(one), len(rows) >= COUNT) == (1, True), (path, len(rows))
        assert statements == few <= MOST, (path, few, statements)
    for api in (many.as_tenant[0], many.as_provider[0]):
        for path in MONEY:
            if api.get(path).status == 200:
                assert spent(api, "GET", path)[1] <= MOST, path
