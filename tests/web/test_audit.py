"""The operator's funnel and what is behind it, and every lease of the market."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from inventory.models import JournalEntry
from marketplace.models import Lease
from marketplace.utilisation import rollups
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
    lease = books.live(
        books.lease(scene.listing(world.pool(nodes=4, owner=market.provider))), gaps=gap
    )
    rollups.sweep(at=market.at)
    return lease


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

    assert whole.context["adds_up"]
    assert whole.context["group"]["adds_up"]
    links = [line.url for line in whole.context["group"]["lines"]]
    assert reverse("audit_part", args=["centre", centre.public_id]) + query in links
    for by, key in (("chip", "h100-80g"), ("region", "贵州"), ("hub", "gzh"),
                    ("owner", "enterprise"), ("provider", pool.provider.public_id)):  # fmt: skip
        grouped = over(client, reverse("audit"), by=by)
        address = reverse("audit_part", args=[by, key]) + query
        assert address in [line.url for line in grouped.context["group"]["lines"]]
        assert client.get(address).context["whole"].delivered == 72
    part = client.get(reverse("audit_part", args=["centre", centre.public_id]) + query)
    (line,) = part.context["group"]["lines"]
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
    assert "group" not in reply.context
    file = client.get(reverse("audit_csv"), query)
    assert file["Location"].startswith(reverse("audit") + "?")
    part = client.get(reverse("audit_part", args=["chip", "h100-80g"]), query)
    assert says in plain(part)
    file = client.get(reverse("audit_part_csv", args=["chip", "h100-80g"]), query)
    assert file.status_code == 302


def test_a_period_that_reaches_ahead_is_counted_until_now(client: Client, market: Market) -> None:
    today = market.at.date()
    rollups.sweep(at=market.at)
    query = {"first": str(today - timedelta(days=2)), "last": str(today + timedelta(days=9))}

    reply = client.get(reverse("audit"), query)

    assert reply.status_code == 200
    assert "The last day lies ahead: counted up to" in plain(reply)
    assert reply.context["asked"].period.end <= market.at


@pytest.mark.parametrize(
    ("by", "key"),
    [("centre", "ctr_" + "0" * 32), ("centre", "é"), ("chip", "nothing"), ("chip", "é"),
     ("pool", "x"), ("region", "nowhere"), ("region", "\x00"), ("hub", "x"), ("owner", "x"),
     ("provider", "org_" + "0" * 32), ("x", "y")],
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


def test_before_anything_is_counted_the_page_says_so(client: Client, market: Market) -> None:
    for name in ("audit", "audit_map", "audit_anomalies"):
        reply = client.get(reverse(name))
        assert reply.status_code == 200
        assert "Nothing is counted of these days yet." in plain(reply)
    assert client.get(reverse("audit_csv")).status_code == 302


def test_the_parts_lead_to_the_pools_that_lost_them(client: Client, sold: Lease) -> None:
    whole = over(client, reverse("audit"))

    went = {one.drop: one.amount for one in whole.context["went"]}
    assert sum(went.values()) == whole.context["whole"].installed
    assert went["undelivered"] == 8
    page = over(client, reverse("audit_drop", args=["undelivered"]))
    (loss,) = page.context["losses"]
    assert (loss.lost, loss.before, loss.of_all) == (8 * 3600, 80 * 3600, 1.0)
    assert loss.url.endswith("#leases")
    assert client.get(loss.url).context["leases"][0][0] == sold
    lines = over(client, reverse("audit_drop_csv", args=["undelivered"])).getvalue().decode()
    assert lines.splitlines()[1].endswith(",8.00,80.00")
    for by, key, count in (("chip", "h100-80g", 1), ("hub", "jjj", 0)):
        narrowed = over(client, reverse("audit_drop", args=["undelivered"]), by=by, key=key)
        assert len(narrowed.context["losses"]) == count
    assert over(client, reverse("audit_drop", args=["nothing"])).status_code == 404


def test_the_map_has_days_or_weeks_and_leads_to_its_centres(client: Client, sold: Lease) -> None:
    page = over(client, reverse("audit_map"))

    name = sold.allocation.pool.fabric.centre.name
    line = next(line for line in page.context["lines"] if line.name == name)
    # Sold from six in the evening to four in the morning there: 80 of 2 days × 24 h × 32 cards.
    assert line.idle == 2 * 24 * 32 - 80
    assert line.levels == [1, 1]
    assert "first=2026-06-01&amp;last=2026-06-01" in page.content.decode()
    assert [len(cells) for _day, cells in page.context["week"]] == [24, 24]
    whole = over(client, reverse("audit")).context["whole"]
    assert sum(column.installed for column in page.context["stack"]) == whole.installed
    assert not page.context["is_weekly"]
    long = client.get(reverse("audit_map"), {"first": "2026-03-05", "last": "2026-06-03"})
    assert long.context["is_weekly"]
    assert [title for _short, title in long.context["columns"]][:2] == [
        "2026-03-05 – 2026-03-08", "2026-03-09 – 2026-03-15",
    ]  # fmt: skip
    lines = over(client, reverse("audit_map_csv")).getvalue().decode().splitlines()
    assert f"{name},2026-06-01,2026-06-01,768.00,768.00," in "\n".join(lines)
    inside = over(client, reverse("audit_map"), by="hub", key="jjj")
    assert inside.context["lines"] == []
    assert over(client, reverse("audit_map"), by="hub", key="x").status_code == 404


@pytest.mark.parametrize(
    ("name", "most"), [("audit", 8), ("audit_map", 8), ("audit_anomalies", 13)]
)
def test_the_pages_make_few_statements(
    client: Client, sold: Lease, django_assert_max_num_queries: Any, name: str, most: int
) -> None:
    over(client, reverse(name))

    with django_assert_max_num_queries(most):
        over(client, reverse(name))


def test_what_an_auditor_looks_at_is_journalled(market: Market, sold: Lease) -> None:
    auditor = market.client(market.operator, role="auditor")

    assert over(auditor, reverse("audit")).status_code == 200
    over(market.client(market.operator), reverse("audit"))

    (entry,) = JournalEntry.objects.filter(event="auditor.read")
    assert entry.data == {"path": f"/audit/?first={FIRST}&last={LAST}"}


def test_anomalies_and_their_file_say_why_and_where(market: Market) -> None:
    for amount in (6.5, 6.7, 6.8, 6.9, 7.1, 20):
        scene.listing(world.pool(), amount=amount)
    rollups.sweep(at=market.at)
    client: Client = market.client(market.operator)

    reply = client.get(reverse("audit_anomalies"))

    text = reply.content.decode()
    assert "¥20.00 per card-hour; the median of 6 listings is ¥6.85, its MAD ¥0.20" in text
    assert reverse("journal") + "?object=lst_" in text
    lines = client.get(reverse("audit_anomalies_csv")).getvalue().decode().splitlines()
    assert lines[1].startswith("Prices far off their class,")
    assert market.client(market.provider).get(reverse("audit_anomalies")).status_code == 404


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
