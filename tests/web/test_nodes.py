"""Nodes in the console: found, looked at, reported broken, brought back, retired."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inventory import capacity
from inventory.models import Node, Outage
from inventory.periods import Period
from tests import world
from tests.web.conftest import Market, keyed
from tests.web.test_externals import local


def node_of(market: Market, number: int = 0) -> Node:
    return market.pool.nodes.order_by("pk")[number]


def address(market: Market, name: str, node: Node) -> str:
    return reverse(name, args=[market.pool.public_id, node.public_id])


def listing_page(market: Market, **query: Any) -> Any:
    return market.client(market.provider).get(reverse("nodes", args=[market.pool.public_id]), query)


def serials(reply: Any) -> list[str]:
    return [node.serial for node, _serving in reply.context["rows"]]


def test_nodes_are_found_by_serial_host_name_rack_and_state(market: Market) -> None:
    first, second = node_of(market), node_of(market, 1)
    Node.objects.filter(pk=second.pk).update(rack="R-77")

    assert len(serials(listing_page(market))) == 4
    assert serials(listing_page(market, q=first.serial[-6:].upper())) == [first.serial]
    assert serials(listing_page(market, q="N0001")) == [second.serial]
    assert serials(listing_page(market, q="r-77")) == [second.serial]
    assert serials(listing_page(market, state="broken")) == []
    none = listing_page(market, q="nobody")
    assert "No node of this pool fits." in none.content.decode()


@pytest.mark.parametrize("q", ["\x00", "a\x00b", "%", "'", "x" * 5000, "٣", "\ud800"])
def test_any_question_is_answered(market: Market, q: str) -> None:
    text = q.encode("utf-8", "surrogatepass")
    assert listing_page(market, q=text).status_code == 200
    assert listing_page(market, state=text, page=text).status_code == 200


def test_long_lists_come_in_pages_at_the_same_cost(market: Market) -> None:
    client = market.client(market.provider)
    client.get(reverse("members"))  # its session is made
    counts = []
    for nodes in (0, 150):
        world.add_nodes(market.pool, nodes, at=market.at)
        with CaptureQueriesContext(connection) as statements:
            page = client.get(reverse("nodes", args=[market.pool.public_id]), {"q": "n0"})
        counts.append(len(statements))

    assert len(page.context["rows"]) == 100
    assert "1–100 of 154" in page.content.decode()
    assert "?q=n0&amp;page=2" in page.content.decode()
    second = listing_page(market, q="n0", page="2")
    assert len(second.context["rows"]) == 54
    assert counts[0] == counts[1]


def test_the_list_is_exported_as_it_is_imported(market: Market) -> None:
    reply = market.client(market.provider).get(
        reverse("nodes_csv", args=[market.pool.public_id]), {"q": "n0001"}
    )

    header, row = reply.getvalue().decode("utf-8-sig").splitlines()
    assert header.startswith("serial,hostname,rack,leaf,card_uuids,")
    assert row.startswith(f"{node_of(market, 1).serial},n0001,")


def test_a_node_shows_what_it_serves(market: Market) -> None:
    market.fund()
    lease = market.running()
    node = lease.allocation.bindings.get().node

    page = market.client(market.provider).get(address(market, "node", node)).content.decode()

    assert node.serial in page
    assert lease.public_id[-8:] in page
    assert "0–7" in page
    assert lease.public_id[-8:] in listing_page(market, q=node.serial).content.decode()


def fail(market: Market, node: Node, *, hours: float = 48, reason: str = "fan") -> Any:
    back = local(market.at + timedelta(hours=hours))
    return market.client(market.provider).post(
        address(market, "node_fail", node), keyed(expected_back_at=back, reason=reason), follow=True
    )


def test_a_broken_node_goes_and_comes_back(market: Market) -> None:
    node = node_of(market)

    reply = fail(market, node)
    node.refresh_from_db()
    outage = node.outages.get()
    assert (node.state, outage.kind, outage.reason) == ("broken", "failed", "fan")
    assert f"{node.serial} is out of use." in reply.content.decode()
    again = fail(market, node)
    assert again.status_code == 422
    assert "This node is out of use already." in again.content.decode()
    close = reverse("outage_close", args=[market.pool.public_id, outage.public_id])
    back = market.client(market.provider).post(close, keyed(node="1"), follow=True)

    node.refresh_from_db()
    assert node.state == "serviceable"
    assert back.redirect_chain[-1][0] == address(market, "node", node)
    assert f"{node.serial} is back in service." in back.content.decode()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hours": -1}, "The node is expected back later than now"),
        ({"reason": ""}, "This field is required."),
    ],
)
def test_a_wrong_report_changes_nothing(market: Market, changes: dict[str, Any], says: str) -> None:
    node = node_of(market)

    reply = fail(market, node, **changes)

    assert reply.status_code == 422
    assert says in reply.content.decode()
    assert Outage.objects.count() == 0


def test_a_failure_that_endangers_deals_says_so(market: Market) -> None:
    market.fund()
    market.listing(units=4)
    for number in range(4):
        market.lease(market.provider.listings.get())
        assert number < 4

    reply = fail(market, node_of(market))

    assert "The pool is short of 1 units for what it has promised: 4 deals" in (
        reply.content.decode()
    )


def test_a_node_is_retired_after_asking(market: Market) -> None:
    node = node_of(market)
    client = market.client(market.provider)
    where = address(market, "node_retire", node)

    assert "cannot be imported again" in client.get(where).content.decode()
    done = client.post(where, keyed(reason="sold"), follow=True)

    node.refresh_from_db()
    assert node.state == "retired"
    assert f"{node.serial} is retired." in done.content.decode()
    assert serials(listing_page(market)) == [node_of(market, n).serial for n in (1, 2, 3)]
    assert serials(listing_page(market, state="retired")) == [node.serial]


def test_a_node_that_is_promised_stays(market: Market) -> None:
    market.listing(units=4)
    node = node_of(market)

    reply = market.client(market.provider).post(
        address(market, "node_retire", node), keyed(reason="sold")
    )

    assert reply.status_code == 422
    assert "The pool has promised this node" in reply.content.decode()
    node.refresh_from_db()
    assert node.state == "serviceable"


def test_maintenance_is_planned_seen_and_called_off(market: Market) -> None:
    client = market.client(market.provider)
    pool = reverse("pool", args=[market.pool.public_id])
    plan = reverse("outage", args=[market.pool.public_id])
    window = {
        "start": local(market.at + timedelta(hours=24)),
        "end": local(market.at + timedelta(hours=30)),
    }

    client.post(plan, keyed(node_count="2", reason="firmware", **window))
    outage = market.pool.outages.get()
    assert (outage.kind, outage.node_count, outage.state) == ("planned", 2, "open")
    page = client.get(pool).content.decode()
    assert "to come" in page
    assert "Call off" in page
    close = reverse("outage_close", args=[market.pool.public_id, outage.public_id])
    done = client.post(close, keyed(), follow=True)

    outage.refresh_from_db()
    assert outage.state == "closed"
    assert "The maintenance is called off." in done.content.decode()


def test_maintenance_of_sold_nodes_is_refused(market: Market) -> None:
    market.listing(units=3)
    window = {
        "start": local(market.at + timedelta(hours=24)),
        "end": local(market.at + timedelta(hours=30)),
    }

    reply = market.client(market.provider).post(
        reverse("outage", args=[market.pool.public_id]),
        keyed(node_count="2", reason="firmware", **window),
    )

    assert reply.status_code == 422
    assert "Only 1 unit is free over the whole period." in reply.content.decode()
    assert market.pool.outages.count() == 0


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [(-1, 5, "waits for nodes to be empty"), (5, 9, "to come")],
)
def test_an_outage_says_where_it_stands(
    market: Market, start: float, end: float, words: str
) -> None:
    capacity.set_outage(
        pool_id=market.pool.pk,
        kind="planned",
        period=Period(market.at + timedelta(hours=start), market.at + timedelta(hours=end)),
        reason="r",
        at=market.at,
        actor=world.SYSTEM,
    )

    page = market.client(market.provider).get(reverse("pool", args=[market.pool.public_id]))

    assert [row.words for row in page.context["outages"]] == [words]


@pytest.mark.parametrize("name", ["node", "node_fail", "node_retire"])
def test_a_node_of_another_pool_or_provider_is_not_found(market: Market, name: str) -> None:
    other = world.pool(nodes=1, owner=market.provider)
    node = other.nodes.get()
    crossed = address(market, name, node)
    own = reverse(name, args=[other.public_id, node.public_id])

    assert market.client(market.provider).get(crossed).status_code == 404
    assert market.client(market.stranger).get(own).status_code == 404
    assert market.client(market.stranger).post(own, keyed(reason="r")).status_code in (404, 405)
    node.refresh_from_db()
    assert node.state == "serviceable"
