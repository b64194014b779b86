"""A market to replay a trace in: a pool on sale, and a funded tenant for each name in the trace.

The API takes no instant from outside, and must not. So the trace is moved: it starts the day
after tomorrow, each lease is asked for in the order of the trace, and what was the past of the
trace is the future of the market.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from billing.bench import buyers
from inventory import actors, capacity, chips, pools
from inventory.identifiers import new
from inventory.models import Chip
from inventory.periods import Period, ceil_hour
from inventory.pools import NodeRow
from inventory.replay.play import CHIP
from inventory.replay.traces import Demand
from marketplace import listings
from marketplace.asking import PriceInput, TermsInput

ACTOR = actors.system("replay")
AHEAD = timedelta(days=2)
PRICE = PriceInput(basis="card_hour", amount_micro=6_800_000)


@dataclass(frozen=True, slots=True)
class Market:
    """What a client needs to know to ask for the leases of a trace."""

    region: str
    shift: timedelta  # from the trace's time to the market's
    listings: Mapping[str, str]  # by line: the listing that sells its nodes
    keys: Mapping[str, str]  # by tenant of the trace
    pool_id: int


def build(
    demands: Iterable[Demand],
    *,
    nodes: Mapping[str, int],
    sellable: Period,
    cards_per_node: int,
    at: datetime,
) -> Market:
    """A pool with one listing for each line, open for `sellable` of the trace's time."""
    if not Chip.objects.filter(code=CHIP).exists():
        chips.load_catalogue()
    shift = ceil_hour(at) + AHEAD - sellable.start
    region = f"Replay {new('ctr')[-12:]}"
    with transaction.atomic():
        provider = buyers.organisation(f"{region} provider", at, ACTOR, is_provider=True)
        centre = pools.create_centre(
            provider_id=provider.pk, name=region, region=region, owner_kind="cloud",
            at=at, actor=ACTOR,
        )  # fmt: skip
        fabric = pools.create_fabric(
            centre_id=centre.pk, name="fabric", technology="InfiniBand", at=at, actor=ACTOR
        )
        pool = pools.create_pool(
            fabric_id=fabric.pk, chip_code=CHIP, name="pool", cards_per_node=cards_per_node,
            at=at, actor=ACTOR,
        )  # fmt: skip
        rows = [NodeRow(serial=f"{pool.public_id}-{n:05d}") for n in range(sum(nodes.values()))]
        capacity.put_nodes(pool_id=pool.pk, rows=rows, at=at, actor=ACTOR)
        on_sale = {
            line: listings.publish(
                pool_id=pool.pk,
                unit_count=count,
                sellable=Period(sellable.start + shift, sellable.end + shift),
                price=PRICE,
                terms=TermsInput(),
                at=at,
                actor=ACTOR,
            ).public_id
            for line, count in sorted(nodes.items())
        }
        tenants = sorted({demand.tenant for demand in demands})
        held = {name: buyers.buyer(f"{region} {name}"[:200], at, ACTOR).key for name in tenants}
    return Market(region, shift, on_sale, held, pool.pk)
