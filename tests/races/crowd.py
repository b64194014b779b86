"""Verbs called by many at once, each in its own thread and connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

from inventory import capacity
from inventory.errors import Busy, DomainError

CLIENTS = 16


def together(*works: Callable[[], Any], all_connected: bool = True) -> list[Any]:
    """Each in its own thread and connection, all let go at once; what they return or refuse.

    More callers than connections share them: then they are let go before they have one.
    """
    start = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        try:
            with capacity.replaying():
                if all_connected:
                    connection.ensure_connection()
                start.wait(timeout=60)
                results[number] = work()
        except DomainError as error:
            results[number] = error
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=run, args=(number, work)) for number, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return results


def busy_tolerant(work: Callable[[], Any]) -> Any:
    for _ in range(20):
        try:
            return work()
        except Busy:
            continue
    raise AssertionError("busy twenty times")
