"""A strict rail that keeps its own books in a file of its own, and misbehaves by seed.

It stands for a bank or a payment provider in tests and benches: what it took survives the
death of whoever asked, as theirs would. It refuses what they refuse. `CARDHOUR_FAKE_RAIL`
names its file; the rest of its behaviour is said by the arguments.
"""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from billing.rails.base import Order, Outcome, RailBusy, RailRefused, Status
from inventory.models import Organisation

_TABLES = """
    CREATE TABLE IF NOT EXISTS transfer (
        key TEXT PRIMARY KEY, digest TEXT NOT NULL, amount_minor INTEGER NOT NULL,
        currency TEXT NOT NULL, destination TEXT NOT NULL, status TEXT NOT NULL,
        reference TEXT NOT NULL, asked INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS call (id INTEGER PRIMARY KEY, verb TEXT NOT NULL, key TEXT NOT NULL);
"""


class FakeRail:
    """Each rate is the chance of that misbehaviour at a call, drawn by seed and call number."""

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        seed: int = 0,
        lost_rate: float = 0.0,  # no answer, and not taken
        silent_rate: float = 0.0,  # no answer, though taken
        failure_rate: float = 0.0,  # taken, and the payee's bank does not take it
        pending_polls: int = 0,  # how often it is asked before it knows
    ) -> None:
        self._path = str(path or os.environ["CARDHOUR_FAKE_RAIL"])
        self._seed = seed
        self._lost, self._silent, self._failing = lost_rate, silent_rate, failure_rate
        self._pending_polls = pending_polls
        with closing(self._open()) as books:
            books.executescript(_TABLES)

    def destination(self, provider: Organisation, currency: str) -> str:
        return f"acct_{provider.public_id.removeprefix('org_')[:16]}"

    def send(self, order: Order) -> Outcome:
        digest = hashlib.sha256(repr(order).encode()).hexdigest()
        if not 0 < order.amount_minor <= 99_999_999_999 or not order.destination:
            raise RailRefused("No such amount or destination can be paid")
        chance = self._chance("send", order.key)
        if chance.random() < self._lost:
            raise RailBusy("no answer")
        with closing(self._open()) as books, books:
            # Drawn by key, not by call: what fails, fails however often it is asked.
            fails = random.Random(f"{self._seed}:{order.key}").random() < self._failing  # noqa: S311
            books.execute(
                "INSERT INTO transfer VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
                [order.key, digest, order.amount_minor, order.currency, order.destination,
                 "failed" if fails else "paid", f"tr_{digest[:24]}"],
            )  # fmt: skip
            found = books.execute("SELECT digest FROM transfer WHERE key = ?", [order.key])
            if found.fetchone()[0] != digest:
                raise RailRefused("This key is another order's")
        if chance.random() < self._silent:
            raise RailBusy("no answer")
        return Outcome(Status.PENDING, f"tr_{digest[:24]}")

    def look_up(self, key: str) -> Outcome:
        if self._chance("look_up", key).random() < self._lost:
            raise RailBusy("no answer")
        with closing(self._open()) as books, books:
            row = books.execute(
                "SELECT status, reference, asked FROM transfer WHERE key = ?", [key]
            ).fetchone()
            books.execute("UPDATE transfer SET asked = asked + 1 WHERE key = ?", [key])
        if row is None:
            return Outcome(Status.UNKNOWN)
        status, reference, asked = row
        if asked < self._pending_polls:
            return Outcome(Status.PENDING, reference)
        return Outcome(Status(status), reference, "account_closed" if status == "failed" else "")

    def returned(self, *, since: datetime) -> list[tuple[str, Outcome]]:
        with closing(self._open()) as books:
            rows = books.execute(
                "SELECT key, reference FROM transfer WHERE status = 'returned' ORDER BY key"
            ).fetchall()
        return [
            (key, Outcome(Status.RETURNED, f"{reference}_back", "account_closed"))
            for key, reference in rows
        ]

    def bounce(self, key: str) -> None:
        """A test's hand: what had left comes back whole."""
        with closing(self._open()) as books, books:
            books.execute("UPDATE transfer SET status = 'returned' WHERE key = ?", [key])

    def paid(self) -> dict[str, int]:
        """What has really left, by key: a test's oracle."""
        with closing(self._open()) as books:
            rows = books.execute("SELECT key, amount_minor FROM transfer WHERE status = 'paid'")
            return dict(rows.fetchall())

    def calls(self, verb: str) -> int:
        with closing(self._open()) as books:
            found = books.execute("SELECT count(*) FROM call WHERE verb = ?", [verb])
            return int(found.fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30)

    def _chance(self, verb: str, key: str) -> random.Random:
        with closing(self._open()) as books, books:
            made = books.execute("INSERT INTO call (verb, key) VALUES (?, ?)", [verb, key])
            return random.Random(f"{self._seed}:{made.lastrowid}")  # noqa: S311 (repeats by seed)
