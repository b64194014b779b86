"""Slurm's command line: every version has it, and writes reservations with it.

Its REST server writes reservations from data version v0.0.43 (Slurm 25.05) on only; what centres
run today answers 405.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping

from inventory.drivers.base import DriverError, Engine

# Of one command; a step runs a handful that answer in milliseconds.
TIMEOUT_SECONDS = 8
# slurmctld is away, is starting, or does not know us: nothing that a node is to blame for.
_AWAY = re.compile(
    r"unable to contact|connection refused|connect failure|unexpected message|timed out"
    r"|authentication|munge|slurmdbd|not responding|could not establish a configuration"
    r"|unable to process configuration|no such file",
    re.IGNORECASE,
)
_PAIR = re.compile(r"(\S+?)=(\S*)")


class Refused(Exception):
    """Slurm said no, in these words."""


class Slurm:
    """The commands, on the cluster that a pool's options name."""

    def __init__(self, engine: Engine) -> None:
        self._env = dict(os.environ)
        if conf := engine.options.get("conf"):
            self._env["SLURM_CONF"] = str(conf)

    def read(self, *words: str) -> str:
        """What it prints. Raises DriverError, Refused."""
        return self._run(words)

    def write(self, *words: str) -> None:
        """Asks for a change. Raises DriverError, Refused."""
        self._run(words)

    def rows(self, kind: str, name: str = "") -> list[Mapping[str, str]]:
        """What `scontrol show` knows of that kind; empty where nothing has that name."""
        words = [kind, name] if name else [kind]
        try:
            text = self.read("scontrol", "--oneliner", "show", *words)
        except Refused as error:
            if "not found" in str(error):
                return []
            raise DriverError(str(error), permanent=False) from error
        # `No reservations in the system` is a line without a pair.
        return [row for line in text.splitlines() if (row := dict(_PAIR.findall(line)))]

    def hosts(self, expression: str) -> list[str]:
        """`g[1-3],r1`, written out."""
        if expression in ("", "(null)"):
            return []
        return self.read("scontrol", "show", "hostnames", expression).split()

    def _run(self, words: tuple[str, ...]) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - no shell; words are names of ours and options
                words,
                env=self._env,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                stdin=subprocess.DEVNULL,
            )
        except FileNotFoundError as error:
            raise DriverError(f"{words[0]} is not installed here", permanent=False) from error
        except subprocess.TimeoutExpired as error:
            raise DriverError(f"{words[0]} does not answer", permanent=False) from error
        said = (done.stderr.strip() or done.stdout.strip())[:400]
        if done.returncode == 0:
            return done.stdout
        if _AWAY.search(said) or not said:
            raise DriverError(f"Slurm cannot be reached: {said}", permanent=False)
        raise Refused(said)
