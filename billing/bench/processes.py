"""Processor time by process tree, where the machine tells it (Linux)."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from django.db import connection

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int | None) -> float | None:
    """What a process and its children have used so far, those that ended included."""
    if root is None:
        return None
    children: dict[int, list[int]] = defaultdict(list)
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if (fields := _stat(int(folder.name))) is not None:
            children[int(fields[1])].append(int(folder.name))
            # user, system, and both of children that were waited for
            used[int(folder.name)] = sum(map(int, fields[11:15])) / _TICK
    if root not in used:
        return None
    total, todo = 0.0, [root]
    while todo:
        process = todo.pop()
        total += used[process]
        todo += children[process]
    return total


def postmaster() -> int | None:
    """PostgreSQL's first process, where it runs on this machine."""
    host = connection.settings_dict["HOST"]
    if host not in ("127.0.0.1", "localhost", "::1", ""):
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    try:
        name = Path(f"/proc/{backend}/comm").read_text()
    except OSError:
        return None
    fields = _stat(backend)
    return int(fields[1]) if fields is not None and name.startswith("postgres") else None


def resident_bytes() -> int:
    """What this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _stat(process: int) -> list[str] | None:
    """The fields after the name: state, parent, …"""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
