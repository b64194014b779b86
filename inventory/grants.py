"""What the runtime role may do: read and add by default, and by name whatever more it needs.

The owner migrates. The runtime role has no DDL. What a table lets it change is said column by
column, so that a price, a claim or a state that code has no business changing stays as it is
whatever a statement says. Capacity and the ledger are written by functions that run as the
owner; their tables it can only read.
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
                "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}",
                "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
                "REVOKE INSERT ON django_migrations FROM {role}",
                "GRANT USAGE ON SCHEMA public TO {role}",
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
                f"{_DEFAULT} GRANT SELECT, INSERT ON TABLES TO {{role}}",
                f"{_DEFAULT} GRANT USAGE, SELECT ON SEQUENCES TO {{role}}",
            ],
        )

    return migrations.RunPython(forwards, migrations.RunPython.noop)


def give(rights: dict[str, str]) -> migrations.RunPython:
    """Further rights by table: `UPDATE (a, b)`, `UPDATE, DELETE`."""
    return _by_table(rights, "GRANT {right} ON {table} TO {{role}}")


def read_only(*tables: str) -> migrations.RunPython:
    """The runtime role reads these; functions of the owner write them."""
    return _by_table(dict.fromkeys(tables, "INSERT"), "REVOKE {right} ON {table} FROM {{role}}")


def _by_table(rights: dict[str, str], statement: str) -> migrations.RunPython:
    def forwards(apps: Any, schema_editor: Any) -> None:
        _execute(
            schema_editor,
            [statement.format(table=table, right=right) for table, right in rights.items()],
        )

    return migrations.RunPython(forwards, migrations.RunPython.noop)


def execute_only(*functions: str, inner: tuple[str, ...] = ()) -> migrations.RunPython:
    """Functions of the owner that the runtime role may call; `inner` ones only call each other."""

    def forwards(apps: Any, schema_editor: Any) -> None:
        for function in (*inner, *functions):
            schema_editor.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        _execute(
            schema_editor,
            [f"GRANT EXECUTE ON FUNCTION {function} TO {{role}}" for function in functions],
        )

    return migrations.RunPython(forwards, migrations.RunPython.noop)


def rules_always_hold() -> migrations.RunSQL:
    """Stands last in each migration that makes triggers.

    pgtrigger lets any session switch its triggers off by a setting. Here nobody may: a state
    or a frozen column is the database's to guard, not the caller's.
    """
    return migrations.RunSQL(
        "CREATE OR REPLACE FUNCTION _pgtrigger_should_ignore(trigger_name name)"
        " RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'",
        migrations.RunSQL.noop,
    )
