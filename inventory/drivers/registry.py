"""Finds a pool's driver by name; a centre may ship its own as an entry point."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from django.utils.module_loading import import_string

from inventory.drivers.base import Driver

GROUP = "cardhour.drivers"
# By their paths: a client library is loaded where a pool uses it, and nowhere else.
BUILT_IN = {
    "fake": "inventory.drivers.fake.FakeDriver",
    "ironic": "inventory.drivers.ironic.IronicDriver",
    "kubernetes": "inventory.drivers.kubernetes.KubernetesDriver",
    "manual": "inventory.drivers.manual.ManualDriver",
    "slurm": "inventory.drivers.slurm.SlurmDriver",
}


class UnknownDriver(LookupError):
    """No driver of that name is built in or installed."""


@cache
def get(name: str) -> Driver:
    """The driver of that name; one object per process. Raises UnknownDriver.

    An installed package adds one by an entry point in the group `cardhour.drivers`; a
    built-in name cannot be taken over.
    """
    if name in BUILT_IN:
        built_in: Driver = import_string(BUILT_IN[name])()
        return built_in
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise UnknownDriver(f"no driver {name!r}; known: {', '.join(names())}")
    driver: Driver = next(iter(found)).load()()
    return driver


def names() -> list[str]:
    """Every driver a pool may name."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})
