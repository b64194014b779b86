"""What telemetry, engine, plans and people say becomes a node's condition, and stays on record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import capacity, health
from inventory.errors import Invalid, NotFound
from inventory.health import cards
from inventory.models import HealthEntry, JournalEntry, Node, NodeHealth, Outage, Pool
from inventory.periods import Period
from tests import world
from tests.disputes import scene
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
AT = T0 + 41 * MINUTE  # slots up to 80 are looked at
EARLIER = range(80)


def nodes(pool: Pool) -> list[Node]:
    return list(pool.nodes.order_by("pk"))


def look(start: datetime, minutes: float) -> None:
    """Every half minute over so many minutes."""
    at = start
    while at <= start + minutes * MINUTE:
        health.sweep(at=at)
        at += cards.SLOT


def state(node: Node) -> str:
    return NodeHealth.objects.get(pk=node.pk).state


def silent(pool: Pool, gone: Sequence[int] = range(70)) -> Node:
    """The first node was seen until slot 70 only; the others are seen all the hour."""
    first, *rest = nodes(pool)
    scene.saw(first, T0, slots=gone, sealed=False)
    for node in rest:
        scene.saw(node, T0, sealed=False)
    return first


def test_a_node_without_telemetry_is_what_its_engine_says() -> None:
    pool = world.pool(nodes=2)

    health.sweep(at=AT)

    assert {row.state for row in NodeHealth.objects.all()} == {"healthy"}
    assert {row.source for row in NodeHealth.objects.all()} == {"driver"}
    assert not HealthEntry.objects.exists()
    assert all(row.cards == [] for row in NodeHealth.objects.filter(node__pool=pool))


def test_a_silent_node_is_down_after_looks_have_agreed() -> None:
    node = silent(world.pool(nodes=2))

    health.sweep(at=AT)
    early = state(node)
    look(AT + cards.SLOT, 1)

    row = NodeHealth.objects.get(pk=node.pk)
    assert early == "healthy"
    assert (row.state, row.source, set(row.cards)) == ("down", "telemetry", {"down"})
    assert row.since == AT
    entry = HealthEntry.objects.get(node=node, card_index=None)
    assert (entry.from_state, entry.state, entry.at) == ("healthy", "down", AT)
    assert entry.recorded_at - entry.at <= cards.WORSE_AFTER + cards.SLOT
    assert JournalEntry.objects.filter(event="health.down", object_id=node.public_id).count() == 1


def test_a_node_that_is_down_counts_as_failed_until_it_is_back() -> None:
    pool = world.pool(nodes=2)
    node = silent(pool)
    look(AT, 2)

    outage = Outage.objects.get()
    assert (outage.kind, outage.node_id, outage.state) == ("failed", node.pk, "open")
    node.refresh_from_db()
    assert node.state == "broken"
    look(AT + 3 * MINUTE, 1)
    assert Outage.objects.count() == 1

    for each in nodes(pool):
        scene.saw(each, T0 + timedelta(hours=1), sealed=False)
    look(T0 + timedelta(hours=1, minutes=10), 12)

    outage.refresh_from_db()
    node.refresh_from_db()
    assert (outage.state, node.state, state(node)) == ("closed", "serviceable", "healthy")
    assert NodeHealth.objects.get(pk=node.pk).outage_id is None


def test_what_a_person_closes_stays_closed_while_the_node_stays_down() -> None:
    node = silent(world.pool(nodes=2))
    look(AT, 2)
    capacity.close_outage(outage_id=Outage.objects.get().pk, at=AT + 3 * MINUTE, actor=SYSTEM)

    look(AT + 3 * MINUTE, 2)

    assert state(node) == "down"
    assert Outage.objects.filter(state="open").count() == 0


def test_what_a_person_opened_only_a_person_closes() -> None:
    pool = world.pool(nodes=2)
    node = nodes(pool)[0]
    capacity.set_outage(
        pool_id=pool.pk, kind="failed", period=Period(AT, AT + timedelta(hours=9)),
        node_id=node.pk, reason="smoke", at=AT, actor=SYSTEM,
    )  # fmt: skip
    for each in nodes(pool):
        scene.saw(each, T0, sealed=False)

    look(AT, 12)

    row = NodeHealth.objects.get(pk=node.pk)
    assert (row.state, row.source, row.evidence) == ("down", "driver", "smoke")
    assert Outage.objects.get().state == "open"


def test_the_silence_of_a_whole_feed_says_nothing() -> None:
    pool = world.pool(nodes=2)
    for node in nodes(pool):
        scene.saw(node, T0, slots=range(40), sealed=False)

    look(AT, 3)

    assert {state(node) for node in nodes(pool)} == {"healthy"}


def test_one_bad_card_degrades_its_node() -> None:
    pool = world.pool(nodes=2)
    first, second = nodes(pool)
    scene.saw(first, T0, by_card={3: range(60)}, sealed=False)
    scene.saw(second, T0, sealed=False)

    look(AT, 2)

    row = NodeHealth.objects.get(pk=first.pk)
    assert row.state == "degraded"
    assert row.cards == ["healthy"] * 3 + ["down"] + ["healthy"] * 4
    assert not Outage.objects.exists()
    entry = HealthEntry.objects.get(card_index=3)
    assert (entry.node_id, entry.state) == (first.pk, "down")


def test_gaps_are_jitter() -> None:
    pool = world.pool(nodes=2)
    first, second = nodes(pool)
    scene.saw(first, T0, slots=range(0, 120, 2), sealed=False)
    scene.saw(second, T0, sealed=False)

    look(AT, 2)

    assert state(first) == "jittering"


def test_slots_that_were_not_well_degrade_while_they_are_new() -> None:
    pool = world.pool(nodes=1)
    scene.saw(nodes(pool)[0], T0, unhealthy_slots=[3, *[0] * 7], sealed=False)

    look(AT, 2)
    first = state(nodes(pool)[0])
    look(AT + 2.5 * MINUTE, 14)

    assert (first, state(nodes(pool)[0])) == ("degraded", "healthy")


def test_a_report_stands_until_it_is_withdrawn() -> None:
    pool = world.pool(nodes=1)
    node, owner = nodes(pool)[0], world.actor(pool.provider)
    row = health.report(
        node_id=node.pk, card_index=2, state="down", reason="fan", at=AT, actor=owner
    )
    health.sweep(at=AT)
    reported = NodeHealth.objects.get(pk=node.pk)
    assert (reported.state, reported.source, reported.evidence) == ("degraded", "report", "fan")

    health.withdraw(report_public_id=row.public_id, at=AT, actor=owner, reason="replaced")
    health.withdraw(report_public_id=row.public_id, at=AT, actor=owner, reason="twice")
    health.sweep(at=AT)

    assert state(node) == "healthy"
    assert list(HealthEntry.objects.order_by("pk").values_list("state", flat=True)) == [
        "degraded", "healthy",
    ]  # fmt: skip
    events = JournalEntry.objects.filter(object_id=node.public_id).values_list("event", flat=True)
    assert {"health.reported", "health.report_withdrawn"} <= set(events)


def test_planned_maintenance_explains_everything_else() -> None:
    pool = world.pool(nodes=2)
    node = nodes(pool)[0]
    capacity.set_outage(
        pool_id=pool.pk, kind="planned", period=Period(AT, AT + timedelta(hours=2)),
        node_id=node.pk, reason="firmware", at=AT, actor=SYSTEM,
    )  # fmt: skip
    health.report(node_id=node.pk, state="down", reason="off", at=AT, actor=SYSTEM)

    health.sweep(at=AT)

    row = NodeHealth.objects.get(pk=node.pk)
    assert (row.state, row.source, row.evidence) == ("maintenance", "plan", "firmware")


def test_refuses_reports_that_say_nothing() -> None:
    pool = world.pool(nodes=1)
    node = nodes(pool)[0]

    with pytest.raises(NotFound):
        health.report(
            node_id=node.pk, state="down", reason="x", at=AT, actor=world.actor(world.stranger())
        )
    for wrong in ({"state": "healthy"}, {"card_index": 8}, {"reason": " "}):
        facts = {"state": "down", "reason": "x", **wrong}
        with pytest.raises(Invalid):
            health.report(node_id=node.pk, at=AT, actor=SYSTEM, **facts)  # type: ignore[arg-type]


def test_many_nodes_cost_no_more_statements_than_few() -> None:
    pool = world.pool(nodes=2)

    def statements() -> int:
        for node in nodes(pool):
            if not NodeHealth.objects.filter(pk=node.pk).exists():
                scene.saw(node, T0, sealed=False)
        with CaptureQueriesContext(connection) as queries:
            health.sweep(at=AT)
        return len(queries)

    few = statements()
    world.add_nodes(pool, 40, at=T0)
    many = statements()

    assert many <= few


def test_history_cannot_be_changed() -> None:
    silent(world.pool(nodes=2))
    look(AT, 2)

    with pytest.raises(Exception, match=r"permission|Cannot"), connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_healthentry SET state = 'healthy'")
