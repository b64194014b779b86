"""The books recomputed in plain SQL from rows alone, without any function that wrote them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import connection, transaction

from inventory import actors, journal

logger = logging.getLogger(__name__)

SQL = Path(__file__).resolve().parent / "sql" / "verification.sql"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and the rows that contradict it, at most ten of them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    @property
    def holds(self) -> bool:
        return not self.rows


def verify() -> Iterator[Finding]:
    """Runs every check of the file in one snapshot, so that work beside it is no difference."""
    with transaction.atomic(), connection.cursor() as cursor:
        if len(connection.atomic_blocks) == 1:  # else the caller's snapshot serves
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Every row is read: what is looked up row by row, because a table seemed to be empty
        # when it was last analysed, takes the square of the time.
        cursor.execute("SET LOCAL enable_nestloop = off")
        for title, statement in _checks():
            cursor.execute(statement)
            columns = tuple(column.name for column in cursor.description or ())
            yield Finding(title, columns, tuple(map(tuple, cursor.fetchmany(10))))
        cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")  # for what the caller does next


def report(*, at: datetime) -> int:
    """Every difference is logged as critical and the result journalled; how many there are."""
    wrong = [finding for finding in verify() if not finding.holds]
    for finding in wrong:
        logger.critical("the books differ: %s: %s", finding.title, finding.rows)
    with transaction.atomic():
        journal.record(
            event="books.differ" if wrong else "books.agree",
            object_id="books",
            actor=actors.system("verification"),
            at=at,
            data={"differences": [finding.title for finding in wrong]},
        )
    return len(wrong)


def _checks() -> Iterator[tuple[str, str]]:
    for block in SQL.read_text(encoding="utf-8").split("-- check: ")[1:]:
        title, _, statement = block.partition("\n")
        yield title, statement


def text(value: object) -> str:
    """A cell of the report."""
    return value.isoformat() if isinstance(value, datetime) else str(value)
