"""What a lease pays and when, over the API; and how long a wallet lasts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.market import Market, next_hour, text

ADVANCE = {"basis": "node_hour", "amount_micro": 6_800_000, "schedule": "advance"}


def test_offer_reservation_and_lease_say_the_same_payments(market: Market) -> None:
    market.listing(hours=24 * 150, price={**ADVANCE, "security_months": 1, "advance_months": 1})
    market.fund(10_000_000)
    wanted = {"units": 1, "hours": 24 * 100, "earliest_start": text(next_hour(2)),
              "latest_end": text(next_hour(24 * 120))}  # fmt: skip
    offer = market.as_tenant.do("/offers/search", wanted)["data"][0]
    held = market.as_tenant.do("/reservations", {"offer": offer["token"]})
    lease = market.as_tenant.do(f"/reservations/{held['id']}/confirm")

    rows = market.as_tenant.get(f"/leases/{lease['id']}/instalments").json
    paid = [row for row in rows if row["state"] == "collected"]
    later = [row for row in rows if row["state"] == "planned"]
    security = [row["amount_minor"] for row in rows if row["kind"] == "security"]

    assert offer["due_minor"] == lease["due_minor"] == sum(row["amount_minor"] for row in paid)
    assert [offer["security_minor"]] == [lease["security_minor"]] == security
    asked = [each for each in offer["payments"] if each["kind"] == "advance"]
    assert [each["amount_minor"] for each in asked] == [row["amount_minor"] for row in later]
    assert sum(each["amount_minor"] for each in offer["payments"]) == offer["gross_minor"]
    assert sum(row["amount_minor"] for row in rows) - security[0] == lease["gross_minor"]


@pytest.mark.parametrize(
    "nonsense",
    [
        {"schedule": "advance", "security_months": 0, "advance_months": 0},
        {"schedule": "advance", "security_months": 7},
        {"schedule": "advance", "advance_months": 13},
        {"schedule": "arrears", "net_days": 400},
        {"schedule": "arrears", "advance_months": 3},
        {"schedule": "prepaid", "security_months": 1},
        {"schedule": "deposit_hourly", "net_days": 30},
        {"grace_days": 61},
        {"suspension_days": 0},
        {"pro_rata": "guess"},
    ],
    ids=str,
)
def test_a_schedule_that_makes_no_sense_is_refused(market: Market, nonsense: Any) -> None:
    price = {"basis": "node_hour", "amount_micro": 6_800_000, **nonsense}

    reply = market.as_provider.post("/listings", market.listing_body(price=price))

    assert reply.status in (400, 422)  # by its shape, or by the rules of prices


def test_a_wallet_says_how_long_it_lasts(market: Market) -> None:
    reply = market.as_tenant.get("/wallet/runway")

    assert (reply.status, reply.json["hours"], reply.json["level"]) == (200, None, None)
