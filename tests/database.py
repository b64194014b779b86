"""The suite's database: copied from a migrated template, served to tests as the runtime role.

A fresh migration takes many seconds, a copy a fraction of one, so each schema is migrated once
per cluster and every run, and every parallel worker, gets a copy of its own.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing
from typing import LiteralString

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.models import Model
from django.db.models.sql import InsertQuery
from psycopg import sql

from launcher.state import migrations_digest

# What migrations put there stays there through a flush.
KEPT = ("django_migrations", "django_content_type", "auth_permission")

# DELETE, since emptying small tables by TRUNCATE costs a new file for each table and index. With
# triggers off it needs no order, and passes the rules that keep append-only tables append-only.
EMPTY: LiteralString = """
DO $$
DECLARE
    name regclass;
    filled boolean;
BEGIN
    FOR name IN
        SELECT c.oid FROM pg_class c
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND c.relnamespace = 'public'::regnamespace AND NOT c.relname = ANY ({kept})
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO filled;
        IF filled THEN
            EXECUTE format('DELETE FROM %s', name);
        END IF;
    END LOOP;
    FOR name IN
        SELECT c.oid FROM pg_class c
        WHERE c.relkind = 'r' AND c.relnamespace = 'pristine'::regnamespace
    LOOP
        EXECUTE format('INSERT INTO public.%s OVERRIDING SYSTEM VALUE TABLE %s',
                       split_part(name::text, '.', 2), name);
    END LOOP;
END $$
"""

# The rows a migration left in the remaining tables, to be put back after a flush.
KEEP_PRISTINE: LiteralString = """
DO $$
DECLARE
    name regclass;
    filled boolean;
BEGIN
    CREATE SCHEMA pristine;
    FOR name IN
        SELECT c.oid FROM pg_class c
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND c.relnamespace = 'public'::regnamespace AND NOT c.relname = ANY ({kept})
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO filled;
        IF filled THEN
            EXECUTE format('CREATE TABLE pristine.%s AS TABLE %s', name, name);
        END IF;
    END LOOP;
END $$
"""


# Lets a test, inside its own transaction, write rows that otherwise only functions may.
OWNERS_HAND: LiteralString = """
CREATE FUNCTION owners_hand(statement text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    made bigint;
BEGIN
    EXECUTE statement INTO made;
    RETURN made;
END $$
"""


def test_database_name() -> str:
    """One per parallel worker."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    return _base_name() + (worker and f"_{worker}")


def _base_name() -> str:
    return os.environ.get("CARDHOUR_TEST_DB", "test_cardhour")


def owner_connection(database: str) -> psycopg.Connection[tuple[object, ...]]:
    """Straight to the server, beside Django's own connections."""
    owner = settings.DATABASES["owner"]
    return psycopg.connect(
        host=owner["HOST"],
        port=owner["PORT"],
        user=owner["USER"],
        password=owner["PASSWORD"],
        dbname=database,
        autocommit=True,
    )


def create() -> None:
    """The test database exists, is migrated and empty, and both aliases point to it."""
    name = test_database_name()
    with closing(owner_connection("postgres")) as server:
        # Parallel workers queue here: the first one migrates for all.
        server.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [_base_name()])
        template = _template(server)
        _drop(server, name)
        _copy(server, name, template)
    point_at(name)


def destroy() -> None:
    point_at("postgres")
    with closing(owner_connection("postgres")) as server:
        _drop(server, test_database_name())


def point_at(name: str) -> None:
    for alias in ("default", "owner"):
        connection = connections[alias]
        _let_go(alias)
        connection.settings_dict["NAME"] = settings.DATABASES[alias]["NAME"] = name


def _let_go(alias: str) -> None:
    """No connection is left that would keep a database from being copied or dropped."""
    connection = connections[alias]
    connection.close()
    if isinstance(connection, DatabaseWrapper):
        connection.close_pool()


def write(row: Model) -> None:
    """Adds a row, as the owner, in the transaction of the test."""
    query = InsertQuery(type(row))
    query.insert_values([f for f in row._meta.concrete_fields if not f.primary_key], [row])
    compiler = query.get_compiler(using="default")
    compiler.returning_fields = [row._meta.pk]
    ((statement, parameters),) = compiler.as_sql()
    with connection.cursor() as cursor:
        text = psycopg.ClientCursor(connection.connection).mogrify(statement, parameters)
        cursor.execute("SELECT owners_hand(%s)", [text])
        (row.pk,) = cursor.fetchone()
    row._state.adding = False


def as_owner(statement: str) -> None:
    """Changes rows that only functions may change, in the transaction of the test."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT owners_hand(%s)", [f"WITH c AS ({statement} RETURNING 1) SELECT 1"])


def plant(*statements: str) -> None:
    """What only somebody with the owner's password and no respect for rules can do."""
    with closing(owner_connection(test_database_name())) as server:
        server.execute("SET session_replication_role = replica")
        for statement in statements:
            server.execute(statement.encode())


def flush() -> None:
    """Every table is as the migrations left it, whatever a test committed."""
    with closing(owner_connection(test_database_name())) as server:
        server.execute("SET session_replication_role = replica")
        server.execute("SET lock_timeout = '15s'")  # a leaked transaction is named, not waited for
        server.execute(_script(EMPTY))


def _template(server: psycopg.Connection[tuple[object, ...]]) -> str:
    prefix = f"{_base_name()}_template_"
    template = prefix + migrations_digest()[:12]
    rows = server.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]
    ).fetchall()
    if (template,) in rows:
        return template
    for (outdated,) in rows:
        _drop(server, str(outdated))
    unfinished = f"{prefix}unfinished"
    _copy(server, unfinished, "template0")
    point_at(unfinished)
    call_command("migrate", database="owner", interactive=False, verbosity=0)
    _let_go("owner")
    _let_go("default")
    with closing(owner_connection(unfinished)) as database:
        database.execute(_script(KEEP_PRISTINE))
        database.execute(OWNERS_HAND)
    server.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
            sql.Identifier(unfinished), sql.Identifier(template)
        )
    )
    return template


def _script(text: LiteralString) -> sql.Composed:
    """A DO block takes no parameters, so the list of tables is written into it."""
    names = sql.SQL(", ").join(sql.Literal(name) for name in KEPT)
    return sql.SQL(text).format(kept=sql.SQL("ARRAY[{}]").format(names))


def _copy(server: psycopg.Connection[tuple[object, ...]], name: str, template: str) -> None:
    server.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
    )


def _drop(server: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """Waits for an autovacuum to let go; a connection that a test left open is ended."""
    database = sql.Identifier(name)
    try:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(database))
    except psycopg.errors.ObjectInUse:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))


def present() -> str:
    """The number that the next transaction of the cluster gets."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        (number,) = cursor.fetchone()
    return str(number)


def outwait(before: str = "") -> None:
    """No transaction from before that number, or now, goes on in any database of the cluster.

    What follows committed rows in their order waits for those: a reader, not a test, may be late.
    """
    before = before or present()
    waited = threading.Event()
    with connection.cursor() as cursor:
        for _ in range(1200):
            cursor.execute(
                "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::text::xid8", [before]
            )
            if cursor.fetchone() == (True,):
                return
            waited.wait(0.1)
    raise AssertionError("a transaction elsewhere in the cluster ran for two minutes")
