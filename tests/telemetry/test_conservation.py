"""Usage is conserved: what is folded is what a plain count over all samples gives, whatever the
order and however often the bodies come; and two at once lose nothing of each other."""

from __future__ import annotations

import random
import threading

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory import telemetry
from inventory.models import TelemetryHour
from inventory.telemetry import hours
from tests.telemetry import bodies
from tests.telemetry.scene import Scene, at, dcgm, scene

samples = st.lists(
    st.tuples(
        st.integers(0, 1),  # node
        st.integers(0, 7),  # card
        st.integers(0, 2 * 3600 - 1),  # seconds after T0
        st.integers(0, 100),
    ),
    min_size=1,
    max_size=40,
)


@pytest.fixture
def place() -> Scene:
    return scene(nodes=2)


@pytest.mark.django_db
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(samples, st.integers(1, 5), st.randoms(use_true_random=False))
def test_folded_is_counted(place: Scene, drawn, parts: int, rng: random.Random) -> None:
    TelemetryHour.objects.filter(node_id__in=[node.pk for node in place.nodes]).update(
        # Each example begins with empty hours; the runtime role deletes none.
        **EMPTY
    )
    # One value for a card's slot, so that the order cannot matter.
    value_of: dict[tuple[int, int, int], int] = {}
    for node, card, second, value in drawn:
        value_of.setdefault((node, card, second // 30), value)
    series = [
        dcgm(place.nodes[node], card, second, value_of[node, card, second // 30])
        for node, card, second, _ in drawn
    ]
    pieces = [series[n::parts] for n in range(parts)] * 2
    rng.shuffle(pieces)

    for piece in pieces:
        telemetry.receive(source=place.source, body=bodies.body(piece), at=at(2 * 3600))

    found: dict[tuple[int, int], tuple[int, int]] = {}
    for row in TelemetryHour.objects.all():
        node = next(n for n, each in enumerate(place.nodes) if each.pk == row.node_id)
        for card in range(8):
            slots, busy = found.get((node, card), (0, 0))
            found[node, card] = (slots + row.seen_slots[card], busy + row.busy_permille_sum[card])
            assert bytes(row.slots)[card * 15 : card * 15 + 15].hex() != "" or not slots
            taken = int.from_bytes(bytes(row.slots)[card * 15 : card * 15 + 15], "little")
            assert taken.bit_count() == row.seen_slots[card] == row.busy_slots[card]
    expected: dict[tuple[int, int], tuple[int, int]] = {}
    for (node, card, _), value in value_of.items():
        slots, busy = expected.get((node, card), (0, 0))
        expected[node, card] = (slots + 1, busy + value * 10)
    assert {key: value for key, value in found.items() if value[0]} == expected


EMPTY = {
    **dict.fromkeys(
        ("seen_slots", "unhealthy_slots", "busy_slots", "memory_slots", "power_slots",
         "busy_permille_sum", "memory_permille_sum", "power_watt_sum", "temperature_max",
         "last_error", "link_down_slots"),
        [0] * 8,
    ),
    "error_slots": [-1] * 8,
    "slots": bytes(120),
    "fact_slots": bytes(600),
}  # fmt: skip


def at_once(s: Scene, count: int) -> None:
    """Bodies of the same hour by as many threads, each with a slot and a card of its own."""
    barrier = threading.Barrier(count)
    faults: list[BaseException] = []

    def send(number: int) -> None:
        try:
            body = bodies.body([dcgm(s.nodes[0], number % 8, number * 30, 50)])
            barrier.wait(timeout=20)
            telemetry.receive(source=s.source, body=body, at=at(3600))
        except BaseException as error:  # noqa: BLE001 (told below)
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert faults == []


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_bodies_at_once_lose_nothing_of_each_other() -> None:
    s = scene(nodes=1)

    at_once(s, 8)

    (row,) = s.hours()
    assert row.seen_slots == [1] * 8


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_without_the_lock_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same statement without FOR UPDATE overwrites what another has added."""
    s = scene(nodes=1)
    telemetry.receive(source=s.source, body=bodies.body([dcgm(s.nodes[0], 0, 0, 50)]), at=at(9))
    monkeypatch.setattr(hours, "_READ", hours._READ.replace("FOR UPDATE OF t", ""))
    meeting = threading.Barrier(4)
    read = hours._read

    def met(keys):
        found = read(keys)
        meeting.wait(timeout=20)
        return found

    monkeypatch.setattr(hours, "_read", met)

    at_once(s, 4)

    (row,) = s.hours()
    assert sum(row.seen_slots) < 4
