"""Paying and being paid online, over REST: the fake of Stripe plays Stripe and the payer."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from billing.models import PayoutAccount, TopUp
from tests.api.market import Market
from tests.api.rows import online as rows
from tests.billing import books, online
from tests.billing.online import hands


def _begin(market: Market, amount_minor: int = 100_000) -> dict[str, Any]:
    """A payment whose PaymentIntent is there: customer and intent are two requests."""
    body = {"amount_minor": amount_minor, "currency": "CNY"}
    row = market.as_tenant.do("/topups", body)
    assert (row["state"], row["client_secret"]) == ("planned", "")
    online.send()
    online.send()
    return dict(market.as_tenant.get(f"/topups/{row['id']}").json)


def _paid(market: Market, amount_minor: int = 100_000) -> dict[str, Any]:
    row = _begin(market, amount_minor)
    hands.pay(str(TopUp.objects.get(public_id=row["id"]).intent_id))
    online.deliver()
    return dict(market.as_tenant.get(f"/topups/{row['id']}").json)


def test_a_payment_is_in_the_wallet_once_stripe_says_so(market: Market) -> None:
    row = _begin(market)
    assert (row["state"], bool(row["client_secret"])) == ("open", True)
    assert market.as_tenant.get("/wallet").json["posted_minor"] == 0

    hands.pay(str(TopUp.objects.get(public_id=row["id"]).intent_id))
    online.deliver()
    online.deliver()  # the same again changes nothing

    row = market.as_tenant.get(f"/topups/{row['id']}").json
    assert (row["state"], row["method"], row["client_secret"]) == ("succeeded", "card", "")
    assert row["succeeded_at"] is not None
    assert market.as_tenant.get("/wallet").json["available_minor"] == 100_000
    (moved,) = market.as_tenant.get("/wallet/transactions").data
    assert (moved["kind"], moved["amount_minor"]) == ("topped_up", 100_000)
    assert [r["id"] for r in market.as_tenant.get("/topups?state=succeeded").data] == [row["id"]]
    assert not books.differences()


def test_a_payment_is_given_up(market: Market) -> None:
    row = _begin(market)

    market.as_tenant.do(f"/topups/{row['id']}/cancel")
    online.send()
    online.deliver()

    row = market.as_tenant.get(f"/topups/{row['id']}").json
    assert (row["state"], row["client_secret"]) == ("cancelled", "")
    late = market.as_tenant.post(f"/topups/{row['id']}/cancel")
    assert (late.status, late.code) == (409, "invalid_state")


@pytest.mark.parametrize(
    ("amount_minor", "currency", "code"),
    [
        (499, "CNY", "amount_not_payable"),
        (100_000_000, "CNY", "validation_failed"),
        (10**18, "CNY", "validation_failed"),
        (49, "USD", "amount_not_payable"),
        (10_000, "KWD", "validation_failed"),
    ],
)
def test_what_stripe_would_not_take_is_not_begun(
    market: Market, amount_minor: int, currency: str, code: str
) -> None:
    reply = market.as_tenant.post("/topups", {"amount_minor": amount_minor, "currency": currency})

    assert (reply.status, reply.code) == (422, code)
    assert market.as_tenant.get("/topups").data == []


def test_only_tenants_pay_and_only_so_many_at_once(market: Market) -> None:
    body = {"amount_minor": 1_000, "currency": "CNY"}
    assert market.as_provider.post("/topups", body).status == 404
    for _ in range(10):
        market.as_tenant.do("/topups", body)

    reply = market.as_tenant.post("/topups", body)

    assert (reply.status, reply.code) == (409, "too_many_open_top_ups")


def test_without_stripe_nothing_is_paid_online(market: Market, settings: Settings) -> None:
    settings.STRIPE_FAKE = False

    for api, path, body in (
        (market.as_tenant, "/topups", {"amount_minor": 1_000, "currency": "CNY"}),
        (market.as_provider, "/payout-accounts", {"country": "HK"}),
    ):
        reply = api.post(path, body)
        assert (reply.status, reply.code) == (409, "online_payment_off"), path


def test_unused_money_goes_back_to_what_it_was_paid_with(market: Market) -> None:
    paid = _paid(market)
    body = {"topup": paid["id"], "amount_minor": 40_000}

    row = market.as_tenant.do("/topup-refunds", body)

    assert row["state"] == "held"
    wallet = market.as_tenant.get("/wallet").json
    assert (wallet["held_minor"], wallet["available_minor"]) == (40_000, 60_000)
    above = market.as_tenant.post("/topup-refunds", {**body, "amount_minor": 60_001})
    assert (above.status, above.code) == (409, "more_than_paid")
    online.send()
    online.deliver()
    assert market.as_tenant.get(f"/topup-refunds/{row['id']}").json["state"] == "succeeded"
    assert market.as_tenant.get("/wallet").json["posted_minor"] == 60_000
    assert not books.differences()


def test_a_payment_that_was_not_made_is_not_refunded(market: Market) -> None:
    row = _begin(market)

    reply = market.as_tenant.post("/topup-refunds", {"topup": row["id"], "amount_minor": 1_000})

    assert (reply.status, reply.code) == (409, "not_refundable")


def test_a_disputed_payment_keeps_money_aside_and_stops_others(market: Market) -> None:
    paid = _paid(market)
    hands.dispute(str(TopUp.objects.get(public_id=paid["id"]).intent_id))
    online.deliver()

    (row,) = market.as_tenant.get(f"/disputes?topup={paid['id']}").data
    assert (row["state"], row["amount_minor"], row["held_minor"]) == ("open", 100_000, 100_000)
    assert market.as_tenant.get(f"/disputes/{row['id']}").json == row
    assert market.as_tenant.get("/wallet").json["available_minor"] == 0
    frozen = market.as_tenant.post("/topups", {"amount_minor": 1_000, "currency": "CNY"})
    assert (frozen.status, frozen.code) == (403, "top_ups_frozen")


def test_a_provider_opens_an_account_that_stripe_can_pay(market: Market) -> None:
    row = market.as_provider.do("/payout-accounts", {"country": "HK"})
    path, body = f"/payout-accounts/{row['id']}", rows.link_body(market)
    assert row["state"] == "planned"
    early = market.as_provider.post(f"{path}/onboarding-link", body)
    assert (early.status, early.code) == (409, "payout_account_not_there")
    again = market.as_provider.post("/payout-accounts", {"country": "SG"})
    assert (again.status, again.code) == (409, "payout_account_exists")

    online.send()
    row = market.as_provider.get(path).json
    assert (row["state"], bool(row["wanted"])) == ("onboarding", True)
    assert market.as_provider.do(f"{path}/onboarding-link", body)["url"].startswith("http")
    hands.complete(str(PayoutAccount.objects.get(public_id=row["id"]).account_id))
    online.deliver()

    row = market.as_provider.get(path).json
    assert (row["state"], row["wanted"]) == ("enabled", [])


def test_what_stripe_told_and_nobody_could_follow_is_tried_again(market: Market) -> None:
    public_id = rows.parked_event(market)
    (parked,) = market.as_operator.get("/gateway-events?state=parked").data
    assert (parked["id"], parked["attempt_count"], parked["error"]) == (public_id, 12, "no answer")

    retried = market.as_operator.do(f"/gateway-events/{public_id}/retry")
    assert (retried["state"], retried["attempt_count"]) == ("received", 0)
    online.apply()

    assert market.as_operator.get(f"/gateway-events/{public_id}").json["state"] == "applied"
    assert market.as_tenant.get("/wallet").json["posted_minor"] == 100_000
    asked = market.as_operator.get("/gateway-requests?state=succeeded").data
    assert [row["operation"] for row in asked] == ["payment_intent.create", "customer.create"]
    for path in ("/gateway-events", "/gateway-requests"):
        assert market.as_tenant.get(path).code == "scope_missing"


@pytest.mark.parametrize(
    "wrong", [{"refresh_url": "http://a.example"}, {"return_url": "javascript:alert(1)"}], ids=str
)
def test_a_link_leads_back_over_https_only(market: Market, wrong: dict[str, str]) -> None:
    path = f"/payout-accounts/{rows.payout_account(market)}/onboarding-link"

    reply = market.as_provider.post(path, {**rows.link_body(market), **wrong})

    assert (reply.status, reply.code) == (422, "validation_failed")


def test_a_country_that_stripe_does_not_pay_for_us_is_refused(market: Market) -> None:
    for country in ("CN", "hk", "??"):
        reply = market.as_provider.post("/payout-accounts", {"country": country})
        assert (reply.status, reply.code) == (422, "validation_failed"), country
