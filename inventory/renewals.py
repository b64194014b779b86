"""Another way in while the machines run: asked for by the tenant, made by the engines."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from inventory import journal
from inventory.actors import Actor
from inventory.drivers import registry
from inventory.drivers.base import Renewing
from inventory.errors import DomainError, NotFound
from inventory.models import Allocation, Instance


class RenewalUnsupported(DomainError):
    """The engine of these machines cannot make another way in while they run."""

    code = "renewal_unsupported"
    title = "These machines have one way in for as long as they run"


class NothingToRenew(DomainError):
    """There is no way in now: the lease is not in use, or its access is shut."""

    code = "nothing_to_renew"
    title = "There is no way in that could be renewed"


def can(driver: str) -> bool:
    """Whether machines of this driver can get another way in. Raises UnknownDriver."""
    return isinstance(registry.get(driver), Renewing)


def ask(*, allocation_id: int, at: datetime, actor: Actor) -> int:
    """Every machine of the allocation is to get another way in; how many there are.

    The reconcile loop has their engines do it and then tells the tenant. For the tenant alone.
    Locks the allocation, then its instances. Raises NotFound, NothingToRenew,
    RenewalUnsupported. Asking again before it is done changes nothing.
    """
    with transaction.atomic():
        rows = Allocation.objects.select_for_update(of=("self",), no_key=True)
        row = rows.filter(pk=allocation_id, tenant_id=actor.organisation_id).first()
        if actor.organisation_id is None or row is None:
            raise NotFound("No such allocation")
        if row.state != Allocation.State.ACTIVE or row.suspended_at is not None:
            raise NothingToRenew(state=row.state)
        standing = list(
            row.instances.select_for_update(of=("self",), no_key=True)
            .filter(state=Instance.State.ACTIVE)
            .order_by("pk")
        )
        if not standing:
            raise NothingToRenew(state=row.state)
        if not all(can(each.driver) for each in standing):
            raise RenewalUnsupported(driver=standing[0].driver)
        for each in standing:
            if each.renewal_asked_at is None:
                each.renewal_asked_at = at
                each.save(update_fields=["renewal_asked_at"])
        row.next_step_at = None  # due at once
        row.save(update_fields=["next_step_at"])
        journal.record(
            event="credential.renewal_asked",
            object_id=row.public_id,
            actor=actor,
            at=at,
            provider_id=row.provider_id,
            tenant_id=row.tenant_id,
        )
    return len(standing)
