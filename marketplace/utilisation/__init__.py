"""The card-hour funnel: installed → serviceable → listed → sold → delivered → busy.

Each stage is intersected with the one before; what leaks past it is shown beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from django.db.models import Q

from inventory.actors import Actor
from inventory.models import HubNode, OwnerKind, Pool
from inventory.periods import Period
from marketplace.utilisation import leases, levels, readings, rollups
from marketplace.utilisation.definitions import DEFINITIONS, Definition, definitions
from marketplace.utilisation.levels import AMOUNTS, Amount
from marketplace.utilisation.readings import Place, PoolSum

__all__ = [
    "DEFINITIONS",
    "Definition",
    "GroupBy",
    "Row",
    "definitions",
    "funnel",
    "leases",
    "of_sums",
    "place_of",
    "readings",
    "rollups",
    "total",
    "whole_of",
]

GroupBy = Literal["centre", "chip", "region", "hub", "owner", "pool", "provider"]


@dataclass(frozen=True, slots=True)
class Row:
    """One group of pools over one period, in card-hours. `busy` is None where not measured."""

    key: str
    label: str
    installed: float
    serviceable: float
    listed: float
    sold: float
    delivered: float
    busy: float | None
    listed_down: float  # on sale while out of use
    sold_down: float  # sold while out of use
    measured: float  # of the delivered, what telemetry told the utilisation of

    @property
    def undelivered(self) -> float:
        return self.sold - self.delivered

    @property
    def listed_rate(self) -> float | None:
        """挂牌率."""
        return _rate(self.listed, self.installed)

    @property
    def sold_rate(self) -> float | None:
        """出租率."""
        return _rate(self.sold, self.listed)

    @property
    def delivered_rate(self) -> float | None:
        """租用率."""
        return _rate(self.delivered, self.installed)

    @property
    def busy_rate(self) -> float | None:
        """利用率."""
        return _rate(self.busy, self.installed)


def funnel(
    *, period: Period, group_by: GroupBy, actor: Actor, within: Q | None = None
) -> list[Row]:
    """The funnel of the pools that the actor may see, the largest group first.

    `within` narrows them down, by fields of the pool.

    Recomputed from rows: nodes, outages, blocks with their journal, allocations, usage hours.
    What was busy is what telemetry saw of the delivered; `measured` says of how much of it.
    """
    pools = list(
        Pool.objects.visible_to(actor)
        .filter(within or Q())
        .select_related("chip", "fabric__centre", "provider")
    )
    found = levels.of_pools([pool.pk for pool in pools], period)
    pairs = ((_place(pool), found[pool.pk]) for pool in pools if pool.pk in found)
    return _rows(pairs, group_by)


def of_sums(sums: Iterable[PoolSum], group_by: GroupBy) -> list[Row]:
    """The same rows from what is kept by day: whole card-seconds, so that any split adds up."""
    return _rows(((one.place, one.amounts) for one in sums), group_by)


def _rows(pairs: Iterable[tuple[Place, Mapping[str, Amount]]], group_by: GroupBy) -> list[Row]:
    groups: dict[tuple[str, str], list[Mapping[str, Amount]]] = {}
    for place, amounts in pairs:
        if amounts["installed"]:
            groups.setdefault(place_of(place, group_by), []).append(amounts)
    rows = [_row(key, label, members) for (key, label), members in groups.items()]
    return sorted(rows, key=lambda row: (-row.installed, row.label))


def whole_of(sums: Iterable[PoolSum]) -> Row:
    """All of them as one row."""
    return _row("total", "", [one.amounts for one in sums])


def _row(key: str, label: str, members: Sequence[Mapping[str, Amount]]) -> Row:
    """What was busy is not known where one that delivered was not measured, nor where nothing
    was."""
    amounts = {name: float(sum(one[name] for one in members) / 3600) for name in AMOUNTS}
    unknown = any(one["delivered"] and not one["measured"] for one in members)
    busy = amounts.pop("busy")
    is_known = amounts["measured"] and not unknown
    return Row(key=key, label=label, busy=busy if is_known else None, **amounts)


def total(rows: Iterable[Row]) -> Row:
    """The rows added up. Busy is known only where it is known of each that delivered."""
    rows = list(rows)
    known = [row.busy for row in rows if row.busy is not None]
    all_known = not any(row.delivered and row.busy is None for row in rows)
    return Row(
        key="total",
        label="",
        busy=sum(known) if known and all_known else None,
        **{name: sum(getattr(row, name) for row in rows) for name in AMOUNTS if name != "busy"},
    )


def _place(pool: Pool) -> Place:
    centre = pool.fabric.centre
    return Place(
        pool_id=pool.public_id,
        pool_name=pool.name,
        provider_id=pool.provider.public_id,
        provider_name=pool.provider.name,
        centre_id=centre.public_id,
        centre_name=centre.name,
        centre_name_en=centre.name_en,
        region=centre.region,
        hub=centre.hub,
        owner_kind=centre.owner_kind,
        chip=pool.chip_id,
        chip_vendor=pool.chip.vendor,
        chip_model=pool.chip.model,
    )


def place_of(place: Place, group_by: GroupBy) -> tuple[str, str]:
    """Key and name of the group that a pool at that place belongs to."""
    if group_by == "centre":
        return place.centre_id, place.centre_name
    if group_by == "chip":
        return place.chip, f"{place.chip_vendor} {place.chip_model}"
    if group_by == "region":
        return place.region, place.region
    if group_by == "hub":
        return place.hub, str(HubNode(place.hub).label)
    if group_by == "owner":
        return place.owner_kind, str(OwnerKind(place.owner_kind).label)
    if group_by == "provider":
        return place.provider_id, place.provider_name
    return place.pool_id, place.pool_name


def _rate(part: float | None, whole: float) -> float | None:
    return None if part is None or not whole else part / whole
