"""Lists: pages by cursor, and a number of statements that does not grow with the rows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.models import ApiKey
from tests.api.market import Market

# Statements of a list, the key's own included. The second page adds one for the cursor.
BUDGET = {
    "as_tenant": {
        "/reservations": 2,
        "/leases": 2,
        "/baskets": 2,
        "/charges": 2,
        "/wallet": 3,
        "/wallet/transactions": 3,
        "/bank-receipts": 2,
        "/api-keys": 2,
        "/projects": 2,
        "/journal": 2,
        "/chips": 2,
        "/organisations": 2,
        "/me": 2,
        "/sla-months": 2,
        "/incidents": 2,
        "/cases": 2,
        "/notification-channels": 2,
        "/notification-deliveries": 2,
    },
    "as_provider": {
        "/centres": 2,
        "/fabrics": 2,
        "/pools": 2,
        "/nodes": 2,
        "/outages": 2,
        "/instances": 2,
        "/external-allocations": 3,
        "/listings": 4,
        "/leases": 2,
        "/settlements": 2,
    },
}
CASES = [(who, path, most) for who, paths in BUDGET.items() for path, most in paths.items()]


@pytest.mark.parametrize(("who", "path", "most"), CASES)
def test_a_list_costs_few_statements_however_long(
    market: Market, who: str, path: str, most: int
) -> None:
    market.listing()
    market.fund()
    market.lease()
    market.reservation(start=40)
    _mark_keys_used()
    api = getattr(market, who)

    with CaptureQueriesContext(connection) as spent:
        assert api.get(path).status == 200

    assert len(spent) <= most, [query["sql"] for query in spent]


def test_a_hold_costs_a_fixed_number_of_statements(market: Market) -> None:
    market.listing()
    market.fund()
    token = market.offer()["token"]
    _mark_keys_used()

    with CaptureQueriesContext(connection) as spent:
        market.as_tenant.do("/reservations", {"offer": token})

    assert len(spent) <= 30, [query["sql"] for query in spent]


def _mark_keys_used() -> None:
    ApiKey.objects.update(last_used_at=datetime.now(UTC))


def test_pages_follow_each_other_without_a_gap(market: Market) -> None:
    made = [market.as_tenant.do("/projects", {"name": f"P{n}"})["id"] for n in range(5)]
    newest_first = made[::-1]

    first = market.as_tenant.get("/projects?limit=2").json
    assert [row["id"] for row in first["data"]] == newest_first[:2]
    assert (first["has_more"], first["next_cursor"]) == (True, newest_first[1])
    second = market.as_tenant.get(f"/projects?limit=2&starting_after={newest_first[1]}").json
    assert [row["id"] for row in second["data"]] == newest_first[2:4]
    last = market.as_tenant.get(f"/projects?limit=2&starting_after={newest_first[3]}").json
    assert ([row["id"] for row in last["data"]], last["has_more"]) == ([made[0]], False)
    assert last["next_cursor"] is None
    back = market.as_tenant.get(f"/projects?limit=2&ending_before={newest_first[3]}").json
    assert [row["id"] for row in back["data"]] == newest_first[1:3]


def test_rows_without_ids_of_their_own_have_pages_too(market: Market) -> None:
    for number in range(4):
        market.as_tenant.do("/projects", {"name": f"P{number}"})

    first = market.as_tenant.get("/journal?limit=3").json
    rest = market.as_tenant.get(f"/journal?limit=100&starting_after={first['next_cursor']}").json

    seen = [row["id"] for row in first["data"] + rest["data"]]
    assert len(seen) == len(set(seen)) >= 4
    assert all(row["id"].startswith("jrn_") for row in first["data"])


@pytest.mark.parametrize(
    "given",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1000000000",
        "limit=1e3",
        "limit=１２",
        "limit=1&limit=2",
        "limit=",
        "page=2",
        "starting_after=prj_00000000000000000000000000000000",
        "starting_after=lse_1",
        "starting_after=%00",
        "starting_after=%FF",
        "ordering=name;drop",
    ],
)
def test_a_bad_page_is_refused(market: Market, given: str) -> None:
    for path in ("/projects", "/journal"):
        reply = market.as_tenant.get(f"{path}?{given}")

        assert reply.status == 422, reply


def test_both_directions_at_once_are_refused(market: Market) -> None:
    made = market.as_tenant.do("/projects", {"name": "A"})["id"]

    reply = market.as_tenant.get(f"/projects?starting_after={made}&ending_before={made}")

    assert reply.status == 422
