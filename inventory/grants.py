"""What the runtime role may do: rights are given once, as defaults, and taken back by name.

The owner migrates. The runtime role reads and writes rows; it has no DDL, and neither UPDATE
nor DELETE nor TRUNCATE on append-only tables.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import migrations

_DEFAULT = "ALTER DEFAULT PRIVILEGES IN SCHEMA public"


def runtime_role() -> str:
    return str(settings.DATABASES["default"]["USER"])


def _execute(schema_editor: Any, statements: list[str]) -> None:
    """Runs them for the runtime role, or not at all where one role does everything."""
    connection = schema_editor.connection
    role = runtime_role()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user = %s OR NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)",
            [role, role],
        )
        if cursor.fetchone()[0]:
            return
        quoted = connection.ops.quote_name(role)
        for statement in statements:
            cursor.execute(statement.format(role=quoted))


def defaults() -> migrations.RunPython:
    """Stands before any table of ours is made, so that each gets these rights at birth."""

    def forwards(apps: Any, schema_editor: Any) -> None:
        _execute(
            schema_editor,
            [
                # Tables that Django's own applications made before this point.
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
                "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
                "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
                "GRANT USAGE ON SCHEMA public TO {role}",
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
                f"{_DEFAULT} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {{role}}",
                f"{_DEFAULT} GRANT USAGE, SELECT ON SEQUENCES TO {{role}}",
            ],
        )

    return migrations.RunPython(forwards, migrations.RunPython.noop)


def append_only(*tables: str) -> migrations.RunPython:
    """The runtime role may add rows to these tables and read them, nothing else."""

    def forwards(apps: Any, schema_editor: Any) -> None:
        _execute(
            schema_editor,
            [f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {{role}}" for table in tables],
        )

    return migrations.RunPython(forwards, migrations.RunPython.noop)
