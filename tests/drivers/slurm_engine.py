"""A real Slurm: slurmctld with a thousand nodes in the cloud and two real ones."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers import processes
from tests.engines import require

CONF = """
ClusterName=cardhour
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd-%n.pid
SlurmdSpoolDir={home}/spool-%n
StateSaveLocation={home}/state
AuthType=auth/munge
AuthInfo=socket={home}/munge.sock
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
GresTypes=gpu
ReturnToService=2
MpiDefault=none
MessageTimeout=5
# Else Slurm keeps nodes that are powered down to itself.
PrivateData=cloud
NodeName=g[0001-1000] CPUs=128 Sockets=2 CoresPerSocket=64 RealMemory=2000000 Gres=gpu:8 State=CLOUD
NodeName=r[1-2] NodeAddr=127.0.0.1 NodeHostname={host} Port=[{r1}-{r2}] CPUs=2 RealMemory=1000
ResumeProgram=/bin/true
SuspendProgram=/bin/true
SuspendTime=INFINITE
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStorageEnforce=associations
# Else sacctmgr looks for munge where Debian would have it.
AccountingStoragePass={home}/munge.sock
"""
DBD = """
AuthType=auth/munge
AuthInfo=socket={home}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
LogFile={home}/slurmdbd.log
PidFile={home}/slurmdbd.pid
"""


class Cluster:
    """Its configuration, and a hand on it."""

    def __init__(self, home: Path, *, accounting_port: int = 0) -> None:
        self.home, self.conf, self.port = home, home / "slurm.conf", processes.free_port()
        first = next(p for p in iter(processes.free_port, 0) if not processes.answers(p + 1))
        self.conf.write_text(
            CONF.format(
                home=home,
                host=socket.gethostname().partition(".")[0],
                port=self.port,
                r1=first,
                r2=first + 1,
            )
        )
        if accounting_port:
            with self.conf.open("a") as conf:
                conf.write(ACCOUNTING.format(home=home, port=accounting_port))
        (home / "state").mkdir()
        self._fresh = (f"g{number:04d}" for number in itertools.count(1))
        self._controller = contextlib.ExitStack()

    def start(self) -> None:
        command: list[str | Path] = ["slurmctld", "-D", "-f", self.conf]
        self._controller.enter_context(
            processes.running(command, self.home / "slurmctld.log", self.env)
        )
        processes.eventually(lambda: "is UP" in self.ask("scontrol", "ping"))

    def kill(self) -> None:
        self._controller.close()

    @property
    def env(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.conf)}

    def ask(self, *words: str) -> str:
        done = subprocess.run(words, env={**os.environ, **self.env}, capture_output=True, text=True)
        return done.stdout

    def fresh(self) -> str:
        """A node that no test has had."""
        return next(self._fresh)

    def drain(self, node: str, reason: str) -> None:
        self.ask("scontrol", "update", f"NodeName={node}", "State=DRAIN", f"Reason={reason}")

    def resume(self, node: str) -> None:
        self.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")


@contextlib.contextmanager
def accounting(home: Path) -> Iterator[int]:
    """slurmdbd on a MariaDB of its own; its port."""
    require("slurmdbd")
    _needs_root()
    port, database = processes.free_port(), processes.free_port()
    data = f"--datadir={home}/database"
    make = ["mariadb-install-db", "--no-defaults", data, "--skip-test-db", "--user=root"]
    make.append("--auth-root-authentication-method=normal")
    subprocess.run(make, check=True, capture_output=True)
    serve: list[str | Path] = ["mariadbd", "--no-defaults", "--user=root", data]
    serve += [f"--socket={home}/my.sock", f"--port={database}", "--bind-address=127.0.0.1"]
    serve += ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"]
    ask = ["mariadb", "--no-defaults", f"--socket={home}/my.sock", "--user=root"]
    grant = "GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1' IDENTIFIED BY 'slurm'"
    conf = home / "slurmdbd.conf"
    conf.write_text(DBD.format(home=home, port=port, database=database))
    conf.chmod(0o600)
    dbd: list[str | Path] = ["slurmdbd", "-D"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(processes.running(serve, home / "database.log"))
        processes.eventually(lambda: (home / "my.sock").exists())
        subprocess.run([*ask, "--execute", grant], check=True, capture_output=True)
        env = {"SLURM_CONF": str(home / "slurm.conf")}
        (home / "slurm.conf").touch()
        stack.enter_context(processes.running(dbd, home / "slurmdbd.out", env))
        processes.eventually(lambda: processes.answers(port))
        yield port


@contextlib.contextmanager
def cluster(home: Path, *, with_accounts: bool = False) -> Iterator[Cluster]:
    require("slurm")
    _needs_root()
    key = home / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    home.chmod(0o755)
    munge: list[str | Path] = ["/usr/sbin/munged", "--foreground", "--force"]
    munge += [f"--socket={home}/munge.sock", f"--key-file={key}", f"--seed-file={home}/seed"]
    munge += [f"--pid-file={home}/munged.pid", f"--log-file={home}/munged.log"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(processes.running(munge, home / "munged.out"))
        processes.eventually(lambda: (home / "munge.sock").exists())
        port = stack.enter_context(accounting(home)) if with_accounts else 0
        engine = Cluster(home, accounting_port=port)
        engine.start()
        stack.callback(engine.kill)
        for node in ("r1", "r2"):
            command: list[str | Path] = ["slurmd", "-D", "-N", node, "-f", engine.conf]
            stack.enter_context(processes.running(command, home / f"{node}.log", engine.env))
        processes.eventually(lambda: engine.ask("sinfo", "-h", "-n", "r1,r2").count("idle") == 1)
        yield engine


def _needs_root() -> None:
    """Its daemons become whoever a job belongs to."""
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons have to be started by root")
