"""`dev up` end to end, in a copy of the checkout on a path with spaces."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.test_processes import eventually

ROOT = Path(__file__).parents[2]
EMBEDDED = ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL", "PG_BIN", "PYTEST_ADDOPTS")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """Our files and, by link, what they installed; no state."""
    copy = tmp_path / "a copy 副本"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for name in (".venv", "node_modules"):
        (copy / name).symlink_to(ROOT / name)
    yield copy
    for pid in processes(copy):  # only after a failure: our own, found by their folder
        os.kill(pid, signal.SIGKILL)


def processes(folder: Path) -> list[int]:
    """Everybody whose working folder lies in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            where = str(entry.readlink())
        except OSError:
            continue
        if where.startswith(str(folder)) and int(entry.parent.name) != os.getpid():
            found.append(int(entry.parent.name))
    return found


def environment(*, demo: bool = False) -> dict[str, str]:
    """As a stranger's shell has it: nothing of the running suite."""
    env = {name: value for name, value in os.environ.items() if name not in EMBEDDED}
    return {**env, "DEMO": str(demo).lower()}


def up(checkout: Path, *words: str, demo: bool = False) -> tuple[subprocess.Popen[str], str]:
    """`dev up`, and what it printed until it was ready."""
    launcher = subprocess.Popen(
        [sys.executable, "dev", "up", *words],
        cwd=checkout, env=environment(demo=demo), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert launcher.stdout
    said = []
    for line in launcher.stdout:
        said.append(line)
        if "Ctrl-C stops" in line:
            break
    return launcher, "".join(said)


def status(url: str) -> int:
    try:
        return int(urllib.request.urlopen(url, timeout=20).status)
    except urllib.error.HTTPError as answer:
        return answer.code


def manage(checkout: Path, code: str) -> str:
    answer = subprocess.run(
        [sys.executable, "dev", "manage", "shell", "--no-imports", "-c", code],
        cwd=checkout, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


@pytest.mark.slow
def test_kill_9_leaves_no_process_and_loses_no_data(checkout: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        launcher, text = up(checkout, "--port", str(port))
    assert f"port {port} is taken" in text, text
    address = re.search(r"Cardhour is at (http://127\.0\.0\.1:(\d+)/)", text)
    assert address, text
    assert int(address[2]) != port
    assert status(address[1]) < 500
    assert len(processes(checkout)) >= 8  # launcher, web and its two, worker, beat, PostgreSQL
    create = "from django.contrib.sessions.models import Session as S; from datetime import *"
    create += "; S.objects.create(session_key='kept', expire_date=datetime.now(UTC))"
    manage(checkout, create)

    launcher.kill()
    launcher.wait()

    assert eventually(lambda: not processes(checkout), 30), processes(checkout)
    kept = "from django.contrib.sessions.models import Session as S"
    assert manage(checkout, f"{kept}; print(S.objects.filter(pk='kept').count())") == "1"
    assert eventually(lambda: not processes(checkout), 10)


@pytest.mark.slow
def test_the_printed_lines_work_as_they_stand_and_ctrl_c_stops_everything(checkout: Path) -> None:
    launcher, text = up(checkout, demo=True)
    lines = [line for line in text.splitlines() if re.match(r"  (K=|OFFER=|RSV=|curl )", line)]
    assert len(lines) == 4, text

    tour = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert tour.returncode == 0, tour.stderr
    lease = json.loads(tour.stdout)
    assert (lease["state"], lease["unit_count"]) == ("scheduled", 2)

    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(60) == 130
    assert eventually(lambda: not processes(checkout), 10), processes(checkout)
