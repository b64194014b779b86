"""The pages of quotas: an owner's own, and the operator's view of a tenant's."""

from __future__ import annotations

import pytest
from django.urls import reverse

from marketplace.models import Quota, Reservation
from tests.web.conftest import Market, keyed


def test_an_owner_sets_a_quota_and_sees_what_is_used_of_it(market: Market) -> None:
    market.fund()
    listing = market.listing()
    client = market.client(market.tenant)

    reply = client.post(
        reverse("quotas"),
        keyed(subject="", kind="spend month", currency="CNY", limit="34,000.00", reason="budget"),
    )
    held = market.reservation(listing)

    assert reply.status_code == 302
    quota = Quota.objects.get()
    assert (quota.limit_minor, quota.authority, quota.subject) == (
        3_400_000,
        "tenant",
        "organisation",
    )
    text = client.get(reverse("quotas")).content.decode()
    assert "¥34,000.00" in text
    assert f"¥{held.gross_minor / 100:,.2f}" in text


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"limit": "-1"}, "cannot be negative"),
        ({"limit": "many"}, "not a number"),
        ({"kind": "card_hours month", "limit": "1.5"}, "whole number of card-hours"),
        ({"kind": "card_hours month", "limit": "9" * 30}, "whole number of card-hours"),
        ({"kind": "held_card_hours at_once", "limit": "1"}, "not one of the available choices"),
        ({"subject": "prj_" + "0" * 32}, "not one of the available choices"),
    ],
)
def test_a_quota_that_makes_no_sense_is_not_set(
    market: Market, wrong: dict[str, str], says: str
) -> None:
    fields = {"subject": "", "kind": "spend month", "currency": "CNY", "limit": "5", **wrong}

    reply = market.client(market.tenant).post(reverse("quotas"), keyed(**fields))

    assert reply.status_code == 422
    assert says in reply.content.decode()
    assert not Quota.objects.exists()


def test_a_viewer_sees_quotas_and_sets_none(market: Market) -> None:
    viewer = market.client(market.tenant, "viewer")

    assert viewer.get(reverse("quotas")).status_code == 200
    fields = keyed(subject="", kind="spend month", currency="CNY", limit="5")
    assert viewer.post(reverse("quotas"), fields).status_code == 403
    assert not Quota.objects.exists()


def test_the_operator_caps_a_tenant_which_cannot_lift_it(market: Market) -> None:
    operator, tenant = market.client(market.operator), market.client(market.tenant)
    address = reverse("organisation_quotas", args=[market.tenant.public_id])

    reply = operator.post(
        address, keyed(subject="", kind="held_card_hours at_once", currency="CNY", limit="800")
    )

    assert reply.status_code == 302
    quota = Quota.objects.get()
    assert (quota.limit_card_hours, quota.authority) == (800, "operator")
    lift = reverse("quota_remove", args=[quota.public_id])
    assert lift not in tenant.get(reverse("quotas")).content.decode()
    assert tenant.post(lift, keyed()).status_code == 422
    assert Quota.objects.exists()
    assert operator.get(lift).status_code == 200
    assert operator.post(lift, keyed()).status_code == 302
    assert not Quota.objects.exists()
    assert market.client(market.stranger).get(lift).status_code == 404


def test_a_hold_for_a_bank_transfer_is_made_from_the_search(market: Market) -> None:
    market.fund()
    token = market.offer(market.listing()).token
    client = market.client(market.tenant)

    reply = client.post(reverse("hold"), keyed(offer_token=token, pay_by="bank"))

    assert reply.status_code == 302
    assert Reservation.objects.get().pay_by == "bank"
    assert "Kept for your bank transfer" in client.get(reverse("rented")).content.decode()
