"""The engine behind a pool: named, checked, and read for the nodes that it knows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from inventory import journal, wrapping
from inventory.actors import Actor
from inventory.drivers import registry
from inventory.drivers.base import DriverError, Engine, Isolation, Machine, Surveyable
from inventory.errors import DomainError, Invalid
from inventory.identifiers import find
from inventory.models import Node, Pool

# Columns of the node import that an engine may know.
_COLUMNS = ("serial", "hostname", "rack", "leaf")


class NothingToAsk(DomainError):
    """The pool's driver has no engine that could be asked about itself."""

    code = "engine_not_readable"
    title = "This driver has no engine that can be read"


class EngineFailed(DomainError):
    """The engine did not answer, or not as expected; `detail` is in its own words."""

    code = "engine_failed"
    title = "The engine cannot be read"
    status = 503


def configure(
    *,
    pool_id: int | str,
    driver: str,
    options: dict[str, object],
    secret: str | None,
    at: datetime,
    actor: Actor,
) -> Pool:
    """The pool is served by that engine from its next instance on.

    `secret` opens the engine and is kept encrypted; None leaves the one there is, "" forgets it.
    Idempotent. Locks the pool's row. Raises NotFound, Invalid, ImproperlyConfigured without
    CREDENTIAL_KEYS.
    """
    if driver not in registry.names():
        raise Invalid(f"No such driver; known: {', '.join(registry.names())}", driver=driver)
    with transaction.atomic():
        rows = Pool.objects.visible_to(actor).select_for_update(of=("self",), no_key=True)
        pool = find(rows, pool_id, "No such pool")
        pool.driver, pool.driver_options = driver, options
        if secret is not None:
            pool.engine_secret = wrapping.wrap(secret) if secret else None
        pool.save(update_fields=["driver", "driver_options", "engine_secret"])
        journal.record(
            event="pool.engine_configured",
            object_id=pool.public_id,
            actor=actor,
            at=at,
            provider_id=pool.provider_id,
            data={"driver": driver, "options": sorted(options)},
        )
    return pool


def engine_of(pool: Pool) -> Engine:
    """Where it is and what opens it. Raises CredentialUnreadable."""
    return Engine(options=pool.driver_options, secret=secret_of(pool))


def secret_of(pool: Pool) -> str:
    """In the clear: for the driver, never for a log. Raises CredentialUnreadable."""
    return wrapping.unwrap(bytes(pool.engine_secret)) if pool.engine_secret else ""


def is_readable(pool: Pool) -> bool:
    """Whether its driver has an engine that can be asked about itself."""
    return isinstance(registry.get(pool.driver), Surveyable)


def check(*, pool: Pool, at: datetime) -> list[str]:
    """What is missing before the engine can deliver the pool's nodes, in plain words.

    Changes nothing, on neither side. Raises NothingToAsk.
    """
    found = list(_driver(pool).check(engine_of(pool), at=at))
    try:
        known = {each.hostname: each for each in machines(pool=pool, at=at)}
    except EngineFailed as error:
        return found or [str(error)]
    for node in pool.nodes.exclude(state=Node.State.RETIRED).order_by("serial"):
        name = node.hostname or node.serial
        if name not in known:
            found.append(f"the engine knows no {name}, which is node {node.serial} here")
        elif known[name].serial not in ("", node.serial):
            found.append(f"{name} has serial {known[name].serial} there, {node.serial} here")
    return found


def isolation(*, pool: Pool, at: datetime) -> Isolation:
    """Whether allocations of the pool cannot reach each other, as far as its engine can show.

    Raises NothingToAsk, EngineFailed.
    """
    try:
        return _driver(pool).isolation(engine_of(pool), at=at)
    except DriverError as error:
        raise EngineFailed(error.detail) from error


def machines(*, pool: Pool, at: datetime) -> Sequence[Machine]:
    """Every machine the pool's engine knows. Raises NothingToAsk, EngineFailed."""
    try:
        return _driver(pool).survey(engine_of(pool), at=at)
    except DriverError as error:
        raise EngineFailed(error.detail) from error


def node_file(*, pool: Pool, at: datetime) -> bytes:
    """The engine's machines as the file that the node import previews and takes.

    A machine without a serial goes by its name, which is a serial then. Columns that no machine
    fills are left out, so that an import keeps what is known here. Raises NothingToAsk,
    EngineFailed.
    """
    found = machines(pool=pool, at=at)
    rows = [
        {
            "serial": each.serial or each.hostname,
            "hostname": each.hostname,
            "rack": each.rack,
            "leaf": each.leaf,
        }
        for each in found
    ]
    columns = [name for name in _COLUMNS if any(row[name] for row in rows)] or ["serial"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def rewrap_secrets() -> int:
    """Every engine's secret is under the first of CREDENTIAL_KEYS; how many were redone.

    Raises CredentialUnreadable.
    """
    return wrapping.rewrap_each(Pool.objects.all(), "engine_secret")


def _driver(pool: Pool) -> Surveyable:
    driver = registry.get(pool.driver)
    if not isinstance(driver, Surveyable):
        raise NothingToAsk(f"{pool.driver} has no engine to be asked")
    return driver
