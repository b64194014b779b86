"""PostgreSQL's own load generator: the client that takes least of the machine it measures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from django.conf import settings
from django.db import connections

from inventory import grants

SCHEMA = "bench"  # what the benches need in the database, and nothing else


@dataclass(frozen=True, slots=True)
class Pace:
    """What a script reached."""

    per_second: float
    took_ms: Sequence[float]


def run(
    script: str, *, clients: int, seconds: float, alias: str = "default", log: bool = True
) -> Pace:
    """The script repeated, prepared, by `clients` connections of a role for `seconds`.

    Without a log nothing is known of single times, and writing it costs nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.sql"
        file.write_text(script)
        command = [
            *_command(alias), "-c", str(clients), "-j", "2", "-T", str(max(1, round(seconds))),
            "-f", str(file),
            *(["--log", "--log-prefix", str(Path(folder) / "log")] if log else []),
        ]  # fmt: skip
        done = subprocess.run(
            [*command, _database(alias)["NAME"]],
            env=_environment(alias), capture_output=True, text=True, timeout=seconds + 120,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"pgbench failed: {done.stderr[-800:]}")
        # Third of a line: microseconds from the begin of the script to its end.
        took = [
            int(line.split()[2]) / 1000
            for log in Path(folder).glob("log*")
            for line in log.read_text().splitlines()
        ]
    match = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if match is None:
        raise RuntimeError(f"pgbench printed no rate: {done.stdout[-500:]}")
    return Pace(float(match[1]), took)


@contextmanager
def beside(script: str, *, per_second: int, clients: int = 2) -> Iterator[None]:
    """While inside, another process repeats the script at a given rate."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [
            *_command("default"), "-c", str(clients), "-j", "1", "-T", "3600",
            "-R", str(per_second), "-f", file.name, _database("default")["NAME"],
        ]  # fmt: skip
        errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed below
        process = subprocess.Popen(
            command, env=_environment("default"), stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            yield
            if process.poll() is not None:
                errors.seek(0)
                raise RuntimeError(f"the market stood still: {errors.read()[-800:]}")
        finally:
            process.terminate()
            process.wait(timeout=20)
            errors.close()


def make_schema(*statements: str) -> None:
    """An empty schema for a bench, its tables open to the runtime role."""
    role = connections["owner"].ops.quote_name(grants.runtime_role())
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        cursor.execute(f"CREATE SCHEMA {SCHEMA}")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {SCHEMA} TO {role}")
        cursor.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {role}")


def url(alias: str) -> str:
    """How a role reaches the database, past Django's own connections."""
    database = {name: quote(str(value), safe="") for name, value in _database(alias).items()}
    who = f"{database['USER']}:{database['PASSWORD']}"
    return f"postgresql://{who}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


def _database(alias: str) -> dict[str, Any]:
    return dict(settings.DATABASES[alias])


def _environment(alias: str) -> dict[str, str]:
    return {**os.environ, "PGPASSWORD": _database(alias)["PASSWORD"]}


def _command(alias: str) -> list[str]:
    database = _database(alias)
    return [
        _program(), "-n", "-M", "prepared", "-h", database["HOST"], "-p", str(database["PORT"]),
        "-U", database["USER"],
    ]  # fmt: skip


def _program() -> str:
    folder = os.environ.get("CARDHOUR_PG_BIN")
    found = str(Path(folder) / "pgbench") if folder else shutil.which("pgbench")
    if not found or not Path(found).exists():
        raise RuntimeError("pgbench is not here: set CARDHOUR_PG_BIN to PostgreSQL's bin folder")
    return found
