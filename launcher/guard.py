"""Outlives a launcher that was killed, for as long as it takes to end what that left behind.

Everybody asks the kernel for a signal when the launcher dies, but a worker whose broker went away
at the same moment may wait for it, and a signal does not reach a worker's own children. The
launcher writes the number of each process group it starts; the end of its pipe is its own end.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_SECONDS = 15  # for PostgreSQL's last checkpoint


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = [int(line) for line in sys.stdin]
    deadline = time.monotonic() + GRACE_SECONDS
    while (groups := [group for group in groups if _reached(group, 0)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.1)
    for group in groups:
        _reached(group, signal.SIGKILL)


def _reached(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


if __name__ == "__main__":
    main()
