"""Baskets over HTTP."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.market import Market

pytestmark = pytest.mark.django_db


def tokens(market: Market, count: int = 2) -> list[str]:
    return [market.offer(start=10 * n + 1)["token"] for n in range(count)]


def basket(market: Market, count: int = 2) -> dict[str, object]:
    return dict(market.as_tenant.do("/baskets", {"offers": tokens(market, count)}))


def test_a_basket_is_held_and_confirmed(market: Market) -> None:
    market.listing()
    market.fund()

    held = market.as_tenant.post("/baskets", {"offers": tokens(market)})
    confirmed = market.as_tenant.do(f"/baskets/{held.json['id']}/confirm")

    assert (held.status, held.json["state"]) == (201, "held")
    assert held.headers["Location"] == f"/api/v1/baskets/{held.json['id']}"
    assert [row["basket"] for row in held.json["reservations"]] == [held.json["id"]] * 2
    assert confirmed["state"] == "confirmed"
    assert all(row["lease"] for row in confirmed["reservations"])
    assert len(market.as_tenant.get("/leases").data) == 2


def test_a_refusal_says_which_offer(market: Market) -> None:
    market.listing()
    market.fund()
    first, second = tokens(market)
    market.as_tenant.do("/reservations", {"offer": market.offer(start=11, units=2)["token"]})

    reply = market.as_tenant.post("/baskets", {"offers": [first, second]})

    assert (reply.status, reply.code) == (409, "capacity_taken")
    assert reply.json["params"]["offer_index"] == 1
    assert len(market.as_tenant.get("/reservations").data) == 1


def test_one_of_a_basket_cannot_be_confirmed_or_cancelled(market: Market) -> None:
    market.listing()
    market.fund()
    held = market.as_tenant.do("/baskets", {"offers": tokens(market)})
    one = held["reservations"][0]["id"]

    for verb in ("confirm", "cancel"):
        reply = market.as_tenant.post(f"/reservations/{one}/{verb}")
        assert (reply.status, reply.code) == (409, "in_a_basket")

    cancelled = market.as_tenant.do(f"/baskets/{held['id']}/cancel", {"reason": "no need"})
    assert cancelled["state"] == "cancelled"
    assert {row["state"] for row in cancelled["reservations"]} == {"cancelled"}


def test_a_provider_sees_its_reservation_and_not_the_basket(market: Market) -> None:
    market.listing()
    market.fund()
    held = market.as_tenant.do("/baskets", {"offers": tokens(market)})

    assert market.as_provider.get(f"/baskets/{held['id']}").status in (403, 404)
    rows = market.as_provider.get("/reservations").data
    assert {row["id"] for row in rows} == {row["id"] for row in held["reservations"]}


def test_a_longer_list_takes_no_more_statements(market: Market) -> None:
    market.listing(unit_count=8)
    market.fund()
    counts = []
    for _ in range(2):
        basket(market)
        with CaptureQueriesContext(connection) as spent:
            assert market.as_tenant.get("/baskets").status == 200
        counts.append(len(spent))

    assert counts[0] == counts[1] <= 4


@pytest.mark.parametrize(
    "body", [{}, {"offers": []}, {"offers": "x"}, {"offers": ["x"] * 21}, {"offers": ["x"], "a": 1}]
)
def test_a_bad_body_is_refused(market: Market, body: dict[str, object]) -> None:
    assert market.as_tenant.post("/baskets", body).status == 422
