"""The books recomputed in plain SQL from rows alone, without any function that wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import connection

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
    """Runs every check of the file; one snapshot for all where the caller has taken one."""
    with connection.cursor() as cursor:
        for title, statement in _checks():
            cursor.execute(statement)
            columns = tuple(column.name for column in cursor.description or ())
            yield Finding(title, columns, tuple(map(tuple, cursor.fetchmany(10))))


def _checks() -> Iterator[tuple[str, str]]:
    for block in SQL.read_text(encoding="utf-8").split("-- check: ")[1:]:
        title, _, statement = block.partition("\n")
        yield title, statement


def text(value: object) -> str:
    """A cell of the report."""
    return value.isoformat() if isinstance(value, datetime) else str(value)
