"""The Kubernetes driver on an API server of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inventory.drivers.base import Target
from inventory.drivers.kubernetes import KubernetesDriver, client
from tests.drivers import benches, processes
from tests.drivers.benches import RealTime
from tests.drivers.kubernetes_engine import TOKEN, Kubernetes


class KubernetesBench(RealTime):
    name = "kubernetes"
    losable = ((client.Cluster, "write"),)

    def __init__(self, engine: Kubernetes) -> None:
        self.engine = engine
        self.driver = KubernetesDriver()

    def target(self, **facts: Any) -> Target:
        options = {"endpoint": self.engine.url, "ca_file": str(self.engine.ca)}
        facts["hostname"] = facts.get("hostname") or self.engine.fresh()
        options |= facts.pop("options", {})
        return benches.target(options=options, secret=TOKEN, **facts)

    def unfit(self) -> Target:
        target = self.target()
        self.engine.cordon(target.hostname)
        return target

    def unreachable(self, target: Target) -> Target:
        endpoint = f"https://127.0.0.1:{processes.free_port()}"
        return replace(target, options={**target.options, "endpoint": endpoint})
