"""Rows of what people do in a delivery: tasks, keys, acceptance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from inventory import manual_tasks
from inventory.drivers.manual import ManualDriver
from inventory.manual_tasks import WayIn
from inventory.models import Acceptance, Instance, ManualTask, Node, Pool
from inventory.periods import HOUR
from inventory.provisioning.instances import target_of
from marketplace import leases
from marketplace.asking import TermsInput
from marketplace.models import Lease, Listing
from tests import world
from tests.api.market import Market
from tests.billing import books
from tests.delivery import scene as delivery
from tests.delivery.test_acceptance import nccl
from tests.marketplace import scene

START = world.T0 + 10 * HOUR
PRINT = "SHA256:" + "A" * 43
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICp+DnOy9lRSESdgdpyR5MgGs6hInSw8YO2knseJo2rG"


def manual_task(market: Market) -> str:
    """A machine that waits to be handed over."""
    return task_for(market.instance()).public_id


def task_for(row: Instance) -> ManualTask:
    ManualDriver().provision(target_of(row), at=datetime.now(UTC))
    return ManualTask.objects.latest("pk")


def manual_wipe(market: Market) -> str:
    row = market.instance()
    task_for(row)
    ManualDriver().release(target_of(row), at=datetime.now(UTC))
    return ManualTask.objects.latest("pk").public_id


def way_in_body(_market: Market) -> dict[str, Any]:
    return {
        "address": "10.1.2.3",
        "user": "ubuntu",
        "port": 22,
        "host_fingerprints": [PRINT],
        "secret": "pa55word",
    }


def ssh_key_body(_market: Market) -> dict[str, Any]:
    return {"name": "laptop", "public_key": SSH_KEY}


def ssh_key(market: Market) -> str:
    return str(market.as_tenant.do("/ssh-keys", ssh_key_body(market))["id"])


def being_tested(market: Market) -> str:
    """A lease's delivery that waits for a run to pass."""
    return gate(market).public_id


def gate(market: Market, pool: Pool | None = None) -> Acceptance:
    terms = TermsInput(acceptance_mb_per_second=300_000, acceptance_hours=4)
    row = _delivered(market, scene.listing(pool or market.pool, units=2, terms=terms))
    return Acceptance.objects.get(allocation=row.allocation_id)


def passed(market: Market) -> str:
    row = gate(market)
    path = f"/acceptances/{row.public_id}/report"
    market.as_provider.do(path, report_body(market))
    return row.public_id


def report_body(market: Market) -> dict[str, Any]:
    """Of the machines that stand for the lease being tested; of some where none does."""
    row = Acceptance.objects.order_by("pk").last()
    nodes = market.pool.nodes.order_by("pk")[:2]
    if row is not None:
        nodes = Node.objects.filter(bindings__allocation=row.allocation_id).order_by("pk")
    return {"tool": "nccl", "report": nccl([node.hostname for node in nodes])}


def run_by_hand(market: Market) -> str:
    """A lease in use on machines that people set up."""
    pool = world.pool(nodes=2, owner=market.provider, driver="manual")
    row = _delivered(market, scene.listing(pool, units=2))
    way = WayIn(address="10.1.2.3", user="ubuntu", host_fingerprints=[PRINT], secret="pa55word")
    for task in ManualTask.objects.filter(allocation=row.allocation_id):
        manual_tasks.hand_over(
            task_public_id=task.public_id, way_in=way, at=START, actor=world.actor(market.provider)
        )
    delivery.run(START + timedelta(seconds=31), START + timedelta(seconds=60))
    leases.follow(lease_id=row.pk, at=datetime.now(UTC))
    return row.public_id


def _delivered(market: Market, listing: Listing) -> Lease:
    books.top_up(market.tenant, 10**9, f"DEL-{listing.pk}")
    row: Lease = books.lease(listing, units=2, start=10, end=110)
    delivery.run(START, START + timedelta(seconds=30))
    leases.follow(lease_id=row.pk, at=datetime.now(UTC))
    row.refresh_from_db()
    return row
