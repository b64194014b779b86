"""The operator's funnel and what is behind it, and every lease of the market."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from marketplace.models import Lease
from tests import database, world
from tests.billing import books
from tests.marketplace import scene
from tests.web.conftest import Market
from tests.web.test_leases import plain

FIRST, LAST = "2026-06-01", "2026-06-02"  # on the market's clock, eight hours ahead of T0


@pytest.fixture
def sold(market: Market) -> Lease:
    """Four nodes of eight cards; one node sold for ten hours from T0 + 10 h, one hour missed."""
    books.top_up(market.tenant, 100_000)
    gap = {world.T0 + world.hours(12): 8 * 3600}
    return books.live(
        books.lease(scene.listing(world.pool(nodes=4, owner=market.provider))), gaps=gap
    )


@pytest.fixture
def client(market: Market) -> Client:
    return market.client(market.operator)


def over(client: Client, address: str, **query: str) -> Any:
    return client.get(address, {"first": FIRST, "last": LAST, **query})


def test_leaks_stand_in_the_page_and_in_the_file(client: Client, sold: Lease) -> None:
    reply = over(client, reverse("audit"))

    assert [(leak.name, leak.amount) for leak in reply.context["leaks"]] == [
        ("listed but down", 0), ("sold but down", 0), ("sold but not delivered", 8),
    ]  # fmt: skip
    assert reply.context["leaks"][2].share == pytest.approx(0.1)
    text = plain(reply)
    assert "8 (10.0% of sold)" in text
    assert "busy – not measured" in text
    lines = over(client, reverse("audit_csv")).getvalue().decode().splitlines()
    assert lines[0].endswith("busy,listed but down,sold but down,sold but not delivered")
    rows = {line.split(",")[0]: line for line in lines[1:]}
    mine = rows[sold.allocation.pool.fabric.centre.name]
    assert mine.endswith(",80.00,72.00,not measured,0.00,0.00,8.00")


def test_a_row_leads_to_its_pools_and_they_to_their_leases(client: Client, sold: Lease) -> None:
    pool = sold.allocation.pool
    centre = pool.fabric.centre
    whole = over(client, reverse("audit"))
    query = f"?first={FIRST}&last={LAST}"

    groups = whole.context["groups"]
    links = [line.url for _title, _column, _by, lines in groups for line in lines]
    assert reverse("audit_part", args=["centre", centre.public_id]) + query in links
    assert reverse("audit_part", args=["chip", "h100-80g"]) + query in links
    part = client.get(reverse("audit_part", args=["centre", centre.public_id]) + query)
    (line,) = part.context["groups"][0][3]
    assert (line.name, line.row.sold, line.row.delivered) == (pool.name, 80, 72)
    behind = client.get(line.url)
    assert behind.context["whole"].delivered == 72
    ((lease, delivered),) = behind.context["leases"]
    assert (lease, delivered) == (sold, 72)
    assert reverse("lease", args=[sold.public_id]) in behind.content.decode()


def test_the_pools_of_a_part_are_a_file_of_their_own(client: Client, sold: Lease) -> None:
    pool = sold.allocation.pool
    address = reverse("audit_part_csv", args=["chip", "h100-80g"])

    lines = over(client, address).getvalue().decode().splitlines()

    assert lines[0].startswith("\ufeffPool,Centre,Chip,From,Until,installed")
    name = f"{pool.name},{pool.fabric.centre.name},H100 SXM 80GB,2026-06-01T00:00:00+08:00,"
    assert [line for line in lines if line.startswith(name)]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"first": "2026-06-02", "last": "2026-06-01"}, "exchange them"),
        ({"first": "2198-01-01", "last": "2198-01-02"}, "This day lies ahead"),
        ({"first": "2020-01-01", "last": "2026-01-01"}, "At most 400 days"),
        ({"first": "1999-12-01", "last": "1999-12-02"}, "At most 400 days"),
        ({"first": "yesterday", "last": "2026-01-01"}, "valid date"),
        ({"last": "2026-01-01"}, "required"),
    ],
)
def test_a_period_that_makes_no_sense_is_named(
    client: Client, sold: Lease, query: dict[str, str], says: str
) -> None:
    reply = client.get(reverse("audit"), query)

    assert reply.status_code == 422
    assert says in plain(reply)
    assert "groups" not in reply.context
    file = client.get(reverse("audit_csv"), query)
    assert file["Location"].startswith(reverse("audit") + "?")
    part = client.get(reverse("audit_part", args=["chip", "h100-80g"]), query)
    assert says in plain(part)
    file = client.get(reverse("audit_part_csv", args=["chip", "h100-80g"]), query)
    assert file.status_code == 302


def test_a_period_that_reaches_ahead_is_counted_until_now(client: Client, market: Market) -> None:
    today = market.at.date()
    query = {"first": str(today - timedelta(days=2)), "last": str(today + timedelta(days=9))}

    reply = client.get(reverse("audit"), query)

    assert reply.status_code == 200
    assert "The last day lies ahead: counted up to" in plain(reply)
    assert reply.context["asked"].period.end <= market.at + timedelta(hours=1)


@pytest.mark.parametrize(
    ("by", "key"),
    [("centre", "ctr_" + "0" * 32), ("centre", "é"), ("chip", "nothing"), ("chip", "é"),
     ("pool", "x"), ("region", "贵州"), ("x", "y")],
)  # fmt: skip
def test_no_such_part_is_not_found(client: Client, by: str, key: str) -> None:
    assert client.get(reverse("audit_part", args=[by, key])).status_code == 404
    assert client.get(reverse("audit_part_csv", args=[by, key])).status_code == 404


def test_english_readers_read_english_names(client: Client, sold: Lease) -> None:
    database.as_owner("UPDATE inventory_centre SET name_en = 'Polar One'")

    assert "Polar One" in plain(over(client, reverse("audit")))
    client.cookies["django_language"] = "zh-hans"
    assert "Polar One" not in plain(over(client, reverse("audit")))


def test_a_part_makes_as_many_statements_as_it_needs(
    client: Client, sold: Lease, django_assert_max_num_queries: Any
) -> None:
    for by, key in (("chip", "h100-80g"), ("pool", sold.allocation.pool.public_id)):
        address = reverse("audit_part", args=[by, key])
        over(client, address)
        with django_assert_max_num_queries(20):
            over(client, address)


def leases_shown(client: Client, **query: str) -> list[str]:
    reply = client.get(reverse("all_leases"), query)
    assert reply.status_code == 200
    return [row.public_id for row in reply.context["page"].rows]


def test_leases_are_narrowed_down(client: Client, market: Market, sold: Lease) -> None:
    market.fund()
    waiting = market.lease(market.listing())
    both = [waiting.public_id, sold.public_id]

    assert leases_shown(client) == both
    assert leases_shown(client, state="ended") == [sold.public_id]
    assert leases_shown(client, provider=market.provider.public_id) == both
    assert leases_shown(client, provider=market.stranger.public_id) == []
    assert leases_shown(client, tenant=market.tenant.public_id, state="scheduled") == both[:1]
    assert leases_shown(client, day="2026-06-01") == [sold.public_id]
    assert leases_shown(client, day="2026-06-03") == []
    empty = client.get(reverse("all_leases"), {"state": "failed"})
    assert "No lease is like this" in plain(empty)
    assert "market" not in plain(client.get(reverse("all_leases"), {"day": date.max.isoformat()}))


@pytest.mark.parametrize(
    "query", [{"state": "x"}, {"provider": "org_1"}, {"tenant": "\x00"}, {"day": "9" * 40}]
)
def test_a_filter_that_makes_no_sense_is_named(
    client: Client, sold: Lease, query: dict[str, str]
) -> None:
    reply = client.get(reverse("all_leases"), query)

    assert reply.status_code == 422
    assert reply.context["form"].errors
    assert client.get(reverse("all_leases_csv"), query).status_code == 302


def test_the_file_has_every_lease_that_is_left(client: Client, market: Market, sold: Lease) -> None:
    market.fund()
    market.lease(market.listing())
    address = reverse("all_leases_csv")

    everything = client.get(address).getvalue().decode().splitlines()
    some = client.get(address, {"state": "ended"}).getvalue().decode().splitlines()

    assert (len(everything), len(some)) == (3, 2)
    assert some[1].startswith(f"{sold.public_id},ended,Aurora,Borealis,")
    assert some[1].endswith(",completed,CNY,544.00,544.00")


def test_older_pages_keep_the_filter(client: Client, market: Market) -> None:
    market.fund(100_000_000)
    listing = market.listing()
    for _number in range(2):
        market.lease(listing)
    first = client.get(reverse("all_leases"), {"state": "scheduled", "before": "1"})

    assert first.context["page"].kept == "state=scheduled&"
    assert 'href="?state=scheduled&amp;"' in first.content.decode()
