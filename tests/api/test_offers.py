"""Searching over HTTP: what the reply holds, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import capacity, chips
from inventory.models import ApiKey
from inventory.periods import Period
from marketplace import offers
from marketplace.api import offer_replies
from marketplace.api.offer_shapes import OffersOut
from marketplace.http.limits import buckets
from marketplace.offers import OfferRequest
from tests import world
from tests.api.market import Market, next_hour, text


def body(**changes: Any) -> dict[str, Any]:
    return {
        "nodes": 1,
        "hours": 2,
        "earliest_start": text(next_hour(2)),
        "latest_end": text(next_hour(300)),
        **changes,
    }


def test_the_reply_is_what_the_document_says(market: Market) -> None:
    market.listing(price={"basis": "card_hour", "amount_micro": 5, "schedule": "deposit_hourly"})
    capacity.set_outage(
        pool_id=market.pool.pk,
        kind="planned",
        period=Period(next_hour(2), next_hour(400)),
        node_count=1,
        node_id=None,
        reason="filters",
        at=datetime.now(UTC),
        actor=world.SYSTEM,
    )
    asked = {"earliest_start": next_hour(2), "latest_end": next_hour(300), "hours": 2}

    for wanted in ({"nodes": 1}, {"nodes": 1000}, {"nodes": 1, "chips": ("b200-180g",)}):
        found = offers.search(
            request=OfferRequest(**asked, **wanted),  # type: ignore[arg-type]
            actor=world.actor(market.tenant),
            at=datetime.now(UTC),
        )
        documented: Any = OffersOut(found).data
        assert offer_replies.results(found) == documented
    assert found.alternatives


def test_every_filter_can_be_asked_over_the_api(market: Market) -> None:
    market.listing()

    found = market.as_tenant.do(
        "/offers/search",
        {
            **body(),
            "chips": ["h100-80g"],
            "minimum_memory_gib": 80,
            "minimum_interconnect_gbps": 900,
            "owners": ["enterprise"],
            "hubs": ["gzh"],
            "regions": ["贵州"],
            "start_grid_seconds": 7200,
        },
    )
    software = market.as_tenant.do("/offers/search", body(driver="1", runtime="1", framework="1"))
    lengths = {**body(minimum_hours=2, maximum_hours=5)}
    del lengths["hours"]
    ranged = market.as_tenant.do("/offers/search", lengths)

    assert (found["match_count"], found["data"][0]["marks"]) == (1, ["cheapest", "earliest"])
    assert software["rejections"][0]["code"] == "software_unknown"
    assert ranged["data"][0]["hours"] == 5


def test_a_calendar_and_what_is_on_sale_are_served_to_whoever_may_search(market: Market) -> None:
    listing = market.listing()
    window = f"?from={text(next_hour(2))}&to={text(next_hour(4))}"

    for who in (market.as_tenant, market.as_stranger):
        found = who.do("/offers/calendar", body())
        sale = who.get(f"/pools/{market.pool.public_id}/on-sale{window}")

        assert [row["listing"] for row in found["data"]] == [listing["id"]]
        assert found["days"][0]["earliest_start_at"] == text(next_hour(2))
        assert sale.status == 200
        assert [step["free_units"] for step in sale.json["steps"]] == [2]
    assert market.as_stranger.get(f"/pools/{market.pool.public_id}").status == 404


def test_nothing_on_sale_is_told_from_no_pool_by_nobody(market: Market) -> None:
    window = f"?from={text(next_hour(2))}&to={text(next_hour(4))}"

    hidden = market.as_tenant.get(f"/pools/{market.pool.public_id}/on-sale{window}")
    absent = market.as_tenant.get(f"/pools/pool_{'0' * 32}/on-sale{window}")

    assert (hidden.status, absent.status) == (404, 404)
    assert hidden.json["detail"] == absent.json["detail"]


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_search_costs_six_statements_however_many_offers() -> None:
    buckets.clear()
    chips.load_catalogue()
    market = Market()
    spent_on = []
    for _ in range(2):
        for _ in range(3):
            market.listing(unit_count=1)
        market.as_tenant.do("/offers/search", body())
        ApiKey.objects.update(last_used_at=datetime.now(UTC))
        with CaptureQueriesContext(connection) as spent:
            found = market.as_tenant.do("/offers/search", body(limit=20))
        spent_on.append((len(found["data"]), len(spent)))

    assert [count for count, _ in spent_on] == [3, 6]
    assert spent_on[0][1] == spent_on[1][1] <= 6, spent_on
