from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.processes import Family, free_port, run, succeeds

ROOT = Path(__file__).parents[2]
# A head that ignores the polite request, and a child of it that does too.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print(os.getpid(), flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def members(group: int) -> list[int]:
    """Who lives in a process group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, head = entry.read_text().rsplit(")", 1)[1].split()[:3]
        except OSError:
            continue
        if int(head) == group and state != "Z":
            found.append(int(entry.parent.name))
    return found


def eventually(what: Callable[[], object], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return False


def test_a_taken_port_gives_way_to_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert port < free_port(port) < port + 100


def test_a_step_returns_what_it_printed_and_a_failure_shows_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("asking", ["cat"], text="答") == "答"

    with pytest.raises(SystemExit):
        run("failing", ["sh", "-c", "echo the reason >&2; exit 3"])
    assert "the reason" in capsys.readouterr().err


def test_a_probe_that_cannot_be_started_is_a_no() -> None:
    assert succeeds(["true"])
    assert not succeeds(["false"])
    assert not succeeds(["/no/such/program"])


def test_stopping_leaves_nobody_of_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.processes.LOGS", tmp_path)
    before = {number: signal.getsignal(number) for number in (1, 2, 15)}
    family = Family()
    member = family.start("stubborn", [sys.executable, "-uc", STUBBORN], dict(os.environ))
    assert eventually(lambda: len(member.log.read_text().split()) == 2)
    pids = [int(pid) for pid in member.log.read_text().split()]
    assert all(alive(pid) for pid in pids)

    family.stop(seconds=0.5)

    for number, handler in before.items():
        signal.signal(number, handler)
    assert eventually(lambda: not any(alive(pid) for pid in pids)), pids


@pytest.mark.parametrize("orphan", ["sleep 60", "trap '' TERM; sleep 61 & sleep 62"])
def test_a_killed_launcher_takes_its_children_along(tmp_path: Path, orphan: str) -> None:
    """The second child ignores the kernel's signal and has a child of its own."""
    program = (
        "import os, pathlib, sys, time, launcher.processes as p\n"
        f"p.LOGS = pathlib.Path({str(tmp_path)!r})\n"
        "member = p.Family().start('orphan', ['sh', '-c', sys.argv[1]], dict(os.environ))\n"
        "print(member.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, orphan], stdout=subprocess.PIPE, cwd=ROOT
    ) as launcher:
        assert launcher.stdout
        group = int(launcher.stdout.readline())
        assert eventually(lambda: members(group))

        launcher.send_signal(signal.SIGKILL)

    assert eventually(lambda: not members(group), 40)
