"""django-hordak on the same PostgreSQL, in a process of its own, for comparison.

It is no dependency: `python3 dev bench ledger` puts it beside the checkout's packages, and where
it is missing the bench says so and goes on. It is used through its public models, as its manual
shows, with the same three legs; a schema of its own keeps its tables apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from django.db import connections

from billing.bench import pgbench

PACKAGES = "CARDHOUR_BENCH_PACKAGES"  # a folder, set by the launcher
PROGRAM = Path(__file__).with_name("hordak_process.py")


class Hordak:
    """The running process: it posts for a while whenever it is asked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._asked: IO[str] = process.stdin
        self._told: IO[str] = process.stdout

    def per_second(self, *, clients: int, seconds: float) -> float:
        self._asked.write(json.dumps({"clients": clients, "seconds": seconds}) + "\n")
        self._asked.flush()
        line = self._told.readline()
        if not line:
            raise RuntimeError("django-hordak's process ended")
        return float(json.loads(line)["per_second"])


def is_here() -> bool:
    folder = os.environ.get(PACKAGES)
    return bool(folder and (Path(folder) / "hordak").is_dir()) or find_spec("hordak") is not None


@contextmanager
def running() -> Iterator[Hordak]:
    """A process with its tables made anew."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS bench_hordak CASCADE")
        cursor.execute("CREATE SCHEMA bench_hordak")
    path = os.pathsep.join(filter(None, [os.environ.get(PACKAGES), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-P", str(PROGRAM)],
        env={**os.environ, "PYTHONPATH": path, "HORDAK_DATABASE_URL": pgbench.url("owner")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("django-hordak does not start")
        yield Hordak(process)
    finally:
        process.terminate()
        process.wait(timeout=20)
