"""Which nodes a lease gets at its start: close together, well, and alike; on a real fabric."""

from __future__ import annotations

import csv
import random
from collections import Counter

import pytest

from inventory import capacity
from inventory.models import Binding, Block, Node, NodeHealth, Pool
from inventory.pools import NodeRow
from tests import world
from tests.capacity.deals import all_is_well, deal, open_block
from tests.engines import require_data
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db


def bind(block: Block, units: int, at: int = 0) -> list[Binding]:
    row = deal(block, units=units, start=at, end=500, at=at)
    return capacity.bind(allocation_id=row.pk, at=T0 + hours(at), actor=SYSTEM)


def lingjun() -> tuple[Pool, Counter[str]]:
    """The 847 hosts of a production cluster of 2023 on their leaf switches."""
    path = require_data("supply/topology_lingjun2023.csv")
    with path.open(newline="") as file:
        hosts = [(row["host"], row["ASW"]) for row in csv.DictReader(file)]
    pool = world.pool(nodes=0, spare_count=20)
    rows = [NodeRow(serial=host, hostname=host, leaf=leaf) for host, leaf in hosts]
    capacity.put_nodes(pool_id=pool.pk, rows=rows, at=T0, actor=SYSTEM)
    return pool, Counter(leaf for _host, leaf in hosts)


def fewest(free: Counter[str], units: int) -> int:
    """The optimum: the roomiest leaves until they suffice. No other set is smaller."""
    count = 0
    for size in sorted(free.values(), reverse=True):
        if units <= 0:
            break
        units, count = units - size, count + 1
    return count


def test_a_real_fabric_is_packed_on_the_fewest_leaves_that_are_possible() -> None:
    pool, free = lingjun()
    block = open_block(pool, 827, 0, 1000)
    draw = random.Random(2023)
    sizes = [1, 2, 4, 8, 16, 32, 64, 128, 3, 11, 27]
    taken = []

    for turn in range(24):
        units = draw.choice(sizes)
        if units > sum(free.values()) - pool.spare_count:
            continue
        leaves = Counter(each.node.leaf for each in bind(block, units, turn))
        taken.append((units, len(leaves), fewest(free, units)))
        free -= leaves

    assert sum(units for units, _used, _best in taken) > 400
    assert [used for _units, used, _best in taken] == [best for _units, _used, best in taken]
    assert sum(free.values()) >= pool.spare_count  # spares are left over, whichever they are
    all_is_well()


def test_a_node_that_is_not_well_is_taken_only_where_no_other_is_left() -> None:
    pool = world.pool(nodes=4)
    block = open_block(pool, 4, 0, 1000)
    sick = [pool.nodes.order_by("pk")[0], pool.nodes.order_by("pk")[1]]
    for node, state in zip(sick, ("degraded", "jittering"), strict=True):
        NodeHealth.objects.create(node=node, state=state, since=T0, checked_at=T0)

    first = bind(block, 2)
    second = bind(block, 2, 1)

    assert {each.node_id for each in first}.isdisjoint(node.pk for node in sick)
    assert {each.node_id for each in second} == {node.pk for node in sick}


def test_nodes_of_one_lease_run_the_software_that_the_pool_is_offered_with() -> None:
    pool = world.pool(nodes=6)  # leaves of four and two
    others = list(pool.nodes.order_by("pk").values_list("pk", flat=True)[:2])
    Node.objects.exclude(pk__in=others).update(runtime_version="CUDA 12.9")
    Node.objects.filter(pk__in=others).update(runtime_version="CUDA 12.4")
    block = open_block(pool, 6, 0, 1000)

    alike = bind(block, 3)

    assert {each.node.runtime_version for each in alike} == {"CUDA 12.9"}
    assert len(bind(block, 3, 1)) == 3  # the count was promised, and is kept
