"""Nodes' health, people's reports, fault rates and disputes of meters, over the API."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import health
from tests.api.market import Market
from tests.api.rows import earnings, machines
from tests.disputes import scene

pytestmark = pytest.mark.django_db


def test_a_nodes_health_follows_its_reports(market: Market) -> None:
    node = machines.node(market)
    before = market.as_provider.get(f"/nodes/{node}/health")
    assert (before.status, before.json["state"], before.json["source"]) == (
        200, "healthy", "driver",
    )  # fmt: skip
    assert before.json["checked_at"] is None

    report = market.as_provider.do(
        "/health-reports", {"node": node, "state": "jittering", "reason": "link flaps"}
    )
    health.sweep(at=datetime.now(UTC))

    found = market.as_provider.get(f"/nodes/{node}/health").json
    assert (found["state"], found["source"], found["evidence"]) == (
        "jittering", "report", "link flaps",
    )  # fmt: skip
    assert found["clock_error_seconds"] == 90
    assert [entry["state"] for entry in found["history"]] == ["jittering"]
    assert market.as_stranger.get(f"/nodes/{node}/health").status == 404
    gone = market.as_provider.do(f"/health-reports/{report['id']}/withdraw", {"reason": "cable"})
    assert gone["withdrawn_at"] is not None


@pytest.mark.parametrize(
    "wrong",
    [{"state": "healthy"}, {"card_index": 8}, {"card_index": -1}, {"reason": ""}, {"card": 1}],
)
def test_a_report_that_says_nothing_is_refused(market: Market, wrong: dict[str, object]) -> None:
    body = {**machines.health_report_body(market), **wrong}

    assert market.as_provider.post("/health-reports", body).status == 422


def test_fault_rates_and_what_a_job_is_to_expect(market: Market) -> None:
    node = machines.node(market)
    body = {"reason": "gone", "expected_back_at": "2030-01-01T00:00:00Z"}
    market.as_provider.do(f"/nodes/{node}/fail", body)

    (row,) = market.as_tenant.get("/fault-rates").json
    assert row["centre"] == market.pool.fabric.centre.public_id
    assert (row["generation"], row["fault_count"]) == (market.pool.chip.generation, 1)
    assert row["low_per_million"] < row["per_million"] < row["high_per_million"]
    assert row["per_million"] == pytest.approx(10**6 / row["card_hours"])

    found = market.as_tenant.get("/fault-rates/estimate?cards=1024&hours=168").json
    assert found["expected_faults"] == pytest.approx(1024 * 168 / row["card_hours"])
    assert found["expected_faults_low"] < found["expected_faults"] < found["expected_faults_high"]
    assert found["suggested_spares"] >= 1

    unknown = market.as_tenant.get("/fault-rates/estimate?cards=8&hours=1&generation=none").json
    assert (unknown["per_million"], unknown["suggested_spares"]) == (None, None)


@pytest.mark.parametrize(
    "query", ["", "cards=8", "cards=0&hours=1", "cards=x&hours=1", "cards=8&hours=1&y=2"]
)
def test_an_estimate_of_nothing_is_refused(market: Market, query: str) -> None:
    assert market.as_tenant.get(f"/fault-rates/estimate?{query}").status == 422


def test_a_dispute_is_seen_by_both_sides_and_decided_by_the_operator(market: Market) -> None:
    public_id = earnings.meter_dispute(market)
    path = f"/meter-disputes/{public_id}"

    for api in (market.as_provider, market.as_tenant, market.as_operator):
        row = api.get(path).json
        assert (row["state"], row["lower_card_seconds"]) == ("open", scene.FULL // 2)
        assert row["lease"].startswith("lse_")
    assert market.as_stranger.get(path).status == 404
    body = {"upheld_for": "provider", "reason": "the exporter had hung", "evidence": "its log"}
    assert market.as_provider.post(f"{path}/decide", body).status == 403

    decided = market.as_operator.do(f"{path}/decide", body)
    again = market.as_operator.post(f"{path}/decide", body)

    assert (decided["state"], decided["evidence"]) == ("for_provider", "its log")
    assert (again.status, again.code) == (409, "dispute_decided")


def test_lists_cost_the_same_for_one_row_and_for_many(market: Market) -> None:
    for _ in range(3):
        machines.health_report(market)
        scene.disputed(market.provider)
    for path in ("/health-reports", "/meter-disputes"):
        counts = []
        for limit in (1, 3):
            with CaptureQueriesContext(connection) as queries:
                reply = market.as_provider.get(f"{path}?limit={limit}")
            assert len(reply.data) == limit
            counts.append(len(queries))
        assert counts[0] == counts[1], path
