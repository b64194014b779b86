"""What a test needs beyond the checkout: programs of the machine and the real data sets.

An absent one skips the test and says how to get it; with CI=true it fails the test, so that no
part of the suite is ever left out there unnoticed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

# engine: (programs of which one must be there, how to get it)
ENGINES: dict[str, tuple[tuple[str, ...], str]] = {
    "chromium": (
        ("chromium", "chromium-browser", "google-chrome"),
        "apt-get install chromium fonts-noto-cjk",
    ),
    "npm": (("npm",), "apt-get install npm"),
    "postgresql-15": (("/usr/lib/postgresql/15/bin/postgres",), "apt-get install postgresql-15"),
    "prometheus": (("prometheus",), "apt-get install prometheus"),
    "slurm": (("/usr/sbin/slurmctld",), "apt-get install slurmctld slurmd slurm-client munge"),
    "slurmdbd": (
        ("/usr/sbin/slurmdbd",),
        "apt-get install slurmdbd slurm-wlm-mysql-plugin mariadb-server",
    ),
    "rabbitmq": (("/usr/lib/rabbitmq/bin/rabbitmq-server",), "apt-get install rabbitmq-server"),
}
DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def require(engine: str) -> Path:
    """The engine's program, or the end of this test."""
    programs, remedy = ENGINES[engine]
    for program in programs:
        if found := shutil.which(program):
            return Path(found)
    _absent(f"{engine} is not installed: {remedy}")


def require_data(name: str) -> Path:
    """A file of the real data sets, found below CARDHOUR_DATA."""
    path = Path(os.environ.get("CARDHOUR_DATA", DATA)) / name
    if not path.exists():
        _absent(f"the data set {name} is not in {path.parent}: set CARDHOUR_DATA to its folder")
    return path


def _absent(reason: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(reason)
    pytest.skip(reason)
