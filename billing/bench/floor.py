"""The physical floor: the same rows written in the same commit, with nothing decided.

Which rows an operation writes is not guessed: it is read from PostgreSQL's own counters
around one real operation, and copied by pgbench into tables without constraints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connections

SCHEMA = "bench_floor"
SERVED = (
    "SELECT count(*) FROM pg_stat_clear_snapshot(), pg_stat_activity"
    " WHERE datname = current_database() AND usename = %s"
)


@dataclass(frozen=True, slots=True)
class Writes:
    """How many rows of each table an operation inserts and updates."""

    inserts: dict[str, int]
    updates: dict[str, int]


def writes_of(operation: Callable[[], object], *, times: int = 20) -> Writes:
    """The rows that one operation writes, averaged and rounded over `times`."""
    before = _counters()
    for _ in range(times):
        operation()
    after = _counters()
    inserts, updates = {}, {}
    for table, (inserted, updated) in after.items():
        old_inserted, old_updated = before.get(table, (0, 0))
        if count := round((inserted - old_inserted) / times):
            inserts[table] = count
        if count := round((updated - old_updated) / times):
            updates[table] = count
    if not inserts:
        raise RuntimeError("PostgreSQL counted no rows of the operation")
    return Writes(inserts, updates)


def _counters() -> dict[str, tuple[int, int]]:
    # A backend reports its counters when it gets round to it, and at its end.
    connections["default"].close()
    connections["default"].close_pool()  # type: ignore[attr-defined]
    with connections["owner"].cursor() as cursor:
        for _ in range(500):
            cursor.execute(SERVED, [connections["default"].settings_dict["USER"]])
            if not cursor.fetchone()[0]:
                break
            time.sleep(0.01)
        cursor.execute("SELECT relname, n_tup_ins, n_tup_upd FROM pg_stat_user_tables")
        return {table: (inserted, updated) for table, inserted, updated in cursor.fetchall()}


def per_second(writes: Writes, *, clients: int, seconds: int) -> float:
    """Transactions a second of pgbench writing those rows, prepared, with `clients` clients."""
    statements = _prepare(writes, clients)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("\n".join(["BEGIN;", *statements, "COMMIT;"]) + "\n")
        script.flush()
        owner = settings.DATABASES["owner"]
        command = [
            _pgbench(), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds),
            "-f", script.name, "-h", owner["HOST"], "-p", str(owner["PORT"]),
            "-U", owner["USER"], owner["NAME"],
        ]  # fmt: skip
        done = subprocess.run(
            command,
            env={**os.environ, "PGPASSWORD": owner["PASSWORD"]},
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=True,
        )
    match = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if match is None:
        raise RuntimeError(f"pgbench printed no rate: {done.stdout[-500:]}")
    return float(match[1])


def _pgbench() -> str:
    folder = os.environ.get("CARDHOUR_PG_BIN")
    found = str(Path(folder) / "pgbench") if folder else shutil.which("pgbench")
    if not found or not Path(found).exists():
        raise RuntimeError("pgbench is not here: set CARDHOUR_PG_BIN to PostgreSQL's bin folder")
    return found


def _prepare(writes: Writes, clients: int) -> list[str]:
    """Makes the bare copies and returns one statement per table written."""
    statements = []
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        cursor.execute(f"CREATE SCHEMA {SCHEMA}")
        for table, count in sorted(writes.inserts.items()):
            cursor.execute(
                f"CREATE TABLE {SCHEMA}.sample_{table} AS TABLE public.{table} WITH NO DATA"
            )
            cursor.execute(
                f"INSERT INTO {SCHEMA}.sample_{table} SELECT * FROM public.{table} LIMIT {count}"
            )
            cursor.execute(f"CREATE TABLE {SCHEMA}.copy_{table} (LIKE {SCHEMA}.sample_{table})")
            statements.append(
                f"INSERT INTO {SCHEMA}.copy_{table} SELECT * FROM {SCHEMA}.sample_{table};"
            )
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.changed (tbl text, client int, n bigint,"
            " PRIMARY KEY (tbl, client)) WITH (fillfactor = 50)"
        )
        for table in sorted(writes.updates):
            cursor.execute(
                f"INSERT INTO {SCHEMA}.changed SELECT %s, c, 0 FROM generate_series(0, %s) c",
                [table, clients],
            )
            statements.append(
                f"UPDATE {SCHEMA}.changed SET n = n + 1"
                f" WHERE tbl = '{table}' AND client = :client_id;"
            )
    return statements
