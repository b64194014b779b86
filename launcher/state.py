"""What the launcher remembers: stamps of finished work, locks, generated secrets."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".dev"
LOGS = STATE / "logs"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"

Command = list[str]
Environment = dict[str, str]


def say(text: str) -> None:
    """Progress goes to stderr, so that a command's own output can be piped."""
    print(text, file=sys.stderr, flush=True)


def fail(text: str) -> NoReturn:
    say(f"dev: {text}")
    raise SystemExit(1)


def digest(paths: Iterable[Path], *words: str) -> str:
    """Equal while the names and contents of the files, and the further words, are equal."""
    total = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        total.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def migrations_digest() -> str:
    """Equal while the schema is: our migrations, their SQL, and the packages that bring more."""
    files = [*ROOT.glob("*/migrations/*.py"), *ROOT.glob("*/sql/*.sql")]
    return digest([*files, ROOT / "requirements.lock"])


def stamped(stamp: Path, value: str, work: Callable[[], object]) -> None:
    """Does the work unless the stamp holds the value; work that was interrupted is done again."""
    if stamp.is_file() and stamp.read_text() == value:
        return
    stamp.unlink(missing_ok=True)
    work()
    stamp.write_text(value)


class Held(Exception):
    """Another process of this checkout holds the lock."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


@contextlib.contextmanager
def locked(name: str, *, wait: str = "") -> Iterator[None]:
    """Holds .dev/<name>.lock, which the kernel frees even after kill -9.

    With something to say while waiting it waits, else raises Held.
    """
    STATE.mkdir(mode=0o700, exist_ok=True)
    with open(STATE / f"{name}.lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                file.seek(0)
                raise Held(int(file.read() or 0)) from None
            say(f"  {wait}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def save_privately(path: Path, value: dict[str, Any]) -> None:
    """Whole or not at all, and readable by its owner only."""
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file)
    fresh.rename(path)


def generated_secrets() -> dict[str, str]:
    """The checkout's passwords and keys, made once."""
    path = STATE / "secrets.json"
    if not path.exists():
        made = {name: secrets.token_hex(16) for name in ("postgres", "owner", "app", "broker")}
        made["SECRET_KEY"] = secrets.token_urlsafe(48)
        made["CREDENTIAL_KEYS"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        save_privately(path, made)
    return dict(json.loads(path.read_text()))
