"""People for the contract suite: they answer each task as soon as somebody waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from inventory import manual_tasks
from inventory.drivers.base import Driver, Progress, Target
from inventory.drivers.manual import ManualDriver
from inventory.manual_tasks import WayIn
from inventory.models import ManualTask, Node
from tests import world
from tests.delivery import scene
from tests.drivers import benches
from tests.drivers.benches import Verb


class ManualBench:
    """Its engine is a table of ours, and whoever reads it."""

    name = "manual"

    def __init__(self) -> None:
        self.driver: Driver = ManualDriver()
        self.at = datetime.fromisoformat("2026-12-01T00:00:00+00:00")
        self.unfits: set[str] = set()

    def target(self, **facts: Any) -> Target:
        """On a node of a pool of its own, for a deal that was really made."""
        known = Node.objects.filter(public_id=facts.get("node", "nod_" + "0" * 32)).first()
        pool = known.pool if known else scene.pool(nodes=2, driver="manual")
        node = known or pool.nodes.order_by("pk")[0]
        keys = facts.pop("ssh_keys", benches.target().ssh_keys)
        deal = scene.sold(pool, units=1, ssh_keys=tuple(keys))
        named = {"node": node.public_id, "serial": node.serial, "hostname": node.hostname}
        return benches.target(allocation=deal.public_id, ssh_keys=keys, **{**facts, **named})

    def unfit(self) -> Target:
        target = self.target()
        self.unfits.add(target.name)
        return target

    def unreachable(self, target: Target) -> Target:
        pytest.skip("people are asked in our own database")

    def until_done(self, verb: Verb, target: Target) -> Progress:
        while not (progress := verb(target, at=self.at)).done:
            for task in ManualTask.objects.filter(name=target.name, state=ManualTask.State.OPEN):
                self._answer(task)
        return progress

    def _answer(self, task: ManualTask) -> None:
        facts: dict[str, Any] = {
            "task_public_id": task.public_id,
            "at": self.at,
            "actor": world.actor(task.provider),
        }
        if task.name in self.unfits:
            manual_tasks.give_up(reason="fans", **facts)
        elif task.hands_over:
            secret = "" if task.allocation.ssh_keys else f"secret of {task.name}"
            way = WayIn("10.0.0.1", "root", ["SHA256:" + "A" * 43], secret=secret)
            manual_tasks.hand_over(way_in=way, **facts)
        else:
            manual_tasks.confirm(**facts)

    @contextmanager
    def losing_answers(self) -> Iterator[list[str]]:
        yield []
