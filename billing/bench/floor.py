"""The physical floor: the same rows written in the same commits, with nothing decided.

Which rows an operation writes is not guessed: it is read from PostgreSQL's own counters
around real operations, and copied by pgbench into tables without constraints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import connections

from billing.bench import pgbench

SCHEMA = "bench_floor"
BY_POOL = "inventory_poolversion"  # one row a pool: on one hot pool everybody waits for it
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
    if not inserts and not updates:
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
        cursor.execute(
            "SELECT relname, n_tup_ins, n_tup_upd FROM pg_stat_user_tables"
            " WHERE schemaname = 'public'"
        )
        return {table: (inserted, updated) for table, inserted, updated in cursor.fetchall()}


def per_second(
    commits: Sequence[Writes], *, pool_count: int, clients: int, seconds: float
) -> float:
    """How often a second pgbench makes those commits, one after the other.

    With one pool all clients write its one version row; with more each writes another's.
    """
    script = _prepare(commits, pool_count, clients)
    return pgbench.run(script, clients=clients, seconds=seconds, alias="owner").per_second


def _prepare(commits: Sequence[Writes], pool_count: int, clients: int) -> str:
    """Makes the bare copies and returns one statement per table written."""
    lines = [f"\\set pool random(1, {pool_count})"]
    keys = max(pool_count, clients)
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        cursor.execute(f"CREATE SCHEMA {SCHEMA}")
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.changed (tbl text, key int, n bigint,"
            " PRIMARY KEY (tbl, key)) WITH (fillfactor = 50)"
        )
        for table in sorted({name for writes in commits for name in writes.updates}):
            cursor.execute(
                f"INSERT INTO {SCHEMA}.changed SELECT %s, c, 0 FROM generate_series(0, %s) c",
                [table, keys],
            )
        for number, writes in enumerate(commits):
            lines.append("BEGIN;")
            for table, count in sorted(writes.inserts.items()):
                lines.append(_insert(cursor, number, table, count))
            for table in sorted(writes.updates):
                key = ":pool" if table == BY_POOL else ":client_id"
                lines.append(
                    f"UPDATE {SCHEMA}.changed SET n = n + 1 WHERE tbl = '{table}' AND key = {key};"
                )
            lines.append("COMMIT;")
    return "\n".join(lines) + "\n"


def _insert(cursor: object, number: int, table: str, count: int) -> str:
    sample, copy = f"{SCHEMA}.sample_{number}_{table}", f"{SCHEMA}.copy_{number}_{table}"
    for statement in (
        f"CREATE TABLE {sample} AS SELECT * FROM public.{table} LIMIT {count}",
        f"CREATE TABLE {copy} (LIKE {sample})",
    ):
        cursor.execute(statement)  # type: ignore[attr-defined]
    return f"INSERT INTO {copy} SELECT * FROM {sample};"
