"""The same key and request: one effect, one reply."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, connections

from billing.models import BankReceipt
from inventory import chips
from marketplace.http.idempotency import Reply as Stored
from marketplace.models import IdempotencyRecord, Listing, Reservation
from tests.api.client import Api, Reply
from tests.api.market import Market, key
from tests.api.routes import routes

MONEY_OR_CAPACITY = [route for route in routes() if route.is_idempotent]


def test_every_post_that_touches_money_or_capacity_needs_a_key() -> None:
    named = {str(route) for route in MONEY_OR_CAPACITY}

    assert named == {
        "POST /amendments/{public_id}/decline",
        "POST /amendments/{public_id}/sign",
        "POST /amendments/{public_id}/withdraw",
        "POST /leases/{public_id}/amendments",
        "POST /leases/{public_id}/quotes",
        "POST /quotas",
        "POST /quotes/{public_id}/accept",
        "POST /topups",
        "POST /topups/{public_id}/cancel",
        "POST /topup-refunds",
        "POST /payout-accounts",
        "POST /bank-receipts",
        "POST /bank-receipts/{public_id}/approve",
        "POST /bank-receipts/{public_id}/reject",
        "POST /bank-receipts/{public_id}/attribute",
        "POST /bank-receipts/{public_id}/send-back",
        "POST /bank-accounts",
        "POST /bank-accounts/{public_id}/check",
        "POST /bank-accounts/{public_id}/close",
        "POST /bank-accounts/{public_id}/decide",
        "POST /bank-statements",
        "POST /payment-files",
        "POST /refunds",
        "POST /refunds/{public_id}/approve",
        "POST /refunds/{public_id}/check",
        "POST /refunds/{public_id}/complete",
        "POST /refunds/{public_id}/fail",
        "POST /refunds/{public_id}/refuse",
        "POST /refunds/{public_id}/send",
        "POST /refunds/{public_id}/withdraw",
        "POST /baskets",
        "POST /baskets/{public_id}/cancel",
        "POST /baskets/{public_id}/confirm",
        "POST /external-allocations",
        "POST /instalments/{public_id}/approve-write-off",
        "POST /instalments/{public_id}/write-off",
        "POST /external-allocations/{public_id}/release",
        "POST /instances/{public_id}/mark-clean",
        "POST /instances/{public_id}/replace",
        "POST /instances/{public_id}/retry-release",
        "POST /leases/{public_id}/convert",
        "POST /listings",
        "POST /listings/{public_id}/pause",
        "POST /listings/{public_id}/reprice",
        "POST /listings/{public_id}/reterm",
        "POST /listings/{public_id}/resize",
        "POST /approval-rules",
        "POST /listings/{public_id}/resume",
        "POST /listings/{public_id}/withdraw",
        "POST /nodes/{public_id}/fail",
        "POST /nodes/{public_id}/retire",
        "POST /outages",
        *(f"POST /manual-tasks/{{public_id}}/{verb}" for verb in ("confirm", "give-up")),
        "POST /manual-tasks/{public_id}/hand-over",
        "POST /ssh-keys",
        "POST /acceptances/{public_id}/report",
        "POST /acceptances/{public_id}/sign",
        "POST /health-reports",
        "POST /series-bindings",
        "POST /series-bindings/{public_id}/remove",
        "POST /health-reports/{public_id}/withdraw",
        "POST /meter-disputes/{public_id}/decide",
        "POST /outages/{public_id}/close",
        "POST /pools",
        "POST /pools/{public_id}/floors",
        "POST /pools/{public_id}/nodes/import",
        "POST /pools/{public_id}/state",
        "POST /reservations",
        "POST /reservations/{public_id}/cancel",
        "POST /reservations/{public_id}/confirm",
        "POST /reservations/{public_id}/approve",
        "POST /reservations/{public_id}/received",
        "POST /reservations/{public_id}/reject",
        "POST /settlements",
        "POST /payouts",
        *(
            f"POST /payouts/{{public_id}}/{verb}"
            for verb in ("approve", "cancel", "paid", "failed", "returned")
        ),
        "POST /payout-files",
        "POST /payout-terms",
        "POST /input-fapiaos",
        *(f"POST /input-fapiaos/{{public_id}}/{verb}" for verb in ("accept", "reject")),
        "POST /provider-repayments",
        *(f"POST /provider-repayments/{{public_id}}/{verb}" for verb in ("approve", "reject")),
        "POST /gateway-events/{public_id}/retry",
        "POST /vouchers",
        *(f"POST /vouchers/{{public_id}}/{verb}" for verb in ("approve", "reject")),
        "POST /accounting-periods",
        *(f"POST /accounting-periods/{{public_id}}/{verb}" for verb in ("close", "put-off")),
        "POST /reconciliation-matches",
        "POST /reconciliation-matches/offset",
        "POST /reconciliation-matches/{public_id}/undo",
        "POST /billing-details",
        "POST /credit-notes",
        *(f"POST /credit-notes/{{public_id}}/{verb}" for verb in ("approve", "reject")),
        "POST /statements/{public_id}/accept",
        "POST /contests",
        *(f"POST /contests/{{public_id}}/{verb}" for verb in ("answer", "dismiss", "uphold")),
        "POST /fapiaos",
        *(
            f"POST /fapiaos/{{public_id}}/{verb}"
            for verb in ("withdraw", "issue", "refuse", "reverse")
        ),
        "POST /cases",
        *(f"POST /cases/{{public_id}}/{verb}" for verb in ("reply", "close", "reopen", "attach")),
        "POST /notification-channels",
        *(f"POST /notification-channels/{{public_id}}/{verb}" for verb in ("topics", "test")),
        "POST /notification-deliveries/{public_id}/retry",
        "POST /trials",
        "POST /wallet/credit-limit",
    }


@pytest.mark.parametrize("bad", ["", "a b", "a" * 256, "键"])
def test_a_missing_or_unusable_key_is_refused(market: Market, bad: str) -> None:
    for route in MONEY_OR_CAPACITY:
        path = route.path.replace("{public_id}", "x")

        reply = market.as_tenant.send("POST", path, {}, headers={"Idempotency-Key": bad})

        assert (reply.status, reply.code) == (400, "idempotency_key_required"), route


def test_a_repeated_request_gets_the_stored_reply_and_does_nothing(market: Market) -> None:
    body = market.listing_body()

    first = market.as_provider.post("/listings", body, idempotency_key="k1")
    again = market.as_provider.post("/listings", body, idempotency_key="k1")

    assert first.status == again.status == 201
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert Listing.objects.count() == 1


def test_the_same_key_for_another_request_is_refused(market: Market) -> None:
    body = market.listing_body()
    market.as_provider.do("/listings", body, idempotency_key="k1")

    other = market.as_provider.post("/listings", {**body, "unit_count": 1}, idempotency_key="k1")
    elsewhere = market.as_provider.post("/pools", {}, idempotency_key="k1")

    assert (other.status, other.code) == (422, "idempotency_key_reuse")
    assert (elsewhere.status, elsewhere.code) == (422, "idempotency_key_reuse")
    assert Listing.objects.count() == 1


def test_two_organisations_may_use_the_same_key(market: Market) -> None:
    market.listing()
    market.fund()
    offer = market.offer()["token"]
    market.as_tenant.do("/reservations", {"offer": offer}, idempotency_key="k1")

    other = market.as_stranger.post("/reservations", {"offer": offer}, idempotency_key="k1")

    assert other.code == "insufficient_funds"


def test_a_refusal_is_not_stored_and_changes_nothing(market: Market) -> None:
    market.listing()
    body = {"offer": market.offer()["token"]}

    poor = market.as_tenant.post("/reservations", body, idempotency_key="k1")
    assert (poor.status, poor.code) == (402, "insufficient_funds")
    assert IdempotencyRecord.objects.filter(key="k1").count() == 0
    assert Reservation.objects.count() == 0

    market.fund()
    assert market.as_tenant.post("/reservations", body, idempotency_key="k1").status == 201


def test_a_reply_is_not_replayed_to_a_key_without_the_scope(market: Market) -> None:
    body = market.listing_body()
    market.as_provider.do("/listings", body, idempotency_key="k1")
    reader = Api(key(market.provider, "listings:read"))

    reply = reader.post("/listings", body, idempotency_key="k1")

    assert (reply.status, reply.code) == (403, "scope_missing")


def test_a_key_and_its_secret_are_never_stored_in_a_reply(market: Market) -> None:
    body = {"name": "ci", "scopes": ["leases:read"]}
    one = market.as_tenant.do("/api-keys", body, idempotency_key="k1")
    two = market.as_tenant.do("/api-keys", body, idempotency_key="k1")

    assert one["secret"] != two["secret"]
    assert IdempotencyRecord.objects.filter(key="k1").count() == 0


def test_a_reply_lost_after_the_commit_is_had_again(market: Market) -> None:
    """The worker is gone once the effect is committed: what it would have said is kept."""
    market.listing()
    market.fund()
    body = {"offer": market.offer()["token"]}
    market.as_tenant.post("/reservations", body, idempotency_key="k1")  # nobody reads it

    again = market.as_tenant.post("/reservations", body, idempotency_key="k1")

    assert again.status == 201
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["id"] == Reservation.objects.get().public_id


@pytest.fixture
def committed(transactional_db: None) -> Market:
    chips.load_catalogue()
    return Market()


@pytest.mark.race
def test_eight_at_once_have_one_effect(committed: Market) -> None:
    body = committed.receipt_body()

    replies = _at_once(
        8, lambda: committed.as_operator.post("/bank-receipts", body, idempotency_key="k1")
    )

    assert BankReceipt.objects.count() == 1
    codes = sorted(reply.status for reply in replies)
    assert codes.count(201) >= 1
    assert set(codes) <= {201, 409}
    assert {reply.code for reply in replies if reply.status == 409} <= {"idempotency_in_progress"}
    assert len({reply.content for reply in replies if reply.status == 201}) == 1


@pytest.mark.race
def test_without_the_key_the_same_request_runs_each_time(committed: Market) -> None:
    """The control: different keys are different requests, and each has its effect."""
    bodies = [committed.receipt_body() for _ in range(4)]

    replies = _at_once(4, lambda: committed.as_operator.post("/bank-receipts", bodies.pop()))

    assert [reply.status for reply in replies] == [201] * 4
    assert BankReceipt.objects.count() == 4


def test_a_key_that_is_being_served_is_refused_at_once(committed: Market) -> None:
    body = committed.receipt_body()
    taken, done = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        stored = Stored(committed.operator.pk, "k1", b"")
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [stored.lock])
                taken.set()
                done.wait(20)
                cursor.execute("SELECT pg_advisory_unlock(%s)", [stored.lock])
        finally:
            connections.close_all()

    other = threading.Thread(target=hold_the_lock)
    other.start()
    taken.wait(20)
    reply = committed.as_operator.post("/bank-receipts", body, idempotency_key="k1")
    done.set()
    other.join()

    assert (reply.status, reply.code) == (409, "idempotency_in_progress")
    assert reply.headers["Retry-After"] == "1"
    assert BankReceipt.objects.count() == 0


def _at_once(count: int, send: Any) -> list[Reply]:
    barrier = threading.Barrier(count)
    replies: list[Reply] = []

    def one() -> None:
        try:
            barrier.wait(20)
            replies.append(send())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies
