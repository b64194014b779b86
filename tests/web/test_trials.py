"""A trial in the console: found, held, and gone on with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from billing import checkout, trials
from inventory.periods import ceil_hour
from marketplace import leases
from marketplace.asking import TermsInput
from marketplace.models import Lease, Listing, Reservation
from tests import world
from tests.billing import books
from tests.delivery import scene as delivery
from tests.web.conftest import Market, keyed

TERMS = TermsInput(
    minimum_hours=1, trial_units=1, trial_hours=6, trial_amount_micro=1_000_000,
    trial_convertible=True,
)  # fmt: skip


@pytest.fixture
def listing(market: Market) -> Listing:
    market.fund()
    return market.listing(terms=TERMS)


def search(market: Market) -> str:
    start = ceil_hour(market.at) + timedelta(hours=30)
    asked: dict[str, str | int] = {
        "cards": 8,
        "hours": 2,
        "earliest_start": start.strftime("%Y-%m-%dT%H:%M"),
        "latest_end": (start + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M"),
    }
    return market.client(market.tenant).get(reverse("search"), asked).content.decode()


def running(market: Market) -> Lease:
    """A trial that was delivered an hour ago."""
    now, market.at = market.at, market.at - timedelta(hours=8)
    row = market.listing(terms=TERMS)
    start = row.block.sellable.lower + timedelta(hours=2)
    held = trials.hold(
        listing_public_id=row.public_id,
        start_at=start,
        project_id=None,
        at=market.at,
        actor=world.actor(market.tenant),
    )
    lease = checkout.confirm(
        reservation_public_id=held.public_id, at=market.at, actor=world.actor(market.tenant)
    )
    delivery.run(start, start + timedelta(minutes=5))
    market.at = now
    return leases.follow(lease_id=lease.pk, at=now)


def test_an_offer_says_that_it_may_be_tried(market: Market, listing: Listing) -> None:
    page = reverse("trial", args=[listing.public_id])

    before = search(market)
    reply = market.client(market.tenant).post(page, keyed(units=1, hours=6, start=""))
    after = search(market)

    held = Reservation.objects.get()
    assert page in before
    assert (reply.status_code, reply["Location"]) == (302, reverse("rented"))
    assert (held.kind, held.unit_count, held.state) == ("trial", 1, "held")
    assert page not in after
    again = market.client(market.tenant).get(page).content.decode()
    assert "has tried this pool" in again


def test_a_larger_trial_is_refused_in_words(market: Market, listing: Listing) -> None:
    page = reverse("trial", args=[listing.public_id])

    reply = market.client(market.tenant).post(page, keyed(units=2, hours=6, start=""))

    assert reply.status_code == 422
    assert "1 unit for 6 hours at most" in reply.content.decode()
    assert not Reservation.objects.exists()


def test_a_listing_without_trials_has_no_such_page(market: Market) -> None:
    plain = market.listing()

    reply = market.client(market.tenant).get(reverse("trial", args=[plain.public_id]))

    assert reply.status_code == 404


def test_a_running_trial_goes_on_after_its_price_was_seen(market: Market) -> None:
    market.fund()
    trial = running(market)
    page = reverse("lease_convert", args=[trial.public_id])
    client = market.client(market.tenant)

    link = page in client.get(reverse("lease", args=[trial.public_id])).content.decode()
    figures = client.post(page, keyed(hours=24, start=""))
    made_too_soon = Lease.objects.exclude(pk=trial.pk).exists()
    seen = figures.context["seen"]
    done = client.post(page, keyed(hours=24, start="", seen=seen))

    lease = Lease.objects.exclude(pk=trial.pk).get()
    assert link
    assert figures.status_code == 200
    assert "¥1,305.60" in figures.content.decode()
    assert not made_too_soon
    assert done["Location"] == reverse("lease", args=[lease.public_id])
    assert (lease.parent, lease.gross_minor) == (trial, 130_560)
    assert "Follows the trial" in client.get(done["Location"]).content.decode()
    assert client.get(page).status_code == 404
    assert not books.differences()


def test_other_figures_than_were_seen_are_shown_first(market: Market) -> None:
    market.fund()
    trial = running(market)
    page = reverse("lease_convert", args=[trial.public_id])
    client = market.client(market.tenant)
    seen = client.post(page, keyed(hours=24, start="")).context["seen"]

    reply = client.post(page, keyed(hours=48, start="", seen=seen))

    assert reply.status_code == 422
    assert "look at them again" in reply.content.decode()
    assert not Lease.objects.exclude(pk=trial.pk).exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_else_goes_on_with_it(market: Market, method: str) -> None:
    market.fund()
    trial = running(market)
    page = reverse("lease_convert", args=[trial.public_id])
    data: dict[str, Any] = keyed(hours=24, start="") if method == "post" else {}

    reply = getattr(market.client(world.stranger()), method)(page, data)

    assert reply.status_code == 404
