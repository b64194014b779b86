"""Single servers over REST: found, reported broken, brought back, retired, remedied."""

from __future__ import annotations

from typing import Any

from tests.api.market import Market, next_hour, text


def test_a_pools_nodes_are_narrowed_and_paged(market: Market) -> None:
    pool = market.pool.public_id
    serial = market.pool.nodes.order_by("pk")[2].serial

    first = market.as_provider.get(f"/nodes?pool={pool}&limit=5").json
    rest = market.as_provider.get(
        f"/nodes?pool={pool}&limit=5&starting_after={first['next_cursor']}"
    ).json
    named = market.as_provider.get(f"/nodes?serial={serial}").data

    assert (len(first["data"]), len(rest["data"]), rest["has_more"]) == (5, 3, False)
    assert [row["serial"] for row in named] == [serial]
    assert market.as_provider.get("/nodes?state=broken").data == []
    for query in ("state=lost", "pool=1", "colour=red", "state=broken&state=retired"):
        assert market.as_provider.get(f"/nodes?{query}").status == 422, query


def test_a_cursor_outlives_the_state_that_was_asked_for(market: Market) -> None:
    path = f"/nodes?pool={market.pool.public_id}&state=serviceable&limit=2"
    page = market.as_provider.get(path).json
    last = page["data"][-1]["id"]
    _fail(market, last)

    after = market.as_provider.get(f"{path}&starting_after={last}").data

    assert len(after) == 2
    assert last not in [row["id"] for row in after]


def test_a_broken_node_is_replaced_and_comes_back(market: Market) -> None:
    instance = market.instance()
    node = instance.binding.node.public_id

    outage = _fail(market, node)
    assert (outage["kind"], outage["state"], outage["node"]) == ("failed", "open", node)
    assert market.as_provider.get(f"/nodes/{node}").json["state"] == "broken"
    assert market.as_provider.get(f"/instances/{instance.public_id}").json["state"] == "releasing"
    again = market.as_provider.post(f"/nodes/{node}/retire", {"reason": "gone"})
    assert again.status == 409
    early = market.as_provider.post(f"/outages/{outage['id']}/close", {"reason": "fixed"})
    assert (early.status, early.code) == (409, "node_not_clean")


def test_an_idle_node_fails_and_comes_back(market: Market) -> None:
    node = market.pool.nodes.order_by("pk")[0].public_id
    outage = _fail(market, node)

    closed = market.as_provider.do(f"/outages/{outage['id']}/close", {"reason": "new fan"})

    assert closed["state"] == "closed"
    assert market.as_provider.get(f"/nodes/{node}").json["state"] == "serviceable"
    told = [
        (row["event"], row["reason"])
        for row in market.as_provider.get(f"/journal?object={node}").data
    ]
    assert told == [("node.serviceable", "new fan"), ("node.broken", "no power")]


def test_a_node_that_serves_is_not_retired_and_an_idle_one_is(market: Market) -> None:
    instance = market.instance()
    busy = instance.binding.node
    idle = market.pool.nodes.exclude(pk=busy.pk)[0].public_id

    refused = market.as_provider.post(f"/nodes/{busy.public_id}/retire", {"reason": "old"})
    retired = market.as_provider.do(f"/nodes/{idle}/retire", {"reason": "old"})

    assert (refused.status, refused.code) == (409, "node_in_use")
    assert retired["state"] == "retired"
    assert retired["retired_at"] is not None


def test_maintenance_is_planned_and_called_off(market: Market) -> None:
    body: dict[str, Any] = {
        "pool": market.pool.public_id,
        "node_count": 3,
        "start_at": text(next_hour(24)),
        "end_at": text(next_hour(30)),
        "reason": "new switches",
    }
    planned = market.as_provider.do("/outages", body)
    too_many = market.as_provider.post("/outages", {**body, "node_count": 6})
    past = market.as_provider.post(
        "/outages", {**body, "start_at": text(next_hour(-9)), "end_at": text(next_hour(-1))}
    )

    assert (planned["kind"], planned["node"], planned["node_count"]) == ("planned", None, 3)
    assert (too_many.status, too_many.code) == (409, "capacity_taken")
    assert past.status == 422
    market.as_provider.do(f"/outages/{planned['id']}/close", {})
    assert market.as_provider.get("/outages?state=open").data == []
    assert len(market.as_provider.get(f"/outages?pool={body['pool']}&kind=planned").data) == 1


def test_a_wipe_that_failed_is_tried_again_or_done_by_hand(market: Market) -> None:
    stuck = market.instance(stuck=True)
    path = f"/instances/{stuck.public_id}"
    row = market.as_provider.get(path).json
    assert (row["state"], row["node"]) == ("release_failed", stuck.binding.node.public_id)
    assert row["last_error"]

    again = market.as_provider.do(f"{path}/retry-release", {"reason": "cable was loose"})
    assert again["state"] == "releasing"
    pointless = market.as_provider.post(f"{path}/mark-clean", {"reason": "by hand"})
    assert (pointless.status, pointless.code) == (409, "nothing_to_remedy")
    unexplained = market.as_provider.post(f"{path}/replace", {})
    assert unexplained.status == 422


def test_use_that_has_begun_shows_its_nodes_and_ends_early(market: Market) -> None:
    nodes = [node.public_id for node in market.pool.nodes.order_by("pk")[:2]]
    body = {
        "pool": market.pool.public_id,
        "kind": "elsewhere",
        "unit_count": 2,
        "start_at": text(next_hour(-100)),
        "end_at": text(next_hour(100)),
    }
    unnamed = market.as_provider.post("/external-allocations", body)
    twice = market.as_provider.post("/external-allocations", {**body, "nodes": nodes[:1] * 2})
    row = market.as_provider.do("/external-allocations", {**body, "nodes": nodes})
    taken = market.as_provider.post("/external-allocations", {**body, "nodes": nodes})

    assert (unnamed.status, unnamed.code) == (422, "nodes_needed")
    assert twice.status == 422
    assert (row["state"], row["nodes"]) == ("active", sorted(nodes))
    assert (taken.status, taken.code) == (409, "node_in_use")
    ended = market.as_provider.do(f"/external-allocations/{row['id']}/release", {"reason": "over"})
    assert ended["state"] == "ended"
    assert market.as_provider.get("/external-allocations?state=active").data == []


def _fail(market: Market, node: str) -> dict[str, Any]:
    body = {"expected_back_at": text(next_hour(30)), "reason": "no power"}
    return dict(market.as_provider.do(f"/nodes/{node}/fail", body))
