"""What a centre uses itself or has sold elsewhere: declared, seen, ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from inventory import capacity
from inventory.models import Allocation
from inventory.periods import Period
from tests import world
from tests.web.conftest import Market, keyed
from tests.web.test_changes import SHANGHAI


def local(at: datetime) -> str:
    return at.astimezone(SHANGHAI).strftime("%Y-%m-%dT%H:%M")


def fields(market: Market, *, start: float, end: float, **changes: Any) -> dict[str, Any]:
    """From now, in hours."""
    return {
        "kind": "own_use",
        "unit_count": "2",
        "start": local(market.at + timedelta(hours=start)),
        "end": local(market.at + timedelta(hours=end)),
        "nodes": "",
        "note": "in-house training",
        **changes,
    }


def declare(market: Market, **form: Any) -> Any:
    address = reverse("external", args=[market.pool.public_id])
    return market.client(market.provider).post(address, keyed(**fields(market, **form)))


def names(market: Market) -> list[str]:
    return list(market.pool.nodes.order_by("pk").values_list("serial", flat=True))


def test_a_future_one_is_a_count(market: Market) -> None:
    assert declare(market, start=2, end=50, unit_count="3").status_code == 302
    taken = declare(market, start=2, end=50, unit_count="3")

    assert taken.status_code == 422
    assert "Only 1 unit is free over the whole period." in taken.content.decode()
    row = market.pool.allocations.get()
    assert (row.state, row.unit_count, row.bindings.count()) == ("scheduled", 3, 0)


def test_one_that_runs_is_bound_to_the_nodes_it_names(market: Market) -> None:
    first, second, *_rest = names(market)

    client = market.client(market.provider)
    form = keyed(**fields(market, start=-5, end=50, nodes=f"{first}，n0001\n"))
    reply = client.post(reverse("external", args=[market.pool.public_id]), form)

    assert reply.status_code == 302
    row = market.pool.allocations.get()
    assert row.state == "active"
    bound = row.bindings.order_by("node_id").values_list("node__serial", flat=True)
    assert list(bound) == [first, second]
    page = client.get(reply["Location"]).content.decode()
    assert "it runs on the nodes you named" in page
    assert first in page


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"start": -5, "end": 50}, "so it runs already: name its nodes."),
        ({"start": -5, "end": -1, "nodes": "n0000"}, "only what runs or is to come counts."),
        ({"start": 5, "end": 50, "nodes": "n0000"}, "It starts later: leave this empty"),
        ({"start": 5, "end": 4}, "The end must lie after the start"),
        ({"start": -5, "end": 50, "nodes": "n0000 nobody"}, "Not in this pool: nobody"),
        ({"start": -5, "end": 50, "nodes": "n0000"}, "2 units take 2 nodes here; 1 are named."),
        (
            {"start": -5, "end": 50, "nodes": "n0000 n0001 n0002"},
            "2 units take 2 nodes here; 3 are named.",
        ),
        ({"start": -5, "end": 50, "nodes": "n0000 n0000"}, "1 are named."),
    ],
)
def test_says_what_to_do_and_changes_nothing(
    market: Market, form: dict[str, Any], says: str
) -> None:
    reply = declare(market, **form)

    assert reply.status_code == 422
    assert says in reply.content.decode()
    assert market.pool.allocations.count() == 0


def test_nodes_in_use_are_named(market: Market) -> None:
    first, second, *_rest = names(market)
    assert declare(market, start=-5, end=50, unit_count="1", nodes=first).status_code == 302

    reply = declare(market, start=-5, end=50, nodes=f"{first} {second}")

    assert reply.status_code == 422
    assert f"In use or out of use until then: {first}" in reply.content.decode()
    assert market.pool.allocations.count() == 1


def test_a_name_of_several_nodes_asks_for_serials(market: Market) -> None:
    market.pool.nodes.update(hostname="same")

    reply = declare(market, start=-5, end=50, nodes="same")

    assert "Several nodes are called so" in reply.content.decode()
    assert market.pool.allocations.count() == 0


def _one(market: Market, *, start: float) -> Allocation:
    node = market.pool.nodes.order_by("pk")[0]
    at = market.at
    return capacity.claim_external(
        pool_id=market.pool.pk,
        kind="elsewhere",
        unit_count=1,
        period=Period(at + timedelta(hours=start), at + timedelta(hours=90)),
        node_ids=[node.pk] if start <= 0 else [],
        note="contract 7",
        at=at,
        actor=world.actor(market.provider),
    )


@pytest.mark.parametrize(
    ("start", "asks", "state"),
    [(-5, "“contract 7” ends now", "ended"), (9, "is called off before its start", "cancelled")],
)
def test_is_ended_or_called_off(market: Market, start: float, asks: str, state: str) -> None:
    row = _one(market, start=start)
    client = market.client(market.provider)
    address = reverse("external_end", args=[market.pool.public_id, row.public_id])

    assert asks in client.get(address).content.decode()
    row.refresh_from_db()
    assert row.state in ("scheduled", "active")
    done = client.post(address, keyed(reason="moved"), follow=True)

    row.refresh_from_db()
    assert row.state == state
    assert "Its units can be offered again." in done.content.decode()
    assert "It is over already." in client.get(address).content.decode()


def test_a_deal_is_not_ended_as_an_external_one(market: Market) -> None:
    market.fund()
    lease = market.lease(market.listing())
    address = reverse("external_end", args=[market.pool.public_id, lease.allocation.public_id])

    assert market.client(market.provider).post(address, keyed()).status_code == 404
    lease.refresh_from_db()
    assert lease.state == "scheduled"


def test_strangers_and_viewers_end_nothing(market: Market) -> None:
    row = _one(market, start=9)
    address = reverse("external_end", args=[market.pool.public_id, row.public_id])

    for client, status in (
        (market.client(market.stranger), 404),
        (market.client(market.provider, "viewer"), 403),
    ):
        assert client.get(address).status_code == status
        assert client.post(address, keyed()).status_code == status
    row.refresh_from_db()
    assert row.state == "scheduled"


def test_the_pool_page_lists_them_with_their_state(market: Market) -> None:
    _one(market, start=-5)
    _one(market, start=9)

    text = market.client(market.provider).get(reverse("pool", args=[market.pool.public_id]))

    rows = text.context["externals"]
    assert sorted(row.state for row in rows) == ["active", "scheduled"]
    page = text.content.decode()
    assert "chosen at its start" in page
    assert page.count("contract 7") == 2
