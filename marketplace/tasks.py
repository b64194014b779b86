"""The deal's sweep: contracts follow their machines."""

from __future__ import annotations

from celery import shared_task

from inventory import clock
from marketplace import leases


@shared_task(name="marketplace.follow_leases")
def follow_leases(**_: object) -> int:
    return leases.sweep(at=clock.now(), limit=500)
