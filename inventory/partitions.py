"""Monthly partitions of the journal, the usage and the telemetry hours, made ahead of time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

logger = logging.getLogger(__name__)

AHEAD = timedelta(days=731)  # two years: a sweep may fail for long before a row has no home
PARTITIONED = (
    "inventory_journalentry",
    "inventory_usagehour",
    "inventory_telemetryhour",
    "inventory_meterreading",
)


@dataclass(frozen=True, slots=True)
class Stray:
    """Rows of one table that no monthly partition took."""

    table: str
    row_count: int


def ensure_partitions(*, at: datetime, since: datetime | None = None) -> list[str]:
    """Every month from `since` (or `at`) to two years after `at` has its partitions.

    Runs with the owner's rights by way of a SECURITY DEFINER function, so that the runtime
    role needs none. A month whose rows lie in DEFAULT already stays there and is logged: see
    `strays`. Returns the partitions made. Idempotent.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM ensure_partitions(%s, %s)", [since or at, at + AHEAD])
        rows = cursor.fetchall()
    for name, made in rows:
        if not made:
            logger.error("partition %s cannot be made: its rows lie in DEFAULT", name)
    return [name for name, made in rows if made]


def strays() -> list[Stray]:
    """The alarm: tables whose DEFAULT partition holds rows. Empty when all is well.

    Reads through the parent, whose rights are the ones that count.
    """
    found = []
    with connection.cursor() as cursor:
        for table in PARTITIONED:
            cursor.execute(
                f"SELECT count(*) FROM {table} WHERE tableoid = %s::regclass",  # noqa: S608
                [f"{table}_default"],
            )
            if count := cursor.fetchone()[0]:
                logger.error("%s rows of %s lie in its DEFAULT partition", count, table)
                found.append(Stray(table, count))
    return found
