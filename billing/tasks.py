"""The money's sweeps. Each is safe to run twice and beside itself; each is one domain call."""

from __future__ import annotations

from celery import shared_task

from billing import (
    arrears,
    baskets,
    checkout,
    checkpoints,
    closing,
    ledger,
    rating,
    settlement,
    verification,
)
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


@shared_task(name="billing.expire_holds")
def expire_holds(**_: object) -> int:
    return ledger.expire_holds(at=clock.now(), limit=500)


@shared_task(name="billing.lapse_credit_limits")
def lapse_credit_limits(**_: object) -> int:
    return ledger.lapse_credit_limits(at=clock.now(), limit=500)


@shared_task(name="billing.take_checkpoints")
def take_checkpoints(**_: object) -> int:
    return checkpoints.take(at=clock.now())
