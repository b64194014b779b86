"""Faults per million card-hours come from outages and from the hours nodes were in service."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory import capacity, health
from inventory.models import FaultRate
from inventory.periods import Period
from tests import world
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def test_time_out_of_use_is_no_time_to_fail_in() -> None:
    """Two nodes of eight cards, ninety days; one was out for a day, and for half of it twice."""
    pool = world.pool(nodes=2)
    node = pool.nodes.order_by("pk")[0]
    for start, kind in ((T0, "failed"), (T0 + DAY / 2, "failed")):
        outage = capacity.set_outage(
            pool_id=pool.pk, kind=kind, node_id=node.pk, reason="smoke", at=start, actor=SYSTEM,
            period=Period(start, start + DAY),
        )  # fmt: skip
        capacity.close_outage(outage_id=outage.pk, at=T0 + DAY, actor=SYSTEM)

    ((key, rate),) = health.rates(at=T0 + 10 * DAY).items()

    assert (key.centre_id, key.generation) == (pool.fabric.centre_id, pool.chip.generation)
    assert rate.fault_count == 2
    assert rate.card_seconds == 8 * 86_400 * (100 + 99)
    assert rate.per_million == pytest.approx(2 * 10**6 / (8 * 24 * 199))


def test_what_lies_before_the_window_does_not_count() -> None:
    pool = world.pool(nodes=1)
    node = pool.nodes.get()
    outage = capacity.set_outage(
        pool_id=pool.pk, kind="failed", node_id=node.pk, reason="smoke", at=T0, actor=SYSTEM,
        period=Period(T0, T0 + DAY),
    )  # fmt: skip
    capacity.close_outage(outage_id=outage.pk, at=T0 + DAY, actor=SYSTEM)

    ((_, rate),) = health.rates(at=T0 + 40 * DAY, window=30 * DAY).items()

    assert (rate.fault_count, rate.card_seconds) == (0, 8 * 86_400 * 30)
    assert rate.low_per_million == 0
    assert rate.high_per_million is not None
    assert rate.high_per_million > 0


def test_offers_show_what_was_last_kept() -> None:
    world.pool(nodes=1)

    first, again = (health.keep_rates(at=T0 + hours * timedelta(hours=1)) for hours in (1, 2))

    assert (first, again) == (1, 1)
    assert FaultRate.objects.get().counted_at == T0 + timedelta(hours=2)
