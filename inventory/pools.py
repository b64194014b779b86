"""Centres, fabrics, pools and nodes: what a provider has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from inventory import journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Centre, Chip, Fabric, Node, Pool, PoolLock, PoolVersion


class NameTaken(DomainError):
    """The provider has one of this name already."""

    code = "name_taken"
    title = "This name is in use already"


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One server as its provider describes it."""

    serial: str
    hostname: str = ""
    rack: str = ""
    leaf: str = ""
    card_uuids: Sequence[str] = field(default_factory=tuple)
    driver_version: str = ""
    runtime_version: str = ""
    firmware_version: str = ""


def create_centre(
    *,
    provider_id: int,
    name: str,
    region: str,
    owner_kind: str,
    at: datetime,
    actor: Actor,
    name_en: str = "",
    hub: str = "none",
    pue: Decimal | None = None,
    energy_approval: str = "",
    built_racks: int | None = None,
    occupied_racks: int | None = None,
) -> Centre:
    """A site of the provider exists. Raises NameTaken, Invalid."""
    if None not in (built_racks, occupied_racks) and occupied_racks > built_racks:  # type: ignore[operator]
        raise Invalid("More racks are occupied than built")
    if pue is not None and not 1 <= pue <= 5:
        raise Invalid("A PUE lies between 1 and 5")
    try:
        with transaction.atomic():
            centre = Centre.objects.create(
                provider_id=provider_id,
                name=name,
                name_en=name_en,
                region=region,
                hub=hub,
                owner_kind=owner_kind,
                pue=pue,
                energy_approval=energy_approval,
                built_racks=built_racks,
                occupied_racks=occupied_racks,
                created_at=at,
            )
    except IntegrityError as error:
        raise NameTaken() from error
    _record("centre.created", centre.public_id, provider_id, at=at, actor=actor)
    return centre


def create_fabric(
    *,
    centre_id: int,
    name: str,
    technology: str,
    at: datetime,
    actor: Actor,
    site_count: int | None = None,
    oversubscription: Decimal | None = None,
) -> Fabric:
    """A network of the centre exists; what is not given is unknown. Raises NameTaken, NotFound."""
    centre = Centre.objects.visible_to(actor).filter(pk=centre_id).first()
    if centre is None:
        raise NotFound("No such centre")
    try:
        with transaction.atomic():
            fabric = Fabric.objects.create(
                centre=centre,
                name=name,
                technology=technology,
                site_count=site_count,
                oversubscription=oversubscription,
                created_at=at,
            )
    except IntegrityError as error:
        raise NameTaken() from error
    _record("fabric.created", fabric.public_id, centre.provider_id, at=at, actor=actor)
    return fabric


def create_pool(
    *,
    fabric_id: int,
    chip_code: str,
    name: str,
    at: datetime,
    actor: Actor,
    unit_cards: int | None = None,
    cards_per_node: int | None = None,
    spare_count: int = 0,
    lead_seconds: int = 0,
    turnaround_seconds: int = 0,
    driver: str = "fake",
    driver_options: dict[str, object] | None = None,
) -> Pool:
    """An empty pool with its lock and version exists. Raises NameTaken, NotFound, Invalid."""
    fabric = Fabric.objects.visible_to(actor).filter(pk=fabric_id).select_related("centre").first()
    if fabric is None:
        raise NotFound("No such fabric")
    chip = Chip.objects.filter(code=chip_code).first()
    if chip is None:
        raise Invalid("No such chip in the catalogue", chip=chip_code)
    cards = cards_per_node or chip.cards_per_node
    unit = unit_cards or cards
    if unit != cards and (unit not in (1, 2, 4) or cards % unit):
        raise Invalid("A unit is a whole node or a slice of 1, 2 or 4 cards that divides it")
    try:
        with transaction.atomic():
            pool = Pool.objects.create(
                provider_id=fabric.centre.provider_id,
                fabric=fabric,
                chip=chip,
                name=name,
                cards_per_node=cards,
                unit_cards=unit,
                spare_count=spare_count,
                lead_seconds=lead_seconds,
                turnaround_seconds=turnaround_seconds,
                driver=driver,
                driver_options=driver_options or {},
                created_at=at,
            )
            PoolLock.objects.create(pool=pool)
            PoolVersion.objects.create(pool=pool, clock=at)
    except IntegrityError as error:
        raise NameTaken() from error
    _record("pool.created", pool.public_id, pool.provider_id, at=at, actor=actor)
    return pool


def set_pool_state(*, pool_id: int, to: str, at: datetime, actor: Actor, reason: str = "") -> Pool:
    """Drains, reactivates or retires a pool. Locks it. Raises IllegalTransition, NotFound."""
    with transaction.atomic():
        pool = lock_pool(pool_id=pool_id, actor=actor)
        transitions.advance(pool, to=to, at=at, actor=actor, reason=reason)
    return pool


def lock_pool(*, pool_id: int, actor: Actor) -> Pool:
    """The pool, its capacity locked. Raises NotFound."""
    pool = Pool.objects.visible_to(actor).filter(pk=pool_id).first()
    if pool is None:
        raise NotFound("No such pool")
    PoolLock.objects.select_for_update().get(pool=pool)
    return pool


def put_nodes(
    *, pool_id: int, rows: Iterable[NodeRow], at: datetime, actor: Actor
) -> tuple[int, int]:
    """The pool has these nodes; returns how many are new and how many were updated.

    Known by serial within the provider, so that a repeated import changes nothing twice.
    Locks the pool. Raises NotFound, and Invalid where a serial belongs to another pool or
    to a retired node.
    """
    rows = list(rows)
    with transaction.atomic():
        pool = lock_pool(pool_id=pool_id, actor=actor)
        serials = [row.serial for row in rows]
        if len(set(serials)) != len(serials):
            raise Invalid("A serial is named twice")
        known = {
            node.serial: node
            for node in Node.objects.filter(provider_id=pool.provider_id, serial__in=serials)
        }
        for old in known.values():
            if old.pool_id != pool.pk:
                raise Invalid("A serial belongs to another pool", serial=old.serial)
            if old.state == Node.State.RETIRED:
                raise Invalid("A serial belongs to a retired node", serial=old.serial)
        fresh = [_node(pool, row, at) for row in rows if row.serial not in known]
        Node.objects.bulk_create(fresh, batch_size=1000)
        changed = [node for row in rows if (node := _changed(known.get(row.serial), row))]
        Node.objects.bulk_update(changed, _FACTS, batch_size=1000)
        if fresh or changed:
            _record(
                "pool.nodes_changed",
                pool.public_id,
                pool.provider_id,
                at=at,
                actor=actor,
                data={"added": len(fresh), "updated": len(changed)},
            )
    return len(fresh), len(changed)


_FACTS = [
    "hostname",
    "rack",
    "leaf",
    "card_uuids",
    "driver_version",
    "runtime_version",
    "firmware_version",
]


def _node(pool: Pool, row: NodeRow, at: datetime) -> Node:
    facts = {name: getattr(row, name) for name in _FACTS} | {"card_uuids": list(row.card_uuids)}
    return Node(
        provider_id=pool.provider_id, pool=pool, serial=row.serial, installed_at=at, **facts
    )


def _changed(node: Node | None, row: NodeRow) -> Node | None:
    """The node with the row's facts on it, or None where it is new or says so already."""
    if node is None:
        return None
    wanted = {name: getattr(row, name) for name in _FACTS} | {"card_uuids": list(row.card_uuids)}
    if all(getattr(node, name) == value for name, value in wanted.items()):
        return None
    for name, value in wanted.items():
        setattr(node, name, value)
    return node


def _record(
    event: str,
    object_id: str,
    provider_id: int,
    *,
    at: datetime,
    actor: Actor,
    data: dict[str, object] | None = None,
) -> None:
    journal.record(
        event=event, object_id=object_id, actor=actor, at=at, provider_id=provider_id, data=data
    )
