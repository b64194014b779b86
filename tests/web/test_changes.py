"""What a person changes in the console, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse

from billing import ledger
from inventory import organisations
from inventory.models import Centre, Fabric, JournalEntry, Pool
from inventory.periods import ceil_hour
from marketplace.models import Lease, Listing, PriceVersion, Reservation
from tests import world
from tests.web.conftest import Market, keyed

SHANGHAI = ZoneInfo("Asia/Shanghai")


def listing_fields(market: Market, **changes: Any) -> dict[str, Any]:
    start = (ceil_hour(market.at) + timedelta(hours=4)).astimezone(SHANGHAI)
    fields = {
        "pool": market.pool.public_id,
        "unit_count": "2",
        "start": start.strftime("%Y-%m-%dT%H:%M"),
        "end": (start + timedelta(days=10)).strftime("%Y-%m-%dT%H:%M"),
        "basis": "card_hour",
        "amount": "6.80",
        "schedule": "prepaid",
        "deposit_percent": "30",
        "minimum_hours": "1",
        "minimum_units": "1",
        "cancellation": "standard",
    }
    return {**fields, **changes}


def test_a_centre_its_fabric_and_its_pool(market: Market) -> None:
    client = market.client(market.provider)

    made = client.post(
        reverse("centre_create"),
        keyed(name="新中心", region="甘肃", hub="gan", owner_kind="cloud", pue="1.15"),
    )
    centre = Centre.objects.get(name="新中心")
    assert made["Location"] == reverse("centre", args=[centre.public_id])
    client.post(made["Location"], keyed(name="IB", technology="InfiniBand NDR"))
    fabric = Fabric.objects.get(centre=centre)
    reply = client.post(
        reverse("pool_create"),
        keyed(
            fabric=fabric.public_id, chip_code="h100-80g", name="Z1", unit_cards="",
            spare_count="1", lead_hours="1", turnaround_hours="2",
        ),
    )  # fmt: skip

    pool = Pool.objects.get(name="Z1")
    assert reply["Location"] == reverse("node_import", args=[pool.public_id])
    assert (pool.unit_cards, pool.lead_seconds, pool.turnaround_seconds) == (8, 3600, 7200)


def test_idle_capacity_is_reviewed_and_published_once(market: Market) -> None:
    client = market.client(market.provider)
    address = reverse("listing_create")

    live = client.post(reverse("listing_preview"), listing_fields(market))
    assert "¥26,112.00" in live.content.decode()  # 16 cards × 240 h × 6.80
    review = client.post(address, keyed(step="review", **listing_fields(market)))
    assert review.status_code == 200
    assert Listing.objects.count() == 0
    publish = keyed(step="publish", **listing_fields(market))
    first, again = client.post(address, publish), client.post(address, publish)

    listing = Listing.objects.get()
    assert first.status_code == again.status_code == 302
    assert first["Location"] == again["Location"] == reverse("listing", args=[listing.public_id])
    assert listing.prices.get().amount_micro == 6_800_000
    assert listing.block.unit_count == 2


def test_a_price_below_the_floor_is_refused_in_the_form(market: Market) -> None:
    client = market.client(market.provider)
    costs = {"power": "3", "depreciation": "3", "network": "1", "operations": "0"}
    floor = client.post(reverse("floor", args=[market.pool.public_id]), keyed(**costs))
    assert floor.status_code == 302

    reply = client.post(reverse("listing_create"), keyed(step="publish", **listing_fields(market)))

    assert reply.status_code == 422
    text = reply.content.decode()
    assert "a card-hour would leave ¥5.901886 after VAT and fee, and costs ¥7.00" in text
    assert "power ¥3.00, depreciation ¥3.00, network ¥1.00, operations ¥0.00" in text
    assert Listing.objects.count() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"unit_count": "0"}, {"unit_count": "-1"}, {"unit_count": "1.5"}, {"unit_count": "9" * 30},
        {"unit_count": "5"}, {"amount": "NaN"}, {"amount": "-1"}, {"amount": "1e9"},
        {"amount": "0"}, {"amount": "9" * 60}, {"amount": "6,80"}, {"amount": "\x00"},
        {"pool": "nothing"}, {"start": "yesterday"}, {"start": "0001-01-01T00:00"},
        {"start": "9999-12-31T23:59"}, {"end": "2020-01-01T00:00"}, {"basis": "egg"},
        {"cancellation": "x"}, {"minimum_hours": "0"}, {"minimum_units": "3"},
        {"schedule": ""}, {"deposit_percent": "101"}, {"pool": ""},
    ],
)  # fmt: skip
def test_a_wrong_listing_is_refused_and_nothing_changes(
    market: Market, wrong: dict[str, str]
) -> None:
    client = market.client(market.provider)
    before = JournalEntry.objects.count()

    fields = keyed(step="publish", **listing_fields(market, **wrong))
    reply = client.post(reverse("listing_create"), fields)
    live = client.post(reverse("listing_preview"), fields)

    assert reply.status_code == 422
    assert live.status_code == 200
    assert Listing.objects.count() == 0
    assert JournalEntry.objects.count() == before


def test_a_listing_is_repriced_paused_resumed_and_withdrawn(market: Market) -> None:
    client = market.client(market.provider)
    listing = market.listing()
    market.fund()
    lease = market.lease(listing)

    fields = {
        "basis": "card_hour", "amount": "7.20", "schedule": "prepaid", "deposit_percent": "",
        "version": "1",
    }  # fmt: skip
    client.post(reverse("listing", args=[listing.public_id]), keyed(**fields))
    assert PriceVersion.objects.filter(listing=listing).count() == 2
    pause = reverse("listing_stop", args=[listing.public_id, "pause"])
    resume = reverse("listing_resume", args=[listing.public_id])
    withdraw = reverse("listing_stop", args=[listing.public_id, "withdraw"])
    for address, state in ((pause, "paused"), (resume, "published")):
        client.post(address, keyed())
        listing.refresh_from_db()
        assert listing.state == state
    for address in (pause, withdraw):
        assert lease.public_id[-8:] in client.get(address).content.decode()
    client.post(withdraw, keyed(reason="moved"))

    listing.refresh_from_db()
    lease.refresh_from_db()
    assert (listing.state, lease.state) == ("withdrawn", "scheduled")


def test_a_tenant_searches_holds_pays_and_gives_back(market: Market) -> None:
    market.fund()
    market.listing()
    client = market.client(market.tenant)
    start = (ceil_hour(market.at) + timedelta(hours=30)).astimezone(SHANGHAI)
    found = client.get(
        reverse("search"),
        {
            "cards": "8", "hours": "24",
            "earliest_start": start.strftime("%Y-%m-%dT%H:%M"),
            "latest_end": (start + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M"),
        },
    )  # fmt: skip
    offer = found.context["found"].offers[0]
    assert "<h2>NVIDIA H100 SXM 80GB · 1 × 8 cards</h2>" in found.content.decode()
    curl = found.context["curl"]
    assert curl.startswith("curl -s http://testserver/api/v1/offers/search ")
    by_api = client.post(
        "/api/v1/offers/search",
        curl.partition("-d '")[2].removesuffix("'"),
        content_type="application/json",
    )
    assert by_api.status_code == 200, by_api.content
    assert [row["listing"] for row in by_api.json()["data"]] == [offer.listing_id]

    client.post(reverse("hold"), keyed(offer_token=offer.token))
    held = Reservation.objects.get()
    paid = client.post(reverse("reservation_confirm", args=[held.public_id]), keyed())
    lease = Lease.objects.get()
    assert paid["Location"] == reverse("lease", args=[lease.public_id])
    assert ledger.balance(market.tenant).posted_minor == 10_000_000 - lease.due_minor
    client.post(reverse("reservation_cancel", args=[held.public_id]), keyed(reason="too many"))

    lease.refresh_from_db()
    assert lease.state == "cancelled"


def test_an_offer_that_is_not_ours_is_refused(market: Market) -> None:
    client = market.client(market.tenant)

    reply = client.post(reverse("hold"), keyed(offer_token="x.y.z"))

    assert reply.status_code == 422
    assert Reservation.objects.count() == 0


def test_an_operator_verifies_an_organisation(market: Market) -> None:
    newcomer = organisations.register(
        name="Elara", is_tenant=True, at=market.at, actor=world.SYSTEM
    )
    client = market.client(market.operator)

    address = reverse("organisation_decide", args=[newcomer.public_id])
    client.post(address, keyed(verdict="verify", reason="papers seen"))

    newcomer.refresh_from_db()
    assert newcomer.state == "verified"


def test_a_form_without_its_key_does_nothing(market: Market) -> None:
    client = market.client(market.provider)

    reply = client.post(reverse("centre_create"), {"name": "x", "region": "y"})

    assert reply.status_code == 400
    assert Centre.objects.filter(name="x").count() == 0


def test_a_post_from_another_site_is_refused(market: Market) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.member(market.provider))

    client.cookies["django_language"] = "zh-hans"
    reply = client.post(reverse("centre_create"), keyed(name="x"))

    assert reply.status_code == 403
    assert "页面已过期" in reply.content.decode()


def test_a_pool_is_begun_in_the_centre_one_comes_from(market: Market) -> None:
    other = world.pool(owner=market.provider).fabric
    client = market.client(market.provider)

    for fabric in (market.pool.fabric, other):
        begun = client.get(reverse("pool_create"), {"centre": fabric.centre.public_id})
        assert begun.context["form"]["fabric"].value() == fabric.public_id
