"""A pool drains, sells again or is retired: what is touched is named first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import reverse

from inventory import capacity
from inventory.models import JournalEntry
from inventory.periods import Period
from tests import world
from tests.web.conftest import Market, keyed


def ask(market: Market, to: str) -> Any:
    address = reverse("pool_move", args=[market.pool.public_id])
    return market.client(market.provider).get(address, {"to": to})


def move(market: Market, to: str, **fields: Any) -> Any:
    address = reverse("pool_move", args=[market.pool.public_id])
    return market.client(market.provider).post(address, keyed(to=to, **fields), follow=True)


def state(market: Market) -> str:
    market.pool.refresh_from_db()
    return market.pool.state


def test_drains_and_sells_again_after_naming_what_is_touched(market: Market) -> None:
    market.fund()
    listing = market.listing()
    lease = market.lease(listing)

    asked = ask(market, "draining").content.decode()
    assert listing.public_id[-8:] in asked
    assert lease.public_id[-8:] in asked
    assert state(market) == "active"
    assert "The pool drains" in move(market, "draining", reason="move").content.decode()
    assert state(market) == "draining"
    assert "The pool sells again." in move(market, "active").content.decode()

    assert state(market) == "active"


def test_an_empty_pool_is_retired_with_its_listings(market: Market) -> None:
    listing = market.listing()

    asked = ask(market, "retired").content.decode()
    assert listing.public_id[-8:] in asked
    assert "Its listings are withdrawn and its 4 nodes retired" in asked
    done = move(market, "retired", reason="closed")

    listing.refresh_from_db()
    assert (state(market), listing.state) == ("retired", "withdrawn")
    assert market.pool.nodes.exclude(state="retired").count() == 0
    assert "The pool is retired." in done.content.decode()


def test_deals_stand_in_the_way_of_retiring(market: Market) -> None:
    market.fund()
    listing = market.listing()
    lease = market.lease(listing)

    asked = ask(market, "retired").content.decode()
    assert lease.public_id[-8:] in asked
    assert "have to be over first" in asked
    assert '<button class="btn btn-danger"' not in asked
    forced = move(market, "retired")

    assert forced.status_code == 422
    assert "have to be over first" in forced.content.decode()
    listing.refresh_from_db()
    assert (state(market), listing.state) == ("active", "published")


def test_external_allocations_stand_in_the_way_too(market: Market) -> None:
    start = market.at + timedelta(hours=5)
    capacity.claim_external(
        pool_id=market.pool.pk,
        kind="own_use",
        unit_count=1,
        period=Period(start, start + timedelta(days=1)),
        note="in-house",
        at=market.at,
        actor=world.SYSTEM,
    )

    asked = ask(market, "retired").content.decode()

    assert "in-house" in asked
    assert "have to be over first" in asked


def test_a_page_that_is_older_than_the_pool_changes_nothing(market: Market) -> None:
    move(market, "draining")
    before = JournalEntry.objects.count()

    reply = move(market, "draining")

    assert "changed meanwhile" in reply.content.decode()
    assert JournalEntry.objects.count() == before
    assert ask(market, "draining").status_code == 404
    assert ask(market, "nowhere").status_code == 404


def test_others_move_nothing(market: Market) -> None:
    address = reverse("pool_move", args=[market.pool.public_id])

    for client, status in (
        (market.client(market.stranger), 404),
        (market.client(market.provider, "viewer"), 403),
    ):
        assert client.get(address, {"to": "draining"}).status_code == status
        assert client.post(address, keyed(to="draining")).status_code == status
    assert state(market) == "active"
