"""Servers of its own, a load on them, and something that is killed in the middle of it.

    python -m tests.kills.scenario web|worker|database SECONDS

Its cluster is durable and its own, so that no other test notices. Runs without Django; the
load's last line is its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from launcher.commands import environment, migrate
from launcher.postgres import DURABLE, Postgres
from launcher.processes import Family, Member, free_port
from launcher.state import PYTHON, Environment, locked, migrations_digest, stamped

SERVICES = ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL", "CARDHOUR_TEST_DB")


def main(victim: str, seconds: float) -> int:
    for name in SERVICES:  # of the suite that started us
        os.environ.pop(name, None)
    with locked("kills", wait="waiting for another kill test of this checkout"), Family() as family:
        postgres = Postgres("kills", DURABLE)
        postgres.start(family)
        database = family.members[-1]
        env = environment(
            DATABASE_URL=postgres.url("cardhour_app"),
            DATABASE_OWNER_URL=postgres.url("cardhour_owner"),
            DJANGO_SETTINGS_MODULE="marketplace.settings",
            HOLD_SECONDS="4",
            REQUESTS_PER_MINUTE="0",
        )
        stamped(
            postgres.data.with_suffix(".migrated"), migrations_digest(),
            lambda: _make_template(postgres, env),
        )  # fmt: skip
        _renew(postgres, "cardhour", "cardhour_migrated")
        port = free_port()
        running = {"web": _web(family, env, port), "worker": _worker(family, env)}
        load = subprocess.Popen(
            [str(PYTHON), "-m", "tests.kills.load", str(port), str(seconds)],
            env=env, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert load.stdout is not None
        if load.stdout.readline().strip() != "ready":
            return 1

        def restart_database() -> None:
            nonlocal database
            # What `pg_ctl stop -m immediate` sends: no checkpoint, the log is replayed.
            database.process.send_signal(signal.SIGQUIT)
            database.process.wait()
            family.members.remove(database)
            if not postgres._listens(family):
                raise RuntimeError("PostgreSQL did not come back")
            database = family.members[-1]

        def kill(name: str, start: Callable[[], Member]) -> None:
            member = running[name]
            os.killpg(member.process.pid, signal.SIGKILL)
            member.process.wait()
            family.members.remove(member)
            running[name] = start()

        strokes: dict[str, tuple[float, Callable[[], None]]] = {
            "web": (seconds / 3, lambda: kill("web", lambda: _web(family, env, port))),
            "worker": (seconds / 6, lambda: kill("worker", lambda: _worker(family, env))),
            "database": (seconds * 0.45, restart_database),
        }
        every, strike = strokes[victim]
        pause, ends = threading.Event(), time.monotonic() + seconds
        while not pause.wait(every) and time.monotonic() < ends:
            strike()
        answer, _ = load.communicate(timeout=seconds + 120)
        sys.stdout.write(answer)
        return load.returncode


def _web(family: Family, env: Environment, port: int) -> Member:
    command = [str(PYTHON), "-m", "granian", "--interface", "wsgi", "--no-ws"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    command += ["--blocking-threads", "4", "--respawn-failed-workers"]
    return family.start("kills-web", [*command, "marketplace.wsgi:application"], env)


def _worker(family: Family, env: Environment) -> Member:
    return family.start("kills-worker", [str(PYTHON), "-m", "tests.kills.worker"], env)


def _make_template(postgres: Postgres, env: Environment) -> None:
    _renew(postgres, "cardhour", "template0")
    migrate(env)
    _renew(postgres, "cardhour_migrated", "cardhour")


def _renew(postgres: Postgres, database: str, template: str) -> None:
    postgres.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    postgres.sql(f"CREATE DATABASE {database} TEMPLATE {template} OWNER cardhour_owner")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
