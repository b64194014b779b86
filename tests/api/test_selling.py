"""A deal paid to the centre itself, over REST: it says that it has the money."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.api.market import Market


def _body(reference: str = "D-1") -> dict[str, str]:
    return {"reference": reference, "received_date": datetime.now(UTC).date().isoformat()}


def _held(market: Market, selling: str = "direct") -> dict[str, Any]:
    market.listing(selling=selling)
    market.fund()
    return market.reservation(start=24 * 10)


def test_the_centre_has_the_money_and_the_deal_is_a_lease(market: Market) -> None:
    held = _held(market)
    before = market.as_tenant.get("/wallet").json
    path = f"/reservations/{held['id']}"
    assert (held["selling"], before["held_minor"]) == ("direct", held["hold_deposit_minor"])
    confirm = market.as_tenant.post(f"{path}/confirm")
    assert (confirm.status, confirm.code) == (409, "paid_to_the_centre")

    lease = market.as_provider.do(f"{path}/received", _body())

    assert (lease["state"], lease["selling"]) == ("scheduled", "direct")
    assert market.as_tenant.get(f"/leases/{lease['id']}").status == 200
    assert market.as_tenant.get(path).json["state"] == "confirmed"
    after = market.as_tenant.get("/wallet").json
    assert (after["posted_minor"], after["held_minor"]) == (before["posted_minor"], 0)
    again = market.as_provider.post(f"{path}/received", _body("D-2"))
    assert (again.status, again.code) == (409, "invalid_state")


def test_nobody_but_the_centre_says_so(market: Market) -> None:
    path = f"/reservations/{_held(market)['id']}"

    assert market.as_stranger.post(f"{path}/received", _body()).status == 404
    for api in (market.as_tenant, market.as_operator):
        assert api.post(f"{path}/received", _body()).status in (403, 404)
    assert market.as_tenant.get(path).json["state"] == "held"


def test_a_deal_by_agency_is_not_paid_to_the_centre(market: Market) -> None:
    path = f"/reservations/{_held(market, 'agency')['id']}/received"

    reply = market.as_provider.post(path, _body())

    assert (reply.status, reply.code) == (409, "not_sold_directly")


def test_one_payment_confirms_one_deal(market: Market) -> None:
    first = _held(market)
    second = market.reservation(start=24 * 12)
    market.as_provider.do(f"/reservations/{first['id']}/received", _body(" d-1 ".strip()))

    reply = market.as_provider.post(f"/reservations/{second['id']}/received", _body("D-1"))

    assert (reply.status, reply.code) == (409, "direct_reference_used")
    future = {**_body("D-3"), "received_date": "2099-01-01"}
    refused = market.as_provider.post(f"/reservations/{second['id']}/received", future)
    assert (refused.status, refused.code) == (422, "validation_failed")
