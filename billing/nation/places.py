"""The organisations, centres, pools and listings of the nation, by the product's own verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing.demo.people import SEED
from billing.nation.plan import Plan, Site, Stock
from inventory import capacity, chips, organisations, partitions, pools
from inventory.models import Allocation, Organisation, Pool
from inventory.periods import Period, floor_hour
from inventory.pools import NodeRow
from marketplace import listings
from marketplace.asking import PriceInput, TermsInput

AHEAD = timedelta(days=180)
LEAF_NODES = 16
RACK_NODES = 4
RESELLER_EVERY = 10  # one tenant of so many sells on


@dataclass(frozen=True, slots=True)
class Ground:
    """What the deals are made on."""

    plan: Plan
    turn: datetime  # between the past and what is to come: an hour
    pools: list[tuple[Stock, Pool]]
    tenant_ids: list[int]

    @property
    def past_hours(self) -> int:
        return self.plan.past_days * 24

    @property
    def founded(self) -> datetime:
        return self.turn - timedelta(days=self.plan.past_days)


def build(*, plan: Plan, now: datetime, progress: Callable[[str], None]) -> Ground:
    """Everything that deals need exists; what exists already stays, with its instants."""
    oldest = Organisation.objects.filter(name=_provider_name(1)).values_list("created_at").first()
    past = timedelta(days=plan.past_days)
    founded = oldest[0] if oldest else floor_hour(now) - past
    with transaction.atomic():
        partitions.ensure_partitions(at=now)
        chips.load_catalogue()
        tenants = [
            _organisation(
                f"国测租户{number:03d}号", f"Tenant {number:03d}", founded,
                is_tenant=True, is_reseller=number % RESELLER_EVERY == 0,
            )
            for number in range(1, plan.tenant_count + 1)
        ]  # fmt: skip
    sites = {site.number: site for site in plan.sites()}
    stocks = list(plan.stocks())
    known = {
        pool.name: pool
        for pool in Pool.objects.filter(
            name__in=[stock.name for stock in stocks], provider__name__startswith="国测供给"
        ).select_related("fabric__centre")
    }
    built = []
    with capacity.replaying():
        for stock in stocks:
            pool = known.get(stock.name) or _pool(plan, stock, sites[stock.site_number], founded)
            built.append((stock, pool))
            if stock.name not in known and stock.number % 100 == 0:
                progress(f"{stock.number} of {len(stocks)} pools")
    return Ground(plan, founded + past, built, [tenant.pk for tenant in tenants])


def _provider_name(number: int) -> str:
    return f"国测供给{number:03d}号"


def _organisation(name: str, name_en: str, at: datetime, **kinds: Any) -> Organisation:
    if row := Organisation.objects.filter(name=name).first():
        return row
    row = organisations.register(name=name, name_en=name_en, at=at, actor=SEED, **kinds)
    return organisations.decide(organisation_id=row.pk, verified=True, at=at, actor=SEED)


def _pool(plan: Plan, stock: Stock, site: Site, founded: datetime) -> Pool:
    """A pool with its nodes, a block and a listing, in a fabric of its own."""
    sold_for = Period(founded, founded + timedelta(days=plan.past_days) + AHEAD)
    share = plan.listed_shares[stock.number % len(plan.listed_shares)]
    with transaction.atomic():
        number = site.provider_number
        owner = _organisation(
            _provider_name(number), f"Provider {number:03d}", founded, is_provider=True
        )
        centre = owner.centres.filter(name=site.name).first() or pools.create_centre(
            provider_id=owner.pk,
            name=site.name,
            name_en=site.name_en,
            region=site.region,
            hub=site.hub,
            owner_kind=site.owner_kind,
            pue=Decimal(110 + site.number % 25) / 100,
            at=founded,
            actor=SEED,
        )
        fabric = pools.create_fabric(
            centre_id=centre.pk,
            name=f"F{stock.number:04d}",
            technology=stock.technology,
            site_count=1 if stock.proved else None,
            oversubscription=Decimal("1.00") if stock.proved else None,
            at=founded,
            actor=SEED,
        )
        if stock.proved:
            fabric.proved_node_count, fabric.proved_on_date = stock.proved, founded.date()
            fabric.save(update_fields=["proved_node_count", "proved_on_date"])
        pool = pools.create_pool(
            fabric_id=fabric.pk,
            chip_code=stock.chip,
            name=stock.name,
            unit_cards=stock.unit_cards,
            spare_count=stock.spares,
            lead_seconds=stock.lead_seconds,
            turnaround_seconds=stock.turnaround_seconds,
            at=founded,
            actor=SEED,
        )
        capacity.put_nodes(pool_id=pool.pk, rows=_nodes(stock), at=founded, actor=SEED)
        if stock.own_use_nodes:
            _own_use(pool, stock.own_use_nodes, sold_for)
        listings.publish(
            pool_id=pool.pk,
            unit_count=int(stock.nodes * pool.units_per_node * share),
            sellable=sold_for,
            price=PriceInput(basis="card_hour", amount_micro=stock.price_fen * 10_000),
            terms=TermsInput(start_grid_seconds=stock.grid_seconds),
            at=founded,
            actor=SEED,
        )
    return pool


def _nodes(stock: Stock) -> list[NodeRow]:
    return [
        NodeRow(
            serial=f"{stock.name}-{number:05d}",
            hostname=f"{stock.name.lower()}-{number:05d}",
            rack=f"R{number // RACK_NODES + 1:04d}",
            leaf=f"leaf-{number // LEAF_NODES + 1:04d}",
        )
        for number in range(stock.nodes)
    ]


def _own_use(pool: Pool, node_count: int, period: Period) -> None:
    """The centre works on the last of its nodes itself, for as long as the pool is sold."""
    node_ids = list(pool.nodes.order_by("-pk").values_list("pk", flat=True)[:node_count])
    capacity.claim_external(
        pool_id=pool.pk,
        kind=Allocation.Kind.OWN_USE,
        unit_count=node_count * pool.units_per_node,
        period=period,
        note="the centre's own training",
        node_ids=node_ids,
        at=period.start,
        actor=SEED,
    )
