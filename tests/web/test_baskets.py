"""A basket in the console: one card, one decision."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from billing import baskets
from marketplace import offers
from marketplace.models import Basket, Lease
from marketplace.offers import OfferRequest
from tests import world
from tests.web.conftest import Market, keyed


@pytest.fixture
def basket(market: Market) -> Basket:
    market.fund()
    listing = market.listing()
    now = datetime.now(UTC)
    found = offers.search(
        request=OfferRequest(
            units=1,
            hours=2,
            earliest_start=listing.block.sellable.lower,
            latest_end=listing.block.sellable.upper,
        ),
        actor=world.actor(market.tenant),
        at=now,
    )
    token = found.offers[0].token
    return baskets.hold(
        offer_tokens=[token, token], project_id=None, at=now, actor=world.actor(market.tenant)
    )


def test_it_stands_as_one_and_is_confirmed_as_one(market: Market, basket: Basket) -> None:
    client = market.client(market.tenant)
    page = client.get(reverse("rented"))

    assert list(page.context["baskets"]) == [basket]
    assert list(page.context["held"]) == []
    reply = client.post(reverse("basket_confirm", args=[basket.public_id]), keyed())

    assert (reply.status_code, reply.headers["Location"]) == (302, reverse("rented"))
    assert Lease.objects.filter(state="scheduled").count() == 2


def test_it_is_given_back_as_one(market: Market, basket: Basket) -> None:
    client = market.client(market.tenant)

    client.post(reverse("basket_cancel", args=[basket.public_id]), keyed())

    basket.refresh_from_db()
    assert basket.state == "cancelled"
    assert set(basket.reservations.values_list("state", flat=True)) == {"cancelled"}


@pytest.mark.parametrize("name", ["basket_confirm", "basket_cancel"])
def test_nobody_else_finds_it(market: Market, basket: Basket, name: str) -> None:
    reply = market.client(world.stranger()).post(reverse(name, args=[basket.public_id]), keyed())

    basket.refresh_from_db()
    assert (reply.status_code, basket.state) == (404, "held")
