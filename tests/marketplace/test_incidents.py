"""A failed node is an incident: whom it touched, when it was mitigated, when it was over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from inventory import capacity, provisioning
from inventory.actors import Actor
from inventory.errors import Forbidden, NotFound
from inventory.models import JournalEntry, Node, Outage
from inventory.periods import Period
from marketplace import incidents
from marketplace.asking import TermsInput
from marketplace.models import Incident, Lease
from tests import world
from tests.delivery import scene as delivery
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db
FAILED = T0 + hours(12)


def served(spares: int = 1, terms: TermsInput | None = None) -> Lease:
    """A lease of one node, handed over by the fake engine."""
    pool = world.pool(nodes=4, spare_count=spares)
    row = scene.lease(scene.listing(pool, units=3, terms=terms), start=10, end=20)
    delivery.run(T0 + hours(9), T0 + hours(11))
    row.refresh_from_db()
    return row


def fail(node: Node, at=FAILED) -> Outage:
    return capacity.set_outage(
        pool_id=node.pool_id,
        kind=Outage.Kind.FAILED,
        node_id=node.pk,
        period=Period(at, at + timedelta(days=3)),
        reason="XID 79",
        at=at,
        actor=world.actor(world.provider()),
    )


def node_of(row: Lease) -> Node:
    return Node.objects.get(bindings__allocation_id=row.allocation_id)


def kinds(row: Incident, reader: Actor | None = None) -> list[str]:
    actor = reader or world.actor(world.provider())
    return [entry.kind for entry in incidents.timeline(row, actor)]


def test_a_failed_node_opens_one_and_names_the_lease() -> None:
    row = served()
    outage = fail(node_of(row))

    assert incidents.sweep(at=FAILED) == 1
    assert incidents.sweep(at=FAILED + timedelta(seconds=15)) == 0

    incident = Incident.objects.get()
    assert (incident.state, incident.pool_id) == ("open", outage.pool_id)
    assert kinds(incident) == ["node_failed", "lease_touched", "opened"] or kinds(incident) == [
        "opened", "node_failed", "lease_touched",
    ]  # fmt: skip
    assert [each.lease_id for each in incident.leases.all()] == [row.pk]
    told = JournalEntry.objects.get(event="incident.lease_touched")
    assert (told.tenant_id, told.object_id) == (row.tenant_id, incident.public_id)


def test_it_is_mitigated_when_the_lease_is_served_again_and_resolved_when_the_node_is_back() -> (
    None
):
    row = served()
    outage = fail(node_of(row))
    incidents.sweep(at=FAILED)
    provisioning.replace(
        instance_id=row.allocation.instances.get().pk, at=FAILED, actor=SYSTEM, reason="broken"
    )
    delivery.run(FAILED, FAILED + timedelta(minutes=30))

    assert incidents.sweep(at=FAILED + timedelta(minutes=31)) == 1
    incident = Incident.objects.get()
    assert incident.state == "mitigated"

    capacity.close_outage(outage_id=outage.pk, at=FAILED + hours(2), actor=SYSTEM)
    incidents.sweep(at=FAILED + hours(2))
    incident.refresh_from_db()
    assert (incident.state, incident.resolved_at) == ("resolved", FAILED + hours(2))
    assert kinds(incident)[-3:] == ["mitigated", "node_back", "resolved"]


def test_a_replacement_that_takes_longer_than_promised_is_told_once() -> None:
    promised = TermsInput(
        sla_availability_bps=9_900, sla_credits=((9_900, 1_000),), sla_cap_bps=5_000,
        sla_replacement_hours=2,
    )  # fmt: skip
    row = served(terms=promised)
    fail(node_of(row))
    incidents.sweep(at=FAILED)

    assert incidents.sweep(at=FAILED + hours(2) - timedelta(seconds=1)) == 0
    assert incidents.sweep(at=FAILED + hours(2)) == 1
    assert incidents.sweep(at=FAILED + hours(3)) == 0

    told = JournalEntry.objects.get(event="incident.replacement_late")
    assert told.tenant_id == row.tenant_id
    assert kinds(Incident.objects.get(), world.actor(world.tenant()))[-1] == "late"


def test_what_fails_meanwhile_joins_it_and_later_trouble_is_another() -> None:
    row = served()
    nodes = list(Node.objects.filter(pool_id=node_of(row).pool_id).order_by("pk"))
    first, second = fail(nodes[-1]), fail(nodes[-2])
    incidents.sweep(at=FAILED)
    assert Incident.objects.get().outages.count() == 2

    for outage in (first, second):
        capacity.close_outage(outage_id=outage.pk, at=FAILED + hours(1), actor=SYSTEM)
    incidents.sweep(at=FAILED + hours(1))
    fail(nodes[-1], FAILED + hours(2))
    incidents.sweep(at=FAILED + hours(2))

    assert [i.state for i in Incident.objects.order_by("pk")] == ["resolved", "mitigated"]


def test_leases_in_danger_of_too_few_nodes_are_named() -> None:
    pool = world.pool(nodes=2)
    row = scene.lease(scene.listing(pool, units=2), units=2, start=20, end=30)
    fail(pool.nodes.order_by("pk")[0])
    incidents.sweep(at=FAILED)

    assert [each.lease_id for each in Incident.objects.get().leases.all()] == [row.pk]


def test_a_tenant_sees_what_touches_it_and_nothing_of_nodes_or_others() -> None:
    row = served()
    fail(node_of(row))
    incidents.sweep(at=FAILED)
    tenant, stranger = world.actor(world.tenant()), world.actor(world.stranger())

    seen = Incident.objects.visible_to(tenant).get()
    assert Incident.objects.visible_to(stranger).count() == 0
    assert sorted(kinds(seen, tenant)) == ["lease_touched", "opened"]
    assert incidents.leases_of(seen, tenant).count() == 1


def test_provider_and_operator_write_into_it_and_nobody_else() -> None:
    row = served()
    fail(node_of(row))
    incidents.sweep(at=FAILED)
    incident = Incident.objects.get()
    facts: dict[str, Any] = {"incident_public_id": incident.public_id, "at": FAILED}

    incidents.note(**facts, text="on site", actor=world.actor(world.provider()))
    incidents.explain(**facts, cause="a fan", actor=world.actor(world.operator()))
    with pytest.raises(Forbidden):
        incidents.note(**facts, text="why?", actor=world.actor(world.tenant()))
    with pytest.raises(NotFound):
        incidents.note(**facts, text="x", actor=world.actor(world.stranger()))

    incident.refresh_from_db()
    assert incident.cause == "a fan"
    assert sorted(kinds(incident))[:1] == ["cause"]
