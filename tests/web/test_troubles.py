"""Deliveries that went wrong are seen by their provider, who can do something about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from inventory.models import Allocation, Instance, JournalEntry
from marketplace.models import Lease
from tests.web.conftest import Market, keyed


@pytest.fixture
def stuck(market: Market) -> Lease:
    market.fund()
    return market.running(stuck=True)


def machine(lease: Lease) -> Instance:
    return lease.allocation.instances.get(state=Instance.State.RELEASE_FAILED)


def post(market: Market, row: Instance, verb: str, **fields: Any) -> Any:
    address = reverse("remedy", args=[row.public_id, verb])
    return market.client(market.provider).post(address, keyed(**fields), follow=True)


def test_it_is_shown_on_the_pages_of_pool_node_and_lease(market: Market, stuck: Lease) -> None:
    client, row = market.client(market.provider), machine(stuck)
    node = row.binding.node
    for address in (
        reverse("pool", args=[market.pool.public_id]),
        reverse("node", args=[market.pool.public_id, node.public_id]),
        reverse("lease", args=[stuck.public_id]),
    ):
        page = client.get(address).content.decode()

        assert node.serial in page, address
        assert "release fails on command" in page, address
        assert reverse("remedy", args=[row.public_id, "retry"]) in page, address
        assert reverse("remedy", args=[row.public_id, "clean"]) in page, address


def test_a_viewer_and_the_tenant_see_no_button(market: Market, stuck: Lease) -> None:
    address = reverse("lease", args=[stuck.public_id])
    remedy = reverse("remedy", args=[machine(stuck).public_id, "retry"])

    for client in (market.client(market.provider, "viewer"), market.client(market.tenant)):
        page = client.get(address)
        assert page.status_code == 200
        assert remedy not in page.content.decode()
        assert client.post(remedy, keyed(reason="r")).status_code in (403, 404)
    assert machine(stuck)


def test_the_release_is_tried_again(market: Market, stuck: Lease) -> None:
    row = machine(stuck)

    done = post(market, row, "retry", reason="BMC restarted")

    row.refresh_from_db()
    assert row.state == Instance.State.RELEASING
    assert "The release is tried again." in done.content.decode()
    entry = JournalEntry.objects.get(object_id=row.public_id, reason="BMC restarted")
    assert entry.to_state == "releasing"


def test_a_person_wiped_it_and_brings_the_node_back(market: Market, stuck: Lease) -> None:
    row = machine(stuck)
    node = row.binding.node
    outage = node.outages.get(state="open")
    close = reverse("outage_close", args=[market.pool.public_id, outage.public_id])
    client = market.client(market.provider)
    early = client.post(close, keyed(), follow=True)
    assert "A machine on this node is not wiped." in early.content.decode()

    done = post(market, row, "clean", reason="disks shredded")
    assert "Noted as wiped by hand." in done.content.decode()
    client.post(close, keyed())

    row.refresh_from_db()
    node.refresh_from_db()
    assert (row.state, node.state) == ("released", "serviceable")


def test_a_reason_is_needed(market: Market, stuck: Lease) -> None:
    row = machine(stuck)

    reply = post(market, row, "clean", reason=" ")

    assert reply.status_code == 422
    assert "This field is required." in reply.content.decode()
    row.refresh_from_db()
    assert row.state == Instance.State.RELEASE_FAILED


def test_what_is_well_needs_no_remedy(market: Market) -> None:
    market.fund()
    row = market.running().allocation.instances.get()

    reply = post(market, row, "clean", reason="r")

    assert reply.status_code == 422
    assert "state is “active” now" in reply.content.decode()
    assert post(market, row, "explode", reason="r").status_code == 404


def test_a_machine_is_replaced(market: Market) -> None:
    market.fund()
    lease = market.running()
    row = lease.allocation.instances.get()
    page = market.client(market.provider).get(reverse("lease", args=[lease.public_id]))
    assert reverse("remedy", args=[row.public_id, "replace"]) in page.content.decode()

    post(market, row, "replace", reason="ECC errors")

    row.refresh_from_db()
    assert (row.state, row.binding.node.state) == ("releasing", "broken")


def test_anothers_machine_is_not_found(market: Market, stuck: Lease) -> None:
    row = machine(stuck)
    address = reverse("remedy", args=[row.public_id, "clean"])
    stranger = market.client(market.stranger)

    assert stranger.get(address).status_code == 404
    assert stranger.post(address, keyed(reason="r")).status_code == 404
    row.refresh_from_db()
    assert row.state == Instance.State.RELEASE_FAILED


@pytest.mark.parametrize(("hours", "is_late"), [(30, False), (32, True)])
def test_a_delivery_is_shown_once_it_is_late(market: Market, hours: int, is_late: bool) -> None:
    market.fund()
    now = market.at
    market.at = now - timedelta(hours=hours)  # its lease starts within 31 hours of this
    lease = market.lease(market.listing())
    market.at = now

    page = market.client(market.provider).get(reverse("pool", args=[market.pool.public_id]))

    assert [row.lease for row in page.context["late"]] == ([lease] if is_late else [])
    assert ("waits for free nodes" in page.content.decode()) is is_late


def test_a_delivery_given_up_says_why(market: Market) -> None:
    market.fund()
    lease = market.lease(market.listing())
    Allocation.objects.filter(pk=lease.allocation_id).update(
        failure_code="no_node_available", failed_at=market.at
    )

    for address in (
        reverse("pool", args=[market.pool.public_id]),
        reverse("lease", args=[lease.public_id]),
    ):
        page = market.client(market.provider).get(address).content.decode()
        assert "Could not be delivered: too few nodes were free, healthy and clean" in page
