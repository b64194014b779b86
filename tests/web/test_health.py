"""The health grid, a node's health, faults and disputes of meters, as people see them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inventory import health
from inventory.models import HealthReport, MeterDispute, NodeHealth
from tests import world
from tests.disputes import scene
from tests.web.conftest import Market, keyed

pytestmark = pytest.mark.django_db


def test_a_thousand_nodes_cost_no_more_statements_than_a_few(market: Market) -> None:
    client = market.client(market.provider)
    client.get(reverse("health"))

    def statements() -> tuple[int, int]:
        health.sweep(at=market.at)
        with CaptureQueriesContext(connection) as queries:
            page = client.get(reverse("health"))
        return len(queries), page.content.decode().count("health-cell health-healthy")

    few, cells = statements()
    world.add_nodes(market.pool, 1000 - market.pool.nodes.count(), at=market.at)
    many, all_cells = statements()

    assert many == few
    assert all_cells - cells >= 900


def test_a_cell_says_its_condition_in_words_and_shape(market: Market) -> None:
    node = market.pool.nodes.order_by("pk")[0]
    health.report(node_id=node.pk, state="down", reason="smoke", at=market.at, actor=world.SYSTEM)
    health.sweep(at=market.at)

    page = market.client(market.provider).get(reverse("health")).content.decode()

    assert f"{node.serial}: down" in page
    assert "✕" in page
    assert reverse("node", args=[market.pool.public_id, node.public_id]) in page


def test_a_person_reports_a_node_and_takes_it_back(market: Market) -> None:
    client, node = market.client(market.provider), market.pool.nodes.order_by("pk")[0]
    names = [market.pool.public_id, node.public_id]
    fields = {"state": "degraded", "card_index": "2", "reason": "fan"}
    client.post(reverse("node_report", args=names), keyed(**fields))
    health.sweep(at=market.at)
    row = HealthReport.objects.get()

    page = client.get(reverse("node", args=names)).content.decode()
    assert "fan" in page
    assert NodeHealth.objects.get(pk=node.pk).state == "degraded"

    client.post(reverse("report_withdraw", args=[*names, row.public_id]), keyed())
    row.refresh_from_db()
    assert row.withdrawn_at is not None


def test_faults_are_worked_out_for_a_job(market: Market) -> None:
    pool = market.pool
    node = pool.nodes.order_by("pk")[0]
    health.report(node_id=node.pk, state="down", reason="smoke", at=market.at, actor=world.SYSTEM)
    health.sweep(at=market.at)
    health.keep_rates(at=market.at + timedelta(minutes=1))

    client = market.client(market.tenant)
    page = client.get(reverse("faults"), {"cards": "1024", "hours": "168"})
    wrong = client.get(reverse("faults"), {"cards": "x", "hours": "-1"})

    ((row, estimate),) = page.context["lines"]
    assert (row.fault_count, row.generation) == (1, pool.chip.generation)
    assert estimate.suggested_spares >= 1
    assert wrong.status_code == 200


def test_both_sides_see_a_dispute_and_the_operator_decides(market: Market) -> None:
    row = scene.disputed(market.provider)
    address = reverse("meter_dispute", args=[row.public_id])
    for side in (market.provider, market.tenant):
        client = market.client(side)
        assert row.public_id in client.get(address).content.decode()
        assert address in client.get(reverse("meter_disputes")).content.decode()
        fields = {"upheld_for": "tenant", "reason": "r", "evidence": "e"}
        assert client.post(address, keyed(**fields)).status_code == 403
    assert market.client(market.stranger).get(address).status_code == 404

    operator = market.client(market.operator)
    nothing = operator.post(address, keyed(upheld_for="tenant", reason="", evidence=""))
    assert nothing.status_code in (200, 422)
    fields = {"upheld_for": "provider", "reason": "hung", "evidence": "its log"}
    operator.post(address, keyed(**fields))

    row.refresh_from_db()
    assert (row.state, row.evidence) == (MeterDispute.State.FOR_PROVIDER, "its log")
