"""Machines that are to get another way in: their engines are asked, outside any transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

from inventory.drivers.base import Driver, DriverError, Renewing, Target
from inventory.models import Allocation, Instance
from inventory.provisioning.instances import ask_each

logger = logging.getLogger(__name__)


def step(row: Allocation, at: datetime) -> list[int]:
    """One step for each machine that waits for another way in; those that have it now.

    One whose engine gives it up for good is done too: it keeps the way in that it has.
    """
    if row.state != Allocation.State.ACTIVE or row.suspended_at is not None:
        return []
    waiting = row.instances.filter(state=Instance.State.ACTIVE, renewal_asked_at__isnull=False)

    def ask(driver: Driver, instance: Instance, target: Target) -> bool:
        since = instance.renewal_asked_at
        if since is None or not isinstance(driver, Renewing):
            return True
        try:
            return driver.renew(target, since=since, at=at).done
        except DriverError as error:
            if not error.permanent:
                raise
            logger.warning("%s: %s keeps its way in: %s", row, instance, error)
            return True

    return ask_each(row, list(waiting.select_related("binding__node").order_by("pk")), ask)


def note(done: Sequence[int], at: datetime) -> None:
    """They have it: the customer is told at the next look. The allocation is locked."""
    if done:
        standing = Instance.objects.filter(pk__in=done, state=Instance.State.ACTIVE)
        standing.update(renewal_asked_at=None, renewed_at=at)


def is_pending(instances: Iterable[Instance]) -> bool:
    up = (each for each in instances if each.state == Instance.State.ACTIVE)
    return any(each.renewal_asked_at is not None for each in up)
