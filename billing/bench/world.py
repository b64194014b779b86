"""What is held in a bench: pools on sale, and tenants with the money for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing import nation
from billing.bench import buyers
from billing.bench.buyers import Buyer
from billing.demo.people import SEED
from billing.nation.plan import OWN_NAMES, Plan
from inventory import capacity, chips, pools
from inventory.models import Organisation
from inventory.periods import Period, ceil_hour
from inventory.pools import NodeRow
from marketplace import listings
from marketplace.asking import PriceInput, TermsInput
from marketplace.models import Listing
from marketplace.offers import tokens
from marketplace.offers.tokens import OfferClaim

NODES = 1_000  # a pool of the small world; more than clients could hold at once
CHIP = "h100-80g"
MOST_UNITS = 8  # of one hold
DAYS_AHEAD = 150


@dataclass(frozen=True, slots=True)
class Good:
    """A listing, and what is held of it at a time."""

    listing_id: str
    price_id: str
    terms_id: str
    pool_pk: int
    block_pk: int
    units: int
    hours: int
    first: datetime  # starts lie on the hours from here on
    choices: int  # so many of them

    def offer(self, hour: int, at: datetime) -> str:
        """A signed offer that starts so many hours after the first possible start."""
        start = self.first + timedelta(hours=hour)
        claim = OfferClaim(
            listing_id=self.listing_id,
            price_id=self.price_id,
            terms_id=self.terms_id,
            unit_count=self.units,
            period=Period(start, start + timedelta(hours=self.hours)),
            expires_at=at + timedelta(minutes=5),
        )
        return tokens.sign(claim)


@dataclass(frozen=True, slots=True)
class Scene:
    """What the clients need to know. The largest pool's good comes first."""

    buyers: Sequence[Buyer]
    goods: Sequence[Good]


def small(*, pool_count: int, buyer_count: int, at: datetime) -> Scene:
    """A provider with pools on sale and nothing sold: what there is without a nation."""
    chips.load_catalogue()
    name = "国测供给900号"
    if not Organisation.objects.filter(name=name).exists():
        provider = buyers.organisation(name, at, SEED, is_provider=True)
        opens = ceil_hour(at)
        for number in range(pool_count):
            _pool(f"S{number:03d}", provider, opens, at)
    return _scene(provider_name=name, buyer_count=buyer_count, at=at)


def on_nation(
    *, plan: Plan, claim_count: int, buyer_count: int, at: datetime, progress: Callable[[str], None]
) -> Scene:
    """The nation with so many claims, and buyers in it."""
    nation.load(plan=plan, claim_count=claim_count, now=at, progress=progress)
    return _scene(provider_name="", buyer_count=buyer_count, at=at)


def _scene(*, provider_name: str, buyer_count: int, at: datetime) -> Scene:
    rows = Listing.objects.on_sale().filter(provider__name__regex=OWN_NAMES)
    if provider_name:
        rows = rows.filter(provider__name=provider_name)
    goods = [
        _good(row, at)
        for row in rows.select_related("block", "pool")
        .prefetch_related("prices", "terms")
        .order_by("-block__unit_count", "pk")
    ]
    return Scene(
        [buyers.buyer(f"国测压测{number:03d}号", at, SEED) for number in range(1, buyer_count + 1)],
        goods,
    )


def _good(row: Listing, at: datetime) -> Good:
    room = Period.of(row.block.sellable)
    first = ceil_hour(max(room.start, at)) + timedelta(hours=24)
    last = min(room.end - timedelta(days=8), first + timedelta(days=DAYS_AHEAD))
    return Good(
        listing_id=row.public_id,
        price_id=max(row.prices.all(), key=lambda price: price.version).public_id,
        terms_id=max(row.terms.all(), key=lambda terms: terms.version).public_id,
        pool_pk=row.pool_id,
        block_pk=row.block_id,
        units=max(1, min(MOST_UNITS, row.block.unit_count // 8)),
        hours=168,
        first=first,
        choices=max(1, int((last - first) / timedelta(hours=1))),
    )


def _pool(name: str, provider: Organisation, opens: datetime, at: datetime) -> None:
    centre = pools.create_centre(
        provider_id=provider.pk, name=name, region=name, owner_kind="cloud", at=at, actor=SEED
    )
    fabric = pools.create_fabric(
        centre_id=centre.pk, name="IB", technology="InfiniBand NDR", at=at, actor=SEED
    )
    pool = pools.create_pool(fabric_id=fabric.pk, chip_code=CHIP, name=name, at=at, actor=SEED)
    rows = (NodeRow(serial=f"{name}-{node:05d}") for node in range(NODES))
    capacity.put_nodes(pool_id=pool.pk, rows=rows, at=at, actor=SEED)
    listings.publish(
        pool_id=pool.pk,
        unit_count=NODES,
        sellable=Period(opens, opens + timedelta(days=60)),
        price=PriceInput(basis="card_hour", amount_micro=10_000_000),
        terms=TermsInput(),
        at=at,
        actor=SEED,
    )


def now() -> datetime:
    return datetime.now(UTC)
