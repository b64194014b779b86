"""The idle calendar: what of each pool is sold, held, listed or idle, day by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count, Exists, OuterRef, Q

from inventory.models import CLAIM_LIVE, Block, Claim, Node, Outage, Pool
from inventory.periods import Period
from marketplace.web import charts

DAYS = 28


@dataclass(frozen=True, slots=True)
class Day:
    """Card-hours of one pool on one local day; the parts add up to what is installed."""

    date: date
    period: Period
    installed: float
    down: float = 0.0  # spares, outages and broken nodes
    external: float = 0.0
    sold: float = 0.0
    held: float = 0.0
    listed: float = 0.0  # on sale and free
    unlisted: float = 0.0

    @property
    def sellable(self) -> float:
        return max(0.0, self.installed - self.down)

    @property
    def taken(self) -> float:
        return self.sold + self.held + self.external

    @property
    def idle(self) -> float:
        return self.listed + self.unlisted

    @property
    def level(self) -> int | None:
        return charts.level(self.taken, self.sellable)

    @property
    def is_weekend(self) -> bool:
        return self.date.weekday() >= 5

    @property
    def bars(self) -> list[charts.Part]:
        """Parts of the day's column, sold at the bottom: x stands for height here."""
        return charts.bar(
            [
                ("p-sold", "", self.sold),
                ("p-held", "", self.held),
                ("p-external", "", self.external),
                ("p-listed", "", self.listed),
                ("p-unlisted", "", self.unlisted),
                ("p-down", "", self.down),
            ],
            whole=self.installed,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A pool and its days."""

    pool: Pool
    node_count: int
    days: list[Day]

    @property
    def idle(self) -> float:
        return sum(day.idle for day in self.days)

    @property
    def unlisted(self) -> float:
        return sum(day.unlisted for day in self.days)


def calendar(pools: Iterable[Pool], *, at: datetime, days: int = DAYS) -> list[Row]:
    """Each pool's next days from `at`, in its centre's zone. Five statements for any number.

    The pools come with `fabric__centre` and `chip`. The rest of the present day counts, not
    what has passed of it. A live claim counts over all of its blocking time.
    """
    pools = list(pools)
    if not pools:
        return []
    ids = [pool.pk for pool in pools]
    whole = Period(at, at + timedelta(days=days + 1))
    named = Outage.objects.filter(node=OuterRef("pk"), state=Outage.State.OPEN)
    nodes: dict[int, dict[str, int]] = {
        row["pool_id"]: {"total": row["total"], "broken": row["broken"]}
        for row in Node.objects.filter(pool__in=ids)
        .exclude(state=Node.State.RETIRED)
        .values("pool_id")
        .annotate(
            total=Count("pk"),
            # One that is out by an open outage is counted there.
            broken=Count("pk", filter=Q(~Exists(named), state=Node.State.BROKEN)),
        )
        .order_by()
    }
    claims, blocks, outages = _claims(ids, whole, at), _blocks(ids, whole), _outages(ids, whole)
    return [
        _row(
            pool,
            nodes.get(pool.pk, {"total": 0, "broken": 0}),
            claims[pool.pk],
            blocks[pool.pk],
            outages[pool.pk],
            at=at,
            days=days,
        )
        for pool in pools
    ]


@dataclass(frozen=True, slots=True)
class _Stretch:
    kind: str
    units: int
    period: Period
    on_open_block: bool = False


def _claims(ids: Sequence[int], whole: Period, at: datetime) -> dict[int, list[_Stretch]]:
    rows = Claim.objects.filter(
        pool__in=ids, state__in=CLAIM_LIVE, blocking__overlap=whole.range
    ).exclude(state=Claim.State.HELD, held_until__lte=at)
    result: dict[int, list[_Stretch]] = defaultdict(list)
    for pool_id, state, block_id, block_state, units, blocking in rows.values_list(
        "pool_id", "state", "block_id", "block__state", "unit_count", "blocking"
    ):
        kind = "held" if state == Claim.State.HELD else "sold"
        result[pool_id].append(
            _Stretch(
                kind if block_id else "external",
                units,
                Period.of(blocking),
                on_open_block=block_state == Block.State.OPEN,
            )
        )
    return result


def _blocks(ids: Sequence[int], whole: Period) -> dict[int, list[_Stretch]]:
    rows = Block.objects.filter(
        pool__in=ids, state=Block.State.OPEN, period__overlap=whole.range
    ).values_list("pool_id", "unit_count", "period")
    result: dict[int, list[_Stretch]] = defaultdict(list)
    for pool_id, units, period in rows:
        result[pool_id].append(_Stretch("listed", units, Period.of(period)))
    return result


def _outages(ids: Sequence[int], whole: Period) -> dict[int, list[_Stretch]]:
    rows = Outage.objects.filter(
        pool__in=ids, state=Outage.State.OPEN, period__overlap=whole.range
    ).values_list("pool_id", "node_count", "period")
    result: dict[int, list[_Stretch]] = defaultdict(list)
    for pool_id, node_count, period in rows:
        result[pool_id].append(_Stretch("down", node_count, Period.of(period)))
    return result


def _row(
    pool: Pool,
    nodes: dict[str, int],
    claims: list[_Stretch],
    blocks: list[_Stretch],
    outages: list[_Stretch],
    *,
    at: datetime,
    days: int,
) -> Row:
    zone = ZoneInfo(pool.fabric.centre.timezone)
    today = at.astimezone(zone).date()
    result = []
    for number in range(days):
        local = today + timedelta(days=number)
        following = local + timedelta(days=1)
        start = max(at, datetime(local.year, local.month, local.day, tzinfo=zone))
        end = datetime(following.year, following.month, following.day, tzinfo=zone)
        period = Period(start, end)
        hours = period.hours
        installed = nodes["total"] * pool.cards_per_node * hours
        still = (pool.spare_count + nodes["broken"]) * pool.cards_per_node * hours
        down = still + _card_hours(outages, period, pool.cards_per_node)
        empty = Day(local, period, installed, down=min(installed, down))
        result.append(_fill(empty, pool, claims, blocks))
    return Row(pool=pool, node_count=nodes["total"], days=result)


def _fill(day: Day, pool: Pool, claims: list[_Stretch], blocks: list[_Stretch]) -> Day:
    by_kind = {
        kind: _card_hours((c for c in claims if c.kind == kind), day.period, pool.unit_cards)
        for kind in ("sold", "held", "external")
    }
    on_sale = _card_hours(blocks, day.period, pool.unit_cards)
    on_sale -= _card_hours((c for c in claims if c.on_open_block), day.period, pool.unit_cards)
    free = max(0.0, day.sellable - sum(by_kind.values()))
    listed = min(free, max(0.0, on_sale))
    return replace(
        day,
        sold=by_kind["sold"],
        held=by_kind["held"],
        external=by_kind["external"],
        listed=listed,
        unlisted=free - listed,
    )


def _card_hours(stretches: Iterable[_Stretch], period: Period, cards: int) -> float:
    total = 0.0
    for stretch in stretches:
        common = stretch.period.intersect(period)
        if common is not None:
            total += stretch.units * cards * common.hours
    return total
