"""Two meters read, disputed and decided by many at once; controls show each race."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from billing.models import Charge, SettlementLine
from inventory import capacity, disputes, health, metering
from inventory.disputes import reading
from inventory.disputes.counting import Count
from inventory.errors import DomainError
from inventory.models import (
    HealthReport,
    MeterDispute,
    MeterReading,
    Outage,
    Pool,
)
from inventory.periods import HOUR, Period
from tests import world
from tests.billing import books
from tests.disputes import scene
from tests.disputes.scene import FULL, START
from tests.races.crowd import together
from tests.world import SYSTEM, T0

pytestmark = [
    pytest.mark.race,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("many_connections"),
]

AT = START + 5 * HOUR
CROWD = 4


def _seen_by_half(start: datetime = START) -> int:
    """A counted hour that telemetry saw half of; its allocation."""
    lease = scene.leased(start=start)
    gone, well = scene.nodes(lease)[:2]
    scene.saw(gone, start, slots=range(60))
    scene.saw(well, start)
    metering.sweep(at=start + 5 * HOUR)
    return lease.allocation_id


def test_read_by_many_at_once_an_hour_is_disputed_once() -> None:
    _seen_by_half()

    found = together(*[lambda: disputes.sweep(at=AT)] * CROWD)

    assert sum(found) == 1
    assert MeterReading.objects.count() == MeterDispute.objects.count() == 1


def test_control_without_locks_only_the_key_stands_between(monkeypatch: Any) -> None:
    allocation_id = _seen_by_half()
    counts: Mapping[int, Count] = {allocation_id: Count(telemetry=FULL // 2)}
    met = threading.Barrier(CROWD)
    monkeypatch.setattr(reading, "_hold_still", lambda _counts: None)
    usage = reading._usage
    monkeypatch.setattr(reading, "_reading", _after(met, reading._reading))
    errors: list[BaseException] = []

    def record() -> None:
        try:
            with transaction.atomic():
                reading._record(START, counts, AT)
        except DatabaseError as error:
            errors.append(error)

    together(*[record] * CROWD)

    assert usage({allocation_id}, START) == {allocation_id: (FULL, FULL)}
    assert len(errors) == CROWD - 1
    assert MeterDispute.objects.count() == 1


def _after(met: threading.Barrier, work: Any) -> Any:
    """All have looked before anybody goes on."""

    def wait(*args: Any) -> Any:
        met.wait(30)
        return work(*args)

    return wait


def test_decided_by_many_at_once_one_decision_stands() -> None:
    row = scene.disputed()
    sides = ["tenant", "provider"] * (CROWD // 2)

    found = together(*[lambda side=side: scene.decide(row, side, AT) for side in sides])

    won = [each for each in found if isinstance(each, MeterDispute)]
    assert len(won) == 1
    assert all(isinstance(each, MeterDispute | disputes.DisputeDecided) for each in found)
    row.refresh_from_db()
    assert row.state == won[0].state


def test_control_without_a_lock_both_find_it_open() -> None:
    row = scene.disputed()
    met = threading.Barrier(2)
    user = books.people()[0]
    seen: list[str] = []
    errors: list[BaseException] = []

    def decide(state: str) -> None:
        mine = MeterDispute.objects.get(pk=row.pk)
        seen.append(mine.state)
        met.wait(30)
        try:
            MeterDispute.objects.filter(pk=row.pk).update(
                state=state, reason="r", evidence="e", decided_by=user
            )
        except DatabaseError as error:
            errors.append(error)
        finally:
            connections.close_all()

    together(lambda: decide("for_tenant"), lambda: decide("for_provider"))

    assert seen == ["open", "open"]
    assert len(errors) == 1  # the table of states in the database has the last word


def test_settled_while_it_is_disputed_each_charge_is_paid_out_once() -> None:
    over = T0 + 712 * HOUR  # the month, in the billing zone
    _seen_by_half(over - 10 * HOUR)
    metering.sweep(at=over + HOUR)
    scene.run_rating(over + HOUR)

    together(lambda: _tolerant(books.settle), lambda: disputes.sweep(at=over + HOUR))
    scene.run(over + 2 * HOUR)
    scene.decide(MeterDispute.objects.get(), "provider", over + 3 * HOUR)
    scene.run(over + 4 * HOUR)
    for months in range(3):
        _tolerant(lambda months=months: books.settle(months))

    lines = SettlementLine.objects.values_list("charge_id", flat=True)
    assert len(lines) == len(set(lines)) > 0
    # Settled before the dispute, its two corrections come to nothing and wait for what follows.
    left = Charge.objects.filter(settlement_line__isnull=True)
    assert sum(left.values_list("accrued_minor", flat=True)) == 0
    assert not books.differences()


def _tolerant(work: Any) -> Any:
    for _ in range(20):
        try:
            return work()
        except DomainError:
            continue
    return None


def _reported_down(pool: Pool) -> HealthReport:
    node = pool.nodes.order_by("pk")[0]
    return health.report(node_id=node.pk, state="down", reason="smoke", at=T0, actor=SYSTEM)


def test_looked_at_by_many_at_once_a_node_that_is_down_fails_once() -> None:
    _reported_down(world.pool(nodes=2))
    health.sweep(at=T0 - HOUR)  # rows are there; the report is found by the crowd

    Outage.objects.filter(state="open").exists()
    together(*[lambda: health.sweep(at=T0)] * CROWD)
    health.sweep(at=T0)

    assert Outage.objects.filter(kind="failed", state="open").count() == 1


def test_control_capacity_alone_would_take_every_word_for_it() -> None:
    pool = world.pool(nodes=2)
    node = pool.nodes.order_by("pk")[0]

    def fail() -> Outage:
        return capacity.set_outage(
            pool_id=pool.pk, kind="failed", period=Period(T0, T0 + 8 * HOUR), node_id=node.pk,
            reason="smoke", at=T0, actor=SYSTEM,
        )  # fmt: skip

    together(*[fail] * 2)

    assert Outage.objects.filter(kind="failed", state="open").count() == 2
