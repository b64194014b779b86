from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from launcher import state
from launcher.state import Held, digest, generated_secrets, locked, stamped

# Says so once it holds the lock, and keeps it.
HOLDER = """
import pathlib, sys, time
from launcher import state
state.STATE = pathlib.Path(sys.argv[1])
with state.locked("x"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(state, "STATE", tmp_path / "dev")
    monkeypatch.setattr(state, "ROOT", tmp_path)
    return tmp_path


def test_a_stamp_spares_the_work_until_its_value_changes(tmp_path: Path) -> None:
    done: list[str] = []

    for value in ("a", "a", "b"):
        stamped(tmp_path / "stamp", value, partial(done.append, value))

    assert done == ["a", "b"]


def test_interrupted_work_is_done_again(tmp_path: Path) -> None:
    stamp, done = tmp_path / "stamp", []
    stamp.write_text("old")

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stamped(stamp, "new", interrupted)
    assert not stamp.exists()

    stamped(stamp, "new", lambda: done.append(1))
    assert done == [1]


def test_a_digest_sees_contents_names_and_words(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.write_text("one")
    other = tmp_path / "other"
    other.write_text("one")

    seen = {digest([file]), digest([other]), digest([file], "3.11")}
    file.write_text("two")
    seen.add(digest([file]))

    assert len(seen) == 4


def test_secrets_are_made_once_and_private(elsewhere: Path) -> None:
    (elsewhere / "dev").mkdir()

    made = generated_secrets()

    assert generated_secrets() == made
    assert len(set(made.values())) == 6
    assert (elsewhere / "dev" / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(state.STATE)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"

        with pytest.raises(Held) as refused, locked("x"):
            pass
        holder.send_signal(signal.SIGKILL)

    assert refused.value.pid == holder.pid
    with locked("x"):
        assert (state.STATE / "x.lock").read_text() == str(os.getpid())
