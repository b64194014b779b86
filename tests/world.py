"""A small named world, built by the product's own verbs.

Centre Aurora sells, model company Borealis rents, Cirrus must see nothing of either, and
Delta runs the market.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from inventory import actors, capacity, chips, keys, organisations, pools
from inventory.actors import Actor
from inventory.models import Chip, Membership, Organisation, Pool, User, Verification
from inventory.periods import Period
from inventory.pools import NodeRow

# A Monday far enough ahead of any migration and behind any test's own future.
T0 = datetime(2026, 6, 1, tzinfo=UTC)
SYSTEM = actors.system("test")
_numbers = itertools.count(1)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def period(start_hour: float, end_hour: float) -> Period:
    """From T0, in hours."""
    return Period(T0 + hours(start_hour), T0 + hours(end_hour))


def organisation(name: str, **kinds: Any) -> Organisation:
    """A verified legal entity."""
    row, _ = Organisation.objects.get_or_create(
        name=name, defaults={"created_at": T0, "state": Verification.VERIFIED, **kinds}
    )
    return row


def provider(name: str = "Aurora") -> Organisation:
    return organisation(name, is_provider=True)


def tenant(name: str = "Borealis") -> Organisation:
    return organisation(name, is_tenant=True)


def stranger(name: str = "Cirrus") -> Organisation:
    return organisation(name, is_provider=True, is_tenant=True)


def operator(name: str = "Delta") -> Organisation:
    return organisation(name, is_operator=True)


def member(org: Organisation, role: str = "owner", email: str | None = None) -> User:
    """A person who may act for the organisation."""
    email = email or f"{role}-{next(_numbers)}@{org.name.lower()}.example"
    user = User.objects.create_user(email, "correct horse battery", date_joined=T0)
    expires_at = T0 + timedelta(days=3650) if role == "auditor" else None
    Membership.objects.create(
        user=user, organisation=org, role=role, created_at=T0, expires_at=expires_at
    )
    return user


def actor(org: Organisation, role: str = "owner") -> Actor:
    """What a member of that role may do, without a person behind it."""
    table = organisations.OPERATOR_ROLE_SCOPES if org.is_operator else organisations.ROLE_SCOPES
    return Actor(
        kind="user",
        label=f"usr_{org.pk:032x}",
        organisation_id=org.pk,
        role=role,
        scopes=table[role],
        sees_everything=org.is_operator,
    )


def key(org: Organisation, *scopes: str, role: str = "owner") -> str:
    """The text of an API key with these scopes, or with all of the role's."""
    who = actor(org, role)
    _, text = keys.issue(
        organisation_id=org.pk,
        name="test",
        scopes=scopes or who.scopes,
        at=T0,
        actor=SYSTEM,
    )
    return text


def pool(
    *,
    nodes: int = 4,
    owner: Organisation | None = None,
    chip: str = "h100-80g",
    at: datetime = T0 - timedelta(days=90),
    **facts: Any,
) -> Pool:
    """A pool of whole nodes (unless told otherwise) with its own centre and fabric."""
    if not Chip.objects.exists():
        chips.load_catalogue()
    owner = owner or provider()
    number = next(_numbers)
    centre = pools.create_centre(
        provider_id=owner.pk,
        name=f"Centre {number}",
        region="贵州",
        hub="gzh",
        owner_kind="enterprise",
        at=at,
        actor=SYSTEM,
    )
    fabric = pools.create_fabric(
        centre_id=centre.pk, name="IB-1", technology="InfiniBand NDR", at=at, actor=SYSTEM
    )
    row = pools.create_pool(
        fabric_id=fabric.pk, chip_code=chip, name=f"P{number}", at=at, actor=SYSTEM, **facts
    )
    add_nodes(row, nodes, at=at)
    return row


def add_nodes(row: Pool, count: int, *, at: datetime = T0, leaf_size: int = 4) -> None:
    if not count:
        return
    first = row.nodes.count()
    rows = [
        NodeRow(
            serial=f"{row.public_id}-{number:04d}",
            hostname=f"n{number:04d}",
            leaf=f"leaf-{number // leaf_size}",
        )
        for number in range(first, first + count)
    ]
    capacity.put_nodes(pool_id=row.pk, rows=rows, at=at, actor=SYSTEM)
