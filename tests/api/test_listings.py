"""Listings over the API: approval, discounts, steps, trial, other terms, sizes, touched deals."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Api
from tests.api.market import Market, key

TERMS = {
    "minimum_hours": 2,
    "hour_step": 2,
    "maximum_hours": 100,
    "minimum_units": 1,
    "unit_step": 1,
    "maximum_units": 2,
    "cancellation": [[24, 10_000]],
    "decide_hours": 12,
    "trial_units": 1,
    "trial_hours": 24,
    "trial_amount_micro": 0,
    "trial_convertible": True,
}
PRICE = {
    "basis": "card_hour",
    "amount_micro": 10_000_000,
    "discounts": [["hours", 4, 1_000], ["cards", 16, 500]],
}


def by_approval(market: Market) -> dict[str, Any]:
    market.listing(mode="approval", terms=TERMS, price=PRICE)
    market.fund()
    return market.reservation(hours=4, units=2, start=30)


def test_what_a_listing_was_published_with_is_what_it_shows(market: Market) -> None:
    listing = market.listing(mode="approval", terms=TERMS, price=PRICE)

    assert listing["mode"] == "approval"
    assert {name: listing["terms"][name] for name in TERMS} == TERMS
    assert listing["price"]["discounts"] == PRICE["discounts"]


def test_a_hold_waits_is_approved_and_then_confirmed(market: Market) -> None:
    held = by_approval(market)
    path = f"/reservations/{held['id']}"

    assert (held["decision"], held["approvals_needed"]) == ("", 1)
    assert held["decide_by"] < held["expires_at"]
    # 64 card-hours at 10 less 15 %
    assert (held["discount_bps"], held["gross_minor"]) == (1_500, 54_400)
    assert market.as_tenant.post(f"{path}/confirm").code == "approval_pending"
    pending = market.as_provider.get("/reservations?decision=pending").data
    assert [row["id"] for row in pending] == [held["id"]]
    assert market.as_provider.get("/reservations?decision=approved").data == []

    approved = market.as_provider.do(f"{path}/approve", {"document_number": "HT-2026-17"})

    assert approved["decision"] == "approved"
    assert market.as_provider.get("/reservations?decision=pending").data == []
    (approval,) = market.as_provider.get(f"{path}/approvals").json
    assert approval["document_number"] == "HT-2026-17"
    assert market.as_tenant.get(f"{path}/approvals").status == 404
    lease = market.as_tenant.do(f"{path}/confirm")
    assert (lease["discount_bps"], lease["gross_minor"]) == (1_500, 54_400)


def test_a_rejection_gives_the_deposit_back_and_says_why(market: Market) -> None:
    held = by_approval(market)
    path = f"/reservations/{held['id']}"

    assert market.as_provider.post(f"{path}/reject", {}).status == 422
    rejected = market.as_provider.do(f"{path}/reject", {"reason": "kept for our own"})

    assert (rejected["state"], rejected["decision"]) == ("cancelled", "rejected")
    wallet = market.as_tenant.get("/wallet").json
    assert (wallet["held_minor"], wallet["available_minor"]) == (0, 100_000_000)
    assert market.as_provider.post(f"{path}/reject", {"reason": "x"}).code == "already_decided"


def test_two_members_decide_above_a_threshold(market: Market) -> None:
    second = Api(key(market.provider))
    rule = market.as_provider.do("/approval-rules", {"thresholds": [[50_000, 2]]})
    assert (rule["version"], rule["thresholds"]) == (1, [[50_000, 2]])
    held = by_approval(market)
    path = f"/reservations/{held['id']}/approve"

    first = market.as_provider.do(path, {"document_number": "A"})
    again = market.as_provider.post(path, {"document_number": "B"})
    last = second.do(path, {"document_number": "C"})

    assert held["approvals_needed"] == 2
    assert (first["decision"], again.code, last["decision"]) == ("", "approved_already", "approved")


@pytest.mark.parametrize(
    "thresholds", [[[1, 1]], [[1]], [["1", 2]], [[1, 2.0]], [[1, 50]], "all", [[2, 2], [1, 3]]]
)
def test_a_bad_rule_is_refused(market: Market, thresholds: Any) -> None:
    reply = market.as_provider.post("/approval-rules", {"thresholds": thresholds})

    assert reply.status == 422
    assert market.as_provider.get("/approval-rules").data == []


def test_a_rule_is_seen_by_its_own_organisation_only(market: Market) -> None:
    market.as_provider.do("/approval-rules", {"thresholds": []})

    assert len(market.as_provider.get("/approval-rules").data) == 1
    assert market.as_stranger.get("/approval-rules").data == []
    assert market.as_tenant.post("/approval-rules", {"thresholds": []}).status == 404


def test_the_tenant_cannot_approve_its_own_hold(market: Market) -> None:
    held = by_approval(market)
    path = f"/reservations/{held['id']}"

    for api in (market.as_tenant, market.as_stranger):
        assert api.post(f"{path}/approve", {"document_number": "A"}).status == 404
        assert api.post(f"{path}/reject", {"reason": "no"}).status == 404

    assert market.as_tenant.get(path).json["decision"] == ""


def test_an_offer_shows_what_comes_off_and_that_its_provider_decides(market: Market) -> None:
    market.listing(mode="approval", terms=TERMS, price=PRICE)

    offer = market.offer(hours=4, units=2)

    assert (offer["list_minor"], offer["discount_bps"], offer["gross_minor"]) == (
        64_000,
        1_500,
        54_400,
    )
    assert offer["decide_hours"] == 12


@pytest.mark.parametrize(
    "discounts",
    [
        [["hours", 4]],
        [["nodes", 4, 100]],
        [["hours", "4", 100]],
        [["hours", 4, -1]],
        [["hours", 4, 100], ["hours", 3, 200]],
        [["hours", 4, 9_500]],
        {"hours": 4},
    ],
)
def test_bad_discounts_are_refused(market: Market, discounts: Any) -> None:
    body = market.listing_body(price={**PRICE, "discounts": discounts})

    reply = market.as_provider.post("/listings", body)

    assert reply.status == 422
    assert market.as_provider.get("/listings").data == []


def test_a_price_at_which_nothing_could_be_booked_is_refused(market: Market) -> None:
    listing = market.listing(hours=24 * 365 * 5, unit_count=8)

    reply = market.as_provider.post(
        f"/listings/{listing['id']}/reprice", {"basis": "card_hour", "amount_micro": 10**15}
    )

    assert reply.code == "invalid_price"


def test_the_deals_a_listing_touches_are_shown(market: Market) -> None:
    listing = market.listing()
    market.fund()
    lease = market.lease()
    held = market.reservation(start=40)
    path = f"/listings/{listing['id']}/touched-deals"

    touched = market.as_provider.get(path).json

    assert [(row["kind"], row["id"]) for row in touched] == [
        ("reservation", held["id"]),
        ("lease", lease["id"]),
    ]
    assert touched[0]["tenant"] == market.tenant.public_id
    assert market.as_tenant.get(path).status == 404


def test_terms_and_size_change_for_new_deals(market: Market) -> None:
    listing = market.listing()
    market.fund()
    market.lease(units=2)
    path = f"/listings/{listing['id']}"

    assert market.as_provider.do(f"{path}/reterm", {"minimum_hours": 5})["terms"]["version"] == 2
    refused = market.as_provider.post(f"{path}/resize", {"unit_count": 1})
    grown = market.as_provider.do(f"{path}/resize", {"unit_count": 5})

    assert (refused.code, refused.json["params"]["sold_units"]) == ("capacity_taken", 2)
    assert grown["unit_count"] == 5
    assert market.as_provider.post(f"{path}/resize", {"unit_count": 9}).code == "capacity_taken"
