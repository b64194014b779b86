"""Somebody whose session is over signs in and comes back to a page that can be opened."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from marketplace.models import Reservation
from tests import world
from tests.web.conftest import Market, keyed
from tests.web.test_pages import _patterns
from tests.web.test_session import PASSWORD

HX = {"HX-Request": "true"}


def sign_in(client: Client, market: Market, address: str) -> Any:
    """From where somebody was sent: with the address to come back to."""
    user = world.member(market.tenant)
    client.get(address)
    return client.post(address, {"username": user.email, "password": PASSWORD})


def test_a_page_is_come_back_to_with_its_query(market: Market) -> None:
    client = Client()

    asked = client.get("/leases/?before=7")

    assert asked["Location"] == "/sign-in/?next=/leases/%3Fbefore%3D7"
    assert sign_in(client, market, asked["Location"])["Location"] == "/leases/?before=7"


def test_a_form_without_a_page_leads_to_the_page_it_stood_on(market: Market) -> None:
    client = Client(headers={"accept-language": "en"})
    address = reverse("hold")

    asked = client.post(address, keyed(), HTTP_REFERER="http://testserver/search/?cards=8")
    door = client.get(asked["Location"])

    assert asked["Location"] == "/sign-in/?next=/search/%3Fcards%3D8"
    assert "nothing was changed" in door.content.decode()
    assert Reservation.objects.count() == 0


@pytest.mark.parametrize(
    "referer",
    ["", "http://evil.example/search/", "http://testserver/reservations/hold/", "http://[", "x"],
)
def test_any_other_form_leads_to_the_first_page(market: Market, referer: str) -> None:
    asked = Client().post(reverse("hold"), keyed(), HTTP_REFERER=referer)

    assert asked["Location"] == "/sign-in/?next=/"


@pytest.mark.parametrize(
    ("address", "leads_to"),
    [
        ("/reservations/hold/", "/"),
        ("/listings/preview/", "/"),
        ("/no/such/page/", "/"),
        ("https://evil.example/leases/", "/"),
        ("/wallet/", "/wallet/"),
    ],
)
def test_the_door_leads_to_pages_only(market: Market, address: str, leads_to: str) -> None:
    reply = sign_in(Client(), market, f"/sign-in/?next={address}")

    assert reply["Location"] == leads_to


def test_a_fragment_moves_the_whole_page_to_the_door(market: Market) -> None:
    page = {"HX-Current-URL": "http://testserver/listings/new/?pool=x"}

    reply = Client().post(reverse("listing_preview"), {}, headers={**HX, **page})

    assert reply.status_code == 200
    assert reply["HX-Redirect"] == "/sign-in/?next=/listings/new/%3Fpool%3Dx"
    assert reply.content == b""


@pytest.mark.parametrize("url", ["http://[", "http://evil.example/wallet/", ""])
def test_a_fragment_of_nowhere_leads_to_the_first_page(market: Market, url: str) -> None:
    headers = {**HX, "HX-Current-URL": url}

    reply = Client().post(reverse("listing_preview"), {}, headers=headers)

    assert reply["HX-Redirect"] == "/sign-in/?next=/"


def test_an_address_without_a_page_says_so(market: Market) -> None:
    client = market.client(market.provider)
    only_forms = [
        str(pattern.name)
        for pattern in _patterns()
        if getattr(pattern.callback, "posts_only", False) and not pattern.pattern.regex.groupindex
    ]

    assert "listing_preview" in only_forms
    reply = client.get(reverse("listing_preview"))
    assert (reply.status_code, reply["Allow"]) == (405, "POST")
    assert "only takes what a form sends" in reply.content.decode()


def test_every_address_without_a_page_is_marked(market: Market) -> None:
    """Else somebody who signs in could be sent to one."""
    client = market.client(market.provider)
    for pattern in _patterns():
        arguments = dict.fromkeys(pattern.pattern.regex.groupindex, "x")
        reply = client.get(reverse(str(pattern.name), kwargs=arguments))
        marked = getattr(pattern.callback, "posts_only", False)
        # Nobody signs in to these.
        nobodys = {"sign_out", "set_language", "stripe_webhook"}
        assert reply.status_code != 405 or marked or pattern.name in nobodys


def test_a_form_from_before_the_last_sign_in_says_so(market: Market) -> None:
    client = Client(enforce_csrf_checks=True, headers={"accept-language": "en"})
    client.force_login(world.member(market.provider))

    page = client.post(reverse("centre_create"), keyed(name="x"))
    fragment = client.post(reverse("listing_preview"), {}, headers=HX)

    assert page.status_code == 403
    assert "reload the page" in page.content.decode()
    assert fragment["HX-Refresh"] == "true"


def test_a_language_chosen_on_a_refusal_leads_to_the_first_page(market: Market) -> None:
    client = market.client(market.provider)

    reply = client.post(reverse("set_language"), {"language": "en", "next": reverse("hold")})

    assert reply["Location"] == "/"
