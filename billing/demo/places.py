"""The centres, fabrics, pools and nodes of the demo world."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from billing.demo.catalogue import CENTRES, DemoCentre, DemoPool
from billing.demo.people import SEED
from inventory import capacity, pools
from inventory.models import Centre, Organisation, Pool
from inventory.pools import NodeRow

LEAF_NODES = 16  # nodes on one leaf switch
RACK_NODES = 4


def build(
    *, owners: Mapping[str, Organisation], at: datetime, seed: int
) -> list[tuple[DemoPool, Pool]]:
    """Every centre with its pools and nodes; the pools in the catalogue's order."""
    built = []
    for number, plan in enumerate(CENTRES, start=1):
        centre = _centre(plan, owners[plan.provider], at)
        fabric = pools.create_fabric(
            centre_id=centre.pk,
            name=f"{plan.technology.split()[0]}-{number}",
            technology=plan.technology,
            site_count=1 if plan.proved else None,
            oversubscription=Decimal("1.00") if plan.proved else None,
            at=at,
            actor=SEED,
        )
        if plan.proved:
            fabric.proved_node_count, fabric.proved_on_date = plan.proved, at.date()
            fabric.save(update_fields=["proved_node_count", "proved_on_date"])
        for pool_plan in plan.pools:
            built.append((pool_plan, _pool(pool_plan, fabric.pk, at=at, seed=seed)))
    return built


def _centre(plan: DemoCentre, owner: Organisation, at: datetime) -> Centre:
    built, occupied = plan.racks
    return pools.create_centre(
        provider_id=owner.pk,
        name=plan.name,
        name_en=plan.name_en,
        region=plan.region,
        hub=plan.hub,
        owner_kind=plan.owner_kind,
        pue=Decimal(plan.pue),
        built_racks=built,
        occupied_racks=occupied,
        at=at,
        actor=SEED,
    )


def _pool(plan: DemoPool, fabric_id: int, *, at: datetime, seed: int) -> Pool:
    pool = pools.create_pool(
        fabric_id=fabric_id,
        chip_code=plan.chip,
        name=plan.name,
        unit_cards=plan.unit_cards,
        spare_count=plan.nodes // 32,
        lead_seconds=0,
        turnaround_seconds=3600,
        driver="fake",
        at=at,
        actor=SEED,
    )
    rng = random.Random(f"{seed}:{plan.name}")
    rows = [
        NodeRow(
            serial=f"{plan.name}-{rng.randrange(16**6):06X}-{number:03d}",
            hostname=f"{plan.name.lower()}-{number:03d}",
            rack=f"R{number // RACK_NODES + 1:02d}",
            leaf=f"leaf-{number // LEAF_NODES + 1:02d}",
        )
        for number in range(plan.nodes)
    ]
    capacity.put_nodes(pool_id=pool.pk, rows=rows, at=at, actor=SEED)
    return pool
