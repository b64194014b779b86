"""The main job over REST: list, fund, search, hold, confirm, cancel."""

from __future__ import annotations

from tests.api.market import Market


def test_a_deal_from_listing_to_lease_and_back(market: Market) -> None:
    market.listing()
    market.fund(10_000_000)
    offer = market.offer(hours=48, start=30)

    held = market.as_tenant.do("/reservations", {"offer": offer["token"]})
    assert held["state"] == "held"
    assert held["gross_minor"] == offer["gross_minor"] == 8 * 48 * 680
    unread = market.as_tenant.post(f"/reservations/{held['id']}/confirm", {"units": 9})
    assert (unread.status, unread.json["errors"][0]["code"]) == (422, "unknown_field")
    reply = market.as_tenant.post(f"/reservations/{held['id']}/confirm")
    lease = reply.json
    assert reply.headers["Location"].endswith(f"/api/v1/leases/{lease['id']}")
    assert market.as_tenant.get(f"/leases/{lease['id']}").json == lease
    assert (lease["state"], lease["charged_minor"]) == ("scheduled", 0)
    assert lease["deposit_left_minor"] == lease["due_minor"]
    wallet = market.as_tenant.get("/wallet").json
    assert wallet["posted_minor"] == 10_000_000 - lease["due_minor"]
    assert wallet["held_minor"] == 0

    quote = market.as_tenant.get(f"/reservations/{held['id']}/cancellation-quote").json
    assert quote["refund_minor"] == lease["due_minor"]
    cancelled = market.as_tenant.do(f"/reservations/{held['id']}/cancel", {"reason": "no need"})
    assert cancelled["lease"] == lease["id"]
    assert market.as_tenant.get(f"/leases/{lease['id']}").json["state"] == "cancelled"
    assert market.as_tenant.get("/wallet").json["posted_minor"] == 10_000_000
    over = market.as_tenant.get(f"/reservations/{held['id']}/cancellation-quote")
    assert (over.status, over.code) == (409, "invalid_state")


def test_the_wallets_movements_are_listed_newest_first(market: Market) -> None:
    market.listing()
    market.fund(10_000_000)
    lease = market.lease()

    moved = market.as_tenant.get("/wallet/transactions").data

    assert [row["kind"] for row in moved] == ["deal_funded", "bank_receipt_approved"]
    assert [row["amount_minor"] for row in moved] == [-lease["due_minor"], 10_000_000]


def test_an_offer_somebody_else_took_is_refused_with_the_next_best(market: Market) -> None:
    market.listing()
    market.fund(10_000_000)
    offer = market.offer(units=2, hours=10)
    market.as_tenant.do("/reservations", {"offer": offer["token"]})

    refused = market.as_tenant.post("/reservations", {"offer": offer["token"]})

    assert (refused.status, refused.code) == (409, "capacity_taken")
    params = refused.json["params"]
    assert params["free_units"] == 0
    (instead,) = params["offers"]
    assert (instead["unit_count"], instead["gross_minor"]) == (2, offer["gross_minor"])
    assert instead["start_at"] > offer["start_at"]
    again = market.as_tenant.do("/reservations", {"offer": instead["token"]})
    assert again["start_at"] == instead["start_at"]
