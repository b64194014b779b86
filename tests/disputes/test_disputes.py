"""Two meters of an hour: both kept, the lower billed where they differ, each charge paid once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import Charge, SettlementLine
from inventory import disputes
from inventory.errors import Invalid, NotFound
from inventory.models import JournalEntry, MeterDispute, MeterReading
from inventory.periods import HOUR
from tests import world
from tests.billing import books
from tests.disputes import scene
from tests.disputes.scene import FULL, START

pytestmark = pytest.mark.django_db

AT = START + 5 * HOUR
HALF = range(60)


def test_both_counts_are_kept_where_they_agree() -> None:
    lease = scene.leased()
    scene.saw(scene.nodes(lease)[0], START)

    scene.run(AT)

    reading = MeterReading.objects.get()
    assert (reading.allocation_id, reading.hour) == (lease.allocation_id, START)
    assert (reading.history_card_seconds, reading.telemetry_card_seconds) == (FULL, FULL)
    assert not MeterDispute.objects.exists()
    assert scene.billed(lease) == [FULL]


def test_a_difference_opens_a_dispute_and_the_lower_is_billed() -> None:
    lease = scene.leased()
    gone, well = scene.nodes(lease)[:2]
    scene.saw(gone, START, slots=HALF)
    scene.saw(well, START)

    scene.run(AT)

    row = scene.dispute()
    assert (row.state, row.hour, row.tolerance_card_seconds) == ("open", START, FULL // 50)
    assert (row.history_card_seconds, row.telemetry_card_seconds) == (FULL, FULL // 2)
    assert scene.billed(lease) == [FULL, -FULL // 2]
    assert (
        sum(Charge.objects.filter(hour=START).values_list("card_seconds", flat=True)) == FULL // 2
    )
    entry = JournalEntry.objects.get(event="meterdispute.open")
    assert (entry.object_id, entry.provider_id, entry.tenant_id) == (
        row.public_id, lease.provider_id, lease.tenant_id,
    )  # fmt: skip


def test_one_card_that_is_not_well_is_a_difference() -> None:
    lease = scene.leased()
    scene.saw(scene.nodes(lease)[0], START, unhealthy_slots=[120, *[0] * 7])

    scene.run(AT)

    assert scene.dispute().telemetry_card_seconds == FULL - 3600


def test_within_the_tolerance_nothing_happens() -> None:
    lease = scene.leased()
    gone, well = scene.nodes(lease)[:2]
    scene.saw(gone, START, slots=range(118))  # 480 card-seconds of 576 allowed
    scene.saw(well, START)

    scene.run(AT)

    assert MeterReading.objects.get().telemetry_card_seconds == FULL - 480
    assert not MeterDispute.objects.exists()


def test_the_silence_of_a_whole_feed_is_nobodys_fault() -> None:
    lease = scene.leased()
    for node in scene.nodes(lease):
        scene.saw(node, START, slots=HALF)

    scene.run(AT)

    reading = MeterReading.objects.get()
    assert (reading.telemetry_card_seconds, reading.unwatched_card_seconds) == (
        FULL // 2, FULL // 2,
    )  # fmt: skip
    assert not MeterDispute.objects.exists()


def test_a_node_without_a_feed_has_one_meter() -> None:
    lease = scene.leased()
    scene.saw(scene.nodes(lease)[1], START)

    scene.run(AT)

    assert not MeterReading.objects.exists()
    assert not MeterDispute.objects.exists()


def test_a_node_that_fell_silent_has_two_meters_still() -> None:
    lease = scene.leased()
    gone, well = scene.nodes(lease)[:2]
    scene.saw(gone, START)
    for number in range(2):
        scene.saw(well, START + number * HOUR)

    scene.run(AT)

    row = scene.dispute()
    assert (row.hour, row.telemetry_card_seconds) == (START + HOUR, 0)


def test_an_hour_that_is_not_sealed_waits() -> None:
    lease = scene.leased()
    scene.saw(scene.nodes(lease)[0], START - HOUR)
    scene.saw(scene.nodes(lease)[0], START, slots=HALF, sealed=False)

    scene.run(AT)

    assert not MeterReading.objects.exists()


def test_reading_again_reads_nothing_again() -> None:
    lease = scene.leased()
    gone, well = scene.nodes(lease)[:2]
    scene.saw(gone, START, slots=HALF)
    scene.saw(well, START)

    for minute in range(4):
        scene.run(AT + timedelta(minutes=minute))

    assert MeterReading.objects.count() == MeterDispute.objects.count() == 1
    assert scene.billed(lease) == [FULL, -FULL // 2]


@pytest.mark.parametrize(
    ("upheld_for", "revisions"),
    [("tenant", [FULL, -FULL // 2]), ("provider", [FULL, -FULL // 2, FULL // 2])],
)
def test_disputed_charges_wait_and_are_settled_once(upheld_for: str, revisions: list[int]) -> None:
    lease = scene.leased()
    gone, well = scene.nodes(lease)[:2]
    scene.saw(gone, START, slots=HALF)
    scene.saw(well, START)
    scene.run(START + 14 * HOUR)

    first = books.settle()
    assert first is not None
    settled = SettlementLine.objects.values_list("charge__hour", flat=True)
    assert first.line_count == 9
    assert START not in settled

    decided = scene.decide(scene.dispute(), upheld_for, START + 20 * HOUR)
    scene.run(START + 21 * HOUR)
    second, third = books.settle(1), books.settle(2)

    assert decided.state == f"for_{upheld_for}"
    assert scene.billed(lease) == revisions
    assert second is not None
    assert second.line_count == len(revisions)
    assert third is None
    assert SettlementLine.objects.count() == Charge.objects.count()
    assert not books.differences()


def test_a_dispute_is_decided_once_with_reason_and_evidence() -> None:
    lease = scene.leased()
    gone, well = scene.nodes(lease)[:2]
    scene.saw(gone, START, slots=HALF)
    scene.saw(well, START)
    scene.run(AT)
    row = scene.dispute()
    facts = {
        "dispute_public_id": row.public_id, "upheld_for": "tenant", "at": AT,
        "actor": world.actor(world.operator()), "user": books.people()[0],
    }  # fmt: skip

    with pytest.raises(Invalid):
        disputes.decide(**facts, reason="", evidence="log")  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        disputes.decide(**facts, reason="so", evidence=" ")  # type: ignore[arg-type]
    stranger = {**facts, "actor": world.actor(world.stranger())}
    with pytest.raises(NotFound):
        disputes.decide(**stranger, reason="so", evidence="log")  # type: ignore[arg-type]
    scene.decide(row, "tenant", AT)
    with pytest.raises(disputes.DisputeDecided):
        scene.decide(row, "provider", AT)
    assert JournalEntry.objects.filter(event="meterdispute.for_tenant").count() == 1
