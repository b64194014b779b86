"""kill -9 in the middle of holds and confirmations: what was acknowledged is there, once.

Each scenario has a cluster, a web server and a worker of its own. Clients repeat whatever is
not answered under the same key.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 12


def scenario(victim: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills.scenario", victim, str(SECONDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=420,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stdout[-3000:] + done.stderr[-3000:]
    return dict(json.loads(lines[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["web", "worker", "database"])
def test_every_acknowledged_deal_exists_exactly_once(victim: str) -> None:
    """The web server killed twice, the worker five times, the database stopped at once twice."""
    found = scenario(victim)

    assert found["faults"] == []
    assert found["told"]["confirmed"] > 0
    assert found["told"]["cancelled"] > 0
