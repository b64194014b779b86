"""A market as the console shows it: everybody signed in, something on sale, a lease."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.test import Client

from billing import checkout, receipts
from billing.models import BankReceipt
from inventory import provisioning
from inventory.models import Organisation, Pool, User
from inventory.periods import Period, ceil_hour
from marketplace import leases, listings, offers
from marketplace.asking import PriceInput, TermsInput
from marketplace.models import Lease, Listing, Reservation
from marketplace.offers import Offer, OfferRequest
from tests import world
from tests.billing import online
from tests.delivery import scene as delivery

Post = Callable[..., Any]
_KEYS = iter(range(10**9))


@pytest.fixture(autouse=True)
def _plain_static_files(settings: LazySettings) -> None:
    """Addresses of static files without a collected manifest; sign-ins cheap and uncounted."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    online.switch_on(settings)  # type: ignore[arg-type]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@dataclass
class Market:
    """Aurora sells to Borealis; Cirrus must see nothing of it; Delta runs the market."""

    provider: Organisation
    tenant: Organisation
    stranger: Organisation
    operator: Organisation
    pool: Pool
    at: datetime

    def client(self, organisation: Organisation, role: str = "owner") -> Client:
        """A browser in which a member of that role is signed in."""
        client = Client()
        client.force_login(world.member(organisation, role))
        client.cookies["django_language"] = "en"
        return client

    def listing(
        self,
        *,
        units: int = 2,
        mode: str = "instant",
        terms: TermsInput | None = None,
        selling: str = "agency",
        **price: Any,
    ) -> Listing:
        start = ceil_hour(self.at) + timedelta(hours=4)
        return listings.publish(
            pool_id=self.pool.pk,
            unit_count=units,
            sellable=Period(start, start + timedelta(days=20)),
            price=PriceInput(basis="card_hour", amount_micro=6_800_000, **price),
            terms=terms or TermsInput(),
            mode=mode,
            selling=selling,
            at=self.at,
            actor=world.actor(self.provider),
        )

    def receipt(self, amount_minor: int = 10_000_000) -> BankReceipt:
        """A transfer to the tenant's wallet that waits for a second person."""
        return receipts.record(
            tenant_id=self.tenant.pk,
            bank_reference=f"ref-{next(_KEYS)}",
            payer_name="Borealis",
            amount_minor=amount_minor,
            currency="CNY",
            received_date=date(2026, 1, 1),
            late_reason="found late",
            at=self.at,
            actor=world.actor(self.operator),
            user=world.member(self.operator),
        )

    def fund(self, amount_minor: int = 10_000_000) -> None:
        """The tenant has money, seen by two people."""
        receipts.approve(
            receipt_public_id=self.receipt(amount_minor).public_id,
            at=self.at,
            actor=world.actor(self.operator),
            user=world.member(self.operator, "finance"),
        )

    def offer(self, listing: Listing) -> Offer:
        """A day of one unit, thirty hours ahead."""
        start = ceil_hour(self.at) + timedelta(hours=30)
        found = offers.search(
            request=OfferRequest(
                units=1,
                hours=24,
                earliest_start=start,
                latest_end=start + timedelta(hours=48),
            ),
            actor=world.actor(self.tenant),
            at=self.at,
        )
        return next(row for row in found.offers if row.listing_id == listing.public_id)

    def reservation(self, listing: Listing) -> Reservation:
        return checkout.hold(
            offer_token=self.offer(listing).token,
            project_id=None,
            at=self.at,
            actor=world.actor(self.tenant),
        )

    def lease(self, listing: Listing) -> Lease:
        return checkout.confirm(
            reservation_public_id=self.reservation(listing).public_id,
            at=self.at,
            actor=world.actor(self.tenant),
        )

    def running(self, *, stuck: bool = False) -> Lease:
        """A lease that was delivered two hours ago; `stuck`: its machine cannot be wiped."""
        now = self.at
        self.pool.driver_options = {
            "deadlines": {"release_seconds": 60},
            "fail": {"release": {"permanent": True}} if stuck else {},
        }
        self.pool.save(update_fields=["driver_options"])
        self.at = now - timedelta(hours=32)
        lease = self.lease(self.listing(units=1))
        self.at = now
        start = lease.period.lower
        delivery.run(start, start + timedelta(minutes=5))
        if stuck:
            machine = lease.allocation.instances.get()
            at = start + timedelta(minutes=5)
            provisioning.replace(instance_id=machine.pk, at=at, actor=world.SYSTEM, reason="x")
            delivery.run(at, at + timedelta(minutes=50))
        return leases.follow(lease_id=lease.pk, at=now)


@pytest.fixture
def market(db: None) -> Market:
    cache.clear()
    provider = world.provider()
    return Market(
        provider=provider,
        tenant=world.tenant(),
        stranger=world.stranger(),
        operator=world.operator(),
        pool=world.pool(nodes=4, owner=provider),
        at=datetime.now(UTC),
    )


def keyed(**data: Any) -> dict[str, Any]:
    """A form's fields with a fresh idempotency key."""
    return {"idempotency_key": f"key-{next(_KEYS)}", **data}


def person(email: str) -> User:
    return User.objects.get(email=email)
