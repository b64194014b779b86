"""A market to replay a trace in: a pool on sale, and a funded tenant for each name in the trace.

The API takes no instant from outside, and must not. So the trace is moved: it starts the day
after tomorrow, each lease is asked for in the order of the trace, and what was the past of the
trace is the future of the market.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing import payments
from inventory import actors, capacity, chips, keys, organisations, pools
from inventory.identifiers import new
from inventory.models import Chip, Membership, Organisation, User
from inventory.periods import Period, ceil_hour
from inventory.pools import NodeRow
from inventory.replay.play import CHIP
from inventory.replay.traces import Demand
from marketplace import listings
from marketplace.asking import PriceInput, TermsInput

ACTOR = actors.system("replay")
AHEAD = timedelta(days=2)
PRICE = PriceInput(basis="card_hour", amount_micro=6_800_000)
WALLET_MINOR = 10**14


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
        provider = _organisation(f"{region} provider", at, is_provider=True)
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
        held = {name: _key(f"{region} {name}", at) for name in tenants}
    return Market(region, shift, on_sale, held, pool.pk)


def _organisation(name: str, at: datetime, **kinds: Any) -> Organisation:
    row = organisations.register(name=name[:200], at=at, actor=ACTOR, **kinds)
    return organisations.decide(organisation_id=row.pk, verified=True, at=at, actor=ACTOR)


def _key(name: str, at: datetime) -> str:
    """The key of a new tenant with a full wallet."""
    tenant = _organisation(name, at, is_tenant=True)
    recorder, approver = (
        User.objects.filter(email=email).first() or User.objects.create_user(email, None)
        for email in ("recorder@replay.example", "approver@replay.example")
    )
    receipt = payments.record_receipt(
        tenant_id=tenant.pk,
        bank_reference=f"REPLAY {tenant.pk}",
        payer_name=tenant.name,
        amount_minor=WALLET_MINOR,
        currency="CNY",
        received_date=at.date(),
        at=at,
        actor=ACTOR,
        user=recorder,
    )
    payments.approve_receipt(receipt_public_id=receipt.public_id, at=at, actor=ACTOR, user=approver)
    _, key = keys.issue(
        organisation_id=tenant.pk,
        name="replay",
        scopes=organisations.ROLE_SCOPES[Membership.Role.OWNER],
        at=at,
        actor=ACTOR,
    )
    return key
