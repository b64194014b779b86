"""Leases on a real Ironic through the reconcile loop, also where we or the engine are killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from inventory import credentials, engines, provisioning
from inventory.models import Allocation, Instance, Node, Pool
from inventory.provisioning import claims, instances, verify_pool
from tests.delivery import scene
from tests.drivers.ironic_engine import Ironic
from tests.drivers.slurm_engine import Cluster
from tests.world import SYSTEM, T0, actor, tenant

pytestmark = pytest.mark.django_db(transaction=True)
State = Allocation.State
DAY = timedelta(days=1)


@pytest.fixture
def pool(ironic_engine: Ironic) -> Pool:
    return pool_on(ironic_engine, 3)


def pool_on(engine: Ironic, count: int, *, spares: int = 0, **options: Any) -> Pool:
    """A pool whose nodes are fresh ones of that Ironic."""
    facts = {"endpoint": engine.url, "poll_seconds": 0.3, **options}
    row = scene.pool(nodes=count, options=facts, spare_count=spares)
    row.driver = "ironic"
    row.save(update_fields=["driver"])
    for node, name in zip(row.nodes.order_by("pk"), engine.enrol(count), strict=True):
        Node.objects.filter(pk=node.pk).update(hostname=name)
    return row


def pool_on_slurm(cluster: Cluster, count: int, *, spares: int = 0) -> Pool:
    login = {"host": "login.centre.example"}
    facts = {"conf": str(cluster.conf), "users": ["daemon"], "login": login}
    row = scene.pool(nodes=count, options=facts, spare_count=spares)
    row.driver = "slurm"
    row.save(update_fields=["driver"])
    for node in row.nodes.order_by("pk"):
        Node.objects.filter(pk=node.pk).update(hostname=cluster.fresh())
    return row


def until(
    done: Callable[[], object], *, since: datetime, started: float, seconds: float = 60
) -> datetime:
    """Rounds of both sweeps, the engine's time being ours; the instant at which it was done."""
    while True:
        at = since + timedelta(seconds=time.monotonic() - started)
        stepped = scene.tick(at)
        if done():
            return at
        assert time.monotonic() < started + seconds
        if not stepped:
            time.sleep(0.05)


def run(
    allocation: Allocation,
    state: str,
    *,
    since: datetime,
    claims_lapse: bool = False,
    seconds: float = 60,
) -> datetime:
    """Until the allocation is in that state; a killed worker's claims lapse at once if asked."""

    def there() -> bool:
        if claims_lapse:
            Instance.objects.exclude(claimed_until=None).update(claimed_until=None)
        allocation.refresh_from_db()
        return allocation.state == state

    return until(there, since=since, started=time.monotonic(), seconds=seconds)


def test_a_lease_on_bare_metal_from_its_start_to_clean_nodes(
    ironic_engine: Ironic, pool: Pool
) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5Wx0 someone"
    allocation = scene.sold(pool, units=2, ssh_keys=(key,))

    run(allocation, State.ACTIVE, since=T0)

    serving = list(allocation.instances.select_related("binding__node"))
    for each in serving:
        node = ironic_engine.node(each.binding.node.hostname)
        assert node["provision_state"] == "active"
        assert each.engine_reference == node["uuid"]
    secret = credentials.reveal(allocation_id=allocation.pk, at=T0, actor=actor(tenant()))
    assert {each.hostname for each in secret.machines} == {
        each.binding.node.hostname for each in serving
    }

    run(allocation, State.ENDED, since=T0 + timedelta(hours=10))

    for name in pool.nodes.values_list("hostname", flat=True):
        node = ironic_engine.node(name)
        assert (node["provision_state"], node["instance_uuid"]) == ("available", None)


def test_killed_between_the_call_and_its_record_at_every_step(
    ironic_engine: Ironic, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine has done it, we have not written it: each first record of a step is lost."""
    allocation = scene.sold(pool, units=1)
    take, lost = claims.take, set()

    def killed(model: type[Any], claim: claims.Claimed) -> Any:
        if model is Instance:
            row = Instance.objects.get(pk=claim.id)
            step = (row.state, row.engine_reference)
            if step not in lost:
                lost.add(step)
                raise RuntimeError("killed")
        return take(model, claim)

    monkeypatch.setattr(claims, "take", killed)

    run(allocation, State.ACTIVE, since=T0, claims_lapse=True)
    run(allocation, State.ENDED, since=T0 + timedelta(hours=10), claims_lapse=True)

    assert {state for state, _reference in lost} == {"planned", "provisioning", "releasing"}
    (instance,) = allocation.instances.all()
    assert instance.state == Instance.State.RELEASED
    node = ironic_engine.node(instance.binding.node.hostname)
    assert (node["provision_state"], node["instance_uuid"]) == ("available", None)


def test_a_node_in_maintenance_is_replaced_by_a_spare(ironic_engine: Ironic) -> None:
    pool = pool_on(ironic_engine, 3, spares=1)
    allocation = scene.sold(pool, units=2)
    scene.tick(T0)
    bad = allocation.instances.order_by("pk")[0].binding.node
    ironic_engine.ask("PUT", f"/v1/nodes/{bad.hostname}/maintenance", {"reason": "fans"})

    run(allocation, State.ACTIVE, since=T0)

    up = allocation.instances.filter(state=Instance.State.ACTIVE)
    assert len(up) == 2
    assert bad.pk not in {each.binding.node_id for each in up}
    bad.refresh_from_db()
    assert bad.state == Node.State.BROKEN
    failed = allocation.instances.get(binding__node=bad)
    assert "in maintenance: fans" in failed.last_error


def test_a_lease_on_slurm_is_one_reservation_that_follows_its_machines(
    slurm_engine: Cluster,
) -> None:
    pool = pool_on_slurm(slurm_engine, 4, spares=1)
    allocation = scene.sold(pool, units=3)
    run(allocation, State.ACTIVE, since=T0)
    bad = allocation.instances.order_by("pk")[0].binding.node
    at = T0 + timedelta(hours=1)

    provisioning.fail_node(
        node_id=bad.pk, expected_back_at=at + DAY, at=at, actor=SYSTEM, reason="fans"
    )

    def is_replaced() -> bool:
        return sorted(scene.states(allocation)) == ["active", "active", "active", "released"]

    until(is_replaced, since=at, started=time.monotonic())
    assert verify_pool(pool=pool, at=at + DAY, patience=timedelta(minutes=5)) == []
    shown = slurm_engine.ask("scontrol", "-o", "show", "reservation", allocation.public_id)
    assert "NodeCnt=3 " in shown

    run(allocation, State.ENDED, since=T0 + timedelta(hours=10))

    shown = slurm_engine.ask("scontrol", "-o", "show", "reservation", allocation.public_id)
    assert shown.endswith("not found\n")


def test_the_secret_of_an_engine_reaches_the_driver_and_no_reader_of_the_row(pool: Pool) -> None:
    engines.configure(
        pool_id=pool.pk,
        driver="ironic",
        options=pool.driver_options,
        secret="open sesame",
        at=T0,
        actor=SYSTEM,
    )
    allocation = scene.sold(pool, units=1)
    scene.tick(T0)
    instance = allocation.instances.select_related("allocation__pool", "binding__node").get()

    assert instances.target_of(instance).secret == "open sesame"
    pool.refresh_from_db()
    assert b"open sesame" not in bytes(pool.engine_secret or b"")
    assert engines.rewrap_secrets() == 1
    pool.refresh_from_db()
    assert engines.secret_of(pool) == "open sesame"
