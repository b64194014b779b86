"""One trace, one fresh pool, one policy: who is admitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from django.db import connection, transaction

from inventory import capacity, chips, identifiers, pools
from inventory.actors import system
from inventory.capacity import CapacityTaken
from inventory.errors import Invalid
from inventory.models import Allocation, Block, Chip, Organisation, Pool, Verification
from inventory.periods import LATEST, Period
from inventory.pools import NodeRow
from inventory.replay import traces
from inventory.replay.traces import Demand

ACTOR = system("replay")
CHIP = "a100-80g"
BATCH = 50  # admissions per commit: a kill loses at most these, and the replay with them
POLICIES = ("split", "shared")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replay admitted; the figures are read back from the claims in the database."""

    pool_id: int
    nodes: int
    policy: str
    flex_hours: float
    horizon: Period
    demanded: int
    accepted: frozenset[str]  # ids of leases
    card_hours: Fraction  # accepted, inside the horizon
    bound: Fraction  # min(1, demand / capacity)
    utilisation: Fraction
    acceptance: Fraction
    seconds: float = 0

    def revenue(self, price: Decimal) -> Decimal:
        """`price` per card-hour in the currency's major unit; rounded to the minor unit."""
        exact = Decimal(self.card_hours.numerator) * price / Decimal(self.card_hours.denominator)
        return exact.quantize(Decimal("0.01"))


def play(
    demands: Sequence[Demand],
    *,
    node_count: int,
    policy: str,
    flex_hours: float = 0,
    lead_hours: float = 0,
    seed: int = 0,
    cards_per_node: int = 8,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Every lease is asked for in order of submission and admitted or refused by `claim`.

    The pool is fresh, with no lead and no turnaround, and is retired at the end, so that a
    replay leaves no capacity behind and no driver is ever asked to deliver the past. With
    `flex_hours` a refused lease may start later, at the first instant that has room.
    """
    if policy not in POLICIES:
        raise Invalid(f"A policy is {' or '.join(POLICIES)}")
    horizon = traces.horizon(demands)
    asked = traces.submissions(demands, lead_hours=lead_hours, seed=seed)
    flex = timedelta(hours=flex_hours)
    until = horizon.end + flex + timedelta(hours=1)  # outlives the batch that confirms it
    with capacity.replaying():
        first = min(asked[0][0], horizon.start)
        with transaction.atomic():
            pool = _fresh_pool(node_count, cards_per_node, first)
            sellable = Period(horizon.start, horizon.end + flex)
            blocks = _open_blocks(pool, policy, demands, node_count, sellable, first)
            tenants = _tenants(demands, first)
        accepted: dict[str, int] = {}
        for start in range(0, len(asked), BATCH):
            with transaction.atomic():
                admitted = {}
                for at, demand in asked[start : start + BATCH]:
                    block = blocks.get(demand.tenant) or blocks[""]
                    period = _first_fit(block, demand, at, flex)
                    tenant_id = tenants[demand.tenant]
                    if held := period and _hold(block, demand, period, tenant_id, at, until):
                        admitted[demand.id] = held.pk
                _confirm(pool, list(admitted.values()), at)
            accepted |= admitted
            progress(min(start + BATCH, len(asked)))
        outcome = _outcome(
            pool, policy, flex_hours, horizon, demands, accepted, node_count * cards_per_node
        )
        capacity.retire_pool(pool_id=pool.pk, at=sellable.end, actor=ACTOR, reason="replay over")
    return outcome


def _hold(
    block: Block, demand: Demand, period: Period, tenant_id: int, at: datetime, until: datetime
) -> Allocation | None:
    try:
        return capacity.claim(
            pool_id=block.pool_id,
            block_ids=[block.pk],
            unit_count=demand.node_count,
            period=period,
            tenant_id=tenant_id,
            held_until=until,
            at=at,
            actor=ACTOR,
        )
    except CapacityTaken:
        return None


def _confirm(pool: Pool, allocation_ids: list[int], at: datetime) -> None:
    """One statement for a batch; a hold counts like a confirmed claim, so order is no matter."""
    capacity.confirm_all(allocation_ids=allocation_ids, at=at, actor=ACTOR)
    # In the same transaction, so that no sweep ever sees the past as due for delivery.
    due = Allocation.objects.filter(pool=pool, next_step_at__lt=LATEST)
    due.update(next_step_at=LATEST)


def _first_fit(block: Block, demand: Demand, at: datetime, flex: timedelta) -> Period | None:
    """The period itself, or with flex the earliest of its length that has room.

    One with room starts as asked or where a claim ends.
    """
    if demand.node_count > block.unit_count:
        return None
    if not flex:
        return demand.period
    span = demand.period.end - demand.period.start
    window = Period(demand.period.start, demand.period.end + flex)
    start = window.start
    for step in capacity.availability(block_id=block.pk, period=window, at=at):
        if step.free_units < demand.node_count:
            start = step.end
            if start > window.start + flex:
                return None
        elif step.end - start >= span:
            break
    if start + span > window.end:
        return None
    return Period(start, start + span)


def _fresh_pool(node_count: int, cards_per_node: int, at: datetime) -> Pool:
    if not Chip.objects.filter(code=CHIP).exists():
        chips.load_catalogue()
    provider = _organisation("Replay", at, is_provider=True)
    centre = pools.create_centre(
        provider_id=provider.pk,
        name=f"Replay {identifiers.new('ctr')}",
        region="贵州",
        owner_kind="enterprise",
        at=at,
        actor=ACTOR,
    )
    fabric = pools.create_fabric(
        centre_id=centre.pk, name="fabric", technology="InfiniBand", at=at, actor=ACTOR
    )
    pool = pools.create_pool(
        fabric_id=fabric.pk,
        chip_code=CHIP,
        name="pool",
        cards_per_node=cards_per_node,
        at=at,
        actor=ACTOR,
    )
    rows = [NodeRow(serial=f"{pool.public_id}-{n:05d}") for n in range(node_count)]
    capacity.put_nodes(pool_id=pool.pk, rows=rows, at=at, actor=ACTOR)
    return pool


def _open_blocks(
    pool: Pool,
    policy: str,
    demands: Sequence[Demand],
    node_count: int,
    sellable: Period,
    at: datetime,
) -> dict[str, Block]:
    """One block a tenant for `split`, else one for everybody under the empty name."""
    dealt = traces.shares(demands, node_count) if policy == "split" else {"": node_count}
    return {
        tenant: capacity.open_block(
            pool_id=pool.pk, unit_count=count, sellable=sellable, at=at, actor=ACTOR
        )
        for tenant, count in sorted(dealt.items())
    }


def _tenants(demands: Sequence[Demand], at: datetime) -> dict[str, int]:
    names = sorted({demand.tenant for demand in demands})
    return {name: _organisation(f"Replay {name}", at, is_tenant=True).pk for name in names}


def _organisation(name: str, at: datetime, **kinds: bool) -> Organisation:
    """Never verified, so that it can neither list nor hold outside a replay."""
    row = Organisation.objects.filter(name=name[:200], state=Verification.UNVERIFIED).first()
    return row or Organisation.objects.create(name=name[:200], created_at=at, **kinds)


def _outcome(
    pool: Pool,
    policy: str,
    flex_hours: float,
    horizon: Period,
    demands: Sequence[Demand],
    accepted: dict[str, int],
    cards: int,
) -> Outcome:
    with connection.cursor() as cursor:
        cursor.execute(
            # With flex a lease may run past the horizon, or begin beyond it.
            "SELECT count(*), coalesce(sum(unit_count * extract(epoch FROM"
            " least(upper(blocking), %(end)s) - greatest(lower(blocking), %(start)s)))"
            " FILTER (WHERE blocking && %(horizon)s), 0)"
            " FROM inventory_claim WHERE pool_id = %(pool)s AND state = 'confirmed'",
            {
                "pool": pool.pk,
                "start": horizon.start,
                "end": horizon.end,
                "horizon": horizon.range,
            },
        )
        count, node_seconds = cursor.fetchone()
    if count != len(accepted):
        raise AssertionError(f"{count} claims in the database, {len(accepted)} leases admitted")
    span = Fraction((horizon.end - horizon.start) // timedelta(microseconds=1), 1_000_000)
    capacity_seconds = cards * span
    taken_seconds = Fraction(node_seconds) * pool.cards_per_node
    wanted = sum((demand.node_seconds for demand in demands), Fraction()) * pool.cards_per_node
    return Outcome(
        pool_id=pool.pk,
        nodes=cards // pool.cards_per_node,
        policy=policy,
        flex_hours=flex_hours,
        horizon=horizon,
        demanded=len(demands),
        accepted=frozenset(accepted),
        card_hours=taken_seconds / 3600,
        bound=min(Fraction(1), wanted / capacity_seconds),
        utilisation=taken_seconds / capacity_seconds,
        acceptance=Fraction(len(accepted), len(demands)),
    )
