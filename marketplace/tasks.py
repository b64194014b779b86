"""The deal's sweeps: contracts follow their machines, and what has served is forgotten."""

from __future__ import annotations

from celery import shared_task

from inventory import clock
from marketplace import leases
from marketplace.http import idempotency


@shared_task(name="marketplace.follow_leases")
def follow_leases(**_: object) -> int:
    return leases.sweep(at=clock.now(), limit=500)


@shared_task(name="marketplace.forget")
def forget(**_: object) -> int:
    return idempotency.forget(at=clock.now())
