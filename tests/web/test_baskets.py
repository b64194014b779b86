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


def test_ticked_offers_are_held_together(market: Market) -> None:
    market.fund()
    offer = market.offer(market.listing())

    reply = market.client(market.tenant).post(
        reverse("basket_hold"), keyed(offers=[offer.token, offer.token])
    )

    held = Basket.objects.get()
    assert (reply.status_code, reply["Location"]) == (302, reverse("rented"))
    assert (held.state, held.reservations.count()) == ("held", 2)


def test_none_ticked_holds_nothing_and_says_what_to_do(market: Market) -> None:
    market.fund()

    reply = market.client(market.tenant).post(reverse("basket_hold"), keyed())

    assert reply.status_code == 422
    assert "Tick the offers" in reply.content.decode()
    assert not Basket.objects.exists()


def test_a_hold_that_comes_too_late_shows_what_can_be_had_instead(market: Market) -> None:
    market.fund(50_000_000)
    offer = market.offer(market.listing(units=1))
    client = market.client(market.tenant)
    client.post(reverse("hold"), keyed(offer_token=offer.token))

    late = client.post(reverse("hold"), keyed(offer_token=offer.token))

    text = late.content.decode()
    assert late.status_code == 422
    assert "What can be had instead" in text
    other = late.context["instead"][0][0]
    assert other["start_at"] > offer.start_at
    done = client.post(reverse("hold"), keyed(offer_token=other["token"]))
    assert (done.status_code, done["Location"]) == (302, reverse("rented"))
