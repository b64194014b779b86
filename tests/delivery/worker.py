"""A worker process for kill tests: runs the sweeps, and stops dead inside a step if told to.

    python -m tests.delivery.worker AT STOP_IN

AT is an instant; STOP_IN names where it goes to sleep for ever, after saying "stopped":
`before:provision` and the like, before or after the fake engine did its part; `apply`,
inside the transaction that writes a result; `bind`, inside the one that binds.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
django.setup()

from inventory import capacity, provisioning  # noqa: E402
from inventory.drivers.fake import FakeDriver  # noqa: E402
from inventory.provisioning import claims  # noqa: E402


def stop_here(*_: Any, **__: Any) -> None:
    sys.stdout.write("stopped\n")
    sys.stdout.flush()
    time.sleep(600)


def stop_in_driver(verb: str, *, after: bool) -> None:
    original: Any = getattr(FakeDriver, verb)

    def stopping(self: FakeDriver, target: Any, *, at: datetime) -> None:
        if after:
            original(self, target, at=at)
        stop_here()

    setattr(FakeDriver, verb, stopping)


def stop_in_bind() -> None:
    original: Any = capacity.bind

    def stopping(**arguments: Any) -> None:
        original(**arguments)
        stop_here()

    capacity.bind = stopping  # type: ignore[assignment]


def main(at: datetime, stop_in: str) -> None:
    when, _, verb = stop_in.partition(":")
    if verb:
        stop_in_driver(verb, after=when == "after")
    elif stop_in == "apply":
        claims.rest = stop_here
    elif stop_in == "bind":
        stop_in_bind()
    provisioning.sweep_allocations(at=at)
    provisioning.sweep_instances(at=at)


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]), sys.argv[2])
