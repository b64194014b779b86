"""What is sold directly: the tenant reads how to pay, the centre says that it was paid."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from billing.models import DirectReceipt
from marketplace.models import Lease, Reservation
from tests.web.conftest import Market, keyed
from tests.web.test_leases import plain


@pytest.fixture
def held(market: Market) -> Reservation:
    market.fund()
    return market.reservation(market.listing(selling="direct"))


def confirm(market: Market, row: Reservation, **changes: str) -> Any:
    address = reverse("direct_received", args=[row.public_id])
    fields = {"reference": "D-1", "received_date": market.at.date().isoformat()}
    return market.client(market.provider).post(address, keyed(**{**fields, **changes}))


def test_the_centre_confirms_and_the_deal_is_a_lease(market: Market, held: Reservation) -> None:
    page = market.client(market.provider).get(reverse("direct"))
    assert list(page.context["waiting"]) == [held]
    shown = market.client(market.provider).get(reverse("direct_received", args=[held.public_id]))
    assert "this cannot be taken back" in plain(shown)

    done = confirm(market, held)

    lease = Lease.objects.get()
    assert done["Location"] == reverse("lease", args=[lease.public_id])
    page = market.client(market.provider).get(reverse("direct"))
    assert page.context["waiting"] == []
    assert reverse("lease", args=[lease.public_id]) in page.content.decode()
    assert confirm(market, held).status_code == 404


def test_a_payment_confirms_one_deal(market: Market, held: Reservation) -> None:
    second = market.reservation(held.listing)
    confirm(market, held)

    used = confirm(market, second)
    tomorrow = (market.at + timedelta(days=2)).date().isoformat()
    early = confirm(market, second, reference="D-2", received_date=tomorrow)

    assert (used.status_code, "has confirmed another deal" in plain(used)) == (422, True)
    assert (early.status_code, "in the future" in plain(early)) == (422, True)
    assert DirectReceipt.objects.count() == 1


def test_nobody_else_confirms_it(market: Market, held: Reservation) -> None:
    address = reverse("direct_received", args=[held.public_id])

    for other in (market.tenant, market.stranger, market.operator):
        assert market.client(other).get(address).status_code == 404
    viewer = market.client(market.provider, "viewer")
    assert viewer.get(address).status_code == 403
    assert "I have the money" not in plain(viewer.get(reverse("direct")))


def test_the_tenant_reads_that_the_centre_is_paid(market: Market, held: Reservation) -> None:
    client = market.client(market.tenant)

    rented = client.get(reverse("rented")).content.decode()
    page = client.get(reverse("reservation_transfer", args=[held.public_id]))

    assert reverse("reservation_confirm", args=[held.public_id]) not in rented
    assert reverse("reservation_transfer", args=[held.public_id]) in rented
    assert "sells this directly" in plain(page)
    assert "Where to" not in plain(page)
