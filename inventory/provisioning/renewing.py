"""Machines that are to get another way in: their engines are asked, outside any transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

from inventory.drivers import registry
from inventory.drivers.base import DriverError
from inventory.models import Allocation, Instance
from inventory.provisioning.instances import target_of
from inventory.renewals import Renewing

logger = logging.getLogger(__name__)


def step(row: Allocation, at: datetime) -> list[int]:
    """One step for each machine that waits for another way in; those that have it now.

    One whose engine gives it up for good is done too: it keeps the way in that it has.
    """
    if row.state != Allocation.State.ACTIVE or row.suspended_at is not None:
        return []
    done = []
    waiting = row.instances.filter(state=Instance.State.ACTIVE, renewal_asked_at__isnull=False)
    for each in waiting.select_related("binding__node").order_by("pk"):
        each.allocation = row
        assert each.renewal_asked_at is not None
        try:
            driver = registry.get(each.driver)
            if not isinstance(driver, Renewing):
                done.append(each.pk)
                continue
            target, since = target_of(each), each.renewal_asked_at
            if driver.renew(target, since=since, at=at).done:
                done.append(each.pk)
        except DriverError as error:
            logger.warning("%s: %s has no other way in yet: %s", row, each, error)
            if error.permanent:
                done.append(each.pk)
        except Exception:
            logger.exception("%s: the driver did not renew the way into %s", row, each)
    return done


def note(done: Sequence[int], at: datetime) -> None:
    """They have it: the customer is told at the next look. The allocation is locked."""
    if done:
        standing = Instance.objects.filter(pk__in=done, state=Instance.State.ACTIVE)
        standing.update(renewal_asked_at=None, renewed_at=at)


def is_pending(instances: Iterable[Instance]) -> bool:
    up = (each for each in instances if each.state == Instance.State.ACTIVE)
    return any(each.renewal_asked_at is not None for each in up)
