"""One trace, one fresh pool, one policy: who is admitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

from django.db import connection, transaction

from inventory import capacity, chips, identifiers, pools
from inventory.actors import system
from inventory.capacity import CapacityTaken
from inventory.errors import Invalid
from inventory.models import Allocation, Block, Chip, Organisation, Pool, Verification
from inventory.periods import LATEST, Period
from inventory.pools import NodeRow
from inventory.replay import traces
from inventory.replay.line import serve
from inventory.replay.traces import Demand

ACTOR = system("replay")
CHIP = "a100-80g"
BATCH = 50  # admissions per commit: a kill loses at most these, and the replay with them
POLICIES = ("split", "shared")
FLEX_MODES = ("wait", "book")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replay admitted; the figures are read back from the claims in the database."""

    pool_id: int
    nodes: int
    policy: str
    flex_hours: float
    horizon: Period
    demanded: int
    accepted: dict[str, Period]  # by id of lease: when it was to be served
    card_hours: Fraction  # accepted, inside the horizon
    bound: Fraction  # min(1, demand / capacity)
    utilisation: Fraction
    acceptance: Fraction
    wait_hours: Fraction  # from the start asked for to the start given, on average

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
    flex_mode: str = "wait",
    lead_hours: float = 0,
    seed: int = 0,
    cards_per_node: int = 8,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Every lease is asked for in order of submission and admitted or refused by `claim`.

    The pool is fresh, with no lead and no turnaround, and is retired at the end, so that a
    replay leaves no capacity behind and no driver is ever asked to deliver the past. With
    `flex_hours` a lease may start so much later: by `wait` it stands in line (see `line`), by
    `book` it takes the earliest start that has room, ahead of time.
    """
    if flex_mode not in FLEX_MODES:
        raise Invalid(f"With flex a lease will {' or '.join(FLEX_MODES)}")
    horizon = traces.horizon(demands)
    asked = traces.submissions(demands, lead_hours=lead_hours, seed=seed)
    flex = timedelta(hours=flex_hours)
    nodes = lines(demands, policy, node_count)
    # Nobody waits longer than its flex, so none runs longer than that beyond the last end.
    sellable = Period(horizon.start, horizon.end + flex)
    with capacity.replaying():
        first = min(asked[0][0], horizon.start)
        with transaction.atomic():
            pool = _fresh_pool(node_count, cards_per_node, first)
            blocks = {
                line: capacity.open_block(
                    pool_id=pool.pk, unit_count=count, sellable=sellable, at=first, actor=ACTOR
                )
                for line, count in sorted(nodes.items())
            }
            tenants = _tenants(demands, first)
        with _Desk(pool, blocks, tenants, sellable.end + timedelta(hours=1), progress) as desk:
            booking = partial(desk.book, flex=flex)
            accepted = serve(
                asked,
                nodes=nodes,
                line_of=line_of(policy),
                flex=flex if flex_mode == "wait" else timedelta(),
                ask=desk.ask if flex_mode == "wait" else booking,
            )
        outcome = _outcome(
            pool, policy, flex_hours, horizon, demands, accepted, node_count * cards_per_node
        )
        capacity.retire_pool(pool_id=pool.pk, at=sellable.end, actor=ACTOR, reason="replay over")
    return outcome


def lines(demands: Sequence[Demand], policy: str, node_count: int) -> dict[str, int]:
    """The nodes of each line: of each tenant for `split`, else of everybody, under no name."""
    if policy not in POLICIES:
        raise Invalid(f"A policy is {' or '.join(POLICIES)}")
    return traces.shares(demands, node_count) if policy == "split" else {"": node_count}


def line_of(policy: str) -> Callable[[Demand], str]:
    return (lambda demand: demand.tenant) if policy == "split" else (lambda demand: "")


class _Desk:
    """Admission by `claim`, some holds to a commit, confirmed together."""

    def __init__(
        self,
        pool: Pool,
        blocks: dict[str, Block],
        tenants: dict[str, int],
        held_until: datetime,
        progress: Callable[[int], None],
    ) -> None:
        self.pool, self.blocks, self.tenants = pool, blocks, tenants
        self.held_until, self.progress = held_until, progress
        self.held: list[int] = []
        self.asks = 0
        self.at = Period.of(next(iter(blocks.values())).sellable).start
        self.open = ExitStack()  # the transaction of this batch

    def __enter__(self) -> _Desk:
        self.open.enter_context(transaction.atomic())
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._confirm()
        self.open.__exit__(*error)

    def ask(self, at: datetime, demand: Demand, period: Period) -> Period | None:
        """The period asked for, or None where it has no room."""
        self.at = at
        self.asks += 1
        try:
            row = capacity.claim(
                pool_id=self.pool.pk,
                block_ids=[self._block(demand).pk],
                unit_count=demand.node_count,
                period=period,
                tenant_id=self.tenants[demand.tenant],
                held_until=self.held_until,
                at=at,
                actor=ACTOR,
            )
        except CapacityTaken:
            return None
        self.held.append(row.pk)
        if len(self.held) == BATCH:
            self._confirm()
            self.open.close()
            self.open.enter_context(transaction.atomic())
            self.progress(self.asks)
        return period

    def book(
        self, at: datetime, demand: Demand, period: Period, *, flex: timedelta
    ) -> Period | None:
        """The earliest period of that length that has room, within the flex."""
        fit = _first_fit(self._block(demand), demand, at, flex)
        return fit and self.ask(at, demand, fit)

    def _block(self, demand: Demand) -> Block:
        return self.blocks.get(demand.tenant) or self.blocks[""]

    def _confirm(self) -> None:
        """One statement; a hold counts like a confirmed claim, so order is no matter."""
        capacity.confirm_all(allocation_ids=self.held, at=self.at, actor=ACTOR)
        # In the same transaction, so that no sweep ever sees the past as due for delivery.
        due = Allocation.objects.filter(pool=self.pool, next_step_at__lt=LATEST)
        due.update(next_step_at=LATEST)
        self.held = []


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
    accepted: dict[str, Period],
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
        accepted=accepted,
        card_hours=taken_seconds / 3600,
        bound=min(Fraction(1), wanted / capacity_seconds),
        utilisation=taken_seconds / capacity_seconds,
        acceptance=Fraction(len(accepted), len(demands)),
        wait_hours=mean_wait_hours(demands, accepted),
    )


def mean_wait_hours(demands: Sequence[Demand], accepted: dict[str, Period]) -> Fraction:
    waits = [
        accepted[demand.id].start - demand.period.start
        for demand in demands
        if demand.id in accepted
    ]
    seconds = sum((wait // timedelta(seconds=1) for wait in waits), 0)
    return Fraction(seconds, 3600 * max(1, len(waits)))
