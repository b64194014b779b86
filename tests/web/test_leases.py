"""A lease and its giving back, as its tenant, its provider and the operator read them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing import checkout, ledger
from billing.web import cancelling
from inventory import credentials
from inventory.drivers.base import Access
from inventory.models import JournalEntry
from marketplace.models import Lease, Reservation
from tests import database, world
from tests.billing import books
from tests.marketplace import scene
from tests.web.conftest import Market, keyed
from tests.world import T0, hours


@pytest.fixture
def lived(market: Market) -> Lease:
    """Ten hours of eight cards, one hour of them half delivered, charged and closed."""
    books.top_up(market.tenant, 100_000)
    return books.live(books.lease(scene.listing()), gaps={T0 + hours(12): 4 * 3600})


def page(client: Client, lease: Lease) -> Any:
    reply = client.get(reverse("lease", args=[lease.public_id]))
    assert reply.status_code == 200
    return reply


def move(lease: Lease, state: str) -> None:
    """To a state by a way that the database allows."""
    route = ["delivering", "failed"] if state == "failed" else ["delivering", "active", "ending"]
    for step in route[: route.index(state) + 1] if state in route else []:
        why = (
            f", end_reason = 'completed', end_evidence = '{lease.allocation.public_id}'"
            if step in ("ending", "failed")
            else ""
        )
        database.as_owner(
            f"UPDATE marketplace_lease SET state = '{step}'{why} WHERE id = {lease.pk}"
        )


def plain(reply: Any) -> str:
    """The page's text, without markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", reply.content.decode()).split())


def test_its_charges_add_up_and_what_was_not_delivered_came_back(
    market: Market, lived: Lease
) -> None:
    reply = page(market.client(market.tenant), lived)

    bill = reply.context["bill"]
    assert bill.gross_minor == sum(charge.gross_minor for charge in lived.charges.all())
    assert (bill.gross_minor, bill.returned_minor) == (680 * 76, 680 * 4)
    assert (bill.deposit_left_minor, bill.owed_minor, bill.kept.gross_minor) == (0, 0, 0)
    assert sum(day.gross_minor for day in bill.days) == bill.gross_minor
    text = plain(reply)
    assert "¥516.80 was charged in all" in text
    assert "¥27.20 of what was paid went back to the wallet" in text


def test_fee_and_net_are_the_providers_to_see(market: Market, lived: Lease) -> None:
    fee = sum(charge.fee_minor for charge in lived.charges.all())
    shown = f"¥{fee / 100:.2f}"

    assert shown in plain(page(market.client(market.provider), lived))
    assert shown in plain(page(market.client(market.operator), lived))
    assert shown not in plain(page(market.client(market.tenant), lived))
    assert market.tenant.name not in plain(page(market.client(market.provider), lived))


def test_every_charge_is_in_the_file(market: Market, lived: Lease) -> None:
    address = reverse("lease_charges_csv", args=[lived.public_id])

    lines = market.client(market.tenant).get(address).getvalue().decode().splitlines()

    assert len(lines) == 1 + lived.charges.count() == 11
    assert lines[0].endswith("Gross,VAT,Fee,Net")
    assert ",28800,CNY,54.40," in lines[1]
    assert market.client(market.stranger).get(address).status_code == 404


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("scheduled", "then its nodes are chosen and made ready"),
        ("delivering", "Only delivered time is charged"),
        ("active", "Copy what you need before"),
        ("ending", "the last hours counted and charged"),
        ("failed", "It could not be delivered"),
    ],
)
def test_each_state_says_what_happens_next(market: Market, state: str, says: str) -> None:
    market.fund()
    lease = market.lease(market.listing())
    move(lease, state)

    assert says in plain(page(market.client(market.tenant), lease))


def test_the_way_in_is_shown_box_by_box(market: Market) -> None:
    market.fund()
    lease = market.lease(market.listing())
    move(lease, "active")
    credentials.issue(
        allocation_id=lease.allocation_id,
        kind="ssh",
        machines=[
            Access(
                "ssh", "n1", "10.0.0.1", 2222, "cardhour", "-----BEGIN-----\nabc", ("SHA256:x",)
            ),
            Access("ssh", "n2", "10.0.0.2", 22, "cardhour", ""),
        ],
        at=market.at,
    )
    client = market.client(market.tenant)
    assert "10.0.0.1" not in plain(page(client, lease))

    reply = client.post(reverse("lease_reveal", args=[lease.public_id]))

    boxes = re.findall(r'<pre class="secret"[^>]*>([^<]*)</pre>', reply.content.decode())
    assert boxes == [
        "ssh -i n1.key -p 2222 cardhour@10.0.0.1",
        "-----BEGIN-----\nabc",
        "ssh -p 22 cardhour@10.0.0.2",
    ]
    assert "SHA256:x" in plain(reply)
    assert "no-store" in reply["Cache-Control"]
    assert JournalEntry.objects.filter(event="credential.revealed").count() == 1
    for other in (market.provider, market.operator):
        refused = market.client(other).post(reverse("lease_reveal", args=[lease.public_id]))
        assert refused.status_code == 404


def test_before_delivery_there_is_no_way_in(market: Market) -> None:
    market.fund()
    lease = market.lease(market.listing())

    reply = market.client(market.tenant).post(
        reverse("lease_reveal", args=[lease.public_id]), follow=True
    )

    assert "There is no way in yet, or no more." in plain(reply)


def test_cancelling_says_what_comes_back_until_when(market: Market) -> None:
    """Thirty hours before the start, by steps of 168, 72 and 24 hours."""
    market.fund()
    lease = market.lease(market.listing())
    address = reverse("reservation_cancel", args=[lease.reservation.public_id])
    client = market.client(market.tenant)

    reply = client.get(address)

    steps = reply.context["steps"]
    start = lease.period.lower
    assert [step.until for step in steps] == [
        start - timedelta(hours=count) for count in (168, 72, 24, 0)
    ]
    assert [step.refund.share_bps for step in steps] == [10_000, 5_000, 2_000, 0]
    assert [(step.is_over, step.is_now) for step in steps] == [
        (True, False), (True, False), (False, True), (False, False)
    ]  # fmt: skip
    assert reply.context["quote"].refund_minor == steps[2].refund.refund_minor == 26_112
    text = plain(reply)
    assert "¥261.12 (20%)" in text
    assert "¥1,044.48" in text  # is kept

    refused = client.post(address, keyed(reason=""))
    assert refused.status_code == 422
    done = client.post(address, keyed(reason="wrong month"), follow=True)
    assert "Cancelled; ¥261.12 came back." in plain(done)
    assert "¥261.12 came back, ¥1,044.48 was kept by the terms" in plain(done)
    again = client.get(address)
    assert "¥261.12" not in plain(again)
    assert again.context["refusal"]


def test_the_dated_steps_refund_what_cancelling_then_would(market: Market) -> None:
    market.fund()
    lease = market.lease(market.listing())
    reservation = lease.reservation
    actor = world.actor(market.tenant)

    for step in cancelling.steps(lease, at=market.at):
        if step.is_over:
            continue
        moment = step.until - timedelta(seconds=1)
        quote = checkout.quote_cancel(
            reservation_public_id=reservation.public_id, at=moment, actor=actor
        )
        assert quote.refund_minor == step.refund.refund_minor
        assert [s.until for s in cancelling.steps(lease, at=moment) if s.is_now] == [step.until]


def test_a_hold_is_given_back_for_nothing_and_without_a_word(market: Market) -> None:
    market.fund()
    held = market.reservation(market.listing())
    address = reverse("reservation_cancel", args=[held.public_id])
    client = market.client(market.tenant)
    assert "Nothing has been paid" in plain(client.get(address))

    reply = client.post(address, keyed(reason=""), follow=True)

    assert "what was kept aside is free again" in plain(reply)
    assert ledger.balance(market.tenant).held_minor == 0
    held.refresh_from_db()
    assert held.state == "cancelled"
    for other in (market.provider, market.stranger):
        assert market.client(other).get(address).status_code == 404


def test_a_tenants_first_page_says_what_runs_what_comes_and_what_is_left(
    market: Market, lived: Lease, django_assert_max_num_queries: Any
) -> None:
    listing = market.listing()
    market.fund()
    market.lease(listing)
    client = market.client(market.tenant)
    client.get(reverse("rented"))

    with django_assert_max_num_queries(16):
        reply = client.get(reverse("rented"))

    text = plain(reply)
    left = ledger.balance(market.tenant).available_minor
    assert f"¥{left / 100:,.2f}" in text
    assert "Next start –" not in text
    running = Lease.objects.filter(state="active")
    assert reply.context["running"] == {
        "leases": running.count(),
        "cards": sum(row.unit_count * row.allocation.pool.unit_cards for row in running),
    }


def test_a_hold_that_lapsed_says_why_and_what_it_costs(market: Market) -> None:
    market.at -= timedelta(hours=2)
    market.fund()
    listing = market.listing()
    lapsed, given_back = market.reservation(listing), market.reservation(listing)
    checkout.cancel(
        reservation_public_id=given_back.public_id,
        at=market.at + timedelta(seconds=1),
        actor=world.actor(market.tenant),
        reason="found a cheaper one",
    )
    checkout.expire_due(at=lapsed.expires_at, limit=10)

    text = plain(market.client(market.tenant).get(reverse("rented")))

    assert Reservation.objects.filter(state="expired").count() == 1
    assert "not confirmed by" in text
    assert "found a cheaper one" in text
    assert "1 hold lapsed or was given back late" in text
    assert "keeps 2% of its price aside" in text


def test_a_page_of_a_long_lease_makes_as_many_statements(
    market: Market, lived: Lease, django_assert_max_num_queries: Any
) -> None:
    client = market.client(market.tenant)
    page(client, lived)

    with django_assert_max_num_queries(20):
        page(client, lived)


def test_the_total_is_that_of_the_days_above_it(market: Market, lived: Lease) -> None:
    bill = page(market.client(market.tenant), lived).context["bill"]

    assert bill.card_hours == sum(day.card_hours for day in bill.days) == 76
