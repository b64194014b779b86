"""Real engines as processes of a test: started on the loopback, ended with it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.processes import before_exec
from launcher.state import ROOT, STATE

LOCK = ROOT / "requirements-engines.lock"
HOME = STATE / "engines"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def packages() -> Path:
    """A virtual environment with the engines from PyPI, as the lock pins them; made once."""
    HOME.mkdir(parents=True, exist_ok=True)
    home, stamp = HOME / "python", HOME / "python.stamp"
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    with open(HOME / "python.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (stamp.is_file() and stamp.read_text() == wanted):
            subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
            install: list[str | Path] = [
                home / "bin" / "pip",
                "install",
                "--quiet",
                "--require-hashes",
            ]
            install += ["--only-binary=:all:", "--no-compile", "-r", LOCK]
            subprocess.run(install, check=True, capture_output=True)
            stamp.write_text(wanted)
    return home / "bin"


@contextlib.contextmanager
def running(
    command: list[str | Path], log: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, in a group of its own that is killed whole."""
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=before_exec(signal.SIGKILL),  # a test run that is killed leaves none behind
        )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def eventually(done: Callable[[], object], *, seconds: float = 60, every: float = 0.05) -> None:
    """Waits for a process to say so; a test fails with what it waited for."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {done}"
        time.sleep(every)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
