"""Rows of several models by one statement written by hand, where composing it costs too much.

Django composes a query's SQL anew each time, which takes several times as long as PostgreSQL
takes to answer it. The few statements of the busiest paths are therefore written once, here
only their rows become models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from django.db import connection, models

Converter = Callable[[Any, Any, Any], Any]


class Joined:
    """The columns of some models, each under the alias its table has in the statement."""

    def __init__(self, **aliases: type[models.Model]) -> None:
        self._models = tuple(aliases.values())
        self._fields = [model._meta.concrete_fields for model in self._models]
        self.columns = ", ".join(
            f'{alias}."{field.column}"'
            for alias, fields in zip(aliases, self._fields, strict=True)
            for field in fields
        )
        # What psycopg does not convert by itself: public ids, JSON.
        self._converters: list[tuple[int, Any, Converter]] = [
            (index, field, field.from_db_value)
            for index, field in enumerate(chain.from_iterable(self._fields))
            if hasattr(field, "from_db_value")
        ]

    def first(self, sql: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
        """The first row as one instance per model, in the order of the aliases, then whatever
        the statement selects after `{columns}`; None where there is no row."""
        with connection.cursor() as cursor:
            cursor.execute(sql.format(columns=self.columns), parameters)
            row = cursor.fetchone()
        if row is None:
            return None
        values = list(row)
        for index, field, convert in self._converters:
            values[index] = convert(values[index], field, connection)
        found: list[Any] = []
        start = 0
        for model, fields in zip(self._models, self._fields, strict=True):
            names = [field.attname for field in fields]
            end = start + len(fields)
            found.append(model.from_db("default", names, values[start:end]))
            start = end
        return (*found, *values[start:])
