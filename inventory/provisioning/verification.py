"""Paper against engine: what the rows say of each node, and what its engine says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from inventory import engines
from inventory.drivers.base import Machine
from inventory.models import Allocation, Instance, Node, Outage, Pool
from inventory.provisioning.instances import name_of

State = Instance.State
_STANDING = (State.PROVISIONING, State.ACTIVE, State.PROVISION_FAILED, State.RELEASING)


@dataclass(frozen=True, slots=True)
class Difference:
    """A node of which paper and engine say different things."""

    node: str  # its serial
    paper: str
    engine: str

    def __str__(self) -> str:
        return f"{self.node}: {self.paper} here, {self.engine} there"


def verify_pool(*, pool: Pool, at: datetime, patience: timedelta) -> list[Difference]:
    """Every node of the pool against its engine; empty when all is well.

    Only what stands longer than `patience` is compared: what moves is in neither place yet. A
    node with an open failure, or out of service, is told of elsewhere: its incident exists.
    Changes nothing. Raises engines.NothingToAsk, engines.EngineFailed.
    """
    found = {each.hostname: each for each in engines.machines(pool=pool, at=at)}
    rows = pool.nodes.filter(state=Node.State.SERVICEABLE).order_by("serial")
    failed = Outage.objects.filter(kind=Outage.Kind.FAILED, state=Outage.State.OPEN, pool=pool)
    rows = rows.exclude(pk__in=failed.values("node_id"))
    instances: dict[int, list[Instance]] = {}
    for each in _instances(pool, at - patience):
        instances.setdefault(each.binding.node_id, []).append(each)
    external = _external(pool, at)
    return [
        difference
        for node in rows
        for difference in _compare(
            node,
            found.get(node.hostname or node.serial),
            instances.get(node.pk, []),
            is_external=node.pk in external,
            since=at - patience,
        )
    ]


def _instances(pool: Pool, since: datetime) -> Iterator[Instance]:
    """Those that stand, and those that ended lately enough to be still seen."""
    ended = Q(state=State.RELEASED, released_at__gte=since)
    rows = Instance.objects.filter(allocation__pool=pool).filter(Q(state__in=_STANDING) | ended)
    yield from rows.select_related("allocation", "binding__node").order_by("pk")


def _external(pool: Pool, at: datetime) -> set[int]:
    """Nodes that their centre uses by itself now: the engine may say what it likes of them."""
    rows = Allocation.objects.filter(pool=pool, period__contains=at)
    rows = rows.exclude(kind=Allocation.Kind.SALE)
    return set(rows.values_list("bindings__node", flat=True)) - {None}


def _compare(
    node: Node,
    machine: Machine | None,
    instances: Sequence[Instance],
    *,
    is_external: bool,
    since: datetime,
) -> Iterator[Difference]:
    if machine is None:
        yield Difference(node.serial, "serviceable", "unknown")
        return
    expected = {name_of(each): each for each in instances}
    for name, instance in expected.items():
        is_served = any(name.startswith(each) for each in machine.serving)
        if instance.state == State.ACTIVE and not is_served and _settled(instance, since):
            other = ", ".join(machine.serving) or "nobody's"
            yield Difference(node.serial, f"serves {name}", other)
        if instance.state == State.ACTIVE and is_served and machine.trouble:
            yield Difference(node.serial, f"serves {name}", machine.trouble)
    for name in machine.serving:
        if not is_external and not any(each.startswith(name) for each in expected):
            yield Difference(node.serial, "nobody's", f"serves {name}")
    if not instances and not machine.serving and machine.trouble:
        yield Difference(node.serial, "serviceable", machine.trouble)


def _settled(instance: Instance, since: datetime) -> bool:
    return instance.active_at is not None and instance.active_at <= since


def pools() -> list[Pool]:
    """Those with nodes whose engine can be asked."""
    rows = Pool.objects.exclude(state=Pool.State.RETIRED).order_by("pk")
    return [pool for pool in rows if engines.is_readable(pool) and pool.nodes.exists()]
