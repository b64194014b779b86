"""A lease on one node of eight cards, with both meters: its history and what telemetry kept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from billing import rating
from inventory import disputes, metering
from inventory.models import (
    Binding,
    Instance,
    InstanceHistory,
    MeterDispute,
    Node,
    Organisation,
    TelemetryHour,
    UsageHour,
)
from inventory.periods import HOUR, Period
from marketplace.models import Lease
from tests import database, world
from tests.billing import books
from tests.marketplace import scene
from tests.world import T0, hours

CARDS = 8
FULL = CARDS * 3600
START = T0 + hours(10)
_numbers = itertools.count(1)
_COUNTERS = (
    *("unhealthy_slots", "busy_slots", "busy_permille_sum", "memory_slots"),
    *("memory_permille_sum", "power_slots", "power_watt_sum", "temperature_max"),
    *("last_error", "link_down_slots"),
)


def leased(
    *,
    nodes: int = 4,
    start: datetime = START,
    length: float = 10,
    owner: Organisation | None = None,
) -> Lease:
    """Active from its start on, whole hours, on the first node of its pool."""
    books.top_up(world.tenant(), 10**7, f"M-{next(_numbers)}")
    listing = scene.listing(world.pool(nodes=nodes, owner=owner))
    begin = (start - T0) / HOUR
    lease = books.activate(books.lease(listing, start=begin, end=begin + length))
    serve(lease)
    return lease


def serve(lease: Lease, node: Node | None = None) -> Instance:
    """The node serves the lease from its start on."""
    allocation = lease.allocation
    period = Period.of(lease.period)
    binding = Binding(
        allocation=allocation,
        node=node or allocation.pool.nodes.order_by("pk")[0],
        cards=(0, CARDS),
        during=period.range,
        created_at=period.start,
    )
    database.write(binding)
    made = Instance.objects.create(
        allocation=allocation,
        binding=binding,
        driver="fake",
        state=Instance.State.ACTIVE,
        card_count=CARDS,
        created_at=period.start,
        active_at=period.start,
    )
    InstanceHistory.objects.create(
        instance=made, state=Instance.State.ACTIVE, at=period.start, recorded_at=period.start
    )
    return made


def saw(
    node: Node,
    hour: datetime,
    *,
    slots: Sequence[int] = range(120),
    cards: int = CARDS,
    by_card: dict[int, Sequence[int]] | None = None,
    sealed: bool = True,
    **facts: Any,
) -> TelemetryHour:
    """Telemetry kept these slots of the node's cards in the hour."""
    seen = np.zeros((cards, 120), dtype=np.uint8)
    for card in range(cards):
        seen[card, list((by_card or {}).get(card, slots))] = 1
    zeros = [0] * cards
    return TelemetryHour.objects.create(
        node_id=node.pk,
        hour=hour,
        card_count=cards,
        seen_slots=[int(count) for count in seen.sum(axis=1)],
        slots=np.packbits(seen.reshape(-1), bitorder="little").tobytes(),
        **{**dict.fromkeys(_COUNTERS, zeros), "error_slots": [-1] * cards, **facts},
        fact_slots=b"",
        replica="a",
        recorded_at=hour + HOUR,
        sealed_at=hour + HOUR + timedelta(minutes=10) if sealed else None,
    )  # fmt: skip


def disputed(provider: Organisation | None = None) -> MeterDispute:
    """Telemetry saw half of the first hour of a lease, on a node beside one it saw all of."""
    lease = leased(owner=provider)
    gone, well = nodes(lease)[:2]
    saw(gone, START, slots=range(60))
    saw(well, START)
    run(START + 5 * HOUR)
    return MeterDispute.objects.get(allocation=lease.allocation)


def nodes(lease: Lease) -> list[Node]:
    return list(lease.allocation.pool.nodes.order_by("pk"))


def run(at: datetime) -> None:
    """Counted, read, counted again where it is disputed, charged."""
    metering.sweep(at=at)
    disputes.sweep(at=at)
    metering.sweep(at=at)
    rating.rate_due(at=at, limit=100_000)


def billed(lease: Lease, hour: datetime = START) -> list[int]:
    """The card-seconds of each revision of the hour."""
    rows = UsageHour.objects.filter(allocation_id=lease.allocation_id, hour=hour)
    return list(rows.order_by("revision").values_list("card_seconds", flat=True))


def dispute() -> MeterDispute:
    return MeterDispute.objects.get()


def decide(row: MeterDispute, upheld_for: str, at: datetime) -> MeterDispute:
    return disputes.decide(
        dispute_public_id=row.public_id,
        upheld_for=upheld_for,
        reason="the switch log agrees",
        evidence="ticket 17",
        at=at,
        actor=world.actor(world.operator()),
        user=books.people()[0],
    )


def run_rating(at: datetime) -> None:
    """What is counted is charged."""
    rating.rate_due(at=at, limit=100_000)
