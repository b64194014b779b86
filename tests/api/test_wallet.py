"""Wallets over REST: what may be owed, and who says so."""

from __future__ import annotations

from tests.api.market import Market


def _limit(market: Market, amount: int, **changes: object) -> dict[str, object]:
    return {
        "organisation": market.tenant.public_id,
        "limit_minor": amount,
        "reason": "audited accounts",
        **changes,
    }


def test_a_tenant_confirms_on_credit_and_owes_it(market: Market) -> None:
    market.listing()
    offer = market.offer()
    poor = market.as_tenant.post("/reservations", {"offer": offer["token"]})
    assert (poor.status, poor.code) == (402, "insufficient_funds")

    wallet = market.as_operator.do("/wallet/credit-limit", _limit(market, offer["due_minor"]))
    assert (wallet["credit_minor"], wallet["available_minor"]) == (offer["due_minor"],) * 2
    lease = market.lease()

    assert lease["state"] == "scheduled"
    mine = market.as_tenant.get("/wallet").json
    assert (mine["posted_minor"], mine["available_minor"]) == (-offer["due_minor"], 0)
    told = market.as_tenant.get("/journal?event=wallet.credit_limit_set").data
    assert [(row["reason"], row["data"]["limit_minor"]) for row in told] == [
        ("audited accounts", offer["due_minor"])
    ]


def test_a_limit_below_what_is_used_is_refused(market: Market) -> None:
    market.listing()
    market.as_operator.do("/wallet/credit-limit", _limit(market, 10_000_000))
    lease = market.lease()

    less = market.as_operator.post("/wallet/credit-limit", _limit(market, lease["due_minor"] - 1))

    assert (less.status, less.code) == (402, "insufficient_funds")
    assert market.as_tenant.get("/wallet").json["credit_minor"] == 10_000_000


def test_only_the_operators_finance_gives_credit_and_only_to_tenants(market: Market) -> None:
    for api in (market.as_tenant, market.as_provider, market.as_stranger):
        assert api.post("/wallet/credit-limit", _limit(market, 1)).status == 403

    provider = _limit(market, 1, organisation=market.provider.public_id)
    assert market.as_operator.post("/wallet/credit-limit", provider).status == 404
    assert market.as_tenant.get("/wallet").json["credit_minor"] == 0
