"""A task for the broker's test, run by a real worker on the project's own settings."""

from __future__ import annotations

import os
import time
from pathlib import Path

from marketplace.celery import app

app.conf.task_routes = {"tests.redelivery.*": {"queue": "tests.redelivery"}}


@app.task(name="tests.redelivery.attempt")
def attempt(*, folder: str) -> None:
    """Notes its process, then waits for as long as it is held."""
    notes = Path(folder)
    (notes / f"started-{os.getpid()}").touch()
    while (notes / "hold").exists():
        time.sleep(0.05)
    (notes / f"finished-{os.getpid()}").touch()
