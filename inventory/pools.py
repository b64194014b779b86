"""Centres, fabrics and pools: what a provider has. Its nodes are capacity's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from inventory import journal
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Centre, Chip, Fabric, Pool


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
    framework_version: str = ""
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
    """A network of the centre exists; what is not given is unknown.

    Raises NameTaken, NotFound, Invalid.
    """
    if oversubscription is not None and not 1 <= oversubscription <= 100:
        raise Invalid("An oversubscription lies between 1 (none) and 100")
    if site_count is not None and site_count < 1:
        raise Invalid("A network stands in at least one site")
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
    maintenance_notice_seconds: int = 72 * 3600,
    driver: str = "fake",
    driver_options: dict[str, object] | None = None,
) -> Pool:
    """An empty pool exists; the database gives it its lock and its version.

    Raises NameTaken, NotFound, Invalid.
    """
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
                maintenance_notice_seconds=maintenance_notice_seconds,
                driver=driver,
                driver_options=driver_options or {},
                created_at=at,
            )
    except IntegrityError as error:
        raise NameTaken() from error
    _record("pool.created", pool.public_id, pool.provider_id, at=at, actor=actor)
    return pool


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
