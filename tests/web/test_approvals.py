"""Approving from the console, and what the tenant sees of it; terms, sizes, discounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from inventory import capacity
from marketplace import approvals, reservations
from marketplace.asking import TermsInput
from marketplace.models import ApprovalRule, Listing, Reservation
from tests import world
from tests.web.conftest import Market, keyed
from tests.web.test_changes import listing_fields

DISCOUNTS = (("hours", 24, 1_000),)


def waiting(market: Market) -> Reservation:
    market.fund()
    return market.reservation(market.listing(mode="approval", discounts=DISCOUNTS))


def text(reply: Any) -> str:
    return str(reply.content.decode())


def test_a_provider_sees_what_waits_and_approves_it_under_a_document(market: Market) -> None:
    held = waiting(market)
    client = market.client(market.provider, "operator")

    page = text(client.get(reverse("approvals")))
    reply = client.post(
        reverse("approve", args=[held.public_id]), keyed(document_number="HT-2026-17")
    )

    # 192 card-hours at 6.80 less a tenth
    assert "¥1,175.04" in page
    assert "Borealis" in page
    assert "Approved by 0 of 1 member" in page
    assert reply["Location"] == reverse("approvals")
    held.refresh_from_db()
    assert held.decision == "approved"
    assert held.approvals.get().document_number == "HT-2026-17"
    assert "Nothing waits for you." in text(client.get(reverse("approvals")))


def test_the_tenant_reads_the_state_and_confirms_only_after_approval(market: Market) -> None:
    held = waiting(market)
    tenant = market.client(market.tenant)
    confirm = reverse("reservation_confirm", args=[held.public_id])

    before = text(tenant.get(reverse("rented")))
    refused = tenant.post(confirm, keyed())
    market.client(market.provider).post(
        reverse("approve", args=[held.public_id]), keyed(document_number="A")
    )
    after = text(tenant.get(reverse("rented")))

    assert "The provider decides by" in before
    assert confirm not in before
    assert refused.status_code == 422
    assert "The provider has not approved this yet" in text(refused)
    assert confirm in after
    assert "10% off" in after
    assert tenant.post(confirm, keyed())["Location"].startswith("/leases/lse_")


def test_a_rejection_is_asked_once_more_and_the_tenant_reads_why(market: Market) -> None:
    held = waiting(market)
    client = market.client(market.provider)
    address = reverse("reservation_reject", args=[held.public_id])

    asked = text(client.get(address))
    silent = client.post(address, keyed(reason=""))
    client.post(address, keyed(reason="kept for our own"))

    assert "Borealis would pay ¥1,175.04." in asked
    assert silent.status_code == 422
    held.refresh_from_db()
    assert (held.state, held.decision) == ("cancelled", "rejected")
    page = text(market.client(market.tenant).get(reverse("rented")))
    assert "kept for our own" in page
    assert "lapsed or" not in page


def test_two_members_approve_above_a_threshold(market: Market) -> None:
    client, other = market.client(market.provider), market.client(market.provider, "operator")
    rule = client.post(reverse("approval_rule"), keyed(amount_1="1,000.00", members_1="2"))
    held = waiting(market)
    address = reverse("approve", args=[held.public_id])

    assert rule.status_code == 302
    assert ApprovalRule.objects.get().thresholds == [[100_000, 2]]
    client.post(address, keyed(document_number="A"))
    again = client.post(address, keyed(document_number="B"))
    assert again.status_code == 422
    assert "You have approved this already" in text(again)
    page = text(client.get(reverse("approvals")))
    assert "Approved by 1 of 2 members" in page
    assert "(A)" in page
    assert address not in page
    other.post(address, keyed(document_number="C"))
    held.refresh_from_db()
    assert held.decision == "approved"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"amount_1": "100"}, "An amount and its members go together."),
        ({"members_1": "2"}, "An amount and its members go together."),
        (
            {"amount_1": "100", "members_1": "2", "amount_2": "50", "members_2": "3"},
            "Thresholds go up",
        ),
        ({"amount_1": "100", "members_1": "9"}, "Only 1 members can decide"),
    ],
)
def test_a_rule_that_cannot_be_kept_says_why(market: Market, fields, says) -> None:
    reply = market.client(market.provider).post(reverse("approval_rule"), keyed(**fields))

    assert reply.status_code == 422
    assert says in text(reply)
    assert not ApprovalRule.objects.exists()


def test_a_member_without_the_right_sees_and_does_not_decide(market: Market) -> None:
    held = waiting(market)
    viewer = market.client(market.provider, "viewer")

    assert reverse("approve", args=[held.public_id]) not in text(viewer.get(reverse("approvals")))
    for name in ("approve", "reservation_reject"):
        reply = viewer.post(reverse(name, args=[held.public_id]), keyed(document_number="A"))
        assert reply.status_code == 403
    assert (
        market.client(market.provider, "operator").get(reverse("approval_rule")).status_code == 403
    )

    held.refresh_from_db()
    assert held.decision == ""


def test_what_the_provider_left_undecided_is_no_reproach_to_the_tenant(market: Market) -> None:
    held = waiting(market)
    assert held.decide_by is not None
    with capacity.replaying():  # the deadline lies ahead of the clock
        reservations.expire(reservation=reservations.lock(held.pk), at=held.decide_by)

    page = text(market.client(market.tenant).get(reverse("rented")))

    assert "not decided by" in page
    assert "lapsed or" not in page


def test_a_listing_is_published_with_steps_discounts_approval_and_trial(market: Market) -> None:
    fields = listing_fields(
        market,
        mode="approval",
        decide_hours="12",
        hours_off="72：2.5，168: 5%",
        cards_off="16 = 3",
        hour_step="12",
        maximum_hours="240",
        unit_step="1",
        maximum_units="2",
        trial_units="1",
        trial_hours="24",
        trial_amount="0",
        trial_convertible="on",
    )
    client = market.client(market.provider)

    review = text(client.post(reverse("listing_create"), keyed(step="review", **fields)))
    client.post(reverse("listing_create"), keyed(step="publish", **fields))

    listing = Listing.objects.get()
    terms, price = listing.terms.get(), listing.prices.get()
    assert listing.mode == "approval"
    assert price.discounts == [["hours", 72, 250], ["hours", 168, 500], ["cards", 16, 300]]
    assert (terms.decide_hours, terms.hour_step, terms.maximum_hours) == (12, 12, 240)
    assert (terms.unit_step, terms.maximum_units) == (1, 2)
    assert (terms.trial_units, terms.trial_hours, terms.trial_amount_micro) == (1, 24, 0)
    assert terms.trial_convertible
    assert "−2.5% from 72 h · −5% from 168 h · −3% from 16 cards" in review
    assert "after your approval" in review
    page = text(client.get(reverse("listing", args=[listing.public_id])))
    assert "−5% from 168 h" in page
    assert "1 units for 24 hours at ¥0.00" in page


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"hours_off": "72"}, "Write pairs such as"),
        ({"hours_off": "72: -5"}, "Write pairs such as"),
        ({"hours_off": "72: 5, 48: 6"}, "Each tier starts later"),
        ({"cards_off": "8: 95"}, "Each tier starts later"),
        ({"hours_off": "8: 50", "cards_off": "8: 45"}, "Discounts go up tier by tier"),
        ({"trial_units": "1"}, "A trial needs units and hours, or neither."),
        ({"trial_amount": "5"}, "Without units and hours there is no trial."),
        ({"maximum_hours": "0"}, "greater than or equal to 1"),
        ({"minimum_units": "2", "maximum_units": "1"}, "The largest lease is no smaller"),
        ({"amount": "1000000000000"}, "The total is larger than the books can hold"),
    ],
)
def test_a_listing_that_cannot_be_sold_says_why(market: Market, fields, says) -> None:
    reply = market.client(market.provider).post(
        reverse("listing_create"), keyed(step="publish", **listing_fields(market, **fields))
    )

    assert reply.status_code == 422
    assert says in text(reply)
    assert not Listing.objects.exists()


def test_pools_without_nodes_are_not_offered_to_sell_from(market: Market) -> None:
    empty = world.pool(nodes=0, owner=market.provider)

    page = text(market.client(market.provider).get(reverse("listing_create")))

    assert market.pool.public_id in page
    assert empty.public_id not in page


def terms_form(market: Market, listing: Listing) -> dict[str, Any]:
    page = market.client(market.provider).get(reverse("listing_terms", args=[listing.public_id]))
    form = page.context["form"]
    found = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in found.items() if value not in (None, False)}


def test_terms_change_and_a_second_tab_does_not_overwrite_them(market: Market) -> None:
    listing = market.listing(terms=TermsInput(cancellation=((100, 3_000),)))
    address = reverse("listing_terms", args=[listing.public_id])
    client = market.client(market.provider)
    first, second = terms_form(market, listing), terms_form(market, listing)
    assert first["cancellation"] == "own"

    assert client.post(address, keyed(**{**first, "hour_step": "24"})).status_code == 302
    refused = client.post(address, keyed(**{**second, "hour_step": "48"}))

    newest = listing.terms.latest("version")
    assert (newest.version, newest.hour_step, newest.cancellation) == (2, 24, [[100, 3_000]])
    assert refused.status_code == 422
    assert "The terms were changed meanwhile (version 2)" in text(refused)


def test_a_listing_grows_and_shrinks_down_to_what_is_sold(market: Market) -> None:
    market.fund()
    listing = market.listing()
    market.lease(listing)
    market.lease(listing)
    address = reverse("listing_size", args=[listing.public_id])
    client = market.client(market.provider)

    refused = client.post(address, keyed(unit_count="1"))
    grown = client.post(address, keyed(unit_count="4"))

    assert "2 units are held or leased at once; it cannot sell fewer." in text(refused)
    assert grown.status_code == 302
    listing.block.refresh_from_db()
    assert listing.block.unit_count == 4


def test_a_search_shows_what_comes_off_and_who_decides(market: Market) -> None:
    market.listing(mode="approval", discounts=DISCOUNTS, terms=TermsInput(decide_hours=8))
    start = market.at + timedelta(hours=30)
    asked = {
        "cards": "8",
        "hours": "24",
        "earliest_start": start.strftime("%Y-%m-%dT%H:00"),
        "latest_end": (start + timedelta(days=8)).strftime("%Y-%m-%dT%H:00"),
    }

    page = text(market.client(market.tenant).get(reverse("search"), asked))

    assert "listed ¥1,305.60, 10% off" in page
    assert "the provider decides within 8 hours" in page


def test_the_approver_s_name_is_the_provider_s_own(market: Market) -> None:
    held = waiting(market)
    client = market.client(market.provider)
    approvals.set_rule(
        provider_id=market.provider.pk,
        thresholds=(),
        at=market.at,
        actor=world.actor(market.provider),
    )
    client.post(reverse("approve", args=[held.public_id]), keyed(document_number="HT-2026-17"))

    page = text(market.client(market.tenant).get(reverse("rented")))

    assert "HT-2026-17" not in page
    approver = held.approvals.get().member
    assert approver is not None
    assert approver.email not in page


def test_the_pages_are_whole_in_chinese(market: Market) -> None:
    held = waiting(market)
    terms = TermsInput(hour_step=2, maximum_units=2, trial_units=1, trial_hours=24)
    listing = market.listing(mode="approval", discounts=DISCOUNTS, terms=terms)
    provider, tenant = market.client(market.provider), market.client(market.tenant)
    for client in (provider, tenant):
        client.cookies["django_language"] = "zh-hans"

    page = text(provider.get(reverse("approvals")))
    shown = text(provider.get(reverse("listing", args=[listing.public_id])))
    mine = text(tenant.get(reverse("rented")))
    refused = text(tenant.post(reverse("reservation_confirm", args=[held.public_id]), keyed()))

    assert "等待审批的占位" in page
    assert "已批准 0 人，共需 1 人" in page
    assert "减 10%" in page
    assert "满 24 小时减 10%" in shown
    assert "1 个单元，24 小时，单价 ¥0.00" in shown
    assert "逾期未决定则自动释放" in mine
    assert "供给方尚未批准" in refused
