"""A centre's feeds on their pages: the key once, the configuration with it, series bound."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from inventory import telemetry
from inventory.models import SeriesBinding, TelemetryKey, TelemetrySource, UnknownSeries
from tests import world
from tests.web.conftest import Market, keyed

KEY = re.compile(r"ct_live_\w{8}_\w{49}")


@pytest.fixture
def source(market: Market) -> TelemetrySource:
    return telemetry.open_source(
        centre_id=market.pool.fabric.centre_id,
        name="prometheus",
        at=market.at,
        actor=world.actor(market.provider),
    )[0]


def test_a_feed_is_opened_and_its_key_is_shown_once(market: Market) -> None:
    client = market.client(market.provider)
    address = reverse("telemetry", args=[market.pool.fabric.centre.public_id])
    form = keyed(name="prometheus", replica_label="prometheus_replica")

    reply = client.post(address, form)

    page = reply.content.decode()
    (key,) = set(KEY.findall(page))
    assert telemetry.authenticate(text=key, at=market.at).name == "prometheus"
    assert "remote_write:" in page
    assert "http://testserver/api/v1/telemetry/write" in page
    assert "no-store" in reply["Cache-Control"]
    again = client.get(client.post(address, form)["Location"])
    assert not KEY.findall(again.content.decode())
    assert TelemetrySource.objects.count() == 1


@pytest.mark.parametrize(("old", "live"), [("rotate", 2), ("revoke", 1)])
def test_another_key(market: Market, source: TelemetrySource, old: str, live: int) -> None:
    client = market.client(market.provider)

    reply = client.post(reverse("telemetry_key", args=[source.public_id]), keyed(old=old))

    assert len(set(KEY.findall(reply.content.decode()))) == 1
    assert TelemetryKey.objects.filter(source=source, revoked_at=None).count() == live


def test_an_unknown_series_is_bound_from_its_row(market: Market, source: TelemetrySource) -> None:
    node = market.pool.nodes.order_by("pk")[0]
    UnknownSeries.objects.create(
        source=source, identity="hostname", value=f"{node.hostname.upper()}.dc.local", card="3",
        sample_count=1234, first_seen_at=market.at, last_seen_at=market.at,
    )  # fmt: skip
    client = market.client(market.provider)
    address = reverse("telemetry_source", args=[source.public_id])

    page = client.get(address).content.decode()
    assert "1,234" in page
    assert node.serial in page
    reply = client.post(
        address,
        keyed(
            identity="hostname",
            value=f"{node.hostname.upper()}.dc.local",
            node=node.serial,
            card_index="",
        ),
    )

    assert reply.status_code == 302
    assert SeriesBinding.objects.get().node == node
    assert not UnknownSeries.objects.exists()


def test_a_stranger_finds_no_feed(market: Market, source: TelemetrySource) -> None:
    client = market.client(market.stranger)

    for name in ("telemetry_source", "telemetry_key", "telemetry_close"):
        assert client.get(reverse(name, args=[source.public_id])).status_code == 404
    address = reverse("telemetry", args=[market.pool.fabric.centre.public_id])
    assert client.get(address).status_code == 404


def test_a_viewer_reads_and_changes_nothing(market: Market, source: TelemetrySource) -> None:
    client = market.client(market.provider, "viewer")
    address = reverse("telemetry_source", args=[source.public_id])

    assert client.get(address).status_code == 200
    assert client.post(address, keyed(identity="hostname")).status_code == 403


def test_the_pages_say_how_far_each_exporter_was_tried(market: Market) -> None:
    address = reverse("telemetry", args=[market.pool.fabric.centre.public_id])
    page = market.client(market.provider).get(address).content.decode()

    assert "npu-exporter" in page
    assert "the exporter&#x27;s own test page only" in page


def test_a_lease_without_telemetry_is_not_measured(market: Market) -> None:
    market.fund()
    lease = market.lease(market.listing())

    page = market.client(market.tenant).get(reverse("lease", args=[lease.public_id]))

    assert "Not measured: the centre reports no telemetry" in page.content.decode()
