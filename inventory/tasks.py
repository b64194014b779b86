"""The machines' sweeps. Each is safe to run twice and beside itself; each is one domain call.

Nothing is dispatched with a row in mind: the rows are the queue, and every sweep takes what
is due from there.
"""

from __future__ import annotations

from celery import shared_task

from inventory import (
    capacity,
    clock,
    disputes,
    health,
    manual_tasks,
    metering,
    partitions,
    provisioning,
    seals,
    telemetry,
    verification,
)


@shared_task(name="inventory.step_allocations")
def step_allocations(**_: object) -> int:
    return provisioning.sweep_allocations(at=clock.now(), limit=200)


@shared_task(name="inventory.step_instances")
def step_instances(**_: object) -> int:
    return provisioning.sweep_instances(at=clock.now(), limit=500)


@shared_task(name="inventory.tell_of_late_tasks")
def tell_of_late_tasks(**_: object) -> int:
    return manual_tasks.sweep(at=clock.now(), limit=500)


@shared_task(name="inventory.follow_calendar")
def follow_calendar(**_: object) -> int:
    return capacity.sweep(at=clock.now(), limit=200)


@shared_task(name="inventory.meter_usage")
def meter_usage(**_: object) -> int:
    return metering.sweep(at=clock.now(), limit=100_000)


@shared_task(name="inventory.read_meters")
def read_meters(**_: object) -> int:
    return disputes.sweep(at=clock.now(), limit=500)


@shared_task(name="inventory.look_at_health")
def look_at_health(**_: object) -> int:
    return health.sweep(at=clock.now(), limit=100_000)


@shared_task(name="inventory.keep_fault_rates")
def keep_fault_rates(**_: object) -> int:
    return health.keep_rates(at=clock.now())


@shared_task(name="inventory.seal_telemetry")
def seal_telemetry(**_: object) -> int:
    return telemetry.seal(at=clock.now())


@shared_task(name="inventory.pull_telemetry")
def pull_telemetry(**_: object) -> int:
    return len(telemetry.pull(at=clock.now(), limit=20))


@shared_task(name="inventory.seal_records")
def seal_records(**_: object) -> int:
    return seals.seal_all(at=clock.now())


@shared_task(name="inventory.ensure_partitions")
def ensure_partitions(**_: object) -> int:
    return len(partitions.ensure_partitions(at=clock.now()))


@shared_task(name="inventory.verify_records")
def verify_records(**_: object) -> int:
    return verification.report(at=clock.now())
