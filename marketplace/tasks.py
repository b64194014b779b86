"""The deal's sweeps: contracts follow their machines, and what has served is forgotten; mail."""

from __future__ import annotations

from smtplib import SMTPException

from celery import shared_task

from inventory import clock
from marketplace import (
    amendments,
    cases,
    ending,
    idling,
    incidents,
    leases,
    listings,
    notifications,
    passwords,
    quotas,
)
from marketplace.http import idempotency
from marketplace.utilisation import rollups


@shared_task(name="marketplace.follow_leases")
def follow_leases(**_: object) -> int:
    return leases.sweep(at=clock.now(), limit=500)


@shared_task(name="marketplace.warn_leases")
def warn_leases(**_: object) -> int:
    return ending.warn_due(at=clock.now(), limit=500)


@shared_task(name="marketplace.tell_of_idle_cards")
def tell_of_idle_cards(**_: object) -> int:
    return idling.sweep(at=clock.now())


@shared_task(name="marketplace.expire_amendments")
def expire_amendments(**_: object) -> int:
    return amendments.expire_due(at=clock.now(), limit=500)


@shared_task(name="marketplace.pause_unverified")
def pause_unverified(**_: object) -> int:
    return listings.pause_unverified(at=clock.now())


@shared_task(name="marketplace.add_up_commitments")
def add_up_commitments(**_: object) -> int:
    return quotas.add_up()


@shared_task(name="marketplace.follow_incidents")
def follow_incidents(**_: object) -> int:
    return incidents.sweep(at=clock.now(), limit=200)


@shared_task(name="marketplace.escalate_cases")
def escalate_cases(**_: object) -> int:
    return cases.escalate_due(at=clock.now(), limit=500)


@shared_task(name="marketplace.make_notifications")
def make_notifications(**_: object) -> int:
    return notifications.fan_out(at=clock.now(), limit=50_000)


@shared_task(name="marketplace.send_notifications")
def send_notifications(**_: object) -> int:
    return notifications.send_due(at=clock.now(), limit=10)


@shared_task(name="marketplace.count_card_hours")
def count_card_hours(**_: object) -> int:
    return rollups.sweep(at=clock.now()).pool_day_count


@shared_task(name="marketplace.verify_rollups")
def verify_rollups(**_: object) -> int:
    at = clock.now()
    return len(rollups.verify(at=at, first=at.date() - rollups.CHECKED))


@shared_task(name="marketplace.forget")
def forget(**_: object) -> int:
    return idempotency.forget(at=clock.now())


@shared_task(
    name="marketplace.send_reset",
    autoretry_for=(OSError, SMTPException),
    retry_backoff=True,
    retry_jitter=True,
    max_retries=5,
)
def send_reset(*, email: str, base_url: str, language: str, **_: object) -> bool:
    return passwords.send_reset(email=email, base_url=base_url, language=language)
