"""What `dev bench holds` measures: few statements a hold, and the rows that it writes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.bench import floor, world
from billing.bench.holds import _InProcess

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


def test_a_hold_takes_few_statements_and_its_rows_are_counted() -> None:
    trip = _InProcess(world.build(pool_count=1, at=datetime.now(UTC)))

    statements = trip.statements()
    writes = floor.writes_of(trip.hold_and_cancel, times=3)

    assert statements <= 19
    assert writes.inserts["marketplace_reservation"] == 1
    assert writes.inserts["inventory_claim"] == 1
    assert writes.inserts["marketplace_idempotencyrecord"] == 2
    assert writes.inserts["inventory_poolevent"] == 2
    assert writes.updates["marketplace_reservation"] == 1
