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


class Cluster:
    """Its configuration, and a hand on it."""

    def __init__(self, home: Path) -> None:
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
def cluster(home: Path) -> Iterator[Cluster]:
    require("slurm")
    key = home / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    home.chmod(0o755)
    munge: list[str | Path] = ["munged", "--foreground", "--force"]
    munge += [f"--socket={home}/munge.sock", f"--key-file={key}", f"--seed-file={home}/seed"]
    munge += [f"--pid-file={home}/munged.pid", f"--log-file={home}/munged.log"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(processes.running(munge, home / "munged.out"))
        processes.eventually(lambda: (home / "munge.sock").exists())
        engine = Cluster(home)
        engine.start()
        stack.callback(engine.kill)
        for node in ("r1", "r2"):
            command: list[str | Path] = ["slurmd", "-D", "-N", node, "-f", engine.conf]
            stack.enter_context(processes.running(command, home / f"{node}.log", engine.env))
        processes.eventually(lambda: engine.ask("sinfo", "-h", "-n", "r1,r2").count("idle") == 1)
        yield engine
