"""The deal's sweep: contracts follow their machines."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from marketplace import leases


@shared_task(name="marketplace.follow_leases")
def follow_leases(**_: object) -> int:
    return leases.sweep(at=timezone.now(), limit=500)
