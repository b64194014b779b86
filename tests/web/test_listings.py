"""Selling from the console: a gap is clicked, looked at, published, repriced."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from inventory import capacity
from inventory.models import JournalEntry
from inventory.periods import Period, ceil_hour
from marketplace.asking import TermsInput
from marketplace.models import Listing, PriceVersion
from tests import world
from tests.web.conftest import Market, keyed
from tests.web.test_changes import SHANGHAI, listing_fields


def review(market: Market, **changes: Any) -> Any:
    fields = keyed(step="review", **listing_fields(market, **changes))
    return market.client(market.provider).post(reverse("listing_create"), fields)


def floor(market: Market) -> None:
    costs = {"power": "3", "depreciation": "3", "network": "1", "operations": "0"}
    address = reverse("floor", args=[market.pool.public_id])
    assert market.client(market.provider).post(address, keyed(**costs)).status_code == 302


def test_the_review_shows_what_would_be_served_and_changes_nothing(market: Market) -> None:
    before = JournalEntry.objects.count()

    reply = review(market)

    text = reply.content.decode()
    assert reply.status_code == 200
    assert "First start served" in text
    assert 'value="publish"' in text
    assert "¥6.80 per card-hour" in text
    assert Listing.objects.count() == 0
    assert market.pool.blocks.count() == 0
    assert JournalEntry.objects.count() == before


def test_a_price_below_the_floor_cannot_be_published_from_the_review(market: Market) -> None:
    floor(market)

    reply = review(market)

    text = reply.content.decode()
    assert reply.status_code == 422
    assert "This cannot be published as it is." in text
    assert "power ¥3.00, depreciation ¥3.00, network ¥1.00, operations ¥0.00" in text
    assert 'value="publish"' not in text
    assert 'value="edit"' in text


def test_more_units_than_there_are_cannot_be_published_from_the_review(market: Market) -> None:
    reply = review(market, unit_count="5")

    text = reply.content.decode()
    assert reply.status_code == 422
    assert "Only 4 units are free over the whole period" in text
    assert 'value="publish"' not in text


def test_the_live_figures_say_so_too(market: Market) -> None:
    floor(market)
    client = market.client(market.provider)

    text = client.post(
        reverse("listing_preview"), listing_fields(market, unit_count="5")
    ).content.decode()

    assert "Below the floor: this cannot be published." in text
    assert "Only 4 units are free over the whole period: this cannot be published." in text


@pytest.mark.parametrize(("percent", "status"), [("9", 422), ("10", 302), ("", 302)])
def test_a_deposit_is_never_too_small(market: Market, percent: str, status: int) -> None:
    fields = listing_fields(market, schedule="deposit_hourly", deposit_percent=percent)

    reply = market.client(market.provider).post(
        reverse("listing_create"), keyed(step="publish", **fields)
    )

    assert reply.status_code == status
    if status == 422:
        assert "At least 10% with this payment." in reply.content.decode()


@pytest.mark.parametrize("amount", ["34，000.00", "３４，０００", "¥34,000"])
def test_a_price_is_read_as_people_write_it(market: Market, amount: str) -> None:
    fields = listing_fields(market, basis="node_month", amount=amount)

    market.client(market.provider).post(reverse("listing_create"), keyed(step="publish", **fields))

    assert PriceVersion.objects.get().amount_micro == 34_000_000_000
    page = market.client(market.provider).get(reverse("listings")).content.decode()
    assert "¥34,000.00 per node and month" in page


def clicked(market: Market, day: datetime) -> dict[str, Any]:
    reply = market.client(market.provider).get(
        reverse("listing_create"),
        {"pool": market.pool.public_id, "from": day.astimezone(SHANGHAI).strftime("%Y-%m-%d")},
    )
    return dict(reply.context["form"].initial)


def midnight(market: Market, days: int) -> datetime:
    local = market.at.astimezone(SHANGHAI) + timedelta(days=days)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def take(market: Market, start: datetime, end: datetime, units: int) -> None:
    capacity.claim_external(
        pool_id=market.pool.pk,
        kind="own_use",
        unit_count=units,
        period=Period(start, end),
        note="own",
        at=market.at,
        actor=world.SYSTEM,
    )


def test_a_click_fills_in_the_gap_until_it_ends(market: Market) -> None:
    day = midnight(market, 3)
    take(market, day + timedelta(days=5), day + timedelta(days=9), 2)

    filled = clicked(market, day)

    assert filled["unit_count"] == 4
    assert filled["start"] == day
    assert filled["end"] == day + timedelta(days=5)
    assert filled["pool"] == market.pool.public_id


def test_a_gap_that_begins_at_noon_begins_at_noon(market: Market) -> None:
    day = midnight(market, 3)
    noon = day + timedelta(hours=12)
    take(market, day - timedelta(days=1), noon, 4)
    take(market, noon + timedelta(hours=10), noon + timedelta(days=3), 4)

    filled = clicked(market, day)

    assert (filled["start"], filled["end"]) == (noon, noon + timedelta(hours=10))
    assert (filled["unit_count"], filled["minimum_hours"]) == (4, 10)


def test_a_click_on_today_begins_with_the_next_hour(market: Market) -> None:
    filled = clicked(market, midnight(market, 0))

    assert filled["start"] == ceil_hour(market.at)
    assert filled["end"] == ceil_hour(market.at) + timedelta(days=28)


def test_what_was_filled_in_can_be_published(market: Market) -> None:
    day = midnight(market, 3)
    take(market, day + timedelta(days=5), day + timedelta(days=9), 2)
    filled = clicked(market, day)
    form = "%Y-%m-%dT%H:%M"

    reply = market.client(market.provider).post(
        reverse("listing_create"),
        keyed(
            step="publish",
            **listing_fields(
                market,
                unit_count=str(filled["unit_count"]),
                start=filled["start"].astimezone(SHANGHAI).strftime(form),
                end=filled["end"].astimezone(SHANGHAI).strftime(form),
            ),
        ),
    )

    assert reply.status_code == 302
    assert Listing.objects.get().block.unit_count == 4


@pytest.mark.parametrize("day", ["", "2026-02-30", "0001-01-01", "9999-01-01", "\x00", "x"])
def test_a_strange_day_fills_in_what_is_free_now(market: Market, day: str) -> None:
    reply = market.client(market.provider).get(
        reverse("listing_create"), {"pool": market.pool.public_id, "from": day}
    )

    assert reply.status_code == 200
    assert reply.context["form"].initial["unit_count"] == 4


def price_form(market: Market, listing: Listing) -> dict[str, Any]:
    """The fields of the new price, as the page of the listing shows them now."""
    page = market.client(market.provider).get(reverse("listing", args=[listing.public_id]))
    form = page.context["form"]
    return {name: form[name].value() for name in form.fields}


def test_two_tabs_do_not_overwrite_each_other(market: Market) -> None:
    listing = market.listing()
    address = reverse("listing", args=[listing.public_id])
    client = market.client(market.provider)
    first, second = price_form(market, listing), price_form(market, listing)
    assert first["amount"] == "6.80"
    assert client.post(address, keyed(**{**first, "amount": "7.20"})).status_code == 302

    refused = client.post(address, keyed(**{**second, "amount": "5"}))

    assert refused.status_code == 422
    text = refused.content.decode()
    assert "it is ¥7.20 per card-hour now (version 2)" in text
    assert listing.prices.count() == 2
    again = refused.context["form"]["version"].value()
    assert (
        client.post(address, keyed(**{**second, "amount": "5", "version": again})).status_code
        == 302
    )
    assert listing.prices.latest("version").amount_micro == 5_000_000


@pytest.mark.parametrize("version", ["", "0", "x", "99", "1.0", "٣"])
def test_a_price_set_against_nothing_is_asked_again(market: Market, version: str) -> None:
    listing = market.listing()
    fields = {**price_form(market, listing), "version": version}

    reply = market.client(market.provider).post(
        reverse("listing", args=[listing.public_id]), keyed(**fields)
    )

    assert reply.status_code == 422
    assert "The price was changed meanwhile" in reply.content.decode()
    assert listing.prices.count() == 1


def test_new_terms_keep_what_the_form_does_not_name(market: Market) -> None:
    own = TermsInput(start_grid_seconds=86_400, leaving=((48, 6_000),), withdrawal=())
    listing = market.listing(terms=own)
    client = market.client(market.provider)
    page = reverse("listing_terms", args=[listing.public_id])
    form = client.get(page).context["form"]
    shown = {name: form[name].value() for name in form.fields if form[name].value() is not None}

    client.post(page, keyed(**{**shown, "minimum_hours": 3, "trial_convertible": ""}))

    newest = listing.terms.latest("version")
    assert newest.minimum_hours == 3
    assert newest.start_grid_seconds == 86_400
    assert (newest.leaving, newest.withdrawal) == ([[48, 6_000]], [])


def test_schedules_of_leaving_and_withdrawal_are_written_as_pairs(market: Market) -> None:
    listing = market.listing()
    client = market.client(market.provider)
    page = reverse("listing_terms", args=[listing.public_id])
    form = client.get(page).context["form"]
    shown = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    shown |= {"trial_convertible": "", "withdrawal": "240：5%，120：12.5"}

    wrong = client.post(page, keyed(**{**shown, "leaving": "soon"}))
    done = client.post(page, keyed(**{**shown, "leaving": "240: 80, 0: 20"}))

    newest = listing.terms.latest("version")
    assert wrong.status_code == 422
    assert "Write pairs such as" in wrong.content.decode()
    assert done.status_code == 302
    assert newest.leaving == [[240, 8_000], [0, 2_000]]
    assert newest.withdrawal == [[240, 500], [120, 1_250]]
    text = client.get(reverse("listing", args=[listing.public_id])).content.decode()
    assert "from 240 h ahead 80% · else 20%" in text
