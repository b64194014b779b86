"""Finds a pool's driver by name; a centre may ship its own as an entry point."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from inventory.drivers.base import Driver
from inventory.drivers.fake import FakeDriver
from inventory.drivers.manual import ManualDriver

GROUP = "cardhour.drivers"
BUILT_IN: dict[str, type[Driver]] = {"fake": FakeDriver, "manual": ManualDriver}


class UnknownDriver(LookupError):
    """No driver of that name is built in or installed."""


@cache
def get(name: str) -> Driver:
    """The driver of that name; one object per process. Raises UnknownDriver.

    An installed package adds one by an entry point in the group `cardhour.drivers`; a
    built-in name cannot be taken over.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]()
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise UnknownDriver(f"no driver {name!r}; known: {', '.join(names())}")
    driver: Driver = next(iter(found)).load()()
    return driver


def names() -> list[str]:
    """Every driver a pool may name."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})
