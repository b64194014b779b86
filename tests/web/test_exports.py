"""Files for spreadsheets, and the numbers behind pictures."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from arro3.io import read_parquet
from django.test import RequestFactory
from django.urls import reverse

from inventory import capacity
from inventory.periods import Period, ceil_hour
from marketplace.web import charts, exports, idle
from tests import database, world
from tests.web.conftest import Market


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd", "@SUM(A1)", "\tx", "\rx"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    assert exports.cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-12.50", "abc", "", "6.80", "2026-01-01"])
def test_numbers_and_words_stay_as_they_are(text: str) -> None:
    assert exports.cell(text) == text


def test_a_hostile_pool_name_is_exported_as_text(market: Market) -> None:
    database.as_owner("UPDATE inventory_pool SET name = '=HYPERLINK(1)'")
    reply = market.client(market.provider).get(reverse("pools_csv"))

    text = reply.getvalue().decode()

    assert text.startswith("\ufeff")
    assert "'=HYPERLINK(1)" in text
    assert len(text.splitlines()) == 1 + idle.DAYS


def test_levels_keep_their_ends_for_nothing_and_all() -> None:
    assert charts.level(0, 100) == 0
    assert charts.level(0.1, 100) == 1
    assert charts.level(99.9, 100) == 8
    assert charts.level(100, 100) == 9
    assert charts.level(0, 0) is None


def test_a_line_stands_on_a_scale_from_nothing() -> None:
    assert charts.scale([0.4, None, 0.2]) == (0.0, 0.4)
    assert charts.scale([-5, 3]) == (-5, 3)
    assert charts.scale([None]) == (0.0, 0.0)
    flat = charts.polyline([0.5, 0.5], width=160, height=32, low=0, high=1)
    assert flat == "0.0,16.0 160.0,16.0"
    assert charts.polyline([1], width=160, height=32, low=0, high=1) == ""


def test_the_overview_writes_the_scale_beside_its_lines(market: Market) -> None:
    market.listing()

    page = market.client(market.provider).get(reverse("overview")).content.decode()

    assert '<div class="spark-scale"' in page
    assert "Listed rate by week: 0.0% – " in page


def test_the_parts_of_a_day_add_up_to_what_is_installed(market: Market) -> None:
    market.fund()
    listing = market.listing(units=2)
    market.lease(listing)
    start = ceil_hour(market.at) + timedelta(hours=3)
    capacity.claim_external(
        pool_id=market.pool.pk,
        kind="own_use",
        unit_count=1,
        period=Period(start, start + timedelta(days=5)),
        note="own",
        at=market.at,
        actor=world.actor(market.provider),
    )
    pools = type(market.pool).objects.select_related("fabric__centre", "chip")

    (row,) = idle.calendar(pools.filter(pk=market.pool.pk), at=market.at)

    for day in row.days:
        parts = day.down + day.external + day.sold + day.held + day.listed + day.unlisted
        assert parts == pytest.approx(day.installed)
    assert sum(day.sold for day in row.days) == pytest.approx(24 * 8)
    assert sum(day.external for day in row.days) == pytest.approx(5 * 24 * 8)


def test_a_table_as_parquet_has_types_and_nulls_in_batches(monkeypatch) -> None:
    monkeypatch.setattr(exports, "BATCH", 2)
    rows = [["=a", "1.50"], ["b", "not measured"], ["c", "-2"]]
    request = RequestFactory().get("/", {"format": "parquet"})

    reply = exports.table(request, "t", ["Name", "Hours"], iter(rows), numbers=1)

    table = read_parquet(io.BytesIO(reply.getvalue())).read_all()
    assert table.schema.names == ["Name", "Hours"]
    assert [table["Name"][n].as_py() for n in range(3)] == ["=a", "b", "c"]  # no spreadsheet
    assert [table["Hours"][n].as_py() for n in range(3)] == [1.5, None, -2.0]
    assert 'filename="t.parquet"' in reply["Content-Disposition"]
    empty = exports.table(request, "t", ["Name", "Hours"], [], numbers=1)
    assert read_parquet(io.BytesIO(empty.getvalue())).read_all().num_rows == 0
    plain = exports.table(RequestFactory().get("/"), "t", ["Name"], [], numbers=0)
    assert plain["Content-Type"].startswith("text/csv")
