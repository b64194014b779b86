"""How often a caller may ask."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.http.limits import Buckets
from tests.api.client import Api
from tests.api.market import Market


def test_a_caller_that_asks_too_often_waits(market: Market, settings: Any) -> None:
    settings.REQUESTS_PER_MINUTE = 3

    served = [market.as_tenant.get("/me") for _ in range(3)]
    refused = market.as_tenant.get("/me")

    assert [reply.status for reply in served] == [200, 200, 200]
    assert served[0].headers["RateLimit-Policy"] == '"caller";q=3;w=60'
    assert served[0].headers["RateLimit"] == '"caller";r=2;t=20'
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert market.as_provider.get("/me").status == 200


def test_every_process_grants_its_share_only(market: Market, settings: Any) -> None:
    settings.REQUESTS_PER_MINUTE, settings.WEB_PROCESSES = 8, 4

    statuses = [market.as_tenant.get("/me").status for _ in range(3)]

    assert statuses == [200, 200, 429]


def test_an_address_that_guesses_keys_is_stopped(market: Market, settings: Any) -> None:
    settings.INVALID_KEYS_PER_MINUTE = 3
    guesser = Api("ck_live_aaaaaaaa_" + "b" * 49)

    replies = [guesser.get("/me") for _ in range(4)]

    assert [reply.status for reply in replies] == [401, 401, 401, 429]
    assert replies[-1].headers["Retry-After"] == "10"


@pytest.mark.parametrize("limit", [1, 60, 6000])
def test_a_bucket_never_grants_more_than_its_limit_in_a_window(limit: int) -> None:
    buckets = Buckets()
    granted = 0
    for step in range(4 * limit):
        granted += buckets.take("a", limit=limit, now=step * 60 / (4 * limit)).granted

    assert limit <= granted <= 2 * limit  # a full bucket, and what a window refills


def test_full_buckets_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketplace.http.limits._KEPT", 2)
    buckets = Buckets()
    for _ in range(3):
        buckets.take("busy", limit=3, now=0.0)
    buckets.take("idle", limit=3, now=0.0)

    buckets.take("new", limit=3, now=25.0)

    assert not buckets.take("busy", limit=3, cost=2, now=25.0).granted
