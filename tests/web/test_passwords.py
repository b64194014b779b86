"""A password is changed by who knows it, or set anew by who reads the account's mail."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from kombu.exceptions import OperationalError

from inventory.models import JournalEntry, User
from marketplace import passwords, tasks
from marketplace.celery import app
from tests import world
from tests.web.conftest import Market
from tests.web.test_session import PASSWORD, sign_in

FRESH = "blue whale song 7"


def changed(**fields: str) -> dict[str, str]:
    return {"old_password": PASSWORD, "new_password1": FRESH, "new_password2": FRESH, **fields}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the worker was told to send."""
    told: list[dict[str, Any]] = []

    def note(name: str, *, kwargs: dict[str, Any]) -> None:
        assert name == tasks.send_reset.name
        told.append(kwargs)

    monkeypatch.setattr(app, "send_task", note)
    return told


def link_of(text: Any) -> str:
    found = re.search(r"http://testserver(/password/\S+)", str(text))
    assert found is not None
    return found[1]


def test_a_changed_password_ends_every_other_session(market: Market) -> None:
    user = world.member(market.provider)
    here, there = Client(), Client()
    for client in (here, there):
        assert sign_in(client, user.email) == 302

    reply = here.post(reverse("password_change"), changed())

    assert reply.status_code == 302
    assert here.get(reverse("members")).status_code == 200
    assert there.get(reverse("members")).status_code == 302
    assert sign_in(Client(), user.email) == 422
    assert sign_in(Client(), user.email, FRESH) == 302
    entry = JournalEntry.objects.get(event="user.password_changed")
    assert (entry.object_id, entry.actor) == (user.public_id, user.public_id)
    assert FRESH not in str(entry.data)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"old_password": "wrong"}, "entered incorrectly"),
        ({"new_password2": "another whale 8"}, "match"),
        ({"new_password1": "short", "new_password2": "short"}, "at least 10 characters"),
        ({"new_password1": "1234567890123", "new_password2": "1234567890123"}, "numeric"),
        ({"new_password1": "password123", "new_password2": "password123"}, "too common"),
        ({"new_password1": ""}, "required"),
    ],
)
def test_a_wrong_change_is_refused(market: Market, wrong: dict[str, str], says: str) -> None:
    user = world.member(market.provider)
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)

    reply = client.post(reverse("password_change"), changed(**wrong))

    assert reply.status_code == 422
    assert says in reply.content.decode()
    assert sign_in(Client(), user.email) == 302


def test_the_present_password_is_not_guessed_for_ever(market: Market) -> None:
    client = Client(headers={"accept-language": "en"})
    client.force_login(world.member(market.provider))

    for _time in range(5):
        client.post(reverse("password_change"), changed(old_password="wrong"))
    reply = client.post(reverse("password_change"), changed())

    assert "Too many failed attempts" in reply.content.decode()


def test_a_mailed_link_sets_a_password_once(market: Market, sent: list[dict[str, Any]]) -> None:
    user = world.member(market.tenant)
    client = Client(headers={"accept-language": "en"})
    client.post(reverse("password_ask"), {"email": user.email.upper()})
    assert tasks.send_reset(**sent[0]) is True
    link = link_of(mail.outbox[0].body)
    assert user.public_id in link
    assert mail.outbox[0].to == [user.email]

    form = client.get(link, follow=True)
    address = form.redirect_chain[-1][0]
    assert "set-password" in address
    refused = client.post(address, {"new_password1": FRESH, "new_password2": "x"})
    assert refused.status_code == 422
    done = client.post(address, {"new_password1": FRESH, "new_password2": FRESH})
    assert done["Location"] == reverse("sign_in")
    assert "Sign in with it" in client.get(done["Location"]).content.decode()

    assert sign_in(Client(), user.email, FRESH) == 302
    again = Client(headers={"accept-language": "en"}).get(link)
    assert again.status_code == 410
    assert "does not work any more" in again.content.decode()


def test_a_set_password_opens_an_account_closed_by_guesses(
    market: Market, sent: list[dict[str, Any]]
) -> None:
    user, client = world.member(market.tenant), Client()
    for _time in range(5):
        sign_in(client, user.email, "wrong")
    assert passwords.send_reset(email=user.email, base_url="http://testserver/", language="en")

    form = client.get(link_of(mail.outbox[0].body), follow=True)
    client.post(form.redirect_chain[-1][0], {"new_password1": FRESH, "new_password2": FRESH})

    assert sign_in(client, user.email, FRESH) == 302


def test_nobody_learns_who_has_an_account(market: Market, sent: list[dict[str, Any]]) -> None:
    user = world.member(market.tenant)
    client, address = Client(), reverse("password_ask")

    known = client.post(address, {"email": user.email})
    unknown = client.post(address, {"email": "nobody@nowhere.example"})

    texts = [
        re.sub(r'value="\w{64}"', "", reply.content.decode()).replace(email, "x")
        for reply, email in ((known, user.email), (unknown, "nobody@nowhere.example"))
    ]
    assert texts[0] == texts[1]
    assert [row["email"] for row in sent] == [user.email, "nobody@nowhere.example"]
    assert tasks.send_reset(**sent[1]) is False
    assert mail.outbox == []


def test_one_address_is_not_buried_in_mail(market: Market, sent: list[dict[str, Any]]) -> None:
    replies = [
        Client().post(reverse("password_ask"), {"email": "a@b.example"}).status_code
        for _time in range(8)
    ]

    assert replies == [200] * 8
    assert len(sent) == 5


def test_a_broker_that_is_away_is_said_to_be(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(app, "send_task", refuse)

    reply = Client(headers={"accept-language": "en"}).post(
        reverse("password_ask"), {"email": "a@b.example"}
    )

    assert reply.status_code == 422
    assert "try again in a few minutes" in reply.content.decode()


def test_who_may_not_sign_in_gets_no_link(market: Market) -> None:
    user = world.member(market.tenant)
    User.objects.filter(pk=user.pk).update(is_active=False)

    assert not passwords.send_reset(email=user.email, base_url="http://testserver", language="en")


def test_the_mail_is_in_the_persons_language(market: Market) -> None:
    user = world.member(market.tenant)
    User.objects.filter(pk=user.pk).update(language="zh-hans")

    passwords.send_reset(email=user.email, base_url="http://testserver/", language="en")

    assert mail.outbox[0].subject == "卡时：重设密码"


@pytest.mark.parametrize("uid", ["x", "usr_" + "0" * 32, "1", "MQ", "é"])
def test_a_made_up_link_opens_nothing(market: Market, uid: str) -> None:
    assert Client().get(f"/password/{uid}/abc-def/").status_code == 410
    assert Client().post(f"/password/{uid}/set-password/", {}).status_code == 410
