"""The limits of a Poisson mean against published values and against the distribution itself."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.health import Rate, expected_faults, poisson, suggested_spares

DATA = os.environ.get("CARDHOUR_DATA")


# Garwood (1936), as tabulated in Ulm, Am. J. Epidemiology 131 (1990), for 95 %.
@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (0, 0.0, 3.6889),
        (1, 0.0253, 5.5716),
        (2, 0.2422, 7.2247),
        (5, 1.6235, 11.6683),
        (10, 4.7954, 18.3904),
        (20, 12.2165, 30.8884),
        (50, 37.1110, 65.9190),
        (100, 81.3640, 121.6272),
    ],
)
def test_the_interval_is_garwoods(count: int, low: float, high: float) -> None:
    assert poisson.interval(count) == pytest.approx((low, high), abs=6e-4)


@given(count=st.integers(0, 2000), confidence=st.floats(0.5, 0.999))
def test_each_limit_leaves_its_tail(count: int, confidence: float) -> None:
    low, high = poisson.interval(count, confidence)
    tail = (1 - confidence) / 2

    assert low <= count <= high
    assert poisson.cdf(count, high) == pytest.approx(tail, rel=1e-6)
    if count:
        assert 1 - poisson.cdf(count - 1, low) == pytest.approx(tail, rel=1e-6)


@given(mean=st.floats(0.001, 300), count=st.integers(0, 400))
def test_the_distribution_is_the_sum_of_its_terms(mean: float, count: int) -> None:
    terms = (math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))
    assert poisson.cdf(count, mean) == pytest.approx(min(1.0, math.fsum(terms)), abs=1e-9)


@given(mean=st.floats(0, 500), share=st.floats(0.5, 0.9999))
def test_a_quantile_is_the_smallest_count_that_is_enough(mean: float, share: float) -> None:
    count = poisson.quantile(mean, share)

    assert poisson.cdf(count, mean) >= share
    assert count == 0 or poisson.cdf(count - 1, mean) < share


def test_a_thousand_cards_for_a_week_have_five_faults() -> None:
    found = expected_faults(cards=1024, hours=7 * 24, per_million=1_000_000 / 33_333)

    assert round(found, 1) == 5.2


def test_spares_last_while_broken_nodes_are_mended() -> None:
    facts: dict[str, Any] = {"cards": 1024, "hours": 168, "per_million": 1_000_000 / 33_333}

    # 0.74 faults a day: at most 2 in 95 of 100 days.
    assert suggested_spares(**facts) == 2
    assert suggested_spares(**facts, repair_hours=72) == 5
    assert suggested_spares(cards=8, hours=10**5, per_million=10**6) == 1  # never more than nodes


def test_without_card_hours_nothing_is_known() -> None:
    none = Rate(0, 0)

    assert (none.per_million, none.low_per_million, none.high_per_million) == (None, None, None)


@pytest.mark.skipif(not DATA, reason="CARDHOUR_DATA names no folder of failure rates")
def test_published_rates_come_out_of_their_counts() -> None:
    """Meta's 419 unexpected interruptions of 16,384 cards in 54 days; Titan year by year."""
    assert DATA
    folder = Path(DATA) / "failure"
    with (folder / "rates_literature.csv").open() as file:
        for row in csv.DictReader(file):
            card_hours = int(row["gpus"]) * int(row["days"]) * 24
            rate = Rate(int(row["events"]), card_hours * 3600)
            assert rate.per_million is not None
            per_node_hours = 10**6 / rate.per_million / 8
            # The table's figures are rounded from the rate per year of 365.25 days.
            assert per_node_hours == pytest.approx(
                float(row["implied_8gpu_server_mtbf_h"]), rel=1e-3
            )
    with (folder / "rates_titan_by_year.csv").open() as file:
        for row in csv.DictReader(file):
            hours = float(row["gpu_years_in_service"]) * 365.25 * 24
            rate = Rate(int(row["events"]), round(hours * 3600))
            assert rate.per_million is not None
            assert rate.low_per_million is not None
            assert rate.high_per_million is not None
            assert 10**6 / rate.per_million == pytest.approx(float(row["mtbe_gpu_hours"]), rel=1e-3)
            assert rate.low_per_million < rate.per_million < rate.high_per_million
