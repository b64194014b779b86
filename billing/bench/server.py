"""The product's own web server, and one bare view beside the product's to compare with."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from billing.bench import pgbench


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens and which process it is."""

    port: int
    process_id: int


@contextmanager
def serving() -> Iterator[Server]:
    """The web server on a free port of this machine, as `dev up` starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--host", "127.0.0.1",
        "--port", str(port), "--workers", "2", "--blocking-threads", "4",
        "--log-level", "warning", "billing.bench.wsgi:application",
    ]  # fmt: skip
    with tempfile.TemporaryFile("w+") as log:  # a refusal is a line in it
        process = subprocess.Popen(
            command,
            env={
                **os.environ,
                "DATABASE_URL": pgbench.url("default"),  # ours, whatever the environment says
                "REQUESTS_PER_MINUTE": "0",  # one key does the work of thousands
            },
            stdout=log,
            stderr=log,
        )
        try:
            _wait(port, process, log)
            yield Server(port, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(port: int, process: subprocess.Popen[bytes], log: IO[str]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            log.seek(0)
            raise RuntimeError(f"the web server did not start: {log.read()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the web server did not answer within a minute")
