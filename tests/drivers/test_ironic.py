"""What goes wrong with a real Ironic, and what the driver makes of it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from inventory.drivers import ssh
from inventory.drivers.base import DriverError
from inventory.drivers.ironic import configdrive, driver
from inventory.drivers.ironic.client import Client, WrongState
from tests.drivers import processes
from tests.drivers.benches import engine_of
from tests.drivers.conftest import IronicBench
from tests.drivers.ironic_engine import Ironic, ironic


@pytest.fixture
def bench(ironic_engine: Ironic) -> IronicBench:
    return IronicBench(ironic_engine)


@pytest.fixture(scope="module")
def slow_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ironic]:
    """One whose deployments and cleanings take two seconds, to be killed in the middle."""
    with ironic(tmp_path_factory.mktemp("slow") / "home", delay=2) as engine:
        yield engine


def begin(bench: IronicBench, target) -> None:
    """Until the deployment is under way."""
    while not bench.driver.provision(target, at=bench.at).reference:
        pass


def test_a_node_of_unknown_power_is_told_one_before_it_is_fenced(bench: IronicBench) -> None:
    """Ironic's allocations pass over such a node without a word."""
    (name,) = bench.engine.enrol(powered=False)
    target = bench.target(hostname=name)
    assert bench.engine.node(name)["power_state"] is None

    assert bench.until_done(bench.driver.provision, target).done

    assert bench.engine.node(name)["power_state"] == "power on"


@pytest.mark.parametrize(("state", "word"), [("error", "not allocated"), ("allocating", "forgot")])
def test_a_fence_that_ironic_failed_or_forgot_is_set_anew(
    bench: IronicBench, state: str, word: str
) -> None:
    """Seen on a busy Ironic: an allocation in `error`, and one in `allocating` for ever."""
    target = bench.target()
    bench.driver.provision(target, at=bench.at)
    processes.eventually(lambda: bench.engine.node(target.hostname)["instance_uuid"])
    with contextlib.closing(sqlite3.connect(bench.engine.home / "ironic.sqlite")) as rows:
        change = "UPDATE {} WHERE name = ?"
        lost = f"allocations SET state = '{state}', node_id = NULL, created_at = '2026-01-01'"
        rows.execute(change.format(lost), [target.name])
        free = "nodes SET instance_uuid = NULL, allocation_id = NULL"
        rows.execute(change.format(free), [target.hostname])
        rows.commit()

    with pytest.raises(DriverError, match=word) as again:
        bench.driver.provision(target, at=bench.at)

    assert not again.value.permanent
    assert bench.until_done(bench.driver.provision, target).done


def test_each_step_writes_at_most_once(bench: IronicBench, monkeypatch: pytest.MonkeyPatch) -> None:
    target = bench.target(options={"instance_info": {"image_source": "http://127.0.0.1/x.img"}})
    write, writes = Client.write, []

    def noted(client: Client, *words: Any) -> None:
        writes.append(words)
        write(client, *words)

    monkeypatch.setattr(Client, "write", noted)

    counts = []
    for verb in (bench.driver.provision, bench.driver.release):
        done = False
        while not done:
            before = len(writes)
            with contextlib.suppress(DriverError):
                done = verb(target, at=bench.at).done
            counts.append(len(writes) - before)

    assert max(counts) == 1
    # The fence, the image, the deployment, the power; the undeployment.
    assert [words[0] for words in writes] == ["POST", "PATCH", "PUT", "PUT", "PUT"]


def test_a_second_submission_is_no_error(bench: IronicBench) -> None:
    """Ironic answers 400 to a state that is reached already: so the state is read first."""
    target = bench.target()
    bench.until_done(bench.driver.provision, target)

    sight_too_old = replace_state(bench, target, "available")
    with pytest.raises(DriverError) as refused:
        sight_too_old.move("active")

    assert not refused.value.permanent  # it has moved since: look again
    assert bench.driver.provision(target, at=bench.at).done


def replace_state(bench: IronicBench, target, state: str):
    sight = driver.look(target)
    return replace(sight, node={**sight.node, "provision_state": state})


def test_what_ironic_refuses_as_things_are_is_given_up(bench: IronicBench) -> None:
    target = bench.target()
    sight = replace_state(bench, target, "available")

    with pytest.raises(DriverError, match="Ironic refuses") as refused:
        sight.move("rescue", rescue_password="x")

    assert refused.value.permanent


def test_a_locked_node_is_asked_again_later(bench: IronicBench) -> None:
    target = bench.target()
    bench.engine.ask("PUT", f"/v1/nodes/{target.hostname}/states/provision", {"target": "manage"})
    bench.engine.settle(target.hostname, "manageable")
    path = f"/v1/nodes/{target.hostname}/states/provision"
    client = Client(engine_of(target))
    refusals = []
    for verb in ("provide", "manage", "provide", "manage", "provide"):
        try:
            client.write("PUT", path, {"target": verb})
        except DriverError as error:
            refusals.append(error)
        except WrongState:
            continue

    assert all(not each.permanent for each in refusals)
    bench.engine.settle(target.hostname, "available")


def test_a_node_that_is_not_available_is_given_up_with_its_state(bench: IronicBench) -> None:
    target = bench.target()
    bench.engine.move(target.hostname, "manage", "manageable")

    with pytest.raises(DriverError, match="is manageable, not available") as refused:
        bench.driver.provision(target, at=bench.at)

    assert refused.value.permanent
    assert bench.driver.release(target, at=bench.at).done


def test_a_node_that_ironic_does_not_know_is_given_up_and_never_called_clean(
    bench: IronicBench,
) -> None:
    target = bench.target(hostname="gpu-none")

    for verb in (bench.driver.provision, bench.driver.release):
        with pytest.raises(DriverError, match="knows no node gpu-none") as refused:
            verb(target, at=bench.at)
        assert refused.value.permanent


def test_a_node_whose_cleaning_failed_is_not_clean_until_a_person_says_so(
    bench: IronicBench,
) -> None:
    target = bench.target()
    bench.engine.move(target.hostname, "manage", "manageable")
    steps = [{"interface": "deploy", "step": "no_such_step"}]
    bench.engine.move(target.hostname, "clean", "clean failed", clean_steps=steps)

    with pytest.raises(DriverError, match=r"clean failed.*no_such_step") as stuck:
        bench.driver.release(target, at=bench.at)

    assert stuck.value.permanent
    bench.engine.move(target.hostname, "manage", "manageable")
    bench.engine.move(target.hostname, "provide", "available")
    assert bench.driver.release(target, at=bench.at).done


@pytest.mark.slow
def test_a_deployment_that_died_with_the_engine_is_begun_again_and_in_the_end_given_up(
    slow_engine: Ironic,
) -> None:
    bench = IronicBench(slow_engine)
    target, hopeless = bench.target(), bench.target()
    for each in (target, hopeless):
        begin(bench, each)
        slow_engine.settle_state(each.hostname, "deploying")

    slow_engine.kill()
    with pytest.raises(DriverError, match="cannot be reached") as gone:
        bench.driver.poll(target, at=bench.at)
    slow_engine.start()
    with pytest.raises(DriverError, match=r"deploy failed.*begun again") as again:
        bench.driver.poll(target, at=bench.at)
    with pytest.raises(DriverError, match=r"deploy failed: .*resumed") as failed:
        bench.driver.poll(replace(hopeless, attempt=2), at=bench.at)

    assert not gone.value.permanent
    assert not again.value.permanent
    assert failed.value.permanent
    assert bench.until_done(bench.driver.poll, target).done
    assert bench.until_done(bench.driver.release, hopeless).done
    assert slow_engine.node(hopeless.hostname)["instance_uuid"] is None


def test_a_node_whose_bmc_is_dead_is_given_up(bench: IronicBench) -> None:
    """Ironic tries for minutes, and meanwhile the node is `verifying`."""
    address = f"http://127.0.0.1:{processes.free_port()}"
    info = {"redfish_address": address, "redfish_username": "x", "redfish_password": "x"}
    interfaces = {"boot_interface": "redfish-virtual-media", "deploy_interface": "ramdisk"}
    node = {"name": "gpu-dead", "driver": "redfish", "driver_info": info, **interfaces}
    bench.engine.ask("POST", "/v1/nodes", {**node, "resource_class": "b200x8"})
    bench.engine.ask("PUT", "/v1/nodes/gpu-dead/states/provision", {"target": "manage"})

    with pytest.raises(DriverError, match=r"is (verifying|enroll), not available") as dead:
        bench.driver.provision(bench.target(hostname="gpu-dead"), at=bench.at)

    assert dead.value.permanent


def test_the_configdrive_lets_the_customer_in_and_names_the_host_key(bench: IronicBench) -> None:
    target = bench.target(ssh_keys=("ssh-ed25519 AAAA one", "ssh-rsa AAAA two"))
    bench.until_done(bench.driver.provision, target)

    drive = configdrive.build(target)
    config = json.loads(drive["vendor_data"]["cloud-init"].removeprefix("#cloud-config\n"))
    access = bench.driver.access(target, at=bench.at)

    assert drive["meta_data"]["public_keys"] == {"0": target.ssh_keys[0], "1": target.ssh_keys[1]}
    assert access.host_fingerprints == (ssh.fingerprint(config["ssh_keys"]["ed25519_public"]),)
    assert bench.engine.node(target.hostname)["instance_info"]["configdrive"] == "******"


def test_reads_the_nodes_with_what_ironic_knows_of_them(bench: IronicBench) -> None:
    target = bench.target()
    bench.engine.ask("PUT", f"/v1/nodes/{target.hostname}/maintenance", {"reason": "fans"})

    machines = {each.hostname: each for each in bench.driver.survey(engine_of(target), at=bench.at)}

    found = machines[target.hostname]
    assert (found.serial, found.rack, found.leaf) == (
        target.hostname.replace("gpu", "SN"),
        "A01",
        "leaf-1",
    )
    assert found.trouble == "in maintenance: fans"
    assert found.serving == ()


def test_isolation_is_proved_only_where_neutron_switches_every_node(
    bench: IronicBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [{"network_interface": "neutron"}, {"network_interface": "neutron"}]
    monkeypatch.setattr(Client, "list", lambda *_: iter(nodes))
    engine = engine_of(bench.target(hostname="none"))

    assert bench.driver.isolation(engine, at=bench.at).is_proved
    nodes[1]["network_interface"] = "flat"
    seen = bench.driver.isolation(engine, at=bench.at)

    assert not seen.is_proved
    assert seen.evidence == "1 of 2 nodes stay on one network (flat)"


def test_says_in_plain_words_what_is_missing(bench: IronicBench) -> None:
    (bad,) = bench.engine.enrol(resource_class=None)
    target = bench.target()

    assert f"node {bad} has no resource class" in bench.driver.check(engine_of(target), at=bench.at)
    (word,) = bench.driver.check(engine_of(bench.unreachable(target)), at=bench.at)
    assert word.startswith("Ironic cannot be reached")


@pytest.mark.parametrize(
    ("user", "password", "word"),
    [("admin", "right", ""), ("admin", "wrong", "credentials"), ("", "", "credentials")],
)
def test_basic_authentication(basic_engine: Ironic, user: str, password: str, word: str) -> None:
    bench = IronicBench(basic_engine)
    options = {"endpoint": basic_engine.url, "auth": "http_basic", "username": user}
    target = replace(bench.target(hostname="none"), options=options, secret=password)

    words = bench.driver.check(engine_of(target), at=bench.at)

    assert words == (["no node is enrolled"] if not word else words)
    assert word in words[0]
    with pytest.raises(DriverError) as refused:
        bench.driver.provision(target, at=bench.at)
    assert refused.value.permanent == (not word)  # the node is missing, or it is our fault


@pytest.fixture(scope="module")
def basic_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ironic]:
    with ironic(tmp_path_factory.mktemp("basic") / "home", auth="http_basic") as engine:
        yield engine
