"""Pools to hold units of, and a tenant with the money for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from billing import payments
from billing.demo.people import SEED
from inventory import capacity, chips, keys, organisations, pools
from inventory.models import Membership, Organisation, User
from inventory.periods import Period, ceil_hour
from inventory.pools import NodeRow
from marketplace import listings
from marketplace.asking import PriceInput, TermsInput

NODES = 1_000  # a pool; more than clients could hold at once
WALLET_MINOR = 10**14
CHIP = "h100-80g"


@dataclass(frozen=True, slots=True)
class Scene:
    """What the clients need to know."""

    key: str
    regions: list[str]  # one pool each
    earliest_start: datetime

    def request(self, region: str) -> dict[str, object]:
        """The body of an offers search for one unit for a day in a region."""
        latest_end = self.earliest_start + timedelta(days=3)
        return {
            "units": 1,
            "hours": 24,
            "earliest_start": self.earliest_start.isoformat(),
            "latest_end": latest_end.isoformat(),
            "regions": [region],
        }


def build(*, pool_count: int, at: datetime) -> Scene:
    """A provider with pools on sale and a tenant with a full wallet and a key."""
    chips.load_catalogue()
    provider = _organisation("Bench provider", at, is_provider=True)
    tenant = _organisation("Bench tenant", at, is_tenant=True)
    _fill(tenant, at)
    opens = ceil_hour(at)
    regions = [f"R{number:03d}" for number in range(pool_count)]
    for region in regions:
        _pool(region, provider, opens, at)
    _, key = keys.issue(
        organisation_id=tenant.pk,
        name="bench",
        scopes=organisations.ROLE_SCOPES[Membership.Role.OWNER],
        at=at,
        actor=SEED,
    )
    return Scene(key=key, regions=regions, earliest_start=opens + timedelta(days=1))


def _organisation(name: str, at: datetime, **kinds: Any) -> Organisation:
    row = organisations.register(name=name, at=at, actor=SEED, **kinds)
    return organisations.decide(organisation_id=row.pk, verified=True, at=at, actor=SEED)


def _fill(tenant: Organisation, at: datetime) -> None:
    recorder = User.objects.create_user("recorder@bench.example", None)
    approver = User.objects.create_user("approver@bench.example", None)
    receipt = payments.record_receipt(
        tenant_id=tenant.pk,
        bank_reference="BENCH",
        payer_name=tenant.name,
        amount_minor=WALLET_MINOR,
        currency="CNY",
        received_date=at.date(),
        at=at,
        actor=SEED,
        user=recorder,
    )
    payments.approve_receipt(receipt_public_id=receipt.public_id, at=at, actor=SEED, user=approver)


def _pool(region: str, provider: Organisation, opens: datetime, at: datetime) -> None:
    """A pool of a centre of its own, so that a search by region finds it alone."""
    centre = pools.create_centre(
        provider_id=provider.pk,
        name=region,
        region=region,
        owner_kind="cloud",
        at=at,
        actor=SEED,
    )
    fabric = pools.create_fabric(
        centre_id=centre.pk, name="IB", technology="InfiniBand NDR", at=at, actor=SEED
    )
    pool = pools.create_pool(fabric_id=fabric.pk, chip_code=CHIP, name=region, at=at, actor=SEED)
    rows = (NodeRow(serial=f"{region}-{node:05d}") for node in range(NODES))
    capacity.put_nodes(pool_id=pool.pk, rows=rows, at=at, actor=SEED)
    listings.publish(
        pool_id=pool.pk,
        unit_count=NODES,
        sellable=Period(opens, opens + timedelta(days=30)),
        price=PriceInput(currency="CNY", basis="card_hour", amount_micro=10_000_000),
        terms=TermsInput(),
        at=at,
        actor=SEED,
    )
