"""An engine behind a pool: set, checked, read for nodes, compared with what is written."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from inventory import engines, node_import, provisioning
from inventory.drivers.base import Machine
from inventory.errors import Invalid, NotFound
from inventory.models import Instance, JournalEntry, Node, Pool
from inventory.provisioning import pools, verify_pool
from tests.delivery import scene
from tests.drivers import processes
from tests.drivers.ironic_engine import Ironic
from tests.drivers.test_loop import pool_on, run
from tests.world import SYSTEM, T0, actor, provider

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = timedelta(minutes=5)


def verify(pool: Pool, after: timedelta = timedelta(minutes=10)) -> list[str]:
    return [str(each) for each in verify_pool(pool=pool, at=T0 + after, patience=PATIENCE)]


def test_an_unknown_driver_is_refused_and_nothing_changes() -> None:
    pool = scene.pool()

    with pytest.raises(Invalid, match="fake, ironic, kubernetes"):
        engines.configure(
            pool_id=pool.pk, driver="magic", options={}, secret=None, at=T0, actor=SYSTEM
        )

    pool.refresh_from_db()
    assert pool.driver == "fake"
    assert not JournalEntry.objects.filter(event="pool.engine_configured").exists()


def test_another_provider_cannot_set_an_engine() -> None:
    pool = scene.pool()

    with pytest.raises(NotFound):
        engines.configure(
            pool_id=pool.pk,
            driver="fake",
            options={},
            secret=None,
            at=T0,
            actor=actor(provider("Another")),
        )


def test_the_command_takes_the_secret_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, file = scene.pool(), tmp_path / "options.json"
    file.write_text(json.dumps({"endpoint": "http://127.0.0.1:1"}))
    monkeypatch.setattr("sys.stdin", io.StringIO("open sesame\n"))
    words = ["--pool", pool.public_id, "--driver", "ironic", "--options", str(file), "--secret"]

    call_command("set_engine", *words, stdout=io.StringIO())

    pool.refresh_from_db()
    assert (pool.driver, pool.driver_options) == ("ironic", {"endpoint": "http://127.0.0.1:1"})
    assert engines.secret_of(pool) == "open sesame"
    (entry,) = JournalEntry.objects.filter(event="pool.engine_configured")
    assert "sesame" not in json.dumps(entry.data)


def test_a_driver_without_an_engine_cannot_be_checked() -> None:
    with pytest.raises(CommandError, match="fake has no engine"):
        call_command("check_engine", "--pool", scene.pool().public_id)


def test_check_engine_names_what_is_missing(ironic_engine: Ironic) -> None:
    pool = pool_on(ironic_engine, 2)
    lost = pool.nodes.order_by("serial")[0]
    Node.objects.filter(pk=lost.pk).update(hostname="gpu-lost")
    said = io.StringIO()

    with pytest.raises(CommandError, match="things are missing"):
        call_command("check_engine", "--pool", pool.public_id, stderr=said)

    assert f"the engine knows no gpu-lost, which is node {lost.serial} here" in said.getvalue()


def test_the_engines_nodes_are_a_preview_that_the_provider_approves(
    ironic_engine: Ironic,
) -> None:
    pool = pool_on(ironic_engine, 0)
    names = ironic_engine.enrol(2)

    file = engines.node_file(pool=pool, at=T0)
    plan = node_import.preview(pool=pool, content=file)

    assert pool.nodes.count() == 0
    assert set(names) <= {row.hostname for row in plan.rows}
    # Others are enrolled there too, by other tests.
    assert {row.leaf for row in plan.rows if row.hostname in names} == {"leaf-1"}
    done = node_import.apply(pool=pool, content=file, at=T0, actor=SYSTEM)
    assert pool.nodes.count() == done.new_count == len(plan.rows)
    again = node_import.preview(pool=pool, content=file)
    assert set(again.verdicts.values()) == {"same"}


def test_paper_and_engine_agree_through_a_lease(ironic_engine: Ironic) -> None:
    pool = pool_on(ironic_engine, 2)
    allocation = scene.sold(pool, units=1)
    assert verify(pool) == []

    run(allocation, "active", since=T0)
    assert verify(pool) == []
    run(allocation, "ended", since=T0 + timedelta(hours=10))

    assert verify(pool, timedelta(hours=11)) == []
    assert pool in pools()


def test_every_way_in_which_paper_and_engine_differ_is_named(ironic_engine: Ironic) -> None:
    pool = pool_on(ironic_engine, 3)
    allocation = scene.sold(pool, units=1)
    run(allocation, "active", since=T0)
    (instance,) = allocation.instances.select_related("binding__node")
    serving = instance.binding.node
    stolen, sick = pool.nodes.exclude(pk=serving.pk).order_by("serial")
    fence: dict[str, object] = {
        "name": "somebody-else",
        "resource_class": "b200x8",
        "candidate_nodes": [],
    }

    # The centre's people take down what serves, give away what is free, and repair a third.
    ironic_engine.move(serving.hostname, "deleted", "available")
    fence = {
        "name": "somebody-else",
        "resource_class": "b200x8",
        "candidate_nodes": [ironic_engine.node(stolen.hostname)["uuid"]],
    }
    ironic_engine.ask("POST", "/v1/allocations", fence)
    processes.eventually(lambda: ironic_engine.node(stolen.hostname)["instance_uuid"])
    ironic_engine.ask("PUT", f"/v1/nodes/{sick.hostname}/maintenance", {"reason": "fans"})

    found = verify(pool)

    name = f"{allocation.public_id}-{serving.public_id}-c0"
    assert sorted(found) == sorted(
        [
            f"{serving.serial}: serves {name} here, nobody's there",
            f"{stolen.serial}: nobody's here, serves somebody-else there",
            f"{sick.serial}: serviceable here, in maintenance: fans there",
        ]
    )
    # A node that is known to be broken has its incident.
    provisioning.fail_node(
        node_id=sick.pk,
        reason="fans",
        at=T0 + timedelta(minutes=9),
        actor=SYSTEM,
        expected_back_at=T0 + timedelta(days=1),
    )
    assert len(verify(pool)) == 2
    assert Instance.objects.count() == 1


def test_what_just_changed_is_not_yet_compared(
    ironic_engine: Ironic, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_on(ironic_engine, 1)
    allocation = scene.sold(pool, units=1)
    run(allocation, "active", since=T0)
    (node,) = pool.nodes.all()
    monkeypatch.setattr(
        engines, "machines", lambda **_: [Machine(hostname=node.hostname, serving=())]
    )

    assert verify(pool, timedelta(minutes=1)) == []
    assert len(verify(pool)) == 1
