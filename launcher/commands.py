"""The commands of `python3 dev`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from launcher import ground
from launcher.postgres import DURABLE, FAST, Postgres, borrowed_home
from launcher.processes import Family, foreground, free_port, run
from launcher.state import (
    PYTHON,
    ROOT,
    STATE,
    VENV,
    Command,
    Environment,
    Held,
    fail,
    generated_secrets,
    locked,
    migrations_digest,
    save_privately,
    say,
    stamped,
)

RUNNING = STATE / "up.json"
SERVICES = ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL")
REMEMBERED = (*SERVICES, "DEMO")  # what `dev manage` needs to know of a running `up`


def up(words: Command) -> int:
    """Everything runs until Ctrl-C, or until one of web, worker, beat and database ends."""
    started = time.monotonic()
    wanted = _wanted_port(words)
    try:
        with locked("up"):
            ground.prepare()
            port = free_port(wanted)
            if port != wanted:
                say(f"  port {wanted} is taken, using {port}")
            url = f"http://127.0.0.1:{port}/"
            with Family() as family:
                env = services("up", family)
                ground.collect_static(env)
                tour = _start(family, env, port, url)
                _wait_for_web(family, url)
                known = {name: env[name] for name in REMEMBERED if name in env}
                save_privately(RUNNING, {"url": url, "env": known})
                say(f"  ready in {time.monotonic() - started:.1f} s; logs are in .dev/logs")
                print(f"\nCardhour is at {url}\n{tour}\nCtrl-C stops everything.", flush=True)
                try:
                    return _watch(family)
                finally:
                    RUNNING.unlink(missing_ok=True)
                    say("  stopping")
    except Held:
        with contextlib.suppress(OSError):
            fail(f"already up at {json.loads(RUNNING.read_text())['url']}")
        fail("already starting")


def _wanted_port(words: Command) -> int:
    if not words:
        return 8000
    if len(words) == 2 and words[0] == "--port" and words[1].isdigit():
        return int(words[1])
    fail("usage: python3 dev up [--port N]")


def _start(family: Family, env: Environment, port: int, url: str) -> str:
    """Web first, then the past of the demo world, then those who act on it.

    The tour through the demo world, which there is only where known passwords do no harm.
    """
    runtime = {name: value for name, value in env.items() if name != "DATABASE_OWNER_URL"}
    granian = [str(PYTHON), "-m", "granian", "--interface", "wsgi", "--no-ws"]
    granian += ["--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    granian += ["--blocking-threads", "4", "--respawn-failed-workers"]
    granian += ["--workers-kill-timeout", "4", "marketplace.wsgi:application"]
    family.start("web", granian, runtime)
    tour, demo = "", env.get("DEMO") == "true"
    if demo:
        run("seeding the demo world", manage("seed_demo", "--foreground-part"), env=runtime)
        tour = run("preparing the tour", manage("tour", "--url", url), env=runtime)
    celery = [str(PYTHON), "-m", "celery", "-A", "marketplace.celery:app"]
    worker = ["worker", "--concurrency", "2", "--loglevel", "INFO"]
    worker += ["--without-gossip", "--without-mingle"]
    # Nobody listens to heartbeats, and the embedded broker has no topics to send them to.
    worker += ["--without-heartbeat"]
    # Orphaned it is killed: asked to stop, it would wait for a broker that is stopping too. What
    # it had begun stays on the queue and is delivered again.
    family.start("worker", celery + worker, runtime, orphan=signal.SIGKILL)
    beat = ["beat", "--loglevel", "INFO", "--pidfile=", "--schedule", str(STATE / "beat-schedule")]
    family.start("beat", celery + beat, runtime)
    if demo:
        family.start("seed", manage("seed_demo", "--background-part"), runtime)
    return tour


def _wait_for_web(family: Family, url: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if "web" in family.ended():
            fail("the web server does not start")
        try:
            direct.open(url, timeout=10).close()
        except urllib.error.HTTPError as answer:
            if answer.code >= 500:
                say(f"  {url} answers {answer.code}, see .dev/logs/web.log")
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    fail("the web server does not answer, see .dev/logs/web.log")


def _watch(family: Family) -> int:
    while True:
        for name in family.ended():
            if name != "seed":
                return 1
            say("  the background part of the demo world has ended")
        time.sleep(0.3)


def test(words: Command) -> int:
    """The suite, as the runtime role, on a cluster that trades durability for speed."""
    with locked("test", wait="waiting for another `dev test` of this checkout"):
        ground.prepare(ground.TO_TEST)
        with Family() as family:
            env = services("test", family)
            ground.collect_static(env)
            if not any(word.startswith(("-n", "--numprocesses", "-p")) for word in words):
                workers = ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]
                words = [*workers, "--no-loadscope-reorder", *words]
            return foreground([str(PYTHON), "-m", "pytest", *words], env)


def measured(command: str) -> Callable[[Command], int]:
    """bench and replay: a Django command on an empty database with durable settings.

    With --resume on the database as the last measurement left it.
    """

    def measure(words: Command) -> int:
        # The command runs in the checkout; a file is named from where the caller stands.
        words = [str(Path(word).resolve()) if Path(word).is_file() else word for word in words]
        with locked("bench", wait="waiting for another measurement of this checkout"):
            ground.prepare()
            with Family() as family:
                env = services("bench", family, renew="--resume" not in words)
                compared = STATE / "bench-packages"
                if words[:1] == ["ledger"] and ground.install_compared(compared):
                    env.setdefault("CARDHOUR_BENCH_PACKAGES", str(compared))
                ground.collect_static(env)
                return foreground(manage(command, *words), env)

    return measure


def manage_command(words: Command) -> int:
    """Django's command line beside a running `up`, else with its database started for it."""
    try:
        with locked("up"):
            ground.prepare()
            with Family() as family:
                return foreground(manage(*words), services("up", family))
    except Held:
        if not RUNNING.exists():
            fail("`dev up` is still starting")
        return foreground(manage(*words), environment(**json.loads(RUNNING.read_text())["env"]))


def down(words: Command) -> int:
    """`up` has stopped; with --wipe its data, and those of tests and measurements, are gone."""
    if words not in ([], ["--wipe"]):
        fail("usage: python3 dev down [--wipe]")
    try:
        with locked("up"):
            pass
    except Held as holder:
        os.kill(holder.pid, signal.SIGTERM)
    with (
        locked("up", wait="waiting for `dev up` to stop"),
        locked("test", wait="waiting for `dev test` to end"),
        locked("bench", wait="waiting for a measurement to end"),
    ):
        if words:
            shutil.rmtree(STATE)
            shutil.rmtree(borrowed_home(), ignore_errors=True)
    return 0


def services(name: str, family: Family, *, renew: bool = True) -> Environment:
    """The environment with a database and a broker: the caller's, else embedded ones.

    A measurement's database is made anew unless `renew` is false.
    """
    given = [word for word in SERVICES if os.environ.get(word)]
    own_database = "DATABASE_URL" in given
    if own_database != ("DATABASE_OWNER_URL" in given):
        fail("DATABASE_URL and DATABASE_OWNER_URL replace the embedded database together")
    if own_database and (name != "up" or "CELERY_BROKER_URL" in given):
        env = environment()
        if name == "up":
            migrate(env)
        return env
    postgres = Postgres(name, FAST if name == "test" else DURABLE)
    postgres.start(family)
    embedded = {"CARDHOUR_PG_BIN": str(postgres.programs)}
    if not own_database:
        embedded["DATABASE_URL"] = postgres.url("cardhour_app")
        embedded["DATABASE_OWNER_URL"] = postgres.url("cardhour_owner")
        if name != "test":  # nobody's real database, so known passwords do no harm
            embedded["DEMO"] = os.environ.get("DEMO", "true")
    if name == "up" and "CELERY_BROKER_URL" not in given:
        embedded["CELERY_BROKER_URL"] = postgres.broker_url()
    elif name == "test":
        embedded["CARDHOUR_TEST_BROKER_URL"] = postgres.broker_url()
    env = environment(**embedded)
    stamp = postgres.data.with_suffix(".migrated")
    if name == "bench":
        stamped(stamp, migrations_digest(), lambda: _make_template(postgres, env))
        if renew:
            _renew(postgres, "cardhour", "cardhour_migrated")
    elif own_database:
        migrate(env)
    elif name == "up":
        stamped(stamp, migrations_digest(), lambda: migrate(env))
    return env


def environment(**words: str) -> Environment:
    """What Django's processes are started with; the caller's own words win over defaults."""
    defaults = {
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        "CARDHOUR_STATIC_ROOT": str(STATE / "static"),
        "PYTHONUNBUFFERED": "1",
    }
    made = generated_secrets()
    for name in ("SECRET_KEY", "CREDENTIAL_KEYS"):
        if f"{name}_FILE" not in os.environ:
            defaults[name] = made[name]
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**defaults, **os.environ, "PATH": path, **words}


def manage(*words: str) -> Command:
    return [str(PYTHON), str(ROOT / "manage.py"), *words]


def migrate(env: Environment) -> None:
    run("migrating the database", manage("migrate", "--database=owner", "--noinput"), env=env)


def _make_template(postgres: Postgres, env: Environment) -> None:
    _renew(postgres, "cardhour", "template0")
    migrate(env)
    _renew(postgres, "cardhour_migrated", "cardhour")


def _renew(postgres: Postgres, database: str, template: str) -> None:
    """A measurement starts from an empty, migrated database: a copy of one migrated before."""
    postgres.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    postgres.sql(f"CREATE DATABASE {database} TEMPLATE {template} OWNER cardhour_owner")


COMMANDS: dict[str, Callable[[Command], int]] = {
    "up": up,
    "test": test,
    "bench": measured("bench"),
    "replay": measured("replay"),
    "manage": manage_command,
    "down": down,
}


def main(words: Command, *, usage: str) -> int:
    if not words or words[0] not in COMMANDS:
        say(usage.strip())
        return 0 if words[:1] in (["-h"], ["--help"]) else 2
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return COMMANDS[words[0]](words[1:])
    except KeyboardInterrupt:
        return 130


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
