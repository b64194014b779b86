"""Each engine is started once, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import pytest

from inventory.drivers.base import Target
from inventory.drivers.ironic import IronicDriver
from inventory.drivers.ironic.client import Client
from inventory.drivers.slurm import SlurmDriver
from inventory.drivers.slurm.commands import Slurm
from tests.drivers import benches, processes
from tests.drivers.benches import Bench, FakeBench, RealTime
from tests.drivers.ironic_engine import Ironic, ironic
from tests.drivers.kubernetes_engine import Kubernetes, kubernetes
from tests.drivers.manual_bench import ManualBench
from tests.drivers.slurm_engine import Cluster, cluster

if TYPE_CHECKING:
    from tests.drivers.kubernetes_bench import KubernetesBench


@pytest.fixture(scope="session")
def ironic_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ironic]:
    with ironic(tmp_path_factory.mktemp("ironic") / "home") as engine:
        yield engine


class IronicBench(RealTime):
    name = "ironic"
    losable = ((Client, "write"),)

    def __init__(self, engine: Ironic) -> None:
        self.engine = engine
        self.driver = IronicDriver()

    def target(self, **facts: Any) -> Target:
        options = {"endpoint": self.engine.url, "poll_seconds": 0.1, **facts.pop("options", {})}
        if "hostname" not in facts:
            (facts["hostname"],) = self.engine.enrol()
        return benches.target(options=options, **facts)

    def unfit(self) -> Target:
        target = self.target()
        self.engine.ask("PUT", f"/v1/nodes/{target.hostname}/maintenance", {"reason": "fans"})
        return target

    def unreachable(self, target: Target) -> Target:
        endpoint = f"http://127.0.0.1:{processes.free_port()}"
        return replace(target, options={**target.options, "endpoint": endpoint})


@pytest.fixture(scope="session")
def slurm_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("slurm")) as engine:
        yield engine


class SlurmBench(RealTime):
    name = "slurm"
    losable = ((Slurm, "write"),)

    def __init__(self, engine: Cluster) -> None:
        self.engine = engine
        self.driver = SlurmDriver()

    def target(self, **facts: Any) -> Target:
        login = {"host": "login.centre.example"}
        options = {"conf": str(self.engine.conf), "users": ["daemon"], "login": login}
        facts["hostname"] = facts.get("hostname") or self.engine.fresh()
        return benches.target(options={**options, **facts.pop("options", {})}, **facts)

    def unfit(self) -> Target:
        target = self.target()
        self.engine.drain(target.hostname, "fans")
        return target

    def unreachable(self, target: Target) -> Target:
        conf = self.engine.conf.with_name("elsewhere.conf")
        text = self.engine.conf.read_text()
        port = f"SlurmctldPort={self.engine.port}"
        conf.write_text(text.replace(port, f"SlurmctldPort={processes.free_port()}"))
        return replace(target, options={**target.options, "conf": str(conf)})


@pytest.fixture(scope="session")
def kubernetes_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with kubernetes(tmp_path_factory.mktemp("kubernetes")) as engine:
        yield engine


@pytest.fixture
def kubernetes_bench(kubernetes_engine: Kubernetes) -> KubernetesBench:
    # Its client takes seconds to load, which a run without a cluster need not spend.
    module = import_module("tests.drivers.kubernetes_bench")
    made: KubernetesBench = module.KubernetesBench(kubernetes_engine)
    return made


@pytest.fixture(
    params=[
        "fake",
        "manual",
        "ironic",
        "slurm",
        pytest.param("kubernetes", marks=pytest.mark.kubernetes),
    ]
)
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "fake":
        return FakeBench()
    if request.param == "manual":
        return ManualBench()
    if request.param == "slurm":
        return SlurmBench(request.getfixturevalue("slurm_engine"))
    if request.param == "kubernetes":
        return cast(Bench, request.getfixturevalue("kubernetes_bench"))
    return IronicBench(request.getfixturevalue("ironic_engine"))
