"""Signing in, and whom one acts for."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from inventory.models import Membership
from tests import world
from tests.web.conftest import Market

PASSWORD = "correct horse battery"


def sign_in(client: Client, email: str, password: str = PASSWORD) -> int:
    return client.post(reverse("sign_in"), {"username": email, "password": password}).status_code


def test_the_right_password_opens_the_first_page(market: Market) -> None:
    user = world.member(market.provider)
    client = Client()

    assert sign_in(client, user.email.upper()) == 302
    assert client.get(reverse("home"))["Location"] == reverse("overview")
    assert client.post(reverse("sign_out")).status_code == 302
    assert client.get(reverse("overview")).status_code == 302


def test_five_failures_close_the_account_to_that_address_only(market: Market) -> None:
    user, other = world.member(market.provider), world.member(market.tenant)
    client = Client()

    assert [sign_in(client, user.email, "wrong") for _ in range(5)] == [422] * 5
    assert sign_in(client, user.email) == 422  # even the right one
    assert sign_in(Client(), other.email) == 302
    elsewhere = Client(REMOTE_ADDR="203.0.113.9")
    assert sign_in(elsewhere, user.email) == 302


def test_a_success_forgets_earlier_failures(market: Market) -> None:
    user = world.member(market.provider)

    for _round in range(2):
        assert [sign_in(Client(), user.email, "wrong") for _ in range(4)] == [422] * 4
        assert sign_in(Client(), user.email) == 302


def test_an_empty_password_is_no_success(market: Market) -> None:
    user = world.member(market.provider)

    for password in ["wrong"] * 4 + [""] + ["wrong"]:
        sign_in(Client(), user.email, password)

    assert sign_in(Client(), user.email) == 422


@pytest.mark.parametrize("email", ["", "x", "\x00", "a" * 5000, "nobody@nowhere.example"])
def test_strange_names_are_refused(market: Market, email: str) -> None:
    assert sign_in(Client(), email) == 422


def test_one_acts_for_the_organisation_one_chose(market: Market) -> None:
    user = world.member(market.provider)
    Membership.objects.create(
        user=user, organisation=market.tenant, role="viewer", created_at=world.T0
    )
    client = Client()
    client.force_login(user)
    assert client.get(reverse("wallet")).status_code == 404

    reply = client.post(reverse("switch"), {"organisation": market.tenant.public_id})

    assert reply.status_code == 302
    assert client.get(reverse("wallet")).status_code == 200
    assert client.get(reverse("pools")).status_code == 404
    other = client.post(reverse("switch"), {"organisation": market.stranger.public_id})
    assert other.status_code == 404


def test_a_membership_that_ended_opens_nothing(market: Market) -> None:
    user = world.member(market.provider)
    client = Client()
    client.force_login(user)
    Membership.objects.filter(user=user).delete()

    assert client.get(reverse("pools")).status_code == 403


def test_languages_are_chosen_and_kept(market: Market) -> None:
    client = market.client(market.provider)

    client.post(reverse("set_language"), {"language": "zh-hans", "next": "/pools/"})
    text = client.get(reverse("pools")).content.decode()

    assert '<html lang="zh-Hans"' in text
    assert "资源池" in text


def test_a_chosen_language_follows_the_person_to_another_browser(market: Market) -> None:
    user, first, second = world.member(market.provider), Client(), Client()
    first.force_login(user)
    first.post(reverse("set_language"), {"language": "zh-hans", "next": "/pools/"})

    reply = second.post(reverse("sign_in"), {"username": user.email, "password": PASSWORD})

    assert reply.cookies["django_language"].value == "zh-hans"


def test_who_never_chose_keeps_the_browsers_language(market: Market) -> None:
    client = Client(headers={"accept-language": "en"})
    user = world.member(market.provider)

    reply = client.post(reverse("sign_in"), {"username": user.email, "password": PASSWORD})

    assert "django_language" not in reply.cookies
    assert '<html lang="en"' in client.get(reverse("pools")).content.decode()
