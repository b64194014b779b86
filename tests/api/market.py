"""A market at the present hour, built over the API itself: what routes need to answer 2xx."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from inventory import capacity, keys, provisioning
from inventory.models import Instance, Membership, Organisation, Pool, User
from inventory.organisations import OPERATOR_ROLE_SCOPES, ROLE_SCOPES
from inventory.periods import Period
from tests import world
from tests.api.client import Api
from tests.delivery import scene as delivery

_numbers = itertools.count(1)


def next_hour(hours: float = 1) -> datetime:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return now + timedelta(hours=hours)


def text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def person(org: Organisation, role: str = "owner") -> User:
    """A member who signs in by nothing: hashing a password costs more than most tests."""
    user = User(email=f"{role}-{next(_numbers)}@{org.name.lower()}.example")
    user.set_unusable_password()
    user.save()
    at = datetime.now(UTC)
    ends = at + timedelta(days=30) if role == "auditor" else None
    Membership.objects.create(
        user=user, organisation=org, role=role, created_at=at, expires_at=ends
    )
    return user


def key(org: Organisation, *scopes: str, role: str = "owner") -> str:
    """A key that a person of the organisation made."""
    table = OPERATOR_ROLE_SCOPES if org.is_operator else ROLE_SCOPES
    _, secret = keys.issue(
        organisation_id=org.pk,
        name="test",
        scopes=scopes or table[role],
        at=datetime.now(UTC),
        actor=world.SYSTEM,
        created_by_id=person(org).pk,
    )
    return secret


@dataclass
class Market:
    """Aurora sells, Borealis rents, Cirrus looks on, Delta runs it."""

    provider: Organisation = field(default_factory=world.provider)
    tenant: Organisation = field(default_factory=world.tenant)
    stranger: Organisation = field(default_factory=world.stranger)
    operator: Organisation = field(default_factory=world.operator)

    def __post_init__(self) -> None:
        self.as_provider = Api(key(self.provider))
        self.as_tenant = Api(key(self.tenant))
        self.as_stranger = Api(key(self.stranger))
        self.as_operator = Api(key(self.operator))
        self.as_second_operator = Api(key(self.operator))
        self._pool: Pool | None = None

    @property
    def pool(self) -> Pool:
        if self._pool is None:
            self._pool = world.pool(nodes=8, owner=self.provider)
        return self._pool

    def listing(self, *, hours: int = 24 * 30, start: int = 1, **changes: Any) -> dict[str, Any]:
        return dict(self.as_provider.do("/listings", self.listing_body(hours, start, **changes)))

    def listing_body(self, hours: int = 24 * 30, start: int = 1, **changes: Any) -> dict[str, Any]:
        return {
            "pool": self.pool.public_id,
            "unit_count": 2,
            "start_at": text(next_hour(start)),
            "end_at": text(next_hour(start + hours)),
            "price": {"basis": "card_hour", "amount_micro": 6_800_000},
            "terms": {"cancellation": [[24, 10_000], [1, 5_000]]},
            **changes,
        }

    def offer(self, *, hours: int = 2, units: int = 1, start: int = 1) -> dict[str, Any]:
        found = self.as_tenant.do(
            "/offers/search",
            {
                "units": units,
                "hours": hours,
                "earliest_start": text(next_hour(start)),
                "latest_end": text(next_hour(start + 24 * 20)),
            },
        )
        assert found["data"], found
        return dict(found["data"][0])

    def receipt_body(self, amount_minor: int = 100_000_000) -> dict[str, Any]:
        return {
            "tenant": self.tenant.public_id,
            "bank_reference": f"BR-{next(_numbers)}",
            "payer_name": "Borealis",
            "amount_minor": amount_minor,
            "currency": "CNY",
            "received_date": "2026-11-20",
        }

    def fund(self, amount_minor: int = 100_000_000) -> dict[str, Any]:
        receipt = self.as_operator.do("/bank-receipts", self.receipt_body(amount_minor))
        return dict(self.as_second_operator.do(f"/bank-receipts/{receipt['id']}/approve"))

    def reservation(self, **wanted: Any) -> dict[str, Any]:
        token = self.offer(**wanted)["token"]
        return dict(self.as_tenant.do("/reservations", {"offer": token}))

    def instance(self, *, stuck: bool = False) -> Instance:
        """A machine that was handed over two hours ago; `stuck`: its wipe fails."""
        at = next_hour(-2)
        self.pool.driver_options = {
            "deadlines": {"release_seconds": 60},
            "fail": {"release": {"permanent": True}} if stuck else {},
        }
        self.pool.save(update_fields=["driver_options"])
        capacity.open_block(
            pool_id=self.pool.pk,
            unit_count=2,
            sellable=Period(at, next_hour(48)),
            at=at,
            actor=world.SYSTEM,
        )
        allocation = delivery.sold(self.pool, units=1, period=Period(at, next_hour(40)), at=at)
        delivery.run(at, at + timedelta(minutes=5))
        row = allocation.instances.get()
        if stuck:
            provisioning.replace(
                instance_id=row.pk, at=at + timedelta(minutes=5), actor=world.SYSTEM, reason="x"
            )
            delivery.run(at + timedelta(minutes=5), at + timedelta(minutes=60))
        row.refresh_from_db()
        return row

    def lease(self, **wanted: Any) -> dict[str, Any]:
        held = self.reservation(**wanted)
        return dict(self.as_tenant.do(f"/reservations/{held['id']}/confirm"))
