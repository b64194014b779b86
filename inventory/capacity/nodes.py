"""The nodes of a pool, and the pool's own state: what counts as there to be sold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import transaction

from inventory import journal, transitions
from inventory.actors import Actor
from inventory.capacity.admission import asked
from inventory.capacity.calls import call, lock
from inventory.errors import Invalid, NotFound
from inventory.models import Node, Organisation, Pool
from inventory.pools import NodeRow


class CardElsewhere(Invalid):
    """One accelerator is in one node."""

    code = "card_elsewhere"
    title = "A card is in another node already"


def put_nodes(
    *, pool_id: int, rows: Iterable[NodeRow], at: datetime, actor: Actor
) -> tuple[int, int]:
    """The pool has these nodes; returns how many are new and how many were updated.

    Known by serial within the provider, so that a repeated import changes nothing twice.
    Locks the provider, since no two of its nodes hold one card, and the pool. Raises NotFound,
    CardElsewhere, and Invalid where a serial belongs to another pool or to a retired node, or
    the pool is retired.
    """
    rows = list(rows)
    with transaction.atomic():
        _lock_provider(pool_id)
        pool = _locked(pool_id, at, actor)
        if pool.state == Pool.State.RETIRED:
            raise Invalid("The pool is retired")
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
        for row, card, serial in cards_elsewhere(provider_id=pool.provider_id, rows=rows):
            raise CardElsewhere(serial=row.serial, card_uuid=card, other_serial=serial)
        fresh = [_node(pool, row, at) for row in rows if row.serial not in known]
        Node.objects.bulk_create(fresh, batch_size=1000)
        changed = [node for row in rows if (node := _changed(known.get(row.serial), row))]
        Node.objects.bulk_update(changed, _FACTS, batch_size=1000)
        if fresh or changed:
            journal.record(
                event="pool.nodes_changed",
                object_id=pool.public_id,
                actor=actor,
                at=at,
                provider_id=pool.provider_id,
                data={"added": len(fresh), "updated": len(changed)},
            )
    return len(fresh), len(changed)


def cards_elsewhere(
    *, provider_id: int, rows: Iterable[NodeRow]
) -> Iterator[tuple[NodeRow, str, str]]:
    """The rows that name a card of another node, or one twice: row, card, where it is.

    A card in two nodes would be counted, and measured, twice. One statement.
    """
    rows = list(rows)
    serials = {row.serial for row in rows}
    where = {card: row.serial for row in reversed(rows) for card in row.card_uuids}
    others = Node.objects.filter(provider_id=provider_id, card_uuids__overlap=list(where))
    for node in others.exclude(state=Node.State.RETIRED):
        if node.serial not in serials:
            where.update(dict.fromkeys(set(node.card_uuids) & set(where), node.serial))
    for row in rows:
        for number, card in enumerate(row.card_uuids):
            if where[card] != row.serial or card in row.card_uuids[:number]:
                yield row, card, where[card]
                break


def retire_node(*, node_id: int, at: datetime, actor: Actor, reason: str) -> Node:
    """The node has left the pool for good, where its promises fit on the other nodes.

    Locks: pool, node. Raises CapacityTaken, NodeInUse while the node serves, NotFound.
    Idempotent.
    """
    if not Node.objects.visible_to(actor).filter(pk=node_id).exists():
        raise NotFound("No such node")
    with transaction.atomic():
        call("capacity_retire_node", node=node_id, reason=reason, **asked(at, actor))
        return Node.objects.get(pk=node_id)


def turn_pool(*, pool_id: int, to: str, at: datetime, actor: Actor, reason: str = "") -> Pool:
    """The pool drains, sells again, or is gone for good with its blocks and nodes.

    Locks: pool, and for retiring blocks and nodes. Raises IllegalTransition, NotFound, and
    CapacityTaken where it shall be retired while anything is claimed or bound beyond the
    pool's clock.
    """
    if to == Pool.State.RETIRED:
        return retire_pool(pool_id=pool_id, at=at, actor=actor, reason=reason)
    with transaction.atomic():
        pool = _locked(pool_id, at, actor)
        transitions.advance(pool, to=to, at=at, actor=actor, reason=reason)
    return pool


def retire_pool(*, pool_id: int, at: datetime, actor: Actor, reason: str) -> Pool:
    """An empty pool is gone for good: blocks closed, nodes retired.

    Locks: pool, blocks, nodes. Raises CapacityTaken while anything is claimed or bound beyond
    the pool's clock, NotFound. Idempotent but for the journal.
    """
    if not Pool.objects.visible_to(actor).filter(pk=pool_id).exists():
        raise NotFound("No such pool")
    with transaction.atomic():
        call("capacity_retire_pool", pool=pool_id, reason=reason, **asked(at, actor))
        row: Pool = Pool.objects.get(pk=pool_id)
        return row


def _lock_provider(pool_id: int) -> None:
    owner = Organisation.objects.filter(pools=pool_id)
    owner.select_for_update(of=("self",), no_key=True).first()


def _locked(pool_id: int, at: datetime, actor: Actor) -> Pool:
    """The pool, its capacity locked. Raises NotFound, Busy, ClockAhead."""
    if not Pool.objects.visible_to(actor).filter(pk=pool_id).exists():
        raise NotFound("No such pool")
    lock(pool_id, at)
    row: Pool = Pool.objects.get(pk=pool_id)
    return row


_FACTS = [
    "hostname",
    "rack",
    "leaf",
    "card_uuids",
    "driver_version",
    "runtime_version",
    "framework_version",
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
