"""Processes the launcher starts, none of which outlives it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from launcher.state import LOGS, ROOT, Command, Environment, fail, say

# Whom a child becomes: us; us under another number in a user namespace; another user.
Identity = Literal["namespace"] | pwd.struct_passwd | None

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
UNPRIVILEGED = 65534
_libc = ctypes.CDLL(None, use_errno=True)


def before_exec(orphan: int, identity: Identity = None) -> Callable[[], None]:
    """What a child does first: give up root where asked, and ask for a signal when we die."""
    launcher = os.getpid()

    def prepare() -> None:
        if identity == "namespace":
            number = os.geteuid()
            if _libc.unshare(CLONE_NEWUSER):
                raise OSError(ctypes.get_errno(), "unshare")
            Path("/proc/self/uid_map").write_text(f"{UNPRIVILEGED} {number} 1")
        elif isinstance(identity, pwd.struct_passwd):
            os.setgroups([])
            os.setgid(identity.pw_gid)
            os.setuid(identity.pw_uid)
        if hasattr(_libc, "prctl"):  # last, since a change of user clears it
            _libc.prctl(PR_SET_PDEATHSIG, orphan)
            if os.getppid() != launcher:  # we died while the child was being made
                os._exit(1)

    return prepare


def run(
    title: str,
    command: Command,
    *,
    env: Environment | None = None,
    text: str = "",
    identity: Identity = None,
) -> str:
    """Runs one step to its end and returns what it printed; speaks once it takes over a second."""
    started, spoken = time.monotonic(), 0
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, \
            tempfile.TemporaryFile() as err:  # fmt: skip
        given.write(text.encode())
        given.seek(0)
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=given,
            stdout=out,
            stderr=err,
            preexec_fn=before_exec(signal.SIGKILL, identity),
        ) as process:
            while process.poll() is None:
                elapsed = time.monotonic() - started
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.01 if elapsed < 1 else 0.2)
                if elapsed >= (spoken + 10 if spoken else 1):
                    spoken = int(elapsed)
                    say(f"  … {title} ({spoken} s)")
        answer = _content(out)
        if process.returncode:
            say((answer + _content(err))[-4000:].rstrip())
            fail(f"{title} failed")
    if spoken:
        say(f"  ✓ {title}: {time.monotonic() - started:.1f} s")
    return answer


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def succeeds(command: Command, *, identity: Identity = None, cwd: Path = ROOT) -> bool:
    """Whether a probe can be run here and says yes."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return not subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            preexec_fn=before_exec(signal.SIGKILL, identity),
        ).returncode
    return False


def foreground(command: Command, env: Environment) -> int:
    """Runs a command on our terminal; Ctrl-C reaches it, and its end is waited for."""
    with subprocess.Popen(
        command, cwd=ROOT, env=env, preexec_fn=before_exec(signal.SIGTERM)
    ) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)


def free_port(wanted: int = 0) -> int:
    """The wanted port of the loopback or the next free one; for 0 any free one."""
    for port in range(wanted, wanted + 100) if wanted else (0,):
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    fail(f"no free port from {wanted} to {wanted + 99}")


@dataclass(frozen=True)
class Member:
    """One long-running process, head of its own group so that its children can be found."""

    name: str
    process: subprocess.Popen[bytes]
    stop_signal: int
    log: Path

    def end_group(self) -> None:
        """Nothing of the group is left, whatever its head did."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Family:
    """The long-running processes of one command, in the order in which they were started."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.guard = subprocess.Popen(
            [sys.executable, "-m", "launcher.guard"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Family:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Command,
        env: Environment,
        *,
        log: str = "",
        stop: int = signal.SIGTERM,
        orphan: int = signal.SIGTERM,
        identity: Identity = None,
    ) -> Member:
        """Started, its output in .dev/logs; `orphan` is the signal it gets should we be killed."""
        LOGS.mkdir(parents=True, exist_ok=True)
        path = LOGS / f"{log or name}.log"
        with open(path, "wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=before_exec(orphan, identity),
            )
        member = Member(name, process, stop, path)
        self.members.append(member)
        assert self.guard.stdin
        print(process.pid, file=self.guard.stdin, flush=True)
        return member

    def ended(self) -> list[str]:
        """The names of those that ended since the last question; a failure shows its log."""
        names = []
        for member in [m for m in self.members if m.process.poll() is not None]:
            self.members.remove(member)
            member.end_group()
            names.append(member.name)
            if code := member.process.returncode:
                tail = member.log.read_text(errors="replace")[-2000:].rstrip()
                say(f"{tail}\n{member.name} ended with {code}; its log is {member.log}")
        return names

    def stop(self, *, seconds: float = 6) -> None:
        """Stops everybody, the database after all who write to it; no further Ctrl-C disturbs."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        clients = [member for member in reversed(self.members) if member.name != "postgres"]
        for rank in (clients, [m for m in self.members if m.name == "postgres"]):
            for member in rank:
                with contextlib.suppress(ProcessLookupError):
                    member.process.send_signal(member.stop_signal)
            deadline = time.monotonic() + seconds
            for member in rank:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    member.process.wait(max(0.1, deadline - time.monotonic()))
                member.end_group()
        self.members.clear()
        self.guard.kill()  # nothing is left for it to do
        self.guard.communicate()
