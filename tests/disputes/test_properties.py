"""Whatever telemetry saw and whoever is right: usage adds up, and no charge is lost or doubled."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import Charge, Settlement, SettlementLine
from inventory.disputes.counting import SLOT_SECONDS, SLOTS, NodeHour, Piece, count
from inventory.models import MeterDispute, UsageHour
from inventory.periods import HOUR
from tests.billing import books
from tests.disputes import scene
from tests.disputes.scene import FULL, START

HOUR_START = datetime(2026, 6, 1, 5, tzinfo=UTC)


@st.composite
def pieces(draw: st.DrawFn) -> Piece:
    start, end = sorted(draw(st.lists(st.integers(0, 3600), min_size=2, max_size=2, unique=True)))
    first = draw(st.integers(0, 3))
    return Piece(
        allocation_id=draw(st.integers(1, 2)),
        node_id=draw(st.integers(1, 3)),
        first_card=first,
        end_card=draw(st.integers(first + 1, 4)),
        start=HOUR_START + timedelta(seconds=start),
        end=HOUR_START + timedelta(seconds=end),
    )


@given(
    found=st.lists(pieces(), max_size=4),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2),
    share=st.floats(0, 1),
)
def test_folded_slots_are_the_raw_seconds(
    found: list[Piece], seeds: list[int], share: float
) -> None:
    """Counted second by second: a card-second is seen if its card's slot is, unwatched if no
    card of the centre was seen in it, and else lost; the third node is silent."""
    kept = {
        number: np.random.default_rng(seed).random((4, SLOTS)) < share
        for number, seed in enumerate(seeds, start=1)
    }
    hours = {
        number: NodeHour(
            np.packbits(slots.astype(np.uint8).reshape(-1), bitorder="little").tobytes(), [0] * 4
        )
        for number, slots in kept.items()
    }
    watched = np.logical_or.reduce([slots.any(axis=0) for slots in kept.values()])

    counts = count(found, hours, hour=HOUR_START)

    for allocation in {piece.allocation_id for piece in found}:
        seen = unwatched = 0
        for piece in (each for each in found if each.allocation_id == allocation):
            first = int((piece.start - HOUR_START).total_seconds())
            last = int((piece.end - HOUR_START).total_seconds())
            for second in range(first, last):
                slot = second // SLOT_SECONDS
                for card in range(piece.first_card, piece.end_card):
                    seen += bool(piece.node_id in kept and kept[piece.node_id][card, slot])
                    unwatched += not watched[slot]
        assert counts[allocation].telemetry == seen
        assert counts[allocation].unwatched == unwatched


@given(bad=st.lists(st.integers(0, 120), min_size=4, max_size=4), slots=st.integers(0, 120))
def test_what_was_not_well_is_never_more_than_what_was_seen(bad: list[int], slots: int) -> None:
    seen = np.zeros((4, SLOTS), dtype=np.uint8)
    seen[:, :slots] = 1
    hours = {1: NodeHour(np.packbits(seen.reshape(-1), bitorder="little").tobytes(), bad)}
    whole = Piece(1, 1, 0, 4, HOUR_START, HOUR_START + HOUR)

    found = count([whole], hours, hour=HOUR_START)[1]

    assert found.telemetry == sum(30 * (slots - min(each, slots)) for each in bad)
    assert found.telemetry + found.unwatched <= 4 * 3600


@pytest.mark.django_db
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seen=st.lists(st.integers(0, 120), min_size=3, max_size=3),
    sides=st.lists(st.sampled_from(["tenant", "provider", None]), min_size=3, max_size=3),
    early=st.booleans(),
)
def test_disputes_lose_and_double_no_charge(
    seen: list[int], sides: list[str | None], early: bool
) -> None:
    """Three hours of which telemetry saw so many slots; settled before they are decided, or not."""
    with transaction.atomic():  # each example in a market of its own
        _live(seen, sides, early)
        transaction.set_rollback(True)


def _live(seen: list[int], sides: list[str | None], early: bool) -> None:
    lease = scene.leased(length=3)
    gone, well = scene.nodes(lease)[:2]
    for number, slots in enumerate(seen):
        scene.saw(gone, START + number * HOUR, slots=range(slots))
        scene.saw(well, START + number * HOUR)
    scene.run(START + 7 * HOUR)
    mine = MeterDispute.objects.filter(allocation=lease.allocation).order_by("hour")
    if early:
        books.settle()
    for row, side in zip(mine, sides, strict=False):
        if side is not None:
            scene.decide(row, side, START + 9 * HOUR)
    scene.run(START + 10 * HOUR)
    books.settle(1)
    waiting = set(mine.filter(state="open").values_list("hour", flat=True))

    charges = list(Charge.objects.filter(lease=lease))
    lines = SettlementLine.objects.filter(charge__in=charges)
    times = Counter(lines.values_list("charge_id", flat=True))
    for number, slots in enumerate(seen):
        hour = START + number * HOUR
        dispute = mine.filter(hour=hour).first()
        telemetry = 8 * 30 * slots
        assert (dispute is not None) == (FULL - telemetry > FULL // 50)
        billed = telemetry if dispute and dispute.state != "for_provider" else FULL
        usage = UsageHour.objects.filter(allocation_id=lease.allocation_id, hour=hour)
        sums = usage.aggregate(seconds=Sum("card_seconds"), gap=Sum("gap_card_seconds"))
        assert (sums["seconds"], sums["seconds"] + sums["gap"]) == (billed, FULL)
        charged = [charge for charge in charges if charge.hour == hour]
        assert sum(charge.card_seconds for charge in charged) == billed
        assert {times[charge.pk] for charge in charged} <= ({0} if hour in waiting else {0, 1})
    # What waits for nothing is settled, unless it comes to nothing and is carried.
    left = [charge for charge in charges if not times[charge.pk] and charge.hour not in waiting]
    assert sum(charge.accrued_minor for charge in left) <= 0
    assert not left or len(left) < len(charges) or not Settlement.objects.exists()
