"""Money of the small world: funded tenants, deals through checkout, delivered hours."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from billing import baskets, checkout, closing, ledger, rating, receipts, settlement, verification
from billing.models import Settlement
from inventory.actors import Actor
from inventory.models import Allocation, MeteringCursor, Organisation, User
from inventory.periods import HOUR, Period, ceil_hour, floor_hour
from inventory.transitions import advance
from marketplace import leases, money, offers
from marketplace.models import Basket, Lease, Listing, Reservation
from marketplace.offers import OfferClaim
from tests import world
from tests.marketplace import scene
from tests.world import SYSTEM, T0


def people() -> tuple[User, User]:
    """Two persons of the operator, who never sign in: hashing a password takes a while."""
    first, second = (
        User.objects.get_or_create(email=f"{name}@delta.example", defaults={"date_joined": T0})[0]
        for name in ("first", "second")
    )
    return first, second


def top_up(
    tenant: Organisation, amount_minor: int, reference: str = "B-1", currency: str = "CNY"
) -> None:
    """Through the bank rail, by two persons."""
    first, second = people()
    operator = world.actor(world.operator())
    receipt = receipts.record(
        tenant_id=tenant.pk,
        bank_reference=reference,
        payer_name=tenant.name,
        amount_minor=amount_minor,
        currency=currency,
        received_date=T0.date(),
        at=T0,
        actor=operator,
        user=first,
    )
    receipts.approve(receipt_public_id=receipt.public_id, at=T0, actor=operator, user=second)


def hold(
    listing: Listing,
    *,
    tenant: Organisation | None = None,
    actor: Actor | None = None,
    at: datetime = T0,
    **shape: Any,
) -> Reservation:
    return checkout.hold(
        offer_token=offers.sign(scene.offer(listing, **shape)),
        project_id=None,
        at=at,
        actor=actor or world.actor(tenant or world.tenant()),
    )


def confirm(reservation: Reservation, *, at: datetime = T0) -> Lease:
    return checkout.confirm(
        reservation_public_id=reservation.public_id,
        at=at,
        actor=world.actor(reservation.tenant),
    )


def lease(listing: Listing, **shape: Any) -> Lease:
    return confirm(hold(listing, **shape))


def activate(row: Lease, at: datetime | None = None) -> Lease:
    """Handed over at its start; which nodes serve it does not matter to money."""
    start = Period.of(row.period).start
    allocation = Allocation.objects.get(pk=row.allocation_id)
    advance(allocation, to=Allocation.State.DELIVERING, at=start, actor=SYSTEM)
    advance(allocation, to=Allocation.State.ACTIVE, at=at or start, actor=SYSTEM)
    return leases.follow(lease_id=row.pk, at=at or start)


def meter(row: Lease, *, until: datetime, gaps: dict[datetime, int] | None = None) -> None:
    """Counts the lease's hours up to an instant; `gaps` are undelivered card-seconds by hour."""
    period = Period.of(row.period)
    cursor, _ = MeteringCursor.objects.get_or_create(
        allocation_id=row.allocation_id, defaults={"metered_until": floor_hour(period.start)}
    )
    until = min(until, ceil_hour(period.end))
    while cursor.metered_until < until:
        hour = Period(cursor.metered_until, cursor.metered_until + HOUR)
        owed = period.intersect(hour)
        gap = (gaps or {}).get(hour.start, 0)
        seconds = (owed.seconds if owed else 0) * row.card_count - gap
        _usage(row, hour.start, 0, seconds, gap)
        cursor.metered_until = hour.end
    cursor.save()


def deliver(row: Lease, *, until: datetime, lost: dict[datetime, int] | None = None) -> None:
    """As `meter`, in one statement: for years of hours. Not beyond its machines' own end."""
    allocation = Allocation.objects.get(pk=row.allocation_id)
    period = Period.of(allocation.period)
    cursor, _ = MeteringCursor.objects.get_or_create(
        allocation_id=allocation.pk, defaults={"metered_until": floor_hour(period.start)}
    )
    until = min(floor_hour(until), ceil_hour(period.end))
    if until <= cursor.metered_until:
        return
    with connection.cursor() as database:
        database.execute(
            "INSERT INTO inventory_usagehour (allocation_id, hour, revision, card_seconds,"
            " gap_card_seconds, recorded_at)"
            " SELECT %(allocation)s, h, 0, owed - least(owed, lost), least(owed, lost),"
            " clock_timestamp()"
            " FROM generate_series(%(since)s::timestamptz, %(until)s - interval '1 hour',"
            " interval '1 hour') h CROSS JOIN LATERAL (SELECT %(cards)s * extract(epoch FROM"
            " least(h + interval '1 hour', %(end)s) - greatest(h, %(start)s))::bigint AS owed,"
            " coalesce((%(lost)s::jsonb ->> extract(epoch FROM h)::bigint::text)::bigint, 0)"
            " AS lost) x",
            {
                "allocation": allocation.pk,
                "since": cursor.metered_until,
                "until": until,
                "start": period.start,
                "end": period.end,
                "cards": row.card_count,
                "lost": json.dumps({int(h.timestamp()): s for h, s in (lost or {}).items()}),
            },
        )
    cursor.metered_until = until
    cursor.save()


def correct(row: Lease, hour: datetime, card_seconds: int, revision: int = 1) -> None:
    _usage(row, hour, revision, card_seconds, -card_seconds)


def end(row: Lease, *, at: datetime | None = None) -> Lease:
    """Its machines are released and wiped, and the lease has followed."""
    at = at or Period.of(row.period).end
    allocation = Allocation.objects.get(pk=row.allocation_id)
    advance(allocation, to=Allocation.State.RELEASING, at=at, actor=SYSTEM)
    advance(allocation, to=Allocation.State.ENDED, at=at, actor=SYSTEM)
    return leases.follow(lease_id=row.pk, at=at)


def live(row: Lease, **gaps: Any) -> Lease:
    """The whole life of a lease: delivered, metered, charged, ended, closed."""
    finish = Period.of(row.period).end
    activate(row)
    meter(row, until=ceil_hour(finish), **gaps)
    end(row)
    rating.rate_due(at=ceil_hour(finish) + HOUR, limit=100_000)
    closing.close_leases(at=ceil_hour(finish) + HOUR, limit=1000)
    row.refresh_from_db()
    return row


def settle(months_later: int = 0) -> Settlement | None:
    """The provider's charges up to the end of T0's month, or of a later one."""
    month = money.month_of(T0 + timedelta(days=14 + 30 * months_later), "Asia/Shanghai")
    return settlement.settle(
        provider_id=world.provider().pk,
        period=month,
        currency="CNY",
        at=month.end + timedelta(days=7),
        actor=SYSTEM,
    )


def available(tenant: Organisation | None = None) -> int:
    return ledger.balance(tenant or world.tenant()).available_minor


def differences() -> list[str]:
    """What `verify_ledger` would print as different."""
    return [f"{f.title}: {f.rows}" for f in verification.verify() if not f.holds]


def _usage(row: Lease, hour: datetime, revision: int, card_seconds: int, gap: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_usagehour (allocation_id, hour, revision, card_seconds,"
            " gap_card_seconds, recorded_at) VALUES (%s, %s, %s, %s, %s, %s)",
            # A correction has just been entered, whatever the hour it is about.
            [row.allocation_id, hour, revision, card_seconds, gap, datetime.now(UTC)],
        )


# What holds the ledger against the documents it books: a test that posts by itself has none.
DOCUMENTS = (
    "the ledger's legs",
    "a tenant's deposit",
    "what a tenant owes",
    "what a provider has accrued",
    "unmatched receipts",
    "what waits in settling",
    "what a provider owes",
)


def ledger_differences() -> list[str]:
    """Those of the ledger by itself."""
    return [text for text in differences() if not text.startswith(DOCUMENTS)]


def basket(*offers_: OfferClaim, tenant: Organisation | None = None, at: datetime = T0) -> Basket:
    """These offers held together."""
    return baskets.hold(
        offer_tokens=[offers.sign(offer) for offer in offers_],
        project_id=None,
        at=at,
        actor=world.actor(tenant or world.tenant()),
    )
