"""The money's sweeps. Each is safe to run twice and beside itself; each is one domain call."""

from __future__ import annotations

from celery import shared_task

from billing import arrears, baskets, checkout, closing, rating, settlement, verification
from billing.psp import demo, events, sending, sweeping
from inventory import clock


@shared_task(name="billing.expire_reservations")
def expire_reservations(**_: object) -> int:
    return checkout.expire_due(at=clock.now(), limit=500)


@shared_task(name="billing.expire_baskets")
def expire_baskets(**_: object) -> int:
    return baskets.expire_due(at=clock.now(), limit=100)


@shared_task(name="billing.rate_usage")
def rate_usage(**_: object) -> int:
    return len(rating.rate_due(at=clock.now(), limit=20_000))


@shared_task(name="billing.close_leases")
def close_leases(**_: object) -> int:
    return closing.close_leases(at=clock.now(), limit=500)


@shared_task(name="billing.end_unpaid")
def end_unpaid(**_: object) -> int:
    return arrears.end_unpaid(at=clock.now(), limit=500)


@shared_task(name="billing.verify_books")
def verify_books(**_: object) -> int:
    return verification.report(at=clock.now())


@shared_task(name="billing.settle_month")
def settle_month(**_: object) -> int:
    return settlement.settle_month(at=clock.now())


@shared_task(name="billing.send_to_stripe")
def send_to_stripe(**_: object) -> int:
    return sending.send_due(at=clock.now(), limit=100)


@shared_task(name="billing.apply_stripe_events")
def apply_stripe_events(**_: object) -> int:
    demo.deliver(at=clock.now())
    return events.apply_due(at=clock.now(), limit=200)


@shared_task(name="billing.look_around_stripe")
def look_around_stripe(**_: object) -> int:
    return sweeping.look_around(at=clock.now())


@shared_task(name="billing.import_stripe_lines")
def import_stripe_lines(**_: object) -> int:
    return sweeping.import_lines(at=clock.now())
