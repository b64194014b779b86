"""Quotes and amendments over HTTP, as both sides' programs would use them."""

from __future__ import annotations

import pytest

from tests.api.client import Api
from tests.api.market import Market, key, next_hour, text
from tests.billing import books

pytestmark = pytest.mark.django_db

HOUR = 680 * 8


@pytest.fixture
def leased(market: Market) -> tuple[Market, str]:
    """Two hours from the next day on."""
    market.listing()
    market.fund()
    return market, str(market.lease(start=30)["id"])


def test_a_tenant_extends_by_quote_and_the_instants_of_the_end_move(leased) -> None:
    market, lease = leased
    before = market.as_tenant.get(f"/leases/{lease}").json
    wallet = market.as_tenant.get("/wallet").json["available_minor"]

    quote = market.as_tenant.do(
        f"/leases/{lease}/quotes", {"kind": "extend", "end_at": text(next_hour(40))}
    )
    accepted = market.as_tenant.do(f"/quotes/{quote['id']}/accept")

    after = market.as_tenant.get(f"/leases/{lease}").json
    assert (quote["pay_minor"], quote["accepted_at"]) == (8 * HOUR, None)
    assert accepted["accepted_at"] is not None
    assert (before["end_at"], after["end_at"]) == (text(next_hour(32)), text(next_hour(40)))
    assert (after["torn_down_at"], after["wiped_by"]) == (after["end_at"],) * 2
    assert after["warns_at"] == after["start_at"]
    assert after["amendment"] == accepted["amendment"]
    assert market.as_tenant.get("/wallet").json["available_minor"] == wallet - 8 * HOUR
    again = market.as_tenant.post(f"/quotes/{quote['id']}/accept")
    assert (again.status, again.code) == (409, "quote_accepted")
    assert not books.differences()


def test_the_same_key_accepts_once_and_gets_the_same_answer(leased) -> None:
    market, lease = leased
    quote = market.as_tenant.do(f"/leases/{lease}/quotes", {"kind": "cancel", "reason": "no need"})

    first, second = (
        market.as_tenant.post(f"/quotes/{quote['id']}/accept", idempotency_key="k-1")
        for _ in range(2)
    )

    assert (first.status, first.json) == (second.status, second.json)
    assert market.as_tenant.get(f"/leases/{lease}").json["state"] == "cancelled"
    assert not books.differences()


def test_a_quote_is_for_the_side_that_asked_and_an_amendment_for_both(leased) -> None:
    market, lease = leased
    quote = market.as_tenant.do(
        f"/leases/{lease}/quotes", {"kind": "extend", "end_at": text(next_hour(40))}
    )

    assert market.as_provider.get(f"/quotes/{quote['id']}").status == 404
    assert market.as_provider.post(f"/quotes/{quote['id']}/accept").status == 404
    assert market.as_provider.get("/quotes").data == []
    amendment = market.as_tenant.do(f"/quotes/{quote['id']}/accept")["amendment"]
    for side in (market.as_tenant, market.as_provider):
        assert side.get(f"/amendments/{amendment}").json["state"] == "signed"
        assert [row["id"] for row in side.get(f"/amendments?lease={lease}").data] == [amendment]


def test_the_two_sides_agree_on_another_end(leased) -> None:
    market, lease = leased
    body = {"end_at": text(next_hour(36)), "reason": "as agreed"}

    amendment = market.as_provider.do(f"/leases/{lease}/amendments", body)
    own = market.as_provider.post(f"/amendments/{amendment['id']}/sign")
    unchanged = market.as_tenant.get(f"/leases/{lease}").json["end_at"]
    signed = market.as_tenant.do(f"/amendments/{amendment['id']}/sign")

    assert (own.status, own.code) == (403, "wrong_side")
    assert unchanged == amendment["before"]["end_at"] == text(next_hour(32))
    assert (signed["state"], signed["end_at"]) == ("signed", text(next_hour(36)))
    assert market.as_provider.get(f"/leases/{lease}").json["end_at"] == text(next_hour(36))
    assert not books.differences()


def test_the_two_sides_agree_on_another_price_from_an_hour_on(leased) -> None:
    market, lease = leased
    before = market.as_tenant.get(f"/leases/{lease}").json
    body = {
        "price": {"basis": "card_hour", "amount_micro": 5_900_000},
        "from_at": text(next_hour(31)),
        "reason": "as agreed",
    }

    amendment = market.as_provider.do(f"/leases/{lease}/amendments", body)
    unchanged = market.as_tenant.get(f"/leases/{lease}").json
    signed = market.as_tenant.do(f"/amendments/{amendment['id']}/sign")

    assert unchanged == before
    assert (signed["state"], signed["kind"], signed["from_at"]) == (
        "signed", "price", text(next_hour(31)),
    )  # fmt: skip
    agreed = {"currency": "CNY", "basis": "card_hour", "tax_inclusive": True, "discount_bps": 0}
    assert signed["price"] == {**agreed, "amount_micro": 5_900_000}
    assert signed["before"]["price"] == {**agreed, "amount_micro": 6_800_000}
    after = market.as_tenant.get(f"/leases/{lease}").json
    assert before["gross_minor"] - after["gross_minor"] == signed["refund_minor"] > 0
    assert after["amendment"] == amendment["id"]
    assert not books.differences()


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"from_at": 32}, 422, "invalid_price_hour"),
        ({"from_at": -1}, 422, "invalid_price_hour"),
        ({"price": {"basis": "card_hour", "amount_micro": 0}}, 422, "validation_failed"),
        ({"price": {"basis": "card_hour"}}, 422, "validation_failed"),
        ({"price": {"basis": "card_hour", "amount_micro": 1, "currency": "USD"}}, 422,
         "validation_failed"),
        ({"end_at": 40}, 422, "validation_failed"),
    ],
)  # fmt: skip
def test_what_is_no_other_price_says_why(leased, changes, status, code) -> None:
    market, lease = leased
    body = {
        "price": {"basis": "card_hour", "amount_micro": 5_900_000},
        "from_at": text(next_hour(31)),
    }

    # Hours from now, and now is when the test runs.
    asked = {k: text(next_hour(v)) if isinstance(v, int) else v for k, v in changes.items()}

    reply = market.as_tenant.post(f"/leases/{lease}/amendments", {**body, **asked})

    assert (reply.status, reply.code) == (status, code), reply
    assert not market.as_tenant.get("/amendments").data


def test_what_was_proposed_is_declined_or_taken_back(leased) -> None:
    market, lease = leased
    body = {"added_units": 1, "added_from_at": text(next_hour(31))}

    first = market.as_tenant.do(f"/leases/{lease}/amendments", body)
    declined = market.as_provider.do(f"/amendments/{first['id']}/decline", {"reason": "full"})
    second = market.as_tenant.do(f"/leases/{lease}/amendments", body)
    taken_back = market.as_tenant.do(f"/amendments/{second['id']}/withdraw")

    assert (declined["state"], taken_back["state"]) == ("declined", "withdrawn")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "cancel", "end_at": text(next_hour(40))}, 422, "validation_failed"),
        ({"kind": "extend"}, 422, "validation_failed"),
        ({"kind": "convert"}, 422, "validation_failed"),
        ({"kind": "leave", "end_at": text(next_hour(31))}, 409, "not_started"),
        ({"kind": "withdraw", "end_at": text(next_hour(31)), "reason": "x"}, 403, "wrong_side"),
        ({"kind": "extend", "end_at": text(next_hour(24 * 60))}, 409, "not_offered"),
    ],
)
def test_what_cannot_be_quoted_says_why(leased, body, status, code) -> None:
    market, lease = leased

    reply = market.as_tenant.post(f"/leases/{lease}/quotes", body)

    assert (reply.status, reply.code) == (status, code), reply


def test_changing_a_lease_needs_the_scope_and_the_project(leased) -> None:
    market, lease = leased
    reader = Api(key(market.tenant, "leases:read", "reservations:write"))

    refused = reader.post(f"/leases/{lease}/quotes", {"kind": "cancel"})

    assert (refused.status, refused.code) == (403, "scope_missing")
    project = market.as_tenant.do("/projects", {"name": "Other"})["id"]
    bound = market.as_tenant.do(
        "/api-keys", {"name": "p", "scopes": ["leases:read", "leases:write"], "project": project}
    )
    stranger = Api(bound["secret"])
    for path, body in (
        ("quotes", {"kind": "cancel"}),
        ("amendments", {"end_at": text(next_hour(40))}),
        (
            "amendments",
            {
                "price": {"basis": "card_hour", "amount_micro": 1},
                "from_at": text(next_hour(31)),
            },
        ),
    ):
        assert stranger.post(f"/leases/{lease}/{path}", body).status == 404
