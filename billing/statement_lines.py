"""The lines of a bank statement: whether their balances follow, and what tells one from another."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import date
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with one line of the file: a stable code and the text itself."""

    line: int
    column: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class Line:
    """One movement as the file has it; in is positive."""

    number: int
    booked_date: date
    time: str
    amount_minor: int
    balance_minor: int | None
    reference: str
    name: str
    account: str
    text: str
    virtual: str
    fact_key: str = ""


def breaks(lines: list[Line]) -> list[LineError]:
    """Where a line's balance is not the one before it moved by its amount.

    Banks list the oldest first or the newest first; whichever agrees more is meant.
    """
    if len(lines) < 2 or any(line.balance_minor is None for line in lines):
        return []
    wrong = []
    for ordered in (lines, lines[::-1]):
        wrong.append(
            [
                LineError(after.number, "balance", "balance_differs", "")
                for before, after in pairwise(ordered)
                if (before.balance_minor or 0) + after.amount_minor != after.balance_minor
            ]
        )
    return min(wrong, key=len)


def ends(
    lines: list[Line], opening: int | None, closing: int | None
) -> tuple[int | None, int | None, list[LineError]]:
    """The balances before and after all lines, and whether what is said agrees with them."""
    moved = sum(line.amount_minor for line in lines)
    balances = [line.balance_minor for line in lines]
    if None not in balances and balances:
        # Two orders can agree with the balances; what the file says beside them decides.
        fitting = [
            ((first.balance_minor or 0) - first.amount_minor, last.balance_minor or 0)
            for first, last in _orders(lines)
        ]
        agreeing = [
            (counted, last)
            for counted, last in fitting
            if opening in (None, counted) and closing in (None, last)
        ]
        if not agreeing:
            return opening, closing, [LineError(lines[0].number, "balance", "ends_differ", "")]
        opening, closing = agreeing[0]
    if opening is not None and closing is not None and opening + moved != closing:
        return opening, closing, [LineError(lines[0].number, "balance", "ends_differ", "")]
    return opening, closing, []


def _orders(lines: list[Line]) -> list[tuple[Line, Line]]:
    """The first and the last line in time, for each order that the balances agree with."""
    found = []
    for ordered in (lines, lines[::-1]):
        if all(
            (before.balance_minor or 0) + after.amount_minor == after.balance_minor
            for before, after in pairwise(ordered)
        ):
            found.append((ordered[0], ordered[-1]))
    return found


def with_keys(lines: list[Line]) -> list[Line]:
    """Each with a digest of what the bank says of it; the n-th of several alike counts as such."""
    seen: Counter[str] = Counter()
    keyed = []
    for line in lines:
        if line.reference:
            facts = ["r", line.reference, str(line.booked_date), str(line.amount_minor)]
        else:
            facts = [
                "f", str(line.booked_date), line.time, str(line.amount_minor),
                str(line.balance_minor), line.name, line.account, line.text,
            ]  # fmt: skip
        base = json.dumps(facts, ensure_ascii=False)
        seen[base] += 1
        digest = hashlib.sha256(f"{base}#{seen[base]}".encode()).hexdigest()
        keyed.append(_keyed(line, digest))
    return keyed


def _keyed(line: Line, key: str) -> Line:
    return Line(
        line.number, line.booked_date, line.time, line.amount_minor, line.balance_minor,
        line.reference, line.name, line.account, line.text, line.virtual, key,
    )  # fmt: skip
