"""Members and keys: made once, confirmed before they go, and never shown twice."""

from __future__ import annotations

import pytest
from django.urls import reverse

from inventory.models import ApiKey, Membership
from marketplace.models import IdempotencyRecord
from tests import world
from tests.web.conftest import Market, keyed


def test_a_key_is_shown_once_and_its_text_is_not_kept(market: Market) -> None:
    client = market.client(market.tenant)
    fields = keyed(name="ci", scopes=["offers:read"], ip_allow="10.0.0.0/8，192.0.2.1")

    reply = client.post(reverse("keys"), fields)

    key = ApiKey.objects.get()
    text = reply.context["text"]
    assert text.startswith(f"ck_live_{key.lookup}_")
    assert text in reply.content.decode()
    assert key.ip_allow == ["10.0.0.0/8", "192.0.2.1/32"]
    assert "no-store" in reply["Cache-Control"]
    assert text not in client.get(reverse("keys")).content.decode()
    assert not any(text.encode() in bytes(row.body) for row in IdempotencyRecord.objects.all())


def test_a_form_sent_twice_makes_one_key(market: Market) -> None:
    client = market.client(market.tenant)
    fields = keyed(name="ci", scopes=["offers:read"])
    client.post(reverse("keys"), fields)

    again = client.post(reverse("keys"), fields)

    assert ApiKey.objects.count() == 1
    assert again.status_code == 302
    told = client.get(again["Location"]).content.decode()
    assert "made a key a moment ago" in told
    assert "ck_live_" in told  # its row, without the secret


def test_a_key_needs_its_idempotency_key(market: Market) -> None:
    client = market.client(market.tenant)

    reply = client.post(reverse("keys"), {"name": "ci", "scopes": ["offers:read"]})

    assert reply.status_code == 400
    assert ApiKey.objects.count() == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"scopes": []}, "required"),
        ({"scopes": ["organisations:write"]}, "not one of the available choices"),
        ({"ip_allow": "everywhere"}, "Not an address or network: everywhere"),
        ({"expires_on": "2020-01-01"}, "A key expires in the future"),
    ],
)
def test_a_wrong_key_is_refused_in_words(market: Market, wrong: dict[str, str], says: str) -> None:
    client = market.client(market.tenant)

    reply = client.post(
        reverse("keys"), keyed(**{"name": "ci", "scopes": ["offers:read"], **wrong})
    )

    assert reply.status_code == 422
    assert says in reply.content.decode()
    assert ApiKey.objects.count() == 0


def test_revoking_a_key_asks_first(market: Market) -> None:
    client = market.client(market.tenant)
    client.post(reverse("keys"), keyed(name="ci", scopes=["offers:read"]))
    key = ApiKey.objects.get()
    address = reverse("key_revoke", args=[key.public_id])

    asked = client.get(address)
    assert "is refused from now on" in asked.content.decode()
    assert not ApiKey.objects.filter(revoked_at__isnull=False).exists()
    done = client.post(address, keyed(), follow=True)

    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "Key “ci” opens nothing any more." in done.content.decode()


def test_anothers_key_is_not_found(market: Market) -> None:
    own, stranger = market.client(market.tenant), market.client(market.stranger)
    own.post(reverse("keys"), keyed(name="ci", scopes=["offers:read"]))
    address = reverse("key_revoke", args=[ApiKey.objects.get().public_id])

    assert stranger.get(address).status_code == 404
    assert stranger.post(address, keyed()).status_code == 404
    assert ApiKey.objects.get().revoked_at is None


def test_members_come_and_go_but_the_last_owner_stays(market: Market) -> None:
    client = market.client(market.provider)
    owner = Membership.objects.get(organisation=market.provider)
    assert b'value="viewer" selected' in client.get(reverse("members")).content

    fields = keyed(email="new@aurora.example", name="", role="viewer", expires_on="")
    reply = client.post(reverse("members"), fields)
    again = client.post(reverse("members"), fields)
    assert len(reply.context["password"]) >= 12
    assert again["Location"].startswith(reverse("members"))
    added = Membership.objects.get(user__email="new@aurora.example")
    last = client.post(reverse("member_remove", args=[owner.user.public_id]), keyed())
    assert last.status_code == 422
    assert "keeps at least one owner" in last.content.decode()
    address = reverse("member_remove", args=[added.user.public_id])
    assert "new@aurora.example" in client.get(address).content.decode()
    done = client.post(address, keyed(), follow=True)

    assert "new@aurora.example is a member no more." in done.content.decode()
    assert list(Membership.objects.filter(organisation=market.provider)) == [owner]


def test_a_member_of_another_organisation_is_not_found(market: Market) -> None:
    client = market.client(market.provider)
    other = world.member(market.tenant, "viewer")
    address = reverse("member_remove", args=[other.public_id])

    assert client.get(address).status_code == 404
    assert client.post(address, keyed()).status_code == 404
    assert Membership.objects.filter(user=other).count() == 1


def test_an_auditor_needs_a_last_day(market: Market) -> None:
    client = market.client(market.provider)
    fields = {"email": "a@kpmg.example", "name": "", "role": "auditor", "expires_on": ""}

    reply = client.post(reverse("members"), keyed(**fields))

    assert reply.status_code == 422
    assert "ends on a date in the future" in reply.content.decode()
    assert Membership.objects.filter(role="auditor").count() == 0
