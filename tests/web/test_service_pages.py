"""Pages of incidents, cases, notifications and service levels, read by each side."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing import rating, sla_credits
from inventory.periods import HOUR
from marketplace.models import Case, CaseAttachment, Channel, Delivery, IncidentEntry
from tests import world
from tests.api.rows.service import TERMS
from tests.billing import books
from tests.marketplace import scene
from tests.web.conftest import Market, keyed
from tests.web.good_service_forms import case, channel, good_service_forms, incident

NAMES = [
    "incident", "case_create", "case", "case_attach", "case_close", "channels", "channel",
    "channel_test", "channel_remove", "delivery_retry",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_form_filled_in_well_is_taken(market: Market, name: str) -> None:
    good = good_service_forms(market)[name]
    fields = dict(good.fields)
    if "file" in fields:
        fields["file"] = SimpleUploadedFile("log.txt", fields["file"].encode())

    reply = market.client(getattr(market, good.party)).post(good.address, keyed(**fields))

    assert reply.status_code == 302, reply.content.decode()[:2000]


def test_a_case_is_read_and_written_by_both_sides(market: Market) -> None:
    market.fund()
    about = case(market, market.lease(market.listing()).public_id)
    address = reverse("case", args=[about])
    market.client(market.provider).post(address, keyed(text="Which rack?", asks_back="on"))

    for who in (market.tenant, market.provider, market.operator):
        text = market.client(who).get(address).content.decode()
        assert "20 GB/s" in text
        assert "Which rack?" in text
    assert market.client(market.stranger).get(address).status_code == 404
    assert Case.objects.get().state == "waiting"


def test_a_file_comes_as_a_download_only(market: Market) -> None:
    market.fund()
    about = case(market, market.lease(market.listing()).public_id)
    client = market.client(market.tenant)
    evil = SimpleUploadedFile('x".html', b"<script>alert(1)</script>", "text/html")
    client.post(reverse("case_attach", args=[about]), keyed(file=evil))
    found = CaseAttachment.objects.get()
    address = reverse("case_attachment", args=[about, found.public_id])

    reply = client.get(address)

    assert reply.content == b"<script>alert(1)</script>"
    assert reply["Content-Type"] == "text/plain"
    assert reply["Content-Disposition"].startswith("attachment")
    assert reply["X-Content-Type-Options"] == "nosniff"
    assert market.client(market.stranger).get(address).status_code == 404


def test_an_incident_tells_each_side_what_it_may_know(market: Market) -> None:
    row = incident(market)
    node = market.pool.nodes.order_by("pk")[0]
    address = reverse("incident", args=[row.public_id])

    told = market.client(market.provider).get(address).content.decode()

    assert node.serial in told
    assert market.client(market.operator).get(address).status_code == 200
    assert market.client(market.tenant).get(address).status_code == 404
    reply = market.client(market.stranger).post(address, keyed(text="x"))
    assert reply.status_code == 404
    assert IncidentEntry.objects.filter(kind="note").count() == 0


def test_the_log_of_a_channel_is_its_organisations(market: Market) -> None:
    told = channel(market)
    client = market.client(market.provider)
    client.post(reverse("channel_test", args=[told]), keyed())

    text = client.get(reverse("channel", args=[told])).content.decode()

    assert Delivery.objects.get().title in text
    for other in (market.tenant, market.operator):
        assert market.client(other).get(reverse("channel", args=[told])).status_code == 404
    client.post(reverse("channel_remove", args=[told]), keyed())
    assert Channel.objects.get().state == "removed"


def test_terms_with_a_service_level_are_set_and_shown(market: Market) -> None:
    listing = market.listing()
    fields = {
        "minimum_hours": "2", "minimum_units": "1", "cancellation": "free", "hour_step": "1",
        "unit_step": "1", "leaving": "", "withdrawal": "", "version": "1",
        "sla_availability": "99.9", "sla_replacement_hours": "4",
        "sla_credits": "99.9: 10, 99%: 25", "sla_cap": "50", "sla_notice_hours": "72",
    }  # fmt: skip
    client = market.client(market.provider)

    reply = client.post(reverse("listing_terms", args=[listing.public_id]), keyed(**fields))

    assert reply.status_code == 302, reply.content.decode()
    terms = listing.terms.latest("version")
    assert (terms.sla_availability_bps, terms.sla_cap_bps) == (9_990, 5_000)
    assert terms.sla_credits == [[9_990, 1_000], [9_900, 2_500]]
    text = client.get(reverse("listing", args=[listing.public_id])).content.decode()
    assert "99.9%" in text


def test_a_lease_shows_its_months_and_why_it_ended(market: Market) -> None:
    books.top_up(world.tenant(), 10**8, "SLA-1")
    row = books.activate(books.lease(scene.listing(terms=TERMS), start=10, end=110))
    gaps = {world.T0 + number * HOUR: 8 * 3600 for number in (20, 21)}
    books.meter(row, until=world.T0 + 110 * HOUR, gaps=gaps)
    rating.rate_due(at=world.T0 + 111 * HOUR, limit=100_000)
    sla_credits.credit_due(at=datetime(2026, 7, 1, tzinfo=UTC), limit=10)
    books.end(row)

    text = market.client(market.tenant).get(reverse("lease", args=[row.public_id]))

    assert "98%" in text.content.decode()
    assert row.allocation.public_id in text.content.decode()


@pytest.mark.parametrize("name", ["incidents", "cases", "channels"])
def test_lists_cost_few_statements_however_long(market: Market, name: str) -> None:
    market.fund()
    listing = market.listing(units=4)
    lease = market.lease(listing).public_id
    incident(market)
    spent = []
    for number in range(2):
        case(market, lease)
        channel(market, f"NOC {number}")
        client = market.client(market.provider)
        client.get(reverse(name))
        with CaptureQueriesContext(connection) as statements:
            assert client.get(reverse(name)).status_code == 200
        spent.append(len(statements))

    assert spent[0] == spent[1] <= 12
