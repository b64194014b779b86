"""Feeds of telemetry opened, keyed, bound and closed by program."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from inventory import telemetry
from inventory.errors import DomainError
from tests.api.market import Market
from tests.api.rows import machines


def _opens(key: str) -> bool:
    try:
        telemetry.authenticate(text=key, at=datetime.now(UTC))
    except DomainError:
        return False
    return True


def test_a_feed_is_opened_with_a_key_that_is_shown_once(market: Market) -> None:
    made = market.as_provider.do("/telemetry-sources", machines.telemetry_source_body(market))

    assert made["kind"] == "push"
    assert _opens(made["key"])
    row = market.as_provider.get(f"/telemetry-sources/{made['id']}").json
    assert "key" not in row
    assert (row["name"], row["stored_count"], row["closed_at"]) == ("prometheus-1", 0, None)


def test_a_key_is_rotated_with_a_day_for_the_old_one_and_revoked_at_once(market: Market) -> None:
    made = market.as_provider.do("/telemetry-sources", machines.telemetry_source_body(market))
    address = f"/telemetry-sources/{made['id']}"

    second = market.as_provider.do(f"{address}/rotate-key", None)["key"]
    assert _opens(made["key"])
    assert _opens(second)
    third = market.as_provider.do(f"{address}/revoke-keys", None)["key"]
    assert [_opens(key) for key in (made["key"], second, third)] == [False, False, True]

    closed = market.as_provider.do(f"{address}/close", {"reason": "moved"})
    assert closed["closed_at"] is not None
    assert not _opens(third)
    again = market.as_provider.post(f"{address}/rotate-key", None)
    assert again.code == "telemetry_source_closed"


def test_a_store_to_query_has_no_key_and_its_token_is_not_told(market: Market) -> None:
    body = {
        **machines.telemetry_source_body(market),
        "query_url": "https://prometheus.example",
        "query_secret": "s3cret-token",
    }

    reply = market.as_provider.post("/telemetry-sources", body)

    assert (reply.status, reply.json["kind"], reply.json["key"]) == (201, "pull", "")
    assert "s3cret-token" not in reply.content.decode()


@pytest.mark.parametrize("url", ["ftp://x.example", "https://u:p@x.example", "http://[::1"])
def test_an_address_that_cannot_be_asked_is_refused(market: Market, url: str) -> None:
    body = {**machines.telemetry_source_body(market), "query_url": url}

    assert market.as_provider.post("/telemetry-sources", body).status == 422


def test_series_are_bound_once_and_let_go_again(market: Market) -> None:
    body = machines.series_binding_body(market)

    made = market.as_provider.do("/series-bindings", body)
    again = market.as_provider.post("/series-bindings", body)
    gone = market.as_provider.do(f"/series-bindings/{made['id']}/remove", None)

    assert made["card_index"] is None
    assert again.code == "series_already_bound"
    assert gone["removed_at"] is not None
    assert market.as_provider.do("/series-bindings", body)["id"] != made["id"]
    assert (
        market.as_provider.get(f"/telemetry-sources/{body['telemetry_source']}/unmatched").json
        == []
    )
